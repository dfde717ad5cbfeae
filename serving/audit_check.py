"""Reading the audit trail: whether it is whole, and if not where; searching it.

Only the keys are needed, not the service. What each fault is called:

    unreadable    a line is not the record that was written
    forged        its HMAC does not fit
    unknown_key   it was made with a key that is not at hand
    misplaced     it belongs into another file
    out_of_order  it does not follow the line before: one was deleted, inserted or moved
    torn          there are bytes after the last record, and no record of their recovery
    cut           another file, or a checkpoint, knows of records that are no longer there
    missing       another file, or a checkpoint, knows of a file that is not there and was not purged
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.audit_file import (
    CLOSED,
    NOTHING_BEFORE,
    OPEN,
    Checkpoint,
    Kind,
    canonical,
    mac_of,
)

__all__ = ["Fault", "Report", "checkpoints", "events", "verify"]

_CHECKPOINT = re.compile(r"(audit-[0-9T]+-\d+-[0-9a-f]{8}) (\d{1,12}) ([0-9a-f]{64})")

_NUMBERS = frozenset({"outcome", "records", "actor.auth_time", "action"})

Record = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong in which line (from 1; 0 for the file as a whole)."""

    file: str
    line: int
    what: str


@dataclass
class Report:
    """What a look at a whole trail found."""

    files: int = 0
    records: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass
class _Seen:
    """What is known of one file after it was read."""

    macs: dict[int, str] = field(default_factory=dict)  # by sequence number
    torn: bytes = b""
    torn_at: int = 0
    says: list[tuple[Kind, Record]] = field(default_factory=list)  # of other files


def verify(folder: Path, keys: Mapping[str, bytes], checkpoints: Sequence[Checkpoint] = ()) -> Report:
    """Read every file of the trail in ``folder``; compare files with each other and with ``checkpoints``."""
    report, seen = Report(), {}
    for path in _files(folder):
        seen[path.stem] = _read(path, keys, report)
    said = [statement for file in seen.values() for statement in file.says]
    purged = {content["file"] for kind, content in said if kind is Kind.PURGED}
    recovered = {content["file"]: content for kind, content in said if kind is Kind.RECOVERED}
    report.faults += _torn(seen, recovered)
    known = [*_known(said), *checkpoints]
    report.faults += [fault for one in known if one.file not in purged and (fault := _gone(one, seen))]
    report.faults = sorted(set(report.faults), key=lambda fault: (fault.file, fault.line, fault.what))
    return report


def checkpoints(text: str) -> list[Checkpoint]:
    """Find checkpoints in a log, or in lines ``file seq mac``."""
    return [Checkpoint(file, int(seq), mac) for file, seq, mac in _CHECKPOINT.findall(text)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("audit-*") if path.suffix in (OPEN, CLOSED))


def _read(path: Path, keys: Mapping[str, bytes], report: Report) -> _Seen:
    seen, before = _Seen(), NOTHING_BEFORE
    *lines, seen.torn = path.read_bytes().split(b"\n")
    seen.torn_at = len(lines) + 1
    report.files += 1
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None:
            report.faults.append(Fault(path.stem, number, "unreadable"))
            continue
        report.records += 1
        report.faults += [Fault(path.stem, number, what) for what in _wrong(record, path.stem, keys)]
        if record["prev"] != before or record["seq"] != len(seen.macs):
            report.faults.append(Fault(path.stem, number, "out_of_order"))
        before = record["mac"]
        seen.macs[record["seq"]] = before
        seen.says += _statements(record)
    return seen


def _record(line: bytes) -> Record | None:
    """Return the record of ``line``; None unless it is written as we write records."""
    try:
        found = json.loads(line)
        kind = Kind(found["kind"])
        wanted = {"at", "file", "key", "kind", "prev", "seq", "mac", kind.value}
        whole = isinstance(found[kind.value], dict) and found.keys() == wanted and canonical(found) == line
    except (ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def _wrong(record: Record, file: str, keys: Mapping[str, bytes]) -> Iterator[str]:
    if record["key"] not in keys:
        yield "unknown_key"
    elif not hmac.compare_digest(mac_of(record, keys[record["key"]]), record["mac"]):
        yield "forged"
    if record["file"] != file:
        yield "misplaced"


def _statements(record: Record) -> list[tuple[Kind, Record]]:
    """Return what ``record`` says of other files."""
    kind = Kind(record["kind"])
    if kind is Kind.OPENED:
        return [(kind, before) for before in record["opened"]["before"].values()]
    return [(kind, record[kind.value])] if kind in (Kind.RECOVERED, Kind.PURGED) else []


def _known(said: Iterable[tuple[Kind, Record]]) -> Iterator[Checkpoint]:
    """Yield how far files were known to have come; a recovered file may have had no record."""
    for kind, content in said:
        if kind is not Kind.PURGED and content["seq"] >= 0:
            yield Checkpoint(content["file"], content["seq"], content["mac"])


def _torn(seen: Mapping[str, _Seen], recovered: Mapping[str, Record]) -> Iterator[Fault]:
    for name, file in seen.items():
        explained = recovered.get(name, {}).get("torn_sha256")
        if file.torn and hashlib.sha256(file.torn).hexdigest() != explained:
            yield Fault(name, file.torn_at, "torn")


def _gone(known: Checkpoint, seen: Mapping[str, _Seen]) -> Fault | None:
    if known.file not in seen:
        return Fault(known.file, 0, "missing")
    if seen[known.file].macs.get(known.seq) != known.mac:
        return Fault(known.file, known.seq + 1, "cut")
    return None


def events(folder: Path, wanted: Mapping[str, str], since: str = "", until: str = "~") -> Iterator[Record]:
    """Yield the events of the trail, oldest file first, whose fields are as ``wanted``.

    Names are those of AuditEvent and, with ``actor.``, of Actor; times are ISO 8601 in UTC, or its beginning.
    """
    said = [json.dumps(value).encode() for name, value in wanted.items() if name not in _NUMBERS]
    for path in _files(folder):
        for line in _whole_lines(path) if _overlaps(path, since, until) else ():
            if not all(text in line for text in said):  # before anything is parsed
                continue
            record = _record(line)
            if not record or record["kind"] != Kind.EVENT or not since <= record["at"] < until:
                continue
            if all(str(_field(record["event"], name)) == value for name, value in wanted.items()):
                yield record


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]


def _overlaps(path: Path, since: str, until: str) -> bool:
    """Whether a file, by the time in its name and its last change, may hold records of that time."""
    began, before = path.stem.split("-")[1].replace("T", ""), re.sub(r"\D", "", until)
    changed = datetime.fromtimestamp(path.stat().st_mtime + 1, UTC).isoformat()  # file systems' clocks lag
    return changed >= since and not (before and began >= before)


def _field(event: Record, name: str) -> Any:
    head, _, rest = name.partition(".")
    found = event.get(head)
    return found.get(rest) if rest and isinstance(found, dict) else found
