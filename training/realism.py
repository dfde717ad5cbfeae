"""Whether synthetic weeks are as hard as real ones: the same statistics of both, side by side.

    python -m training.realism ../shared/data/cohorts

Depresjon (Garcia-Ceja et al., MMSys 2018; Actiwatch AW4, wrist) is the yardstick: the nearest device. The
other two cohorts stand beside it for what does not depend on the unit: heart-failure patients (Huang et al.
2019, device not stated) and NHANES 2003-06 (hip, taken off at night). The files are read, never kept.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.synthetic import DAY, cohort

__all__ = ["STATISTICS", "chf", "depresjon", "main", "nhanes", "quartiles", "statistics"]

Floats = npt.NDArray[np.float64]
Weeks = npt.NDArray[np.floating]
WEEK = 7 * DAY
STATISTICS = {
    "mean": "mean count of a person",
    "zero_share": "share of zero minutes of a person",
    "variation": "SD / mean across persons, of a minute of the week",
    "day_to_day": "correlation of hourly profiles between the days of a person",
    "neighbour": "correlation of neighbouring minutes of a person",
    "hour_apart": "correlation of minutes an hour apart of a person",
    "repeated": "share of standardised variance that a person repeats at the same hour of other days",
    "patch_apart": "correlation of standardised minutes 18 minutes apart",
    "four_patches_apart": "correlation of standardised minutes 72 minutes apart",
}


def statistics(weeks: Weeks) -> dict[str, Floats]:
    """Compute ``STATISTICS`` of ``weeks`` (N, 10_080); NaN counts as 0.

    Each array has one value per person, per minute of the week (``variation``), or a single one (the last
    three).
    """
    counts = np.nan_to_num(np.asarray(weeks, np.float64))
    mean, sd = counts.mean(axis=0), counts.std(axis=0)
    z = np.where(sd > 0, (counts - mean) / np.where(sd > 0, sd, 1), 0)
    return {
        "mean": counts.mean(axis=1),
        "zero_share": (counts == 0).mean(axis=1),
        "variation": (sd / np.where(mean > 0, mean, np.nan))[mean > 0],
        "day_to_day": np.array([_day_to_day(week) for week in counts]),
        "neighbour": np.array([_correlation(week, 1) for week in counts]),
        "hour_apart": np.array([_correlation(week, 60) for week in counts]),
        "repeated": np.array([_repeated(z)]),
        "patch_apart": np.array([(z[:, :-18] * z[:, 18:]).mean()]),
        "four_patches_apart": np.array([(z[:, :-72] * z[:, 72:]).mean()]),
    }


def _day_to_day(week: Floats) -> float:
    """Mean correlation between the hourly profiles of all pairs of days of ``week`` (10_080,)."""
    with np.errstate(invalid="ignore", divide="ignore"):  # a day without any movement has no correlation
        correlations: Floats = np.asarray(np.corrcoef(_hourly(week)))
    return float(np.nanmean(correlations[np.triu_indices(7, 1)]))


def _correlation(week: Floats, minutes: int) -> float:
    return float(np.corrcoef(week[:-minutes], week[minutes:])[0, 1])


def _repeated(z: Floats) -> float:
    """Mean product of standardised hourly means of different days, over persons, hours and pairs of days."""
    hourly = _hourly(z)  # (N, 7, 24)
    all_pairs = hourly.sum(axis=1) ** 2 - (hourly**2).sum(axis=1)
    return float(all_pairs.mean() / (7 * 6))


def _hourly(minutes: Floats) -> Floats:
    hourly: Floats = minutes.reshape(*minutes.shape[:-1], 7, 24, 60).mean(axis=-1)
    return hourly


def quartiles(values: Floats) -> Floats:
    """First quartile, median and third quartile (3,)."""
    found: Floats = np.nanpercentile(values, [25, 50, 75])
    return found


def depresjon(folder: Path) -> Floats:
    """Weeks (53, 10_080): the first seven whole study days of everybody who has them.

    Only the first ``days`` days of a recording are the study; many go on with the device on a table.
    """
    with np.load(folder / "depresjon.npz") as data:
        activity, offsets, starts = data["activity"], data["offsets"], data["start"]
        days = [person["days"] for person in json.loads(str(data["meta_json"]))]
    weeks = []
    for k, start in enumerate(starts):
        study = activity[offsets[k] : offsets[k + 1]][: int(days[k]) * DAY]
        whole = study[-int(start.astype("datetime64[m]").astype(int)) % DAY :]
        if len(whole) >= WEEK:
            weeks.append(whole[:WEEK])
    return np.array(weeks, np.float64)


def chf(folder: Path) -> Floats:
    """Weeks (47, 10_080) of heart-failure patients; the file holds log(1 + counts)."""
    with np.load(folder / "chf_huang2019.npz") as data:
        weeks: Floats = np.expm1(data["log1p_counts"].astype(np.float64)).round().reshape(-1, WEEK)
    return weeks


def nhanes(folder: Path) -> Floats:
    """Weeks (n, 10_080) of those of the sample whose seven days are all there."""
    with np.load(folder / "nhanes_sample.npz") as data:
        counts, offsets = data["counts"], data["offsets"]
    people = (counts[a:b] for a, b in pairwise(offsets))
    return np.array([days.ravel() for days in people if len(days) == 7], np.float64)


def main(arguments: list[str] | None = None) -> None:
    """Write the comparison as a Markdown table to standard output."""
    folder = Path((arguments if arguments is not None else sys.argv[1:])[0])
    columns: dict[str, Weeks] = {"synthetic": cohort(400, seed=11), "Depresjon": depresjon(folder)}
    columns |= {"heart failure": chf(folder), "NHANES, hip": nhanes(folder)}
    found = {f"{name} (n = {len(weeks)})": statistics(weeks) for name, weeks in columns.items()}
    rows = [["statistic: median (quartiles)", *found], ["---"] * (1 + len(found))]
    rows += [[text, *(_cell(column[key]) for column in found.values())] for key, text in STATISTICS.items()]
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in rows))


def _cell(values: Floats) -> str:
    low, middle, high = (f"{value:.3g}" for value in quartiles(values))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
