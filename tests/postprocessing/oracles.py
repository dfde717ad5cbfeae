"""Published and vendor values of the shared reference material, as recordings and numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from preprocessing.recording import Recording
from preprocessing.units import WearSite
from tests.shared import shared
from validation.oracles import Oracles, number

__all__ = [
    "PARTIAL_DAYS",
    "SEGMENTS",
    "WHOLE_DAYS",
    "actilife",
    "actiware_rows",
    "all_segments",
    "array",
    "leroux_features",
    "leroux_minutes",
    "leroux_people",
    "library_states",
    "number",
    "recording",
    "scalars",
    "statsmodels",
]

# Names as in the library's result file; asserted to be complete in test_circadian_oracles.py.
SEGMENTS = [
    *((name, "full") for name in ("awd_example_01", "awd_example_02", "rpx_fr", "gt3x_day01")),
    *((f"nhanes_{number}", "full") for number in (21005, 21009, 23367, 25529)),
    *((name, "week7_from_first_midnight") for name in ("awd_example_01", "awd_example_02", "rpx_fr")),
    *((f"depresjon_{name}", "week7_from_first_midnight") for name in ("condition_1", "condition_10")),
    *((f"depresjon_{name}", "week7_from_first_midnight") for name in ("control_1", "control_2")),
]
PARTIAL_DAYS = [(name, part) for name, part in SEGMENTS if part == "full" and not name.startswith("nhanes")]
WHOLE_DAYS = [segment for segment in SEGMENTS if segment not in PARTIAL_DAYS]


def _oracles() -> Oracles:
    return Oracles(shared("data/clinical"))


def _json(relative: str) -> Any:
    return _oracles().document(relative)


def array(name: str, kind: str) -> np.ndarray:
    return _oracles().array(name, kind)


def scalars(name: str, segment: str) -> dict[str, Any]:
    return _oracles().scalars()[name][segment]


def all_segments() -> set[tuple[str, str]]:
    return set(_oracles().segments())


def statsmodels(name: str, segment: str) -> dict[str, dict[str, float]]:
    return _oracles().statsmodels(name, segment)


def recording(name: str, segment: str) -> Recording:
    """A segment of a recording, on wall clock, from a site that is not stated."""
    return replace(_oracles().recording(name, segment), wear_site=WearSite.UNKNOWN)


def actilife() -> dict[str, Any]:
    return _oracles().actilife()


def actiware_rows(name: str, kind: str) -> list[dict[str, str]]:
    return _oracles().actiware_rows(name, kind)


_LEROUX = ("", "more/")


def leroux_people() -> list[tuple[str, str]]:
    """The people with published features, as folder and sequence number."""
    found = [(folder, _json(f"{folder}nhanes_leroux_features.json")["features"]) for folder in _LEROUX]
    return [(folder, person) for folder, features in found for person in features]


def leroux_features(person: tuple[str, str]) -> dict[str, float]:
    folder, number = person
    return _json(f"{folder}nhanes_leroux_features.json")["features"][number]


def leroux_minutes(person: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Counts (days, 1440) float64 and wear (days, 1440) bool."""
    folder, number = person
    with np.load(shared(f"data/clinical/{folder}nhanes_leroux_minutes.npz")) as arrays:
        return arrays[f"{number}|counts"].astype(np.float64), arrays[f"{number}|wear"].astype(bool)


def library_states(name: str, segment: str, algorithm: str) -> np.ndarray:
    return _oracles().library_states(name, segment, algorithm)
