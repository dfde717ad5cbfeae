"""SampledData: a series in one FHIR Observation, value = origin + number x factor.

R4 states the period in milliseconds, R5 an interval and its unit. ``E`` is not recorded; ``L`` and ``U`` say
that a value lay beyond what the device can show, not what it was, so they are not recorded either, and
counted. The unit comes from ``origin``, the quantity also from our own CodeSystem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocessing.readers.assemble import too_many_epochs
from preprocessing.readers.cells import Column
from preprocessing.readers.columns import numbers_of
from preprocessing.readers.device_models import family_in
from preprocessing.readers.fhir_resources import UCUM, Resource, codings, device_words, effective, zone_stated
from preprocessing.readers.hints import Hints
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
_STRETCH = 1 << 16  # letters read at a time
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
    origin = observation.part("valueSampledData").part("origin")
    local = _local_unit(observation)
    written = origin.text("code") if origin.held.get("system", UCUM) == UCUM else None
    written = written or origin.text("unit")
    if written is None or (written == "1" and local):
        unit = local or (None if codings(observation) else hints.unit)
        return None if unit is None else Scale(unit)
    stated = _SCALES.get(written.lower().removesuffix(_PER_MINUTE))
    if stated is None or (stated is Unit.ENMO_MG and local is None):
        return None
    if local not in (None, stated):
        raise origin.wrong("unit", "a unit of the quantity of the code")
    return Scale(stated, written.lower().endswith(_PER_MINUTE))


def piece_of(observation: Resource, scale: Scale, devices: Mapping[str, Resource], limit: int) -> Sampled:
    """Read one Observation; RecordingError says what is missing, wrong, or not supported."""
    sampled = observation.part("valueSampledData")
    _check_form(sampled)
    start, end = effective(observation)
    if start is None:
        raise observation.wrong("effective", "the time of the first value")
    epoch_seconds = _epoch_seconds(sampled)
    values, beyond = _values(sampled, limit)
    site = observation.part("bodySite").text("text") or ""
    piece = Piece(
        start=start,
        end=end,
        epoch_seconds=epoch_seconds,
        unit=scale.unit,
        values=scale.per_epoch(values, epoch_seconds),
        zone=zone_stated(observation),
        device=family_in(device_words(observation, devices)),
        wear_site=_SITES.get(site.lower(), WearSite.UNKNOWN),
        owner=observation.part("device").text("reference"),
        key=observation.text("id"),
    )
    return Sampled(piece, beyond, ours=_local_unit(observation) is not None)


def _check_form(sampled: Resource) -> None:
    for name in _NOT_HERE:
        if sampled.get(name) is not None:
            raise sampled.wrong(name, "nothing, but values at a fixed interval,")
    if sampled.number("dimensions") != 1:
        raise sampled.wrong("dimensions", "the number 1 (one axis, or the vector magnitude)")


def _epoch_seconds(sampled: Resource) -> int:
    period, interval = sampled.number("period"), sampled.number("interval")
    factor = _MILLISECONDS.get(sampled.text("intervalUnit") or "")
    scaled = None if interval is None or factor is None else interval * factor
    given = [milliseconds for milliseconds in (period, scaled) if milliseconds is not None]
    if len(given) != 1:
        raise RecordingError(
            Refusal.NO_EPOCH_INFORMATION,
            "expected either period (milliseconds) or interval with an intervalUnit of "
            f"{', '.join(_MILLISECONDS)}",
            where=sampled.at("period"),
        )
    seconds = given[0] / 1000
    if seconds > LONGEST_EPOCH_SECONDS:
        raise RecordingError(
            Refusal.RESOLUTION_TOO_COARSE,
            f"expected epochs of at most {LONGEST_EPOCH_SECONDS} s; send epochs, not totals",
            where=sampled.at("period"),
        )
    if seconds < 1 or not seconds.is_integer():
        raise sampled.wrong("period", "epochs of whole seconds, not raw acceleration,")
    return int(seconds)


def _values(sampled: Resource, limit: int) -> tuple[FloatArray, int]:
    """Values (n,), NaN where there is none, and how many of these lay beyond the limits."""
    data = sampled.text("data") or ""
    if not data:
        raise RecordingError(Refusal.NO_SAMPLES, "expected data, found none", where=sampled.at("data"))
    if data.count(" ") >= limit:
        raise too_many_epochs(limit)
    values, below, above = _numbers(data, sampled)
    origin, factor = sampled.part("origin").number("value") or 0.0, sampled.number("factor")
    with np.errstate(over="ignore"):
        values *= 1.0 if factor is None else factor
        values += origin
    _check_limits(sampled, values, below, above)
    return values, below + above


def _numbers(data: str, sampled: Resource) -> tuple[FloatArray, int, int]:
    """Numbers (n,) of the tokens, NaN for a mark, and how many marks say below and above."""
    numbers: FloatArray = np.empty(data.count(" ") + 1, dtype=np.float64)
    done = below = above = 0
    for stretch in _stretches(data):
        cells = _cells(stretch, sampled)
        marks = _marks(cells)
        unmarked = Column(cells.text, cells.begin, np.where(marks > 0, cells.begin, cells.end))
        numbers[done : done + len(cells)] = numbers_of(unmarked, sampled.at("data"))
        done += len(cells)
        below += int((marks == _BELOW).sum())
        above += int((marks == _ABOVE).sum())
    if np.isinf(numbers).any():
        raise sampled.wrong("data", "finite numbers")
    return numbers, below, above


def _stretches(data: str) -> Iterator[str]:
    """``data`` cut at spaces into some thousand tokens each, so that little is held beside the values."""
    begin = 0
    while begin <= len(data):
        end = data.find(" ", begin + _STRETCH)
        yield data[begin : None if end < 0 else end]
        begin = len(data) + 1 if end < 0 else end + 1


def _cells(stretch: str, sampled: Resource) -> Column:
    """The tokens (k,), which one space parts."""
    encoded = stretch.encode(errors="replace").replace(b"\0", b"?")
    spaces = np.flatnonzero(np.frombuffer(encoded, dtype=np.uint8) == ord(" "))
    begin, end = np.insert(spaces + 1, 0, 0), np.append(spaces, len(encoded))
    if (begin == end).any():
        raise sampled.wrong("data", "values parted by one space")
    return Column(encoded, begin, end)


def _marks(cells: Column) -> npt.NDArray[np.uint8]:
    """The mark of each token (k,), 0 for what is none."""
    first = np.frombuffer(cells.text, dtype=np.uint8)[cells.begin]
    is_mark = (cells.lengths == 1) & np.isin(first, (_MISSING, _BELOW, _ABOVE))
    return np.where(is_mark, first, 0).astype(np.uint8)


def _check_limits(sampled: Resource, values: FloatArray, below: int, above: int) -> None:
    """Refuse marks without their limit, crossed limits, and values beyond them.

    FHIR does not say whether limits are of the numbers or of the values, so values are compared only where
    the two are the same.
    """
    lower, upper = sampled.number("lowerLimit"), sampled.number("upperLimit")
    crossed = lower is not None and upper is not None and lower > upper
    unstated = (below and lower is None) or (above and upper is None)
    same = sampled.number("factor") in (None, 1) and sampled.part("origin").number("value") in (None, 0)
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    if crossed or unstated or (same and ((values < low) | (values > high)).any()):
        raise sampled.wrong(
            "data", "values within lowerLimit and upperLimit, which L and U need to be stated,"
        )
