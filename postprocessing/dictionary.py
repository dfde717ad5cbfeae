"""The data dictionary: every field and every metric of an Analysis, as the code has them.

``python -m postprocessing.dictionary docs/data-dictionary.md`` writes the page. Fields come from the models,
metrics from their table; which algorithms a metric may name and which reasons it may be absent for come from
running the metrics over a fixed set of made-up recordings.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from postprocessing import activity, circadian, sleep
from postprocessing.absence import Reason, absent, fhir_reason
from postprocessing.agreement import PUBLISHED, against_polysomnography
from postprocessing.analysis import SCHEMA, Metric
from postprocessing.metrics import METRICS, MetricCode, MetricInfo
from postprocessing.resampled_days import with_activity_intervals, with_day_intervals
from postprocessing.schema import generated
from postprocessing.sleep import LogEntry, SleepOptions
from postprocessing.specimens import faulty, specimens
from postprocessing.uncertainty import with_night_intervals
from preprocessing.recording import Recording
from preprocessing.units import validity

__all__ = ["Use", "page", "uses"]

NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}
FORMATS = {"date-time": "time", "date": "date"}
ORDER = (
    "Analysis",
    "RecordingSummary",
    "Quality",
    "Sleep",
    "Night",
    "Rhythm",
    "Activity",
    "Metric",
    "Interval",
    "Absence",
    "Series",
    "Runs",
    "WeekResult",
    "Prediction",
    "Provenance",
    "ModelProvenance",
)


def page() -> str:
    """Return the whole page as Markdown."""
    schema = generated()
    parts = {**schema["$defs"], "Analysis": schema}
    blocks = [
        "# Data dictionary",
        f"Every field and every metric of an Analysis (`{SCHEMA}`), made from the code by `make dictionary`.",
        "What the numbers mean and how far to trust them is in [clinical-metrics.md](clinical-metrics.md).",
        "## Fields",
        "\n\n".join(_part(name, parts[name]) for name in ORDER),
        "## Metrics",
        "Algorithms and reasons are those met over made-up recordings of every unit, site, length and fault.",
        "\n\n".join(map(_metric, MetricCode)),
        "## Published agreement with polysomnography",
        "Measured by others, on other people; nothing of it by this project.",
        _table(
            ("scorer", "data", "result", "source"),
            ((study.scorer, study.data, study.result, study.source) for study in PUBLISHED),
        ),
        "## Reasons for absence",
        _table(("reason", "meaning", "FHIR data-absent-reason"), map(_reason, Reason)),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _part(name: str, schema: dict[str, Any]) -> str:
    head, *rest = schema["description"].replace("``", "`").split("\n\n")
    rows = [
        (f"`{field}`", _type(known), _unit(known), known.get("description", ""))
        for field, known in schema["properties"].items()
    ]
    text = " ".join([head, *rest]).replace("\n", " ")
    return f"### {name}\n\n{text}\n\n{_table(('field', 'type', 'unit', 'meaning'), rows)}"


def _type(schema: dict[str, Any]) -> str:
    """Name a type as a person would."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if words := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return " or ".join(f'"{word}"' for word in words)
    return _plain_type(schema)


def _plain_type(schema: dict[str, Any]) -> str:
    match schema["type"]:
        case "array":
            return f"list of {_type(schema['items'])}"
        case "object":
            return f"{_type(schema['additionalProperties'])} by name"
        case kind:
            return FORMATS.get(schema.get("format", "")) or NAMES.get(kind, kind)


def _unit(schema: dict[str, Any]) -> str:
    """Find the unit of a field or of what it holds."""
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]
    return str(schema.get("unit") or next(filter(None, map(_unit, inner)), ""))


def _metric(code: MetricCode) -> str:
    info, use = METRICS[code], uses()[code]
    rows = [
        ("unit", _metric_unit(info)),
        ("kind", info.kind),
        ("section", info.section),
        ("definition", info.definition),
        ("source", info.source),
        ("algorithm", "; ".join(sorted(use.algorithms)) or "none in this release"),
        ("interval", " or ".join(sorted(use.intervals)) or "none"),
        ("polysomnography", against_polysomnography(code) or "has no counterpart"),
        ("absent for", ", ".join(f"`{reason}`" for reason in sorted(use.reasons)) or "nothing"),
    ]
    return f"### `{code}`\n\n{_table(('', info.label), rows)}"


def _metric_unit(info: MetricInfo) -> str:
    return ", ".join(f"`{unit}`" for unit in sorted(info.units))


def _reason(reason: Reason) -> tuple[str, str, str]:
    return f"`{reason}`", absent(reason).detail, fhir_reason(reason)


@dataclass
class Use:
    """What one metric was seen to name: algorithms, reasons for absence, what its interval was drawn over."""

    algorithms: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    intervals: set[str] = field(default_factory=set)

    def see(self, metric: Metric) -> None:
        """Take note of one metric."""
        if metric.algorithm:
            self.algorithms.add(metric.algorithm)
        if metric.absent:
            self.reasons.add(metric.absent.reason)
        if metric.interval:
            self.intervals.add("nights" if "nights" in metric.interval.method else "days")


@cache
def uses() -> dict[MetricCode, Use]:
    """Run every metric over the made-up recordings and note what it names."""
    seen: dict[MetricCode, Use] = defaultdict(Use)
    whole = map(_with_intervals, specimens())
    lacking = (_metrics(recording, SleepOptions()) for recording in faulty())
    for metric in chain.from_iterable(chain(whole, lacking)):
        seen[metric.code].see(metric)
    return seen


def _with_intervals(recording: Recording) -> Iterator[Metric]:
    """Metrics and intervals by every scorer of the unit, and with a sleep log."""
    log = tuple(
        LogEntry(
            recording.start + timedelta(days=day, hours=10), recording.start + timedelta(days=day, hours=20)
        )
        for day in range(14)
    )
    for scorer in validity(recording.unit, recording.wear_site).sleep_scorers:
        yield from _metrics(recording, SleepOptions(scorer=scorer))
    yield from _metrics(recording, SleepOptions(log=log))
    worn = recording.recorded
    yield from with_night_intervals(sleep.summarise(recording, worn)).metrics
    yield from with_day_intervals(circadian.summarise(recording, worn), recording, worn).metrics
    yield from with_activity_intervals(activity.summarise(recording, worn), recording, worn).metrics


def _metrics(recording: Recording, options: SleepOptions) -> Iterator[Metric]:
    worn = recording.recorded
    slept = sleep.summarise(recording, worn, options)
    yield from (metric for night in slept.nights for metric in night.metrics)
    yield from slept.metrics
    yield from circadian.summarise(recording, worn).metrics
    yield from activity.summarise(recording, worn).metrics


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
