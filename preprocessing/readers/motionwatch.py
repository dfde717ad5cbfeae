"""MotionWatch: the ``.mtn`` file of CamNtech's MotionWare, an XML log of one MotionWatch recording.

States start, epoch length, serial number, where it was worn and the unit of each channel; of these the
channel ``motion`` is read and the light is not. It states no zone. The person's entries and the signature are
not kept. How presses of the marker button are written is not known from the vendor file: none is counted.

The unit ``Triaxial-Counts`` is checked against a vendor file; other counts are read with a flag. No scorer is
published for either, so they are ``counts``. Nothing is expanded: document types and entities are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.parsers import expat

from preprocessing.readers.assemble import (
    Description,
    Series,
    recording_of,
    serial_of,
    too_many_epochs,
)
from preprocessing.readers.columns import numbers_of, text_of
from preprocessing.readers.hints import Hints, settle, settle_device, settle_wear_site
from preprocessing.readers.stamps import start_of
from preprocessing.readers.vendor_table import head_text
from preprocessing.recording import Flag, FloatArray, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite

__all__ = ["FORMAT", "looks_like", "read"]

FORMAT = "motionwatch-mtn"
_ROOT = re.compile(r"\s*+(?:<\?xml[^>]{0,200}\?>)?+\s*+<motionfile[\s>]")  # possessive: linear time
_LONG_TAG = re.compile(r"<[^<>]{2000}")  # far beyond any tag of the vendor file (under 100)
_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_DEEPEST = 16  # elements inside each other; the vendor file has six
_CHANNEL_FIELDS = ("name", "units", "epoch", "offset", "data")
_VERIFIED_UNITS = "triaxial-counts"
_SITES = {"wrist": WearSite.WRIST, "hip": WearSite.HIP}


class _Log:
    """Properties and channels of the log; what else the file holds is passed over, not stored."""

    def __init__(self) -> None:
        self.properties: list[tuple[str, str]] = []
        self.channels: list[dict[str, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._fields: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        self._text = []
        if len(self._path) > _DEEPEST:
            raise _damaged()
        if tag in ("channel", "property"):
            self._fields = {}
        if tag == "data":
            self._fields["encoding"] = attributes.get("encoding", "")

    def text(self, piece: str) -> None:
        if len(self._path) > 1 and self._path[-2] in ("channel", "property"):
            self._text.append(piece)

    def end(self, tag: str) -> None:
        self._path.pop()
        parent = self._path[-1] if self._path else ""
        if parent in ("channel", "property"):
            if tag in self._fields:
                raise _damaged()
            self._fields[tag] = "".join(self._text)
        elif tag == "channel":
            self.channels.append(self._fields)
        elif tag == "property" and parent == "change":
            self.properties.append((self._fields.get("name", ""), self._fields.get("content", "")))
        self._text = []


def looks_like(head: str | bytes) -> bool:
    """Whether a file begins as a MotionWare log does."""
    return _ROOT.match(head_text(head)) is not None


def read(data: bytes, hints: Hints) -> Recording:
    """Read one ``.mtn`` file; RecordingError says what is missing or wrong."""
    log = _log(text_of(data))
    channel = _motion(log)
    start = _property(log, "=StartTime")
    if start is None:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected a start time in the log; save the file again", where="StartTime"
        )
    description = Description(
        zone=hints.zone,
        epoch_seconds=settle("epoch_seconds", _seconds(channel["epoch"]), hints.epoch_seconds) or 0,
        unit=settle("unit", Unit.COUNTS, hints.unit) or Unit.COUNTS,
        device=settle_device(Device.MOTIONWATCH, hints),
        wear_site=settle_wear_site(_wear_site(_property(log, "+Position")), hints),
        source_format=FORMAT,
        serial=serial_of(_property(log, "=SerialNo")),
        flags=_flags(channel["units"]),
    )
    return recording_of(description, Series(start_of(start, hints.zone), _counts(channel, hints.max_epochs)))


def _log(text: str) -> _Log:
    """Parse without expansion; RecordingError ``unparsable`` for a document type, an entity or broken XML."""
    if not looks_like(text) or _DECLARATION.search(text) or _LONG_TAG.search(text):
        raise RecordingError(
            Refusal.UNPARSABLE, "expected a MotionWare log without document type or entities; save it again"
        )
    log = _Log()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = log.start, log.end
    parser.CharacterDataHandler = log.text
    parser.StartDoctypeDeclHandler = _refuse_declaration
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError):
        raise _damaged() from None
    return log


def _refuse_declaration(*_: object) -> None:
    raise _damaged()


def _damaged() -> RecordingError:
    return RecordingError(Refusal.UNPARSABLE, "expected a whole MotionWare log in XML; save the file again")


def _property(log: _Log, name: str) -> str | None:
    """Content of a property of the log, None where it is absent; two different contents are refused."""
    contents = {content.strip() for key, content in log.properties if key == name}
    if len(contents) > 1:
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected one content for this property of the log, found several; save the file again",
            where=name.lstrip("=+"),
        )
    return contents.pop() if contents else None


def _motion(log: _Log) -> dict[str, str]:
    """The channel of movement with all its fields."""
    found = [channel for channel in log.channels if channel.get("name", "").strip() == "motion"]
    if len(found) != 1 or not set(_CHANNEL_FIELDS) <= found[0].keys():
        raise RecordingError(
            Refusal.INVALID_FIELD,
            f"expected one channel called motion with {', '.join(_CHANNEL_FIELDS)}; save the file again",
            where="motion",
        )
    if found[0]["encoding"] != "text" or found[0]["offset"].strip() != "0":
        raise RecordingError(
            Refusal.INVALID_FIELD,
            "expected the channel motion as text from the start of the recording; save it so",
            where="motion",
        )
    return found[0]


def _seconds(text: str) -> int:
    if re.fullmatch(r"\s*[0-9]{1,4}\s*", text):
        return int(text)
    raise RecordingError(
        Refusal.NO_EPOCH_INFORMATION,
        "expected the epoch of the channel motion as a whole number of seconds; save the file again",
        where="epoch",
    )


def _flags(units: str) -> frozenset[Flag]:
    name = units.strip().lower()
    if not name.endswith("counts"):
        raise RecordingError(
            Refusal.UNKNOWN_UNIT, "expected counts in the channel motion, found another unit", where="units"
        )
    return frozenset() if name == _VERIFIED_UNITS else frozenset({Flag.UNVERIFIED_FORMAT})


def _wear_site(position: str | None) -> WearSite:
    words = (position or "").lower().split(maxsplit=1)
    return _SITES.get(words[0], WearSite.UNKNOWN) if words else WearSite.UNKNOWN


def _counts(channel: dict[str, str], limit: int) -> FloatArray:
    """Counts (n,) float64; the vendor ends the list with a comma."""
    if channel["data"].count(",") > limit:
        raise too_many_epochs(limit)
    cells: Sequence[str] = [cell.strip() for cell in channel["data"].strip().removesuffix(",").split(",")]
    if cells == [""]:
        raise RecordingError(
            Refusal.NO_SAMPLES, "expected counts in the channel motion, found none", where="data"
        )
    if "" in cells:
        raise RecordingError(
            Refusal.INVALID_FIELD, "expected a count between all commas", where=f"value {cells.index('') + 1}"
        )
    return numbers_of(cells, "motion")
