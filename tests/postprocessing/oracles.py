"""Published and vendor values of the shared reference material, as recordings and numbers."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np

from preprocessing.recording import Recording
from preprocessing.units import Unit
from tests.shared import shared

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
_UNITS = {"actigraph_gt3x_axis1_counts": Unit.ACTIGRAPH_AXIS1_COUNTS}


@cache
def _json(relative: str) -> Any:
    return json.loads(shared(f"data/clinical/{relative}").read_text())


def array(name: str, kind: str) -> np.ndarray:
    """One array of ``recordings.npz`` or, if the recording is a further one, of ``more/recordings.npz``."""
    key = f"{name}|{kind}"
    for relative in ("recordings.npz", "more/recordings.npz"):
        with np.load(shared(f"data/clinical/{relative}")) as arrays:
            if key in arrays:
                return arrays[key]
    raise KeyError(key)


def scalars(name: str, segment: str) -> dict[str, Any]:
    return _json("pyactigraphy_scalars.json")["results"][name][segment]


def all_segments() -> set[tuple[str, str]]:
    results = _json("pyactigraphy_scalars.json")["results"]
    return {(name, segment) for name in results for segment in results[name]}


def statsmodels(name: str, segment: str) -> dict[str, dict[str, float]]:
    return _json("cosinor_statsmodels.json")["results"][name][segment]


def recording(name: str, segment: str) -> Recording:
    """A segment of a recording, on wall clock."""
    place = scalars(name, segment)["_segment"]
    values = array(name, "activity").astype(np.float64)[place["first_index"] : place["last_index_exclusive"]]
    meta = _json("recordings_meta.json")
    unit = meta.get("recordings", meta)[name]["unit"]
    return Recording(datetime.fromisoformat(place["start"]), None, 60, values, _UNITS.get(unit) or Unit(unit))


def actilife() -> dict[str, Any]:
    return _json("actilife_gt3x_day01.json")


def actiware_rows(name: str, kind: str) -> list[dict[str, str]]:
    """The vendor's rows of one ``kind`` (REST, SLEEP) by column name, as it printed them."""
    try:
        intervals = _json("actiware_intervals.json")[name]
    except KeyError:
        intervals = _json("more/actiware_intervals.json")[name]
    columns = intervals["columns"][1:]  # the first column is the type
    return [
        dict(zip(columns, row["row"], strict=False)) for row in intervals["intervals"] if row["type"] == kind
    ]


def number(printed: str) -> float:
    return float(printed.replace(",", "."))
