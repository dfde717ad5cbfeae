"""Calendar: what the clock on the wall showed while a device recorded, and when the local days began.

The only place that knows time zones. Elapsed time (durations) goes through UTC; clock statements (midnight,
onset, the grid) go through local labels. A zone is an IANA name or a fixed offset such as ``+05:30``;
``None`` is a wall clock without zone, whose labels are start + elapsed time.

Sources: IANA time zone database (names of the pinned package ``tzdata``), RFC 3339 for offsets, PEP 495 for
repeated hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from preprocessing.recording import RecordingError, Refusal

if TYPE_CHECKING:
    from preprocessing.recording import Recording

__all__ = [
    "Instants",
    "Labels",
    "Located",
    "Transition",
    "after",
    "elapsed_seconds",
    "largest_shift",
    "locate",
    "midnight",
    "midnights",
    "transitions",
    "wall_clock",
    "wall_clock_of",
    "zone_of",
]

Labels = npt.NDArray[np.datetime64]  # (n,) datetime64[s], local, naive
Instants = npt.NDArray[np.int64]  # (n,) seconds since 1970-01-01T00:00:00Z

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_PROBE = timedelta(hours=12)  # no zone changes its offset and back within half a day
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)")
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Transition:
    """One clock change: ``instant`` (UTC) and the UTC offsets ``before`` and ``after`` it."""

    instant: datetime
    before: timedelta
    after: timedelta

    @property
    def kind(self) -> Literal["spring", "autumn"]:
        """``spring`` skips local minutes, ``autumn`` repeats them, in either hemisphere."""
        return "spring" if self.after > self.before else "autumn"


@dataclass(frozen=True, eq=False)
class Located:
    """Local labels as instants.

    ``utc`` (n,) int64 seconds, first pass where the label occurs twice; ``skipped`` (n,) bool: the label
    never occurs in the zone; ``second_pass`` (n,) int64: seconds to add for the second pass, 0 where the
    label occurs once.
    """

    utc: Instants
    skipped: npt.NDArray[np.bool_]
    second_pass: Instants


def zone_of(name: str) -> tzinfo:
    """Return the zone called ``name``: an IANA name or a fixed offset ``+HH:MM``.

    Raises RecordingError (``no_time_zone``) for anything else; the message never repeats the input.
    """
    if name in _iana_names():
        return ZoneInfo(name)
    if (offset := _OFFSET.fullmatch(name)) and name != "-00:00":  # RFC 3339: -00:00 means offset unknown
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    raise RecordingError(
        Refusal.NO_TIME_ZONE,
        "expected an IANA time zone such as Europe/Oslo or a fixed offset such as +05:30, found neither; "
        "correct the zone, or declare a wall clock without zone",
        where="zone",
    )


@lru_cache(maxsize=1)
def _iana_names() -> frozenset[str]:
    """Names of the pinned database, without host-dependent ones such as ``localtime`` and ``right/...``."""
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(name for name in names if name != "Factory" and len(name) <= _LONGEST_NAME)


def after(start: datetime, elapsed: timedelta) -> datetime:
    """Return ``start`` plus elapsed time, on the clock of ``start``; aware times go through UTC."""
    if start.tzinfo is None:
        return start + elapsed
    return (start.astimezone(UTC) + elapsed).astimezone(start.tzinfo)


def elapsed_seconds(start: datetime, end: datetime) -> int:
    """Whole elapsed seconds from ``start`` to ``end``; both aware or both naive."""
    if start.tzinfo is None or end.tzinfo is None:
        return (end - start) // _SECOND
    return (end.astimezone(UTC) - start.astimezone(UTC)) // _SECOND


def transitions(zone: str | None, start: datetime, end: datetime) -> list[Transition]:
    """Clock changes of ``zone`` in (start, end], in order; none on a wall clock without zone."""
    if zone is None or start.tzinfo is None:
        return []
    tz = zone_of(zone)
    low, last = start.astimezone(UTC), end.astimezone(UTC)
    found = []
    while low < last and not isinstance(tz, timezone):
        high = min(low + _PROBE, last)
        before, behind = _offset(tz, low), _offset(tz, high)
        if before != behind:
            found.append(Transition(_bisect(tz, low, high), before, behind))
        low = high
    return found


def _offset(tz: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(tz).utcoffset() or timedelta()


def _bisect(tz: tzinfo, low: datetime, high: datetime) -> datetime:
    """First instant, to the second, of the offset that holds at ``high``."""
    behind = _offset(tz, high)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (low, middle) if _offset(tz, middle) == behind else (middle, high)
    return high


def wall_clock(start: datetime, zone: str | None, seconds: Instants) -> Labels:
    """Local labels datetime64[s] (n,) of the instants ``start`` + ``seconds`` (n,) int64 of elapsed time."""
    if zone is None or start.tzinfo is None or seconds.size == 0:
        return np.datetime64(start.replace(tzinfo=None), "s") + seconds.astype("timedelta64[s]")
    first, last = after(start, _span(seconds.min())), after(start, _span(seconds.max()))
    changes = transitions(zone, first, last)
    local = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "s") + seconds.astype("timedelta64[s]")
    local += np.timedelta64(_offset(zone_of(zone), first), "s")
    for change in changes:
        passed = seconds >= elapsed_seconds(start, change.instant)
        local[passed] += np.timedelta64(change.after - change.before, "s")
    return local


def _span(seconds: np.int64) -> timedelta:
    return timedelta(seconds=int(seconds))


def wall_clock_of(recording: Recording) -> Labels:
    """Local label datetime64[s] (epochs,) of each epoch's start; a repeated hour shows its labels twice."""
    seconds = np.arange(recording.epochs, dtype=np.int64) * recording.epoch_seconds
    return wall_clock(recording.start, recording.zone, seconds)


