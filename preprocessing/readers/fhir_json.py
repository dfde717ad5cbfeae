"""FHIR JSON (HL7 FHIR R4 and R5): a series as SampledData, or steps as one Observation for each span.

Accepted are a single Observation, a Bundle (collection, searchset, transaction, batch, document) and the
Parameters of the operation ``$analyze`` around them. Other Observations are set aside and counted.
"""

from __future__ import annotations

from typing import Any

from preprocessing.readers.amounts import Amount, Aside, nothing_left, recording_of_amounts
from preprocessing.readers.fhir_resources import (
    Collected,
    Resource,
    check_subjects,
    collected,
    is_usable,
    refuse_modified,
)
from preprocessing.readers.fhir_sampled_data import Sampled, piece_of, scale_of
from preprocessing.readers.fhir_steps import amount_of, is_steps
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.pieces import Reading, check_number, recording_of_pieces
from preprocessing.recording import Flag, Recording, RecordingError, Refusal

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.FHIR

_UNVERIFIED = frozenset({Flag.UNVERIFIED_FORMAT})
_SAMPLED = "valueSampledData"


def looks_like(document: Any) -> bool:
    """Whether ``document`` is a FHIR resource."""
    return isinstance(document, dict) and isinstance(document.get("resourceType"), str)


def read(document: Any, hints: Hints) -> Recording:
    """Read one resource; RecordingError says what is missing, wrong or mixed."""
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected a FHIR resource, found no JSON object")
    found = collected(document)
    aside = Aside()
    series, steps = _sorted_out(found.observations, aside)
    sampled = _sampled(series, found, hints, aside)
    amounts = _amounts(steps, found, aside)
    if sampled and amounts:
        raise RecordingError(
            Refusal.MIXED_QUANTITIES,
            "expected Observations of one quantity, found series and steps; send them one by one",
        )
    if amounts:
        return recording_of_amounts(amounts, aside, Reading(FORMAT, hints, _UNVERIFIED))
    if not sampled:
        raise nothing_left(aside)
    flags = frozenset[Flag]() if all(one.ours for one in sampled) else _UNVERIFIED
    set_aside = aside.total() + sum(one.beyond for one in sampled)
    return recording_of_pieces([one.piece for one in sampled], set_aside, Reading(FORMAT, hints, flags))


def _sorted_out(observations: list[Resource], aside: Aside) -> tuple[list[Resource], list[Resource]]:
    """The Observations with SampledData and those of steps, whose status lets them be used."""
    series = [one for one in observations if one.get(_SAMPLED) is not None]
    steps = [one for one in observations if one.get(_SAMPLED) is None and is_steps(one)]
    usable = [one for one in series if is_usable(one)], [one for one in steps if is_usable(one)]
    aside[Refusal.NO_SAMPLES] += len(observations) - sum(map(len, usable))
    return usable


def _checked(observations: list[Resource]) -> None:
    check_subjects(observations)
    for observation in observations:
        refuse_modified(observation, "contained")


def _sampled(series: list[Resource], found: Collected, hints: Hints, aside: Aside) -> list[Sampled]:
    scales = [(observation, scale_of(observation, hints)) for observation in series]
    used = [(observation, scale) for observation, scale in scales if scale is not None]
    aside[Refusal.UNKNOWN_UNIT] += len(scales) - len(used)
    check_number(len(used))
    _checked([observation for observation, _ in used])
    return [piece_of(observation, scale, found.devices, hints.max_epochs) for observation, scale in used]


def _amounts(steps: list[Resource], found: Collected, aside: Aside) -> list[Amount]:
    _checked(steps)
    amounts = [amount_of(observation, found.devices) for observation in steps]
    aside.update(reason for reason in amounts if isinstance(reason, Refusal))
    return [amount for amount in amounts if isinstance(amount, Amount)]
