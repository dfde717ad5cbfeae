"""The cohort table: means and quartiles over groups of people, and nothing of a group that is too small.

A cell needs ``k`` people. One cell that is left out alone could be had back from a total, so others are left
out with it until they are at least two and hold at least ``k`` people together; totals, least and greatest
values are never given, and the number of people only in steps.

Errors:

    CohortRefused             the documents or the question are such that no table may be made of them
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.metrics import METRICS, MetricCode
from postprocessing.sleep_regularity import around_the_clock
from preprocessing.recording import FloatArray

__all__ = ["GROUPINGS", "LEAST_K", "SUPPRESSED", "Cell", "Cohort", "CohortRefused", "K", "cohort"]

K = 11  # no cell of 1 to 10 people: CMS cell size suppression policy, version of 26 January 2024
LEAST_K = 5  # project choice
SUPPRESSED = "suppressed"
GROUPINGS = ("sex", "age_band", "wear_site")  # beside the unit, without which levels do not compare
STATEMENT = (
    "Aggregates of de-identified documents. Suppressed cells are of too few people, or protect one that is. "
    "Two tables of the same people may be subtracted from each other: publish one."
)
_NOT_STATED = "not stated"
_STEP = 5  # of the number of people

Group = tuple[str, ...]
Row = tuple[MetricCode, str]  # and the algorithm


class CohortRefused(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """No table may be made."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Cell(_Part):
    """One metric of one group; of a cell that is withheld nothing is said but why."""

    group: dict[str, str]
    """What the people have in common."""
    code: MetricCode
    """Which number."""
    algorithm: str
    """What made it."""
    withheld: Literal["suppressed", "not_unique"] | None = None
    """Too few people, or clock times that lie all around the clock."""
    people: int | None = None
    """How many, rounded down to fives but never below k."""
    mean: float | None = None
    """Mean over people, three digits; circular for clock times."""
    sd: float | None = None
    """Sample standard deviation over people, in hours for clock times."""
    quartiles: tuple[float, float, float] | None = None
    """Lower quartile, median and upper quartile over people."""


