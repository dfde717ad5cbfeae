"""The wording rules in one place: what the service says of its own limits, and what no text of it may claim.

A number from movement is research and wellness information. A text that says more is a fault like a wrong
number, so the texts of report, documentation and metric definitions are checked by ``claims``.
"""

from __future__ import annotations

import re

from postprocessing.analysis import STATEMENT

__all__ = ["LIMITS", "RESEARCH_SCORE", "claims"]

RESEARCH_SCORE = (
    "Research score, not a diagnosis: read it only with its evidence, the cohort it was tested on, and how "
    "few people that were."
)
LIMITS = (
    "Actigraphy measures movement, not sleep. Lying awake without moving is scored as sleep.",
    (
        "In published comparisons with polysomnography such scorers find most of the sleep (sensitivity 0.82 "
        "to 0.97) but only a third to two thirds of the wake (specificity 0.33 to 0.68): Quante 2018, Nat "
        "Sci Sleep 10:13; Marino 2013, Sleep 36:1747."
    ),
    (
        "Wake after sleep onset and awakenings are the weak numbers; total sleep time and sleep efficiency "
        "suit groups rather than one person."
    ),
    (
        "Without a sleep log the rest interval is found from movement, so time in bed is an estimate and "
        "sleep efficiency is biased upwards."
    ),
    (
        "Numbers of different devices, units and scorers are not comparable with each other, nor with norms "
        "made with another device."
    ),
    "PAT's embedding and attention have no clinical meaning by themselves.",
)

_CONDITIONS = r"(disease|disorder|illness|depress\w*|insomnia|apn\w+|dementia)\w*"
_BANNED = (
    r"\bdiagnos\w*",
    rf"\b(detect|predict|identif|recogni[sz]e|reveal)\w*\s+(of\s+)?(a\s+|an\s+|the\s+)?{_CONDITIONS}",
    r"\baccurate(ly)?\b",
    r"\bscreen(s|ing)?\s+(for|tool|test)\b",
    r"\bclinically\s+(proven|validated)\b",
    r"\bmedical[- ]grade\b",
    r"\bgold[- ]standard\b",
    r"\b(validated|verified)\s+against\s+(polysomnography|PSG)\b",
    r"\b(cures?|treats|prevents)\s+(a\s+|an\s+|the\s+)?" + _CONDITIONS,
    r"\b(healthy|abnormal|pathological)\s+(sleep|rhythm|value|range)\w*",
    r"\bguarantee\w*",
)
_ALLOWED = (
    re.escape(STATEMENT),
    r"\b(not|never|no)\s+(a\s+|an\s+)?(diagnosis|screening\s+tool|accurate)\b",
    r"\b(nothing|not)\b[^.]{0,40}\b(validated|verified) against (polysomnography|PSG)\b",
    r"\bDiagnosticReport\w*",  # the name of a FHIR resource
)
_CLAIM = re.compile("|".join(_BANNED), re.IGNORECASE)
_EXCEPTION = re.compile("|".join(_ALLOWED), re.IGNORECASE)


def claims(text: str) -> tuple[str, ...]:
    """Return the wordings of ``text`` that claim more than the service may, in order; none is right."""
    plain = _EXCEPTION.sub(" ", " ".join(text.split()))
    return tuple(found.group() for found in _CLAIM.finditer(plain))
