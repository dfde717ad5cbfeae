"""Reads vendor and published values of the reference material, as recordings and numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocessing.recording import Recording
from preprocessing.units import Unit, WearSite

__all__ = ["Oracles", "number"]

_UNITS = {"actigraph_gt3x_axis1_counts": Unit.ACTIGRAPH_AXIS1_COUNTS}
_SITES = {Unit.ACTIGRAPH_7164_COUNTS: WearSite.HIP, Unit.ACTIWATCH_COUNTS: WearSite.WRIST}


@dataclass(frozen=True)
class Oracles:
    """The folder ``data/clinical`` of the reference material; reads raise OSError where it is absent."""

    root: Path

    def document(self, relative: str) -> Any:
        """Return one JSON file."""
        return _document(self.root / relative)

    def array(self, name: str, kind: str) -> npt.NDArray[Any]:
        """Return one array of a recording: activity, wear, sleepwake or interval."""
        key = f"{name}|{kind}"
        for relative in ("recordings.npz", "more/recordings.npz"):
            with np.load(self.root / relative) as arrays:
                if key in arrays:
                    found: npt.NDArray[Any] = arrays[key]
                    return found
        raise KeyError(key)

    def scalars(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return pyActigraphy's numbers by recording and segment."""
        found: dict[str, dict[str, dict[str, Any]]] = self.document("pyactigraphy_scalars.json")["results"]
        return found

    def segments(self) -> list[tuple[str, str]]:
        """Names of all recordings and segments that have numbers."""
        return [(name, segment) for name, parts in self.scalars().items() for segment in parts]

    def statsmodels(self, name: str, segment: str) -> dict[str, dict[str, float]]:
        """Return the least-squares cosinor of a segment, raw and log1p."""
        found: dict[str, dict[str, float]] = self.document("cosinor_statsmodels.json")["results"][name][
            segment
        ]
        return found

    def recording(self, name: str, segment: str) -> Recording:
        """Return a segment of a recording, on wall clock."""
        place = self.scalars()[name][segment]["_segment"]
        values = self.array(name, "activity").astype(np.float64)
        unit = self.unit_of(name)
        return Recording(
            datetime.fromisoformat(place["start"]),
            None,
            60,
            values[place["first_index"] : place["last_index_exclusive"]],
            unit,
            wear_site=_SITES.get(unit, WearSite.UNKNOWN),
        )

    def unit_of(self, name: str) -> Unit:
        """Return the unit of a recording."""
        unit = self.document("recordings_meta.json")[name]["unit"]
        return _UNITS.get(unit) or Unit(unit)

    def actilife(self) -> dict[str, Any]:
        """Return ActiLife's day."""
        found: dict[str, Any] = self.document("actilife_gt3x_day01.json")
        return found

    def actiware_rows(self, name: str, kind: str) -> list[dict[str, str]]:
        """Return Actiware's rows of one ``kind`` (REST, SLEEP) by column name, as it printed them."""
        every = self.document("actiware_intervals.json") | self.document("more/actiware_intervals.json")
        columns = every[name]["columns"][1:]  # the first column is the type
        return [
            dict(zip(columns, row["row"], strict=False))
            for row in every[name]["intervals"]
            if row["type"] == kind
        ]

    def library_states(self, name: str, segment: str, algorithm: str) -> npt.NDArray[np.int8]:
        """Return pyActigraphy's states (n,) of a segment: 1 sleep, 0 wake or not scored."""
        with np.load(self.root / "pyactigraphy_epochs.npz") as arrays:
            packed = arrays[f"{name}|{segment}|{algorithm}"]
        return np.unpackbits(packed)[: self.recording(name, segment).epochs].astype(np.int8)

    def leroux(self) -> dict[str, tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]]:
        """Return published features and minutes (counts, wear, day) by person."""
        people = {}
        for folder in (self.root, self.root / "more"):
            features = _document(folder / "nhanes_leroux_features.json")["features"]
            with np.load(folder / "nhanes_leroux_minutes.npz") as minutes:
                for person, published in features.items():
                    kinds = ("counts", "wear", "day")
                    people[person] = (published, {kind: minutes[f"{person}|{kind}"] for kind in kinds})
        return people


@cache
def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def number(printed: str) -> float:
    """Return a number as printed with a decimal comma or point."""
    return float(printed.replace(",", "."))
