"""NHANES 2011-14: one participant's minutes of wrist MIMS, with the clock of the header file."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers.nhanes_mims import looks_like, read, read_file
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from preprocessing.week import weeks_of
from tests.preprocessing.damage import outcomes
from tests.preprocessing.xport_writer import library, table

FIRST = Hints(first_time="16:30:00")


def minutes(values, seqn=73_001, weekday=7, first=990, **changed) -> dict[str, list]:
    """Columns as CDC names them, days and states as text; ``first``: minute of day of the first sample."""
    at = range(len(values))
    days = [(first + k) // 1440 for k in at]
    made = {
        "SEQN": [seqn] * len(at),
        "PAXDAYM": [str(day + 1) for day in days],
        "PAXDAYWM": [str((weekday - 1 + day) % 7 + 1) for day in days],
        "PAXSSNMP": [4800 * k for k in at],
        "PAXTSM": [60] * len(at),
        "PAXAISMM": [4799 - k % 4800 for k in at],
        "PAXMTSM": list(values),
        "PAXMXM": [0.5] * len(at),
        "PAXMYM": [0.5] * len(at),
        "PAXMZM": [0.5] * len(at),
        "PAXPREDM": ["1"] * len(at),
        "PAXTRANM": ["0"] * len(at),
        "PAXLXMM": [120] * len(at),
        "PAXLXSDM": [3] * len(at),
        "PAXQFM": [0] * len(at),
        "PAXFLGSM": [""] * (len(at) - 1) + ["ABCSUWXY"],
    }
    return {**made, **changed}


def paxmin(*people: dict[str, list], rows=None) -> bytes:
    """A file of these people; ``rows`` picks rows of it."""
    columns = {name: [cell for person in people for cell in person[name]] for name in people[0]}
    chosen = columns if rows is None else {name: [cells[k] for k in rows] for name, cells in columns.items()}
    return library(table("PAXMIN_X", chosen))


MIMS = [round(k * 37 % 1009 / 17, 3) for k in range(1500)]


def example() -> bytes:
    """Twenty-five hours of one made-up participant, from Saturday 16:30 on."""
    return paxmin(minutes(MIMS))


def refusal(data: bytes, hints: Hints = FIRST) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_participant_becomes_wrist_mims_on_weekdays_without_dates():
    found = read(example(), FIRST)
    assert found.values.tolist() == MIMS
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2012, 1, 7, 16, 30), None, 60)
    assert (found.unit, found.device, found.wear_site) == (Unit.MIMS, Device.ACTIGRAPH_GT3X, WearSite.WRIST)
    assert found.source_format == "nhanes-2011-14"
    assert found.wear is not None
    assert found.wear.all()
    assert found.flags == {
        Flag.DATE_UNKNOWN,
        Flag.TIMEZONE_UNKNOWN,
        Flag.UNVERIFIED_FORMAT,
        Flag.CONSTANT_FLOOR,
    }
    assert looks_like(example()[:4096])
    assert not looks_like(b"PAXSSNMP,PAXMTSM\n")


def test_a_known_peak_lands_on_its_minute():
    sample = 4800 * (7 * 60 + 30 + 2 * 1440)  # two days, seven and a half hours after the first sample
    values = [0.0] * 11_000
    values[sample // 4800] = 99.0
    found = read(paxmin(minutes(values, weekday=2, first=9 * 60 + 11)), Hints(first_time="9:11:00"))
    (week,) = weeks_of(found, np.ones(found.epochs, dtype=bool))
    assert week.start == datetime(2012, 1, 3)  # the Tuesday after the first, partial Monday
    assert np.flatnonzero(week.counts).tolist() == [1440 + 16 * 60 + 41]  # Wednesday 16:41


def test_every_minute_of_a_day_varies():
    """An earlier system took the sample number for the minute: only minutes 0, 480 and 960 were filled."""
    values = np.random.default_rng(2).uniform(1, 9, 11_000).tolist()
    found = read(paxmin(minutes(values)), FIRST)
    (week,) = weeks_of(found, np.ones(found.epochs, dtype=bool))
    assert np.unique(week.counts).size > 10_000
    assert not week.missing.any()


def test_activity_is_mims_and_never_idle_samples():
    first, other = minutes(MIMS), minutes(MIMS, PAXAISMM=[7] * 1500)
    np.testing.assert_array_equal(read(paxmin(first), FIRST).values, read(paxmin(other), FIRST).values)


def test_flagged_and_uncomputed_minutes_are_not_recorded():
    person = minutes([1, 2, -0.01, 4, -0.01, 0], PAXQFM=[0, 1, 0, 12, 3, 0])
    np.testing.assert_array_equal(read(paxmin(person), FIRST).values, [1, np.nan, np.nan, np.nan, np.nan, 0])
    unstated = minutes([1, 2], PAXQFM=[None, 0])
    np.testing.assert_array_equal(read(paxmin(unstated), FIRST).values, [np.nan, 2])


def test_worn_is_awake_or_asleep():
    person = minutes([1, 2, 3, 4, 5], PAXPREDM=["1", "2", "3", "4", ""])
    found = read(paxmin(person), FIRST)
    assert found.wear.tolist() == [True, True, False, False, False]
    assert found.values.tolist() == [1, 2, 3, 4, 5]


def test_states_may_be_numbers():
    person = minutes([1, 2, 3], PAXPREDM=[1, 2, 3], PAXDAYWM=[7, 7, 7])
    assert read(paxmin(person), FIRST).wear.tolist() == [True, True, False]


@pytest.mark.parametrize("text", ["16:30:00", "16:30:00   "])
def test_a_merged_file_may_hold_the_first_time(text):
    data = paxmin(minutes(MIMS, PAXFTIME=[text] * 1500))
    assert read(data, Hints()).start == datetime(2012, 1, 7, 16, 30)
    assert read(data, FIRST).start == datetime(2012, 1, 7, 16, 30)
    assert refusal(data, Hints(first_time="16:31:00")).where == "first_time"


def test_seconds_of_the_first_time_are_kept():
    assert read(paxmin(minutes([1, 2])), Hints(first_time="16:30:05")).start == datetime(
        2012, 1, 7, 16, 30, 5
    )


def test_without_the_first_time_there_is_no_clock():
    refused = refusal(example(), Hints())
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "first_time")
    assert refusal(paxmin(minutes([1], PAXFTIME=[" "])), Hints()).where == "first_time"


def test_the_first_time_of_another_participant_is_refused():
    refused = refusal(example(), Hints(first_time="16:31:00"))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "PAXSSNMP")


@pytest.mark.parametrize("text", ["", "16:30", "24:00:00", "16:60:00", "4.30", "x", "016:30:00", "٠٩:11:00"])
def test_a_first_time_that_is_none_is_refused(text):
    refused = refusal(example(), Hints(first_time=text))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "first_time")


def test_permutation_and_duplication_change_nothing_but_the_counts():
    whole = read(example(), FIRST)
    order = [*np.random.default_rng(1).permutation(1500).tolist(), 3, 3, 700]
    mixed = read(paxmin(minutes(MIMS), rows=order), FIRST)
    np.testing.assert_array_equal(mixed.values, whole.values)
    np.testing.assert_array_equal(mixed.wear, whole.wear)
    assert (mixed.start, mixed.flags) == (whole.start, whole.flags)
    assert (mixed.tidying.duplicates, mixed.tidying.gaps) == (3, 0)


def test_missing_rows_are_not_recorded_and_not_worn():
    found = read(paxmin(minutes([1, 2, 3, 4, 5]), rows=[1, 2, 4]), FIRST)
    np.testing.assert_array_equal(found.values, [2, 3, np.nan, 5])
    assert found.wear.tolist() == [True, True, False, True]
    assert found.start == datetime(2012, 1, 7, 16, 31)


PAIR = paxmin(minutes([1, 2, 3], seqn=73_001), minutes([7, 8], seqn=73_002, weekday=3))


def test_one_of_several_participants_is_named_by_a_hint():
    found = read(PAIR, Hints(participant="73002", first_time="16:30:00"))
    assert (found.values.tolist(), found.start) == ([7, 8], datetime(2012, 1, 3, 16, 30))
    assert "found 2;" in str(refusal(PAIR))
    assert refusal(PAIR, Hints(participant="73003", first_time="16:30:00")).where == "participant"


@pytest.mark.parametrize(
    ("hints", "code", "where"),
    [
        (Hints(zone="America/New_York"), Refusal.NO_TIME_ZONE, "zone"),
        (Hints(since=date(2012, 1, 8)), Refusal.INVALID_FIELD, "since"),
        (Hints(until=date(2012, 1, 8)), Refusal.INVALID_FIELD, "until"),
        (Hints(unit=Unit.COUNTS), Refusal.INVALID_FIELD, "unit"),
        (Hints(device=Device.AXIVITY), Refusal.INVALID_FIELD, "device"),
        (Hints(wear_site=WearSite.HIP), Refusal.INVALID_FIELD, "wear_site"),
        (Hints(epoch_seconds=30), Refusal.INVALID_FIELD, "epoch_seconds"),
        (Hints(max_epochs=1499, first_time="16:30:00"), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_a_hint_that_cannot_hold_is_refused(hints, code, where):
    refused = refusal(example(), hints)
    assert (refused.code, refused.where) == (code, where)


def changed(**cells) -> bytes:
    return paxmin(minutes([1, 2, 3], **cells))


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (changed(PAXSSNMP=[0, 1, 2]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXSSNMP=[0, 4800.5, 9600]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXSSNMP=[0, -4800, 9600]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXSSNMP=[0, None, 9600]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXSSNMP=[0, 4800, 4800 * 10**9]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXDAYWM=["7", "1", "7"]), Refusal.INVALID_FIELD, "PAXSSNMP"),
        (changed(PAXDAYWM=["7", "8", "7"]), Refusal.INVALID_FIELD, "PAXDAYWM"),
        (changed(PAXDAYWM=["7", "x", "7"]), Refusal.INVALID_FIELD, "PAXDAYWM"),
        (changed(PAXPREDM=["1", "5", "1"]), Refusal.INVALID_FIELD, "PAXPREDM"),
        (changed(PAXMTSM=[1, -0.5, 1]), Refusal.INVALID_FIELD, "values"),
        (changed(PAXMTSM=[1, 2e6, 1]), Refusal.INVALID_FIELD, "values"),
        (changed(PAXFTIME=["16:30:00", "16:31:00", ""]), Refusal.INVALID_FIELD, "PAXFTIME"),
        (changed(PAXFTIME=["now", "now", "now"]), Refusal.INVALID_FIELD, "PAXFTIME"),
        (changed(PAXFTIME=[59_400, 59_400, 59_400]), Refusal.INVALID_FIELD, "PAXFTIME"),
        (paxmin(minutes([1])).replace(b"PAXQFM", b"PAXQFX"), Refusal.INVALID_FIELD, "columns"),
        (example()[:-40], Refusal.UNPARSABLE, "file"),
        (b"", Refusal.UNPARSABLE, "file"),
    ],
    ids=range(17),
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_a_file_on_disk_reads_as_one_in_memory(tmp_path):
    path = tmp_path / "paxmin.xpt"
    path.write_bytes(example())
    np.testing.assert_array_equal(read_file(path, FIRST).values, read(example(), FIRST).values)


def test_damage_is_read_or_refused_and_nothing_else():
    data = paxmin(minutes(MIMS[:60]))
    assert outcomes(lambda copy: read(copy, FIRST), data) == {"read", "refused"}
