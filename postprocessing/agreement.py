"""Agreement with polysomnography, as others published it: what stands next to each number of sleep.

Nothing here was measured by this project, and nothing here belongs to one person.
"""

from __future__ import annotations

from dataclasses import dataclass

from postprocessing.metrics import METRICS, MetricCode

__all__ = ["PUBLISHED", "Agreement", "against_polysomnography"]


@dataclass(frozen=True)
class Agreement:
    """What one study found of one scorer, epoch by epoch unless ``result`` says otherwise."""

    scorer: str
    data: str
    result: str
    source: str


PUBLISHED = (
    Agreement(
        "Cole-Kripke, GT3X+",
        "25 nights",
        "accuracy 0.81-0.86; sensitivity 0.88-0.96; specificity 0.35-0.64",
        "Quante 2018, Nat Sci Sleep 10:13, abstract",
    ),
    Agreement(
        "Sadeh, GT3X+",
        "the same 25 nights",
        "sensitivity 0.82-0.91; specificity 0.47-0.68; WASO ICC 0-0.10",
        "Quante 2018, Nat Sci Sleep 10:13, abstract",
    ),
    Agreement(
        "Cole-Kripke, Philips",
        "MESA, 1440 people, mean age 69",
        "accuracy 78-80 %",
        "Panesar 2025, JMIR Form Res e70778, abstract",
    ),
    Agreement(
        "Actiwatch",
        "77 people",
        "sensitivity 0.965; specificity 0.329",
        "Marino 2013, Sleep 36:1747, second-hand",
    ),
    Agreement(
        "Actiwatch 2, 30 s", "20 adults", "agreement 87.7 %, kappa 0.50", "Pigeon 2018, J Clin Sleep Med"
    ),
)
_EPOCHS = (
    "epochs: Cole-Kripke sensitivity 0.88-0.96, specificity 0.35-0.64, Sadeh 0.82-0.91 and 0.47-0.68 (Quante "
    "2018); Actiwatch 0.965 and 0.329 (Marino 2013)"
)
_WAKE = frozenset(
    {
        MetricCode.WAKE_AFTER_SLEEP_ONSET,
        MetricCode.AWAKENINGS,
        MetricCode.MEAN_AWAKENING_LENGTH,
        MetricCode.SLEEP_ONSET_LATENCY,
        MetricCode.MOVEMENT_INDEX,
        MetricCode.FRAGMENTATION_INDEX,
        MetricCode.SLEEP_FRAGMENTATION_INDEX,
        MetricCode.ACTIWARE_FRAGMENTATION_INDEX,
    }
)


def against_polysomnography(code: MetricCode) -> str | None:
    """Return what others found of a number of sleep, in one line; None for what no such recording shows."""
    if METRICS[code].section != "sleep":
        return None
    if code in _WAKE:
        return f"weak, wake is missed: WASO ICC 0-0.10 (Sadeh, Quante 2018); {_EPOCHS}"
    return f"for groups rather than one person; {_EPOCHS}"
