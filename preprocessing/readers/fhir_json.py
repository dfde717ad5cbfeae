"""FHIR JSON (HL7 FHIR R4 and R5): a series as SampledData, or steps as one Observation for each span.

Accepted are a single Observation, a Bundle (collection, searchset, transaction, batch, document) and the
Parameters of the operation ``$analyze`` around them. Other Observations are set aside and counted.
"""

from __future__ import annotations

from typing import Any

from preprocessing.readers.amounts import Amount, recording_of_amounts
from preprocessing.readers.fhir_resources import (
    Resource,
    check_subjects,
    collected,
    is_usable,
    refuse_modified,
)
from preprocessing.readers.fhir_sampled_data import piece_of, scale_of
from preprocessing.readers.fhir_steps import amount_of, is_steps
from preprocessing.readers.hints import Format, Hints
from preprocessing.readers.pieces import UNVERIFIED, Reading, Scale, check_number, recording_of_pieces
from preprocessing.recording import Flag, Recording, RecordingError, Refusal

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = Format.FHIR

_SAMPLED = "valueSampledData"


def looks_like(document: Any) -> bool:
    """Whether ``document`` is a FHIR resource."""
    return isinstance(document, dict) and isinstance(document.get("resourceType"), str)


def read(document: Any, hints: Hints) -> Recording:
    """Read one resource; RecordingError says what is missing, wrong or mixed."""
    if not isinstance(document, dict):
        raise RecordingError(Refusal.UNPARSABLE, "expected a FHIR resource, found no JSON object")
    found = collected(document)
    series, steps, aside = _sorted_out(found.observations, hints)
    check_number(len(series))
    _check([*(observation for observation, _ in series), *steps])
    sampled = [piece_of(observation, scale, found.devices, hints.max_epochs) for observation, scale in series]
    amounts = [amount_of(observation, found.devices) for observation in steps]
    if sampled and any(isinstance(one, Amount) for one in amounts):
        raise RecordingError(
            Refusal.MIXED_QUANTITIES,
            "expected Observations of one quantity, found series and steps; send them one by one",
        )
    if not sampled:
        return recording_of_amounts([*amounts, *aside], Reading(FORMAT, hints, UNVERIFIED))
    flags = frozenset[Flag]() if all(one.ours for one in sampled) else UNVERIFIED
    set_aside = len(aside) + len(amounts) + sum(one.beyond for one in sampled)
    return recording_of_pieces([one.piece for one in sampled], set_aside, Reading(FORMAT, hints, flags))


def _sorted_out(
    observations: list[Resource], hints: Hints
) -> tuple[list[tuple[Resource, Scale]], list[Resource], list[Refusal]]:
    """The Observations with SampledData of a known scale, those of steps, and why others are neither."""
    series, steps, aside = [], [], []
    for observation in observations:
        is_series = observation.get(_SAMPLED) is not None
        if not (is_series or is_steps(observation)) or not is_usable(observation):
            aside.append(Refusal.NO_SAMPLES)
        elif not is_series:
            steps.append(observation)
        elif scale := scale_of(observation, hints):
            series.append((observation, scale))
        else:
            aside.append(Refusal.UNKNOWN_UNIT)
    return series, steps, aside


def _check(observations: list[Resource]) -> None:
    check_subjects(observations)
    for observation in observations:
        refuse_modified(observation, "contained")
