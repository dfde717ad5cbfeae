"""NHANES 2003-06: one participant's minutes of hip counts out of a file of many."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest

from preprocessing.readers import Hints
from preprocessing.readers import nhanes as nhanes_files
from preprocessing.readers.hints import NO_HINTS
from preprocessing.readers.nhanes_counts import looks_like, read, read_file
from preprocessing.recording import Flag, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes
from tests.preprocessing.xport_writer import library, table
from tests.shared import shared


def minutes(values, seqn=31_001, weekday=1, first=0, **changed) -> dict[str, list]:
    """Columns as CDC names them; ``first`` is the minute of the first day at which PAXN is 1."""
    at = [first + k for k in range(len(values))]
    made = {
        "SEQN": [seqn] * len(at),
        "PAXSTAT": [1] * len(at),
        "PAXCAL": [1] * len(at),
        "PAXDAY": [(weekday - 1 + minute // 1440) % 7 + 1 for minute in at],
        "PAXN": [k + 1 for k in range(len(at))],
        "PAXHOUR": [minute // 60 % 24 for minute in at],
        "PAXMINUT": [minute % 60 for minute in at],
        "PAXINTEN": list(values),
    }
    return {**made, **changed}


def paxraw(*people: dict[str, list], rows=None) -> bytes:
    """A file of these people; ``rows`` picks rows of it."""
    columns = {name: [cell for person in people for cell in person[name]] for name in people[0]}
    chosen = columns if rows is None else {name: [cells[k] for k in rows] for name, cells in columns.items()}
    return library(table("PAXRAW_X", chosen))


COUNTS = [k * k % 211 for k in range(1500)]


def example() -> bytes:
    """Twenty-five hours of one made-up participant, from a Wednesday midnight on."""
    return paxraw(minutes(COUNTS, weekday=4))


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(data, hints)
    return refused.value


def test_a_participant_becomes_hip_counts_on_weekdays_without_dates():
    found = read(example(), NO_HINTS)
    assert found.values.tolist() == COUNTS
    assert (found.start, found.zone, found.epoch_seconds) == (datetime(2004, 1, 7), None, 60)
    assert (found.unit, found.device) == (Unit.ACTIGRAPH_7164_COUNTS, Device.ACTIGRAPH_7164)
    assert (found.wear_site, found.wear, found.serial) == (WearSite.HIP, None, None)
    assert found.source_format == "nhanes-2003-06"
    assert found.flags == {
        Flag.DATE_UNKNOWN,
        Flag.TIMEZONE_UNKNOWN,
        Flag.UNVERIFIED_FORMAT,
        Flag.CONSTANT_FLOOR,
    }
    assert looks_like(example()[:4096])
    assert not looks_like(b"SEQN,PAXN,PAXINTEN\n")


@pytest.mark.parametrize("weekday", range(1, 8))
def test_the_weekday_of_the_placeholder_is_that_of_the_file(weekday):
    start = read(paxraw(minutes([1, 2], weekday=weekday)), NO_HINTS).start
    assert start.isoweekday() % 7 + 1 == weekday
    assert (start.year, start.month) == (2004, 1)


def test_the_clock_starts_where_the_first_row_says():
    found = read(paxraw(minutes(COUNTS, weekday=7, first=605)), NO_HINTS)
    assert found.start == datetime(2004, 1, 10, 10, 5)
    assert found.values.tolist() == COUNTS


def test_steps_are_not_read():
    person = minutes([5, 6])
    assert read(paxraw({**person, "PAXSTEP": [1, None]}), NO_HINTS).values.tolist() == [5, 6]


def test_permutation_and_duplication_change_nothing_but_the_counts():
    whole = read(example(), NO_HINTS)
    order = [*np.random.default_rng(1).permutation(1500).tolist(), 3, 3, 700]
    mixed = read(paxraw(minutes(COUNTS, weekday=4), rows=order), NO_HINTS)
    np.testing.assert_array_equal(mixed.values, whole.values)
    assert (mixed.start, mixed.flags) == (whole.start, whole.flags)
    assert (mixed.tidying.duplicates, mixed.tidying.conflicts, mixed.tidying.gaps) == (3, 0, 0)


def test_missing_minutes_are_not_recorded():
    found = read(paxraw(minutes([1, None, 3, 4, 5, 6]), rows=[0, 1, 2, 5]), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1, np.nan, 3, np.nan, np.nan, 6])
    assert found.tidying.gaps == 2


def test_a_recording_may_begin_later_than_minute_one():
    found = read(paxraw(minutes(range(2000)), rows=range(1500, 2000)), NO_HINTS)
    assert (found.start, found.epochs) == (datetime(2004, 1, 5, 1, 0), 500)


PAIR = paxraw(minutes([1, 2, 3], seqn=31_001), minutes([7, 8], seqn=31_002, weekday=3))


@pytest.mark.parametrize(("seqn", "values"), [("31001", [1, 2, 3]), ("31002", [7, 8])])
def test_one_of_several_participants_is_named_by_a_hint(seqn, values):
    assert read(PAIR, Hints(participant=seqn)).values.tolist() == values


def test_rows_of_participants_may_be_mixed():
    mixed = paxraw(minutes([1, 2, 3], seqn=31_001), minutes([7, 8], seqn=31_002), rows=[3, 0, 1, 4, 2])
    assert read(mixed, Hints(participant="31001")).values.tolist() == [1, 2, 3]


def test_without_the_hint_the_refusal_says_how_many_and_never_which():
    refused = refusal(PAIR)
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "participant")
    assert "found 2;" in str(refused)
    assert "3100" not in str(refused)


def test_a_file_of_one_needs_no_hint_and_accepts_the_right_one():
    assert read(example(), Hints(participant="31001")).epochs == 1500


@pytest.mark.parametrize("participant", ["99999", "31003", "J. Doe", "", "-1", "1e3", "٣١٠٠١", "1" * 10])
def test_a_participant_that_is_not_there_is_refused_without_repeating_it(participant):
    for data in (PAIR, example()):
        refused = refusal(data, Hints(participant=participant))
        assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "participant")
        assert not participant or participant not in str(refused)


def test_a_survey_of_too_many_is_not_counted_to_the_end(monkeypatch):
    monkeypatch.setattr(nhanes_files, "_MOST_PARTICIPANTS", 1)
    assert "more than 1;" in str(refusal(PAIR))


@pytest.mark.parametrize(
    ("hints", "code", "where"),
    [
        (Hints(zone="America/New_York"), Refusal.NO_TIME_ZONE, "zone"),
        (Hints(since=date(2004, 1, 5)), Refusal.INVALID_FIELD, "since"),
        (Hints(until=date(2004, 1, 5)), Refusal.INVALID_FIELD, "until"),
        (Hints(unit=Unit.MIMS), Refusal.INVALID_FIELD, "unit"),
        (Hints(device=Device.ACTIGRAPH_GT3X), Refusal.INVALID_FIELD, "device"),
        (Hints(wear_site=WearSite.WRIST), Refusal.INVALID_FIELD, "wear_site"),
        (Hints(epoch_seconds=30), Refusal.INVALID_FIELD, "epoch_seconds"),
        (Hints(max_epochs=1499), Refusal.TOO_MANY_EPOCHS, "values"),
    ],
)
def test_a_hint_that_cannot_hold_is_refused(hints, code, where):
    refused = refusal(example(), hints)
    assert (refused.code, refused.where) == (code, where)


def test_hints_that_repeat_the_file_are_fine():
    hints = Hints(unit=Unit.ACTIGRAPH_7164_COUNTS, wear_site=WearSite.HIP, epoch_seconds=60)
    assert read(example(), hints).epochs == 1500


def changed(**cells) -> bytes:
    return paxraw(minutes([1, 2, 3], **cells))


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (changed(PAXSTAT=[1, 1, 2]), Refusal.INVALID_FIELD, "PAXSTAT"),
        (changed(PAXSTAT=[1, 1, None]), Refusal.INVALID_FIELD, "PAXSTAT"),
        (changed(PAXCAL=[2, 2, 2]), Refusal.INVALID_FIELD, "PAXCAL"),
        (changed(PAXCAL=[9, 9, 9]), Refusal.INVALID_FIELD, "PAXCAL"),
        (changed(PAXN=[1, 2, 10_081]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXN=[0, 1, 2]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXN=[1, 2.5, 3]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXN=[1, None, 3]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXN=[1, 2, 4]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXN=[3, 2, 1]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXDAY=[1, 1, 2]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXDAY=[8, 8, 8]), Refusal.INVALID_FIELD, "PAXDAY"),
        (changed(PAXHOUR=[24, 24, 24]), Refusal.INVALID_FIELD, "PAXHOUR"),
        (changed(PAXHOUR=[0, 0, 1]), Refusal.INVALID_FIELD, "PAXN"),
        (changed(PAXMINUT=[0, 1, 60]), Refusal.INVALID_FIELD, "PAXMINUT"),
        (changed(PAXINTEN=[1, 2, -1]), Refusal.INVALID_FIELD, "values"),
        (changed(PAXINTEN=[1, 2, 2e6]), Refusal.INVALID_FIELD, "values"),
        (changed(PAXINTEN=["1", "x", "3"]), Refusal.INVALID_FIELD, "PAXINTEN"),
        (changed(SEQN=[1, 1, None]), Refusal.INVALID_FIELD, "SEQN"),
        (paxraw(minutes([])), Refusal.NO_SAMPLES, "file"),
        (library(table("T", {"SEQN": [1], "PAXN": [1], "PAXINTEN": [1]})), Refusal.INVALID_FIELD, "columns"),
        (example()[:-40], Refusal.UNPARSABLE, "file"),
        (b"", Refusal.UNPARSABLE, "file"),
    ],
    ids=range(23),
)
def test_what_is_wrong_in_a_file_is_refused(data, code, where):
    refused = refusal(data)
    assert (refused.code, refused.where) == (code, where)


def test_codes_may_be_text():
    person = minutes([5, 6, 7], PAXDAY=["1", "1", "1"], SEQN=["31001"] * 3)
    assert read(paxraw(person), Hints(participant="31001")).values.tolist() == [5, 6, 7]


def test_other_tables_of_the_library_are_passed_over():
    people = table("DEMO", {"SEQN": [1, 2, 3], "RIDAGEYR": [40, 50, 60]})
    data = library(people, table("PAXRAW_X", minutes([5, 6])), people)
    assert read(data, NO_HINTS).values.tolist() == [5, 6]


def test_a_file_on_disk_reads_as_one_in_memory(tmp_path):
    path = tmp_path / "paxraw.xpt"
    path.write_bytes(PAIR)
    hints = Hints(participant="31002")
    in_memory, on_disk = read(PAIR, hints), read_file(path, hints)
    np.testing.assert_array_equal(on_disk.values, in_memory.values)
    assert on_disk.start == in_memory.start == datetime(2004, 1, 6)


def test_damage_is_read_or_refused_and_nothing_else():
    data = paxraw(minutes(COUNTS[:60]))
    assert outcomes(lambda copy: read(copy, NO_HINTS), data) == {"read", "refused"}
    assert outcomes(lambda copy: read(copy, Hints(participant="31001")), PAIR) >= {"refused"}


def test_seven_real_days_come_back_as_they_were():
    with np.load(shared("data/cohorts/nhanes_sample.npz")) as cohort:
        counts, weekdays = cohort["counts"], cohort["row_weekday"]
        known = [k for k in range(cohort["seqn"].size) if weekdays[cohort["offsets"][k]] > 0]
        people = {
            int(cohort["seqn"][k]): (
                counts[cohort["offsets"][k] : cohort["offsets"][k + 1]].ravel(),
                int(weekdays[cohort["offsets"][k]]),
            )
            for k in known[:2]
        }
    data = paxraw(*(minutes(values.tolist(), seqn, day) for seqn, (values, day) in people.items()))
    for seqn, (values, day) in people.items():
        found: Recording = read(data, Hints(participant=str(seqn)))
        np.testing.assert_array_equal(found.values, values)
        assert found.epochs == 10_080
        assert found.start == datetime(2004, 1, 3 + day)