def midnight(day: date, zone: str | None) -> datetime:
    """First instant of the local ``day``: 00:00, or the next label where a clock change skips that."""
    if zone is None:
        return datetime.combine(day, time())
    tz = zone_of(zone)
    return datetime.combine(day, time(), tzinfo=tz).astimezone(UTC).astimezone(tz)


def midnights(recording: Recording) -> list[datetime]:
    """Beginnings of local days within [start, end] of ``recording``, in order; naive on a wall clock."""
    start, end = recording.start, recording.end
    if recording.zone is not None:
        tz = zone_of(recording.zone)
        start, end = start.astimezone(tz), end.astimezone(tz)
    days = (end.date() - start.date()).days + 1
    begins = [midnight(start.date() + timedelta(days=k), recording.zone) for k in range(days)]
    inside = [begin for begin in begins if elapsed_seconds(start, begin) >= 0 <= elapsed_seconds(begin, end)]
    return list(dict.fromkeys(inside))


def largest_shift(recording: Recording) -> timedelta:
    """Furthest that the wearer's clock stood from that of the recording's zone on a journey; 0 at home."""
    if recording.zone is None or not recording.travel:
        return timedelta()
    home, start, end = zone_of(recording.zone), recording.start, recording.end
    changes = [change.instant for change in recording.travel]
    stretches = zip(recording.travel, [*changes[1:], end], strict=True)
    shifts = [
        abs(_offset(zone_of(change.zone), at) - _offset(home, at))
        for change, stop in stretches
        if change.instant < end and stop > start
        for at in (max(change.instant, start), min(stop, end) - _SECOND)
    ]
    return max(shifts, default=timedelta())


def locate(labels: Labels, zone: str) -> Located:
    """Find the instants at which a clock in ``zone`` showed ``labels`` datetime64[s] (n,)."""
    tz = zone_of(zone)
    local = labels.astype("datetime64[s]").astype(np.int64)
    start, end = _EPOCH + _span(local.min()) - 4 * _PROBE, _EPOCH + _span(local.max()) + 4 * _PROBE
    utc = local - _offset(tz, start) // _SECOND
    skipped = np.zeros(local.shape, dtype=np.bool_)
    second_pass = np.zeros(local.shape, dtype=np.int64)
    for change in transitions(zone, start, end):
        step = (change.after - change.before) // _SECOND
        old_label = (change.instant - _EPOCH + change.before) // _SECOND  # what the clock was about to show
        utc[local >= old_label] -= step
        if step > 0:
            skipped |= (local >= old_label) & (local < old_label + step)
        else:
            second_pass[(local >= old_label + step) & (local < old_label)] = -step
    return Located(utc, skipped, second_pass)
