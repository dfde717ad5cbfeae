"""Scientific agreement: every metric against the vendors' and published values of the reference material.

oracles     reads the reference material (third-party data, not part of this repository)
comparison  one check and how its values agree
sleep rhythm activity wear
            the checks, by subject
results     the tables of past runs

Run it with ``make validate``. It shows that definitions are the vendor's or the paper's, not that they are
right: nothing here was compared with polysomnography.
"""

__all__ = ["activity", "comparison", "oracles", "rhythm", "sleep", "wear"]