class Cohort(_Part):
    """A table over groups of people."""

    schema_: Literal["pat-cohort/1"] = Field(default="pat-cohort/1", alias="schema")
    """Name and version of this document's form."""
    statement: str = STATEMENT
    """What the table is and is not."""
    k: Annotated[int, Field(ge=LEAST_K)]
    """Fewest people of a cell."""
    by: tuple[str, ...]
    """What the groups are made by."""
    cells: tuple[Cell, ...]
    """In the order of groups and metrics."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)  # beside those inherited


@dataclass(frozen=True)
class _Place:
    """Where a number belongs: whose it is, among whom, and which it is."""

    person: str
    group: Group
    row: Row


def cohort(documents: Sequence[DeidentifiedAnalysis], by: Sequence[str] = (), k: int = K) -> Cohort:
    """Return the table of ``documents`` by unit and ``by``; raises CohortRefused.

    Documents that are the same but for the code count once, so that nobody becomes two people.
    """
    if k < LEAST_K:
        raise CohortRefused(f"expected k of at least {LEAST_K}, found {k}; smaller groups show their people")
    if unknown := [name for name in by if name not in GROUPINGS]:
        raise CohortRefused(f"expected groups by {', '.join(GROUPINGS)}, found {len(unknown)} other")
    names = ("unit", *dict.fromkeys(by))
    values: dict[_Place, list[float]] = defaultdict(list)
    for document in _different(documents):
        for place, value in _numbers(document, names):
            values[place].append(value)
    cells = sorted(_cells(_one_each(values), names, k), key=lambda cell: tuple(cell.group.values()))
    return Cohort(k=k, by=names, cells=tuple(cells))


def _different(documents: Sequence[DeidentifiedAnalysis]) -> Iterator[DeidentifiedAnalysis]:
    found: dict[str, DeidentifiedAnalysis] = {}
    for document in documents:
        if document.person.code is None:
            raise CohortRefused("expected a code in every document, for people are counted by it")
        content = document.model_dump_json(exclude={"person": {"code"}})
        first = found.setdefault(content, document)
        if document.person.code < (first.person.code or ""):  # whatever the order of documents
            found[content] = document
    return iter(found.values())


def _numbers(document: DeidentifiedAnalysis, names: Sequence[str]) -> Iterator[tuple[_Place, float]]:
    shared = {
        "unit": document.recording.unit,
        "wear_site": document.recording.wear_site,
        "sex": document.person.sex,
        "age_band": document.person.age_band,
    }
    group = tuple(shared[name] or _NOT_STATED for name in names)
    for section in (document.sleep, document.rhythm, document.activity):
        for metric in section.metrics:
            if metric.value is not None:
                row = (metric.code, metric.algorithm or _NOT_STATED)
                yield _Place(document.person.code or "", group, row), metric.value


def _one_each(values: Mapping[_Place, Sequence[float]]) -> dict[_Place, float]:
    """Return one number a place: a person with several documents has the mean of them, if there is one."""
    means = {place: _mean_of(place.row[0], np.array(sorted(of), np.float64)) for place, of in values.items()}
    return {place: mean for place, mean in means.items() if mean is not None}


def _mean_of(code: MetricCode, values: FloatArray) -> float | None:
    if METRICS[code].kind != "clock_time":
        return float(values.mean())
    laid_out = around_the_clock(values)
    return None if laid_out is None else (laid_out[0] + float(laid_out[1].mean())) % 24


def _cells(values: Mapping[_Place, float], names: Sequence[str], k: int) -> Iterator[Cell]:
    whole: dict[Group, set[str]] = defaultdict(set)
    rows: dict[Row, dict[Group, list[float]]] = defaultdict(lambda: defaultdict(list))
    for place, value in values.items():
        whole[place.group].add(place.person)
        rows[place.row][place.group].append(value)
    small = _withheld({group: len(people) for group, people in whole.items()}, k)
    for row in sorted(rows, key=lambda row: (tuple(METRICS).index(row[0]), row[1])):
        hidden = _withheld({group: len(found) for group, found in rows[row].items()}, k, small)
        for group, found in rows[row].items():
            shared = {"group": dict(zip(names, group, strict=True)), "code": row[0], "algorithm": row[1]}
            told = {"withheld": SUPPRESSED} if group in hidden else _told(row[0], found, k)
            yield Cell.model_validate({**shared, **told})


def _withheld(sizes: Mapping[Group, int], k: int, already: Collection[Group] = ()) -> set[Group]:
    """Return the groups of which nothing may be said: the small ones, and others that hide them."""
    hidden = {group for group, size in sizes.items() if size < k or group in already}
    shown = sorted(sizes.keys() - hidden, key=lambda group: (sizes[group], group))
    for group in shown:
        if not hidden or (len(hidden) > 1 and sum(sizes[one] for one in hidden) >= k):
            break
        hidden.add(group)
    return hidden


def _told(code: MetricCode, found: Sequence[float], k: int) -> dict[str, object]:
    """What is said of a cell with one number a person."""
    clock, values = METRICS[code].kind == "clock_time", np.array(sorted(found), np.float64)
    laid_out = around_the_clock(values) if clock else (0.0, values)
    if laid_out is None:
        return {"withheld": "not_unique"}
    centre, apart = laid_out
    numbers = [centre + float(apart.mean()), *(centre + np.quantile(apart, (0.25, 0.5, 0.75)))]
    mean, *quartiles = (
        _three_digits(number % 24) % 24 if clock else _three_digits(number) for number in numbers
    )
    return {
        "people": max(k, values.size // _STEP * _STEP),
        "mean": mean,
        "sd": _three_digits(float(apart.std(ddof=1))),
        "quartiles": tuple(quartiles),
    }


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
