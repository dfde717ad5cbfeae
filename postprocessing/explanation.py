"""The Explanation: where in the week PAT's last layer looked, said without claiming more than that."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from postprocessing.absence import Absence
from postprocessing.analysis import ModelProvenance, WeekResult

__all__ = ["ExplainedWeek", "Explanation", "explained"]

_DAY_MINUTES = 1440
MEANING = (
    "Share of the last layer's attention each part of the week receives, summed over queries and averaged "
    "over heads (Ruan et al., arXiv:2411.15240). It shows where the encoder looked; it is not an attribution "
    "of any prediction and has no clinical meaning by itself."
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExplainedWeek(_Document):
    """One week: ``attention_received`` (T/P,) sums to 1; ``by_time_of_day`` (1440/P,) is its mean day."""

    start: datetime
    end: datetime
    patch_minutes: int | None
    attention_received: tuple[float, ...] | None
    by_time_of_day: tuple[float, ...] | None
    absent: Absence | None


class Explanation(_Document):
    """The weeks of one recording, explained, or the reason why there are none."""

    schema_version: Literal["pat-explanation/1"] = "pat-explanation/1"
    meaning: str = MEANING
    weeks: tuple[ExplainedWeek, ...]
    weeks_absent: Absence | None
    model: ModelProvenance


def explained(week: WeekResult) -> ExplainedWeek:
    """Add the mean day to a week's profile."""
    return ExplainedWeek(
        start=week.start,
        end=week.end,
        patch_minutes=week.patch_minutes,
        attention_received=week.attention_received,
        by_time_of_day=_mean_day(week.attention_received, week.patch_minutes),
        absent=week.absent,
    )


def _mean_day(profile: tuple[float, ...] | None, patch_minutes: int | None) -> tuple[float, ...] | None:
    if profile is None or patch_minutes is None:
        return None
    days = np.array(profile).reshape(-1, _DAY_MINUTES // patch_minutes)  # (7, patches a day)
    return tuple(days.mean(axis=0).tolist())
