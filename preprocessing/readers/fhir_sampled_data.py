"""SampledData: a series in one FHIR Observation, value = origin + number x factor.

R4 states the period in milliseconds, R5 an interval and its unit. ``E`` is not recorded; ``L`` and ``U`` say
that a value lay beyond what the device can show, not what it was, so they are not recorded either, and
counted. The unit comes from ``origin``, the quantity also from our own CodeSystem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.cells import Column
from preprocessing.readers.columns import numbers_of
from preprocessing.readers.device_models import family_in
from preprocessing.readers.fhir_resources import UCUM, Resource, codings, device_words, effective, zone_stated
from preprocessing.readers.hints import Hints
from preprocessing.readers.json_fields import number, part, text
from preprocessing.readers.pieces import Piece, Scale
from preprocessing.recording import LONGEST_EPOCH_SECONDS, FloatArray, RecordingError, Refusal
from preprocessing.units import Unit, WearSite

__all__ = ["Sampled", "piece_of", "scale_of"]

_LOCAL_SYSTEM = "/CodeSystem/pat-actigraphy"  # after the base that each installation chooses
_LOCAL_CODES = {
    "activity-counts": Unit.COUNTS,
    "activity-mims": Unit.MIMS,
    "activity-enmo": Unit.ENMO_MG,
    "activity-steps": Unit.STEPS,
}
_SCALES = {  # UCUM annotations and the words people write for them; per minute ends in /min
    "{counts}": Unit.COUNTS,
    "{count}": Unit.COUNTS,
    "counts": Unit.COUNTS,
    "{mims}": Unit.MIMS,
    "mims": Unit.MIMS,
    "{steps}": Unit.STEPS,
    "{step}": Unit.STEPS,
    "steps": Unit.STEPS,
    "m[g]": Unit.ENMO_MG,
}
_PER_MINUTE = "/min"
_MILLISECONDS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}  # UCUM
_NOT_HERE = ("offsets", "codeMap", "codeMapReference")
_MISSING, _BELOW, _ABOVE = b"ELU"
_SITES = {"wrist": WearSite.WRIST, "hip": WearSite.HIP, "waist": WearSite.HIP}


@dataclass(frozen=True)
class Sampled:
    """A piece, how many of its values lay beyond the limits of the device, whether our own code names it."""

    piece: Piece
    beyond: int
    ours: bool


def _local_unit(observation: Resource) -> Unit | None:
    ours = {code for system, code in codings(observation) if (system or "").endswith(_LOCAL_SYSTEM)}
    units = {_LOCAL_CODES[code] for code in ours if code in _LOCAL_CODES}
    return units.pop() if len(units) == 1 else None


def scale_of(observation: Resource, hints: Hints) -> Scale | None:
    """What its numbers are, or None if that is no activity that is known here.

    Milli-g are ENMO only where our code says so, because other levels share that unit. RecordingError
    ``invalid_field`` where code and unit contradict each other.
    """
    origin = part(part(observation, "valueSampledData"), "origin")
    local = _local_unit(observation)
    written = text(origin, "code") if origin.get("system", UCUM) == UCUM else None
    written = written or text(origin, "unit")
    if written is None or (written == "1" and local):
        unit = local or (None if codings(observation) else hints.unit)
        return None if unit is None else Scale(unit)
    stated = _SCALES.get(written.lower().removesuffix(_PER_MINUTE))
    if stated is None or (stated is Unit.ENMO_MG and local is None):
        return None
    if local not in (None, stated):
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected origin in a unit of the quantity of the code", where="origin"
        )
    return Scale(stated, written.lower().endswith(_PER_MINUTE))


def piece_of(observation: Resource, scale: Scale, devices: Mapping[str, Resource], limit: int) -> Sampled:
    """Read one Observation; RecordingError says what is missing, wrong, or not supported."""
    sampled = part(observation, "valueSampledData")
    _check_form(sampled)
    start, end = effective(observation)
    if start is None:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected the time of the first value", where="Observation.effective"
        )
    epoch_seconds = _epoch_seconds(sampled)
    values, beyond = _values(sampled, limit)
    site = text(part(observation, "bodySite"), "text") or ""
    piece = Piece(
        start=start,
        end=end,
        epoch_seconds=epoch_seconds,
        unit=scale.unit,
        values=scale.per_epoch(values, epoch_seconds),
        zone=zone_stated(observation),
        device=family_in(device_words(observation, devices)),
        wear_site=_SITES.get(site.lower(), WearSite.UNKNOWN),
        owner=text(part(observation, "device"), "reference"),
        key=text(observation, "id"),
    )
    return Sampled(piece, beyond, ours=_local_unit(observation) is not None)


def _check_form(sampled: Resource) -> None:
    if any(sampled.get(name) is not None for name in _NOT_HERE):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected values at a fixed interval, without offsets and code maps; send regular epochs",
            where="valueSampledData",
        )
    if number(sampled, "dimensions") != 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected dimensions 1, found none or several axes; send one axis or the vector magnitude",
            where="valueSampledData.dimensions",
        )


def _epoch_seconds(sampled: Resource) -> int:
    period, interval = number(sampled, "period"), number(sampled, "interval")
    factor = _MILLISECONDS.get(text(sampled, "intervalUnit") or "")
    given = [
        *([] if period is None else [period]),
        *([] if interval is None or factor is None else [interval * factor]),
    ]
    if len(given) != 1:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected either period (milliseconds) or interval with an intervalUnit of "
            f"{', '.join(_MILLISECONDS)}",
            where="valueSampledData.period",
        )
    seconds = given[0] / 1000
    if seconds > LONGEST_EPOCH_SECONDS:
        raise RecordingError(
            Refusal.RESOLUTION_TOO_COARSE,
            f"expected epochs of at most {LONGEST_EPOCH_SECONDS} s; send epochs, not totals",
            where="valueSampledData.period",
        )
    if seconds < 1 or not seconds.is_integer():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected epochs of whole seconds; raw acceleration does not fit SampledData, send epochs",
            where="valueSampledData.period",
        )
    return int(seconds)


def _values(sampled: Resource, limit: int) -> tuple[FloatArray, int]:
    """Values (n,), NaN where there is none, and how many of these lay beyond the limits."""
    data = text(sampled, "data") or ""
    if not data:
        raise RecordingError(Refusal.NO_SAMPLES, "expected data, found none", where="valueSampledData.data")
    cells = _cells(data, limit)
    marks = _marks(cells)
    blank = Column(cells.text, cells.begin, np.where(marks > 0, cells.begin, cells.end))
    plain = numbers_of(blank, "valueSampledData.data")
    if np.isinf(plain).any():
        raise RecordingError(Refusal.INVALID_FIELD, "expected finite numbers", where="valueSampledData.data")
    origin, factor = number(part(sampled, "origin"), "value") or 0.0, number(sampled, "factor")
    with np.errstate(over="ignore"):
        values = origin + plain * (1.0 if factor is None else factor)
    below, above = int((marks == _BELOW).sum()), int((marks == _ABOVE).sum())
    _check_limits(sampled, values, below, above)
    return values, below + above


def _cells(data: str, limit: int) -> Column:
    """The tokens of ``data``, which one space parts; RecordingError ``too_many_epochs`` beyond ``limit``."""
    if data.count(" ") >= limit:
        raise too_many_epochs(limit)
    encoded = data.encode(errors="replace").replace(b"\0", b"?")
    spaces = np.flatnonzero(np.frombuffer(encoded, dtype=np.uint8) == ord(" "))
    begin, end = np.insert(spaces + 1, 0, 0), np.append(spaces, len(encoded))
    if (begin == end).any():
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected values parted by one space", where="valueSampledData.data"
        )
    return Column(encoded, begin, end)


def _marks(cells: Column) -> npt.NDArray[np.uint8]:
    """The mark of each token (n,), 0 for what is none."""
    first = np.frombuffer(cells.text, dtype=np.uint8)[cells.begin]
    is_mark = (cells.lengths == 1) & np.isin(first, (_MISSING, _BELOW, _ABOVE))
    return np.where(is_mark, first, 0).astype(np.uint8)


def _check_limits(sampled: Resource, values: FloatArray, below: int, above: int) -> None:
    """Refuse marks without their limit, crossed limits, and values beyond them.

    FHIR does not say whether limits are of the numbers or of the values, so values are compared only where
    the two are the same.
    """
    lower, upper = number(sampled, "lowerLimit"), number(sampled, "upperLimit")
    crossed = lower is not None and upper is not None and lower > upper
    unstated = (below and lower is None) or (above and upper is None)
    same = number(sampled, "factor") in (None, 1) and number(part(sampled, "origin"), "value") in (None, 0)
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    if crossed or unstated or (same and ((values < low) | (values > high)).any()):
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected values within lowerLimit and upperLimit, and the limit stated where L or U marks a "
            "value beyond it; correct the limits",
            where="valueSampledData",
        )
