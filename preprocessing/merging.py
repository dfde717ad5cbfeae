"""Merging: a watch, a phone and a hand that recorded the same steps become one series that counts them once.

Interval union: the source of the highest priority keeps its time, and of every other sample only the time
that no source above it covers remains, with its share of the amount. A day is thus never longer than it is.
The result depends on the set of samples only, never on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from preprocessing.calendar import Instants
from preprocessing.recording import FloatArray

__all__ = ["SOURCES", "Events", "Merged", "Source", "merged"]

IntArray = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]


class Source(StrEnum):
    """What recorded a sample, in the default order of priority; whose device it was is not kept."""

    WATCH = "watch"
    PHONE = "phone"
    OTHER = "other"
    MANUAL = "manual"


SOURCES = tuple(Source)


@dataclass(frozen=True, eq=False)
class Events:
    """Amounts over spans of elapsed time, from one source or several, in any order.

    ``start`` and ``end`` (n,) int64 microseconds since 1970 UTC, equal for a point in time; ``values`` (n,)
    float64, finite and at least 0; ``source`` (n,) int8, index into ``SOURCES``; ``ids``: copies with
    the same id are one event; ``offset`` (n,) seconds: the UTC offset of the clock that the person saw,
    where the format records it with each sample; ``set_aside``: samples that the reader could not use.
    """

    start: Instants
    end: Instants
    values: FloatArray
    source: npt.NDArray[np.int8]
    ids: Sequence[str] | None = None
    offset: Instants | None = None
    set_aside: int = 0

    def where(self, chosen: npt.NDArray[np.bool_] | Indices) -> Events:
        """Return the ``chosen`` events, as a mask (n,) or as indices."""
        kept = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return replace(
            self,
            start=self.start[kept],
            end=self.end[kept],
            values=self.values[kept],
            source=self.source[kept],
            ids=None if self.ids is None else [self.ids[k] for k in kept.tolist()],
            offset=None if self.offset is None else self.offset[kept],
        )


@dataclass(frozen=True, eq=False)
class Merged:
    """Events that do not overlap, in order of time; what was dropped or cut on the way."""

    start: Instants
    end: Instants
    values: FloatArray
    source: npt.NDArray[np.int8]
    duplicates: int  # copies of an event dropped
    conflicts: int  # those of the duplicates that differed from the one kept
    overlaps: int  # events cut or dropped because another covers their time


def merged(events: Events, priority: Sequence[Source], *, average: bool) -> Merged:
    """Count every moment once: sources in order of ``priority``, then the default order.

    Of copies (the same id; or the same source, start and end) the largest is kept. Two different samples of
    one source that overlap share the time as two sources would: the earlier keeps it. ``average`` is for
    levels, which keep their value when they are cut, where amounts keep their share.
    """
    points = replace(events, end=np.maximum(events.end, events.start + 1))
    unique, conflicts = _once(points)
    order = [*priority, *(source for source in SOURCES if source not in priority)]
    parts = [_disjoint(unique.where(unique.source == SOURCES.index(source))) for source in order]
    covered = np.empty((0, 2), dtype=np.int64)
    kept: list[_Cut] = []
    for part in parts:
        left = _outside(part, covered)
        kept.append(left)
        covered = _union(covered, left)
    return _joined(kept, unique, events.start.size, conflicts, average=average)


@dataclass(frozen=True, eq=False)
class _Cut:
    """What is left of events: ``which`` of them (k,), from ``start`` to ``end`` (k,)."""

    events: Events
    which: IntArray
    start: Instants
    end: Instants


def _once(events: Events) -> tuple[Events, int]:
    """Drop copies, the largest kept; how many of the dropped differed from the kept."""
    by_id, differing = _first_of(events, _codes(events.ids)) if events.ids is not None else (events, 0)
    spans = np.stack([by_id.source.astype(np.int64), by_id.start, by_id.end])
    by_span, conflicting = _first_of(by_id, spans)
    return by_span, differing + conflicting


def _codes(ids: Sequence[str]) -> IntArray:
    numbers = {text: code for code, text in enumerate(dict.fromkeys(ids))}
    return np.array([[numbers[text] for text in ids]], dtype=np.int64)


def _first_of(events: Events, keys: IntArray) -> tuple[Events, int]:
    """Keep one event for each column of ``keys`` (m, n): the largest, then the longest and earliest."""
    order = np.lexsort((events.source, events.start, -events.end, -events.values, *keys[::-1]))
    sorted_keys = keys[:, order]
    new = np.ones(order.size, dtype=np.bool_)
    new[1:] = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
    kept = order[np.flatnonzero(new)[np.cumsum(new) - 1]]
    differs = (events.values[order] != events.values[kept]) | (events.start[order] != events.start[kept])
    differs |= events.end[order] != events.end[kept]
    return events.where(order[new]), int(differs.sum())


def _disjoint(events: Events) -> _Cut:
    """Cut each event of one source to the time after those that began before it."""
    order = np.lexsort((events.values, events.end, events.start))
    start, end = events.start[order], events.end[order]
    covered = np.concatenate([start[:1], np.maximum.accumulate(end)[:-1]])
    begin = np.maximum(start, covered)
    left = begin < end
    return _Cut(events, order[left].astype(np.int64), begin[left], end[left])


def _outside(cut: _Cut, covered: IntArray) -> _Cut:
    """Cut events to the time outside ``covered`` (m, 2), which is in order and without overlap."""
    far = np.iinfo(np.int64)
    free_start = np.concatenate([[far.min], covered[:, 1]])
    free_end = np.concatenate([covered[:, 0], [far.max]])
    first = np.searchsorted(free_end, cut.start, side="right")
    count = (np.searchsorted(free_start, cut.end, side="left") - first).clip(min=0)
    which = np.repeat(np.arange(count.size), count)
    free = first[which] + np.arange(which.size) - np.repeat(np.cumsum(count) - count, count)
    start = np.maximum(cut.start[which], free_start[free])
    end = np.minimum(cut.end[which], free_end[free])
    left = start < end
    return _Cut(cut.events, cut.which[which][left], start[left], end[left])


def _union(covered: IntArray, cut: _Cut) -> IntArray:
    """Join ``covered`` (m, 2) and the time of ``cut``, touching spans into one."""
    spans = np.concatenate([covered, np.stack([cut.start, cut.end], axis=1)])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    new = np.ones(len(spans), dtype=np.bool_)
    new[1:] = spans[1:, 0] > spans[:-1, 1]  # they do not overlap, so ends are in order
    firsts = np.flatnonzero(new)
    lasts = np.append(firsts[1:], len(spans))[: firsts.size] - 1
    return np.stack([spans[firsts, 0], spans[lasts, 1]], axis=1)


def _joined(kept: list[_Cut], unique: Events, given: int, conflicts: int, *, average: bool) -> Merged:
    start, end = (np.concatenate([getattr(cut, name) for cut in kept]) for name in ("start", "end"))
    whole = np.concatenate([(cut.events.end - cut.events.start)[cut.which] for cut in kept])
    values = np.concatenate([cut.events.values[cut.which] for cut in kept])
    source = np.concatenate([cut.events.source[cut.which] for cut in kept])
    share = np.ones(values.size) if average else (end - start) / whole
    order = np.argsort(start)
    untouched = int((end - start == whole).sum())
    return Merged(
        start[order],
        end[order],
        (values * share)[order],
        source[order],
        duplicates=given - unique.start.size,
        conflicts=conflicts,
        overlaps=unique.start.size - untouched,
    )
