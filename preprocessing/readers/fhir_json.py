"""FHIR JSON (HL7 FHIR R4 and R5): a series as SampledData, or steps as one Observation for each span.

Accepted are a single Observation, a Bundle (collection, searchset, transaction, batch, document) and the
Parameters of the operation ``$analyze`` around them. Other Observations are set aside and counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.fhir_resources import (
    Collected,
    Resource,
    Subject,
    collected,
    is_usable,
    refuse_modified,
    subject_of,
)
from preprocessing.readers.fhir_sampled_data import piece_of, scale_of
from preprocessing.readers.fhir_steps import amount_of, is_steps
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.pieces import UNVERIFIED, Reading, Scale, check_number, recording_of_pieces
from preprocessing.recording import Flag, Recording, RecordingError, Refusal

__all__ = ["FORMAT", "Sent", "looks_like", "read", "read_sent"]

FORMAT = Format.FHIR

_SAMPLED = "valueSampledData"


def looks_like(document: Any) -> bool:
    """Whether ``document`` is a FHIR resource."""
    return isinstance(document, dict) and isinstance(document.get("resourceType"), str)


@dataclass(frozen=True)
class Sent:
    """A recording, and whose it says it is."""

    recording: Recording
    subject: Subject


def read(document: Any, hints: Hints) -> Recording:
    """Read one resource; RecordingError says what is missing, wrong or mixed."""
    return read_sent(document, hints).recording


def read_sent(document: Any, hints: Hints, options: Collection[str] = ()) -> Sent:
    """Read one resource and whose it is; ``options`` are Parameters that the caller reads itself."""
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected a FHIR resource, found no JSON object")
    found = _sorted_out(collected(document, options), hints)
    check_number(len(found.series))
    subject = subject_of(found.used)
    for observation in found.used:
        refuse_modified(observation, "contained")
    return Sent(_recording(found, hints), subject)


@dataclass(frozen=True)
class _Sorted:
    """The Observations with SampledData of a known scale, those of steps, and why others are neither."""

    devices: dict[str, Resource]
    series: list[tuple[Resource, Scale]]
    steps: list[Resource]
    aside: list[Refusal]

    @property
    def used(self) -> list[Resource]:
        """All that are read."""
        return [*(observation for observation, _ in self.series), *self.steps]


def _recording(found: _Sorted, hints: Hints) -> Recording:
    sampled = [piece_of(one, scale, found.devices, hints.max_epochs) for one, scale in found.series]
    amounts = [amount_of(observation, found.devices) for observation in found.steps]
    if sampled and any(isinstance(one, Amount) for one in amounts):
        raise RecordingError(
            Refusal.MIXED_QUANTITIES,
            "expected Observations of one quantity, found series and steps; send them one by one",
        )
    if not sampled:
        return recording_of_amounts([*amounts, *found.aside], Reading(FORMAT, hints, UNVERIFIED))
    flags = frozenset[Flag]() if all(one.ours for one in sampled) else UNVERIFIED
    set_aside = len(found.aside) + len(amounts) + sum(one.beyond for one in sampled)
    return recording_of_pieces([one.piece for one in sampled], set_aside, Reading(FORMAT, hints, flags))


def _sorted_out(found: Collected, hints: Hints) -> _Sorted:
    series, steps, aside = [], [], []
    for observation in found.observations:
        is_series = observation.get(_SAMPLED) is not None
        if not (is_series or is_steps(observation)) or not is_usable(observation):
            aside.append(Refusal.NO_SAMPLES)
        elif not is_series:
            steps.append(observation)
        elif scale := scale_of(observation, hints):
            series.append((observation, scale))
        else:
            aside.append(Refusal.UNKNOWN_UNIT)
    return _Sorted(found.devices, series, steps, aside)
