"""Canonical CSV: the recording as a table, described in lines that begin with ``#``."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from preprocessing.calendar import wall_clock_of
from preprocessing.readers.canonical import WALL, CanonicalFields, from_fields
from preprocessing.readers.columns import columns_of, first_row, numbers_of, text_of
from preprocessing.readers.hints import Format, Hints, epoch_of
from preprocessing.recording import Recording, RecordingError, Refusal, ZoneChange

__all__ = ["dumps", "looks_like", "read"]

_NEEDED = {"timestamp", "value"}
_COLUMNS = _NEEDED | {"wear", "end", "source", "id"}
_LONGEST_DESCRIPTION = 50  # lines
_KEYS = ("zone", "clock", "epoch_seconds", "unit", "device", "wear_site", "sampling", "travel")
_WEAR = {"1": True, "0": False, "": False}


def looks_like(head: bytes) -> bool:
    """Whether the first row of ``head`` that is no comment names the canonical columns."""
    return _are_ours(first_row(head))


def _are_ours(names: tuple[str, ...]) -> bool:
    return names[0] == "timestamp" and _NEEDED <= set(names) <= _COLUMNS and len(set(names)) == len(names)


def read(data: bytes, hints: Hints) -> Recording:
    """Read one canonical CSV file; RecordingError says what is missing or wrong."""
    described, header, body = _parts(text_of(data))
    columns = dict(zip(header, columns_of(body, len(header), hints.max_epochs), strict=True))
    epoch = described.pop("epoch_seconds", None)
    fields = CanonicalFields(
        values=numbers_of(columns["value"], "value"),
        timestamps=columns["timestamp"],
        wear=np.array([_worn(cell) for cell in columns["wear"]]) if "wear" in columns else None,
        ends=columns.get("end"),
        sources=columns.get("source"),
        ids=columns.get("id"),
        epoch_seconds=None if epoch is None else epoch_of(epoch),
        unit=described.pop("unit", None),
        travel=_travel(described.pop("travel", None)),
        **described,
    )
    return from_fields(fields, hints, Format.CANONICAL_CSV)


def _parts(text: str) -> tuple[dict[str, str], tuple[str, ...], str]:
    """Split into the described fields, the column names and the rows."""
    described: dict[str, str] = {}
    begin = 0
    for _ in range(_LONGEST_DESCRIPTION):
        end = text.find("\n", begin)
        if end < 0:
            break
        line, begin = text[begin:end], end + 1
        if line.startswith("#"):
            _describe(described, line)
        elif line.strip():
            header = tuple(name.strip().lower() for name in line.split(",", len(_COLUMNS)))
            if _are_ours(header):
                return described, header, text[begin:]
            break
    raise RecordingError(
        Refusal.INVALID_FIELD,
        "expected the columns timestamp,value and, where known, wear or end,source,id",
        where="header",
    )


def _describe(described: dict[str, str], line: str) -> None:
    key, separator, value = line.lstrip("#").partition(":")
    key = key.strip()
    if key not in _KEYS or not separator or key in described:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected lines such as '# unit: counts', once each, for {', '.join(_KEYS)}",
            where="description",
        )
    described[key] = value.strip()


def _travel(text: str | None) -> list[tuple[str, str]]:
    """Instants and zones, as in ``2024-03-04T10:00Z America/New_York; 2024-03-09T08:00Z Europe/Oslo``."""
    changes = [part.split() for part in text.split(";")] if text else []
    if any(len(change) != 2 for change in changes):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected travel as a time, a space and a zone, parted by ;",
            where="travel",
        )
    return [(at, zone) for at, zone in changes]


def _worn(cell: str) -> bool:
    if cell in _WEAR:
        return _WEAR[cell]
    raise RecordingError(Refusal.INVALID_FIELD, "expected wear as 1, 0 or nothing", where="wear")


def dumps(recording: Recording) -> str:
    """Write ``recording`` as canonical CSV, a timestamp per epoch; ``read`` gives the same epochs back."""
    clock = f"clock: {WALL}" if recording.zone is None else f"zone: {recording.zone}"
    described = [
        f"# {clock}",
        f"# epoch_seconds: {recording.epoch_seconds}",
        f"# unit: {recording.unit}",
        f"# device: {recording.device}",
        f"# wear_site: {recording.wear_site}",
    ]
    if recording.travel:
        described.append("# travel: " + "; ".join(map(_change, recording.travel)))
    header, columns = (
        ["timestamp", "value"],
        [_timestamps(recording), [_cell(value) for value in recording.values.tolist()]],
    )
    if recording.wear is not None:
        header.append("wear")
        columns.append(["1" if worn else "0" for worn in recording.wear.tolist()])
    return "\n".join([*described, ",".join(header), *map(",".join, zip(*columns, strict=True)), ""])


def _change(change: ZoneChange) -> str:
    return f"{change.instant.isoformat()} {change.zone}"


def _cell(value: float) -> str:
    """Empty where not recorded; a whole number without its ``.0``."""
    return "" if math.isnan(value) else repr(value).removesuffix(".0")


def _timestamps(recording: Recording) -> list[str]:
    """Local labels with the UTC offset of their pass; without offset on a wall clock."""
    labels = wall_clock_of(recording)
    texts: list[str] = np.datetime_as_string(labels).tolist()
    if recording.zone is None:
        return texts
    utc = np.datetime64(recording.start.astimezone(UTC).replace(tzinfo=None), "s") + np.arange(
        recording.epochs
    ) * np.timedelta64(recording.epoch_seconds, "s")
    offsets = (labels - utc).astype(np.int64).tolist()
    suffixes = {offset: _suffix(offset) for offset in set(offsets)}
    return [text + suffixes[offset] for text, offset in zip(texts, offsets, strict=True)]


def _suffix(offset_seconds: int) -> str:
    """UTC offset as ISO 8601 writes it, such as +05:30."""
    zone = timezone(timedelta(seconds=offset_seconds))
    return datetime(2000, 1, 1, tzinfo=zone).isoformat().removeprefix("2000-01-01T00:00:00")
