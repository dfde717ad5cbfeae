"""How fast, and in how much memory, a large Apple Health export is read.

``python -m benchmarks.apple_export`` writes a synthetic export (seeded; four records in ten are step counts
of a watch and a phone) to a temporary folder, reads it in three ways, each in a process of its own, and
deletes it:

    reader     preprocessing.readers.apple_export.read_file
    iterparse  xml.etree.ElementTree.iterparse, elements cleared as they pass, to the same Recording
    bare       expat with no handlers at all: what checking the XML costs
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from preprocessing.merging import SOURCES, Events
from preprocessing.readers import apple_export
from preprocessing.readers.assemble import Description
from preprocessing.readers.events import kind_of_source, recording_of_events
from preprocessing.readers.hints import Hints
from preprocessing.recording import Flag, Recording
from preprocessing.units import Device, Unit, WearSite

__all__ = ["main"]

_STEPS = "HKQuantityTypeIdentifierStepCount"
_HINTS = Hints(max_epochs=1100 * 1440)
_LONGEST_DAYS = 1090
_ROUNDS_PER_MEGABYTE = 236  # of ten records each
_PIECE = 256 * 1024
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!ELEMENT HealthData (ExportDate,Me,(Record|Workout)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
]>
<HealthData locale="en_US">
 <ExportDate value="2025-01-01 08:00:00 -0500"/>
 <Me HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexNotSet"/>
"""
_DEVICE = (
    "&lt;&lt;HKDevice: 0x28{address:07x}&gt;, name:{name}, manufacturer:Apple Inc., model:{model}, "
    "hardware:{model}14,2, software:17.1&gt;"
)
_RECORD = (
    ' <Record type="{kind}" sourceName="Demo {name}" sourceVersion="17.1" device="{device}"{unit} '
    'creationDate="{end} -0500" startDate="{start} -0500" endDate="{end} -0500" value="{value}"'
)
_NOTE = '>\n  <MetadataEntry key="{key}" value="{value}"/>\n </Record>\n'
_HEART_RATE = _NOTE.format(key="HKMetadataKeyHeartRateMotionContext", value=1)
_ASLEEP = _NOTE.format(key="HKTimeZone", value="America/New_York")
_ROUND = (  # kind, whether the watch, unit, what follows the attributes; four step counts in ten
    (_STEPS, True, "count", "/>\n"),
    ("HKQuantityTypeIdentifierHeartRate", True, "count/min", _HEART_RATE),
    ("HKQuantityTypeIdentifierActiveEnergyBurned", True, "kcal", "/>\n"),
    (_STEPS, True, "count", "/>\n"),
    ("HKQuantityTypeIdentifierHeartRate", True, "count/min", _HEART_RATE),
    (_STEPS, False, "count", "/>\n"),
    ("HKQuantityTypeIdentifierBasalEnergyBurned", True, "kcal", "/>\n"),
    (_STEPS, False, "count", "/>\n"),
    ("HKQuantityTypeIdentifierHeartRate", True, "count/min", _HEART_RATE),
    ("HKCategoryTypeIdentifierSleepAnalysis", True, "", _ASLEEP),
)


@dataclass(frozen=True)
class _Cost:
    """Of one way to read: wall and CPU time (s), growth of the largest memory (MB), steps found."""

    seconds: float
    cpu_seconds: float
    grown_mb: float
    steps: float


def _write(path: Path, megabytes: int, seed: int) -> int:
    """Write an export of about ``megabytes``; how many records it holds."""
    rounds = megabytes * _ROUNDS_PER_MEGABYTE
    step = timedelta(days=min(megabytes, _LONGEST_DAYS)) / rounds
    values = np.random.default_rng(seed).integers(0, 120, size=(1000, len(_ROUND)))
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for k in range(rounds):
            file.write("".join(_records(datetime(2022, 1, 3) + k * step, values[k % 1000], k)))
        file.write("</HealthData>\n")
    return rounds * len(_ROUND)


