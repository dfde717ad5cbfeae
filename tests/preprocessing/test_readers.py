"""The door of the readers: formats told by content, hints by name, and a RecordingError for rubbish."""

from __future__ import annotations

import random

import numpy as np
import pytest

from preprocessing.readers import Format, Hints, detect, hints_of, read
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.inputs import CANONICAL_CSV, awd, cohort, document, minute_labels, stamped

EXAMPLES = {
    "canonical-json": (document(wear=[True, False, None, True, True]), Hints()),
    "timestamped-json": (stamped([3, 0, 1, 1, 6], [30, 0, 10, None, 60]), Hints()),
    "canonical-csv": (CANONICAL_CSV, Hints()),
    "awd": (awd("0\r\n12 M\r\n7 , 3\r\n"), Hints(zone="Europe/Oslo")),
    "cohort-csv": (cohort(minute_labels("2003-03-30 01:57", 3)), Hints(unit=Unit.COUNTS, zone="Europe/Oslo")),
}


def test_the_format_is_told_by_content():
    found = {name: detect(data).value for name, (data, _) in EXAMPLES.items()}
    assert found == {name: name.replace("timestamped", "canonical") for name in EXAMPLES}


@pytest.mark.parametrize("data", [b"", b"\n", b"hello", b"a,b,c\n1,2,3\n", bytes(range(256)) * 20])
def test_what_is_none_of_the_formats_is_refused(data):
    with pytest.raises(RecordingError) as refused:
        read(data)
    assert refused.value.code is Refusal.UNKNOWN_FORMAT


def test_a_path_reads_like_its_bytes(tmp_path):
    path = tmp_path / "recording.AWD"
    path.write_bytes(awd())
    np.testing.assert_array_equal(read(path).values, read(awd()).values)


def test_a_wrong_format_hint_is_refused_by_that_format():
    for wrong in Format:
        with pytest.raises(RecordingError):
            read(b"neither\nof\nthem\n", Hints(format=wrong, unit=Unit.COUNTS))


def test_hints_are_read_from_text():
    texts = {
        "unit": "counts",
        "device": "actiwatch",
        "wear_site": "hip",
        "zone": "Europe/Oslo",
        "epoch_seconds": "30",
        "format": "awd",
    }
    assert hints_of(texts) == Hints(
        Unit.COUNTS, Device.ACTIWATCH, WearSite.HIP, "Europe/Oslo", 30, Format.AWD
    )
    assert hints_of({}) == Hints()


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ({"unit": "x"}, Refusal.UNKNOWN_UNIT),
        ({"device": "x"}, Refusal.INVALID_FIELD),
        ({"wear_site": "x"}, Refusal.INVALID_FIELD),
        ({"zone": "x"}, Refusal.NO_TIME_ZONE),
        ({"epoch_seconds": "6_0"}, Refusal.NO_EPOCH_INFORMATION),
        ({"format": "x"}, Refusal.INVALID_FIELD),
        ({"colour": "x"}, Refusal.INVALID_FIELD),
    ],
)
def test_a_hint_that_means_nothing_is_refused(texts, code):
    with pytest.raises(RecordingError) as refused:
        hints_of(texts)
    assert refused.value.code is code


def test_flags_tell_what_a_reader_of_the_result_must_know():
    assert read(document(values=[0, 0, None])).flags == {Flag.NO_MOVEMENT}
    assert read(document(values=[None, None])).flags == {Flag.ALL_MISSING}
    assert read(document(values=[3] * 1440)).flags == {Flag.CONSTANT_FLOOR}
    assert read(document(values=[3] * 1439)).flags == frozenset()
    assert read(document(values=[3] * 1440 + [0] * 159)).flags == {Flag.CONSTANT_FLOOR}
    assert read(document(values=[3] * 1440 + [0] * 160)).flags == frozenset()


@pytest.mark.parametrize("name", EXAMPLES)
def test_damaged_input_is_read_or_refused_and_nothing_else(name):
    data, hints = EXAMPLES[name]
    chance = random.Random(name)
    outcomes = [_outcome(_damaged(data, chance), hints) for _ in range(500)]
    assert set(outcomes) == {"read", "refused"}


def _outcome(data: bytes, hints: Hints) -> str:
    try:
        read(data, hints)
    except RecordingError:
        return "refused"
    return "read"


def _damaged(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(damaged) or 1), chance.randint(0, 6)
        piece = bytes(
            chance.choice(b'0123456789-:,."{}[]TZeE+\n\r #\x00\xffMx') for _ in range(chance.randint(0, 6))
        )
        damaged[at : at + length] = piece
    if chance.random() < 0.1:
        del damaged[chance.randrange(len(damaged) or 1) :]
    return bytes(damaged)
