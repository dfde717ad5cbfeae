"""How long what is kept: the one place. What is older, serving/sweeper.py removes.

audit trail                 AUDIT_DAYS, as 45 CFR 164.316(b)(2)(i) asks, by whole files
reasons of emergencies      as long
relations of care           until they are ended, or the subject is deleted
emergencies                 for the time they were declared for
jobs                        what came in until they have ended, results 24 hours longer (job_shelf.py)
results to be delivered     until they are; those that cannot be, DEAD_LETTER_DAYS from when that is known
deliveries that were made   that they were, for DELIVERED_HOURS; of what was delivered nothing
analyses in the cache       PAT_CACHE_ANALYSIS_SECONDS, never on a disk
embeddings there            PAT_CACHE_EMBEDDING_SECONDS
recordings, results         not at all elsewhere
"""

from __future__ import annotations

__all__ = ["AUDIT_DAYS", "DEAD_LETTER_DAYS", "DELIVERED_HOURS"]

AUDIT_DAYS = 2_192  # six years, two leap days among them
DEAD_LETTER_DAYS = 30
DELIVERED_HOURS = 24