def _records(moment: datetime, values: npt.NDArray[np.int64], number: int) -> Iterator[str]:
    start, end = (f"{when:%Y-%m-%d %H:%M:%S}" for when in (moment, moment + timedelta(seconds=60)))
    for (kind, on_wrist, unit, rest), value in zip(_ROUND, values.tolist(), strict=True):
        name, model = ("Apple Watch", "Watch") if on_wrist else ("iPhone", "iPhone")
        yield (
            _RECORD.format(
                kind=kind,
                name=name,
                device=_DEVICE.format(address=number, name=name, model=model),
                unit=f' unit="{unit}"' if unit else "",
                start=start,
                end=end,
                value=value,
            )
            + rest
        )


def _reader(path: Path) -> Recording:
    return apple_export.read_file(path, _HINTS)


def _iterparse(path: Path) -> Recording:
    start: list[int] = []
    end: list[int] = []
    values: list[float] = []
    source: list[int] = []
    others = 0
    elements = ET.iterparse(path, events=("start", "end"))  # noqa: S314  # of a file just written
    _, root = next(elements)
    for event, element in elements:
        if event == "end" and element.tag == "Record":
            if element.get("type") == _STEPS:
                start.append(_micros(element.attrib["startDate"]))
                end.append(_micros(element.attrib["endDate"]))
                values.append(float(element.attrib["value"]))
                source.append(SOURCES.index(kind_of_source(element.attrib["sourceName"])))
            else:
                others += 1
            root.clear()
    events = Events(
        np.array(start), np.array(end), np.array(values), np.array(source, dtype=np.int8), set_aside=others
    )
    return recording_of_events(events, _about(), _HINTS)


def _micros(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()) * 1_000_000


def _about() -> Description:
    return Description(
        zone="-05:00",
        epoch_seconds=60,
        unit=Unit.STEPS,
        device=Device.UNKNOWN,
        wear_site=WearSite.UNKNOWN,
        source_format=apple_export.FORMAT,
        flags=frozenset({Flag.UNVERIFIED_FORMAT}),
    )


def _bare(path: Path) -> None:
    parser = expat.ParserCreate("UTF-8")
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            parser.Parse(piece, False)
    parser.Parse(b"", True)


_WAYS: dict[str, Callable[[Path], Recording | None]] = {
    "reader": _reader,
    "iterparse": _iterparse,
    "bare": _bare,
}


def _measured(way: str, path: Path) -> _Cost:
    """Run one way once; to be called in a process of its own, whose largest memory is then of this way."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found = _WAYS[way](path)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return _Cost(
        seconds,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        (after.ru_maxrss - before.ru_maxrss) / 1024,
        0.0 if found is None else float(np.nansum(found.values)),
    )


def main() -> None:
    """Write, read in each way, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.xml"
        records = _write(path, chosen.megabytes, chosen.seed)
        size = path.stat().st_size / 1e6
        costs = {}
        for way in _WAYS:
            with context.Pool(1) as pool:
                costs[way] = pool.apply(_measured, (way, path))
    if costs["reader"].steps != costs["iterparse"].steps:
        raise SystemExit("the two ways found different steps")
    print(_table(costs, size, records))


def _table(costs: dict[str, _Cost], size: float, records: int) -> str:
    slow = costs["iterparse"].cpu_seconds
    rows = [
        f"| {way} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} | {size / cost.cpu_seconds:.0f} "
        f"| {records / cost.cpu_seconds:,.0f} | {cost.grown_mb:.0f} | {slow / cost.cpu_seconds:.1f} |"
        for way, cost in costs.items()
    ]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    head = (
        f"{size:,.0f} MB, {records:,} records; {datetime.now(UTC):%Y-%m-%d}; {machine}; {expat.EXPAT_VERSION}"
    )
    names = "| way | wall s | CPU s | MB per CPU s | records per CPU s | memory grown, MB | times iterparse |"
    return "\n".join([head, "", names, "|---|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
