"""What a clinician reads: sleep, rhythm and predictions of a recording, with reasons for what is absent.

``absence`` holds the closed list of reasons why a number may be missing, ``analysis`` the result document,
``sleep``, ``circadian``, ``activity`` the numbers on the recording's own epochs (``contract``: how much must
have been recorded for them, ``valid_days``, ``cut_points``), ``fhir`` the document as FHIR R4,
``report`` the document as one page with pictures (drawn in ``html``), ``wording`` what no text may claim.
``uncertainty`` and ``resampled_days`` add bootstrap intervals; ``schema`` is the document's published form,
``dictionary`` the page that explains it (made with the recordings of ``specimens``).
``deidentify`` makes of a document what may leave for research (``deidentified``, in steps of ``buckets``),
``cohort`` a table over groups of people, ``research`` does both over files.
"""

__all__ = [
    "absence",
    "activity",
    "analysis",
    "buckets",
    "circadian",
    "cohort",
    "contract",
    "cut_points",
    "deidentified",
    "deidentify",
    "dictionary",
    "fhir",
    "html",
    "report",
    "resampled_days",
    "research",
    "schema",
    "sleep",
    "specimens",
    "uncertainty",
    "valid_days",
    "wording",
]
