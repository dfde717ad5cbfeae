"""Rest periods by a sleep log and by Tudor-Locke, and options that are refused rather than ignored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from postprocessing.absence import Absence, Reason
from postprocessing.analysis import Night
from postprocessing.fhir.nights import night_key
from postprocessing.rest_periods import LOGGED, TUDOR_LOCKE, TudorLockeRule, tudor_locke_periods
from postprocessing.sleep import LogEntry, SleepOptions, scored, summarise
from postprocessing.sleep_scorers import ASLEEP, AWAKE, UNSCORED
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import SleepScorer, Unit
from tests.postprocessing.synthetic import changed, regular, with_values


def entry(in_bed: str, out_of_bed: str, zone: str | None = None) -> LogEntry:
    tz = ZoneInfo(zone) if zone else None
    return LogEntry(*(datetime.fromisoformat(at).replace(tzinfo=tz) for at in (in_bed, out_of_bed)))


def every_night(nights: int, bed: str = "22:30", rise: str = "07:15") -> tuple[LogEntry, ...]:
    days = [date(2024, 5, 1) + timedelta(days=night) for night in range(nights)]
    return tuple(entry(f"{day}T{bed}", f"{day + timedelta(days=1)}T{rise}") for day in days)


def values(night: Night) -> dict[str, float | None]:
    return {metric.code.value: metric.value for metric in night.metrics}


def test_a_logged_night_has_a_latency_and_the_time_in_bed_of_the_log():
    recording = regular()
    sleep = summarise(recording, recording.recorded, SleepOptions(log=every_night(7)))
    first = sleep.nights[0]
    assert sleep.rest_period == first.rest_period == LOGGED
    assert (first.start, first.end) == (datetime(2024, 5, 1, 22, 30), datetime(2024, 5, 2, 7, 15))
    assert first.onset == datetime(2024, 5, 1, 23, 1)
    found = values(first)
    assert found["time_in_bed"] == 525
    assert found["sleep_onset_latency"] == 31
    assert found["sleep_period_time"] == found["total_sleep_time"] == 478
    assert found["sleep_efficiency"] == pytest.approx(100 * 478 / 525, abs=1e-12)
    assert found["sleep_maintenance_efficiency"] == 100
    assert {metric.code.value: metric.value for metric in sleep.metrics}["sleep_onset_latency"] == 31


def test_a_night_that_the_log_leaves_out_has_no_rest_period():
    recording = regular()
    sleep = summarise(recording, recording.recorded, SleepOptions(log=every_night(6)))
    assert [night.valid for night in sleep.nights] == [True] * 6 + [False] * 2
    assert sleep.nights[-1].absent.reason is Reason.NO_SLEEP_LOG
    assert sleep.valid_nights == 6


def test_naps_are_listed_and_enter_no_median():
    recording = changed(regular(), "2024-05-03T14:00", "2024-05-03T15:00", 0)
    nap = entry("2024-05-03T13:50", "2024-05-03T15:10")
    sleep = summarise(recording, recording.recorded, SleepOptions(log=(nap, *every_night(7))))
    (found,) = [night for night in sleep.nights if night.nap]
    assert (found.night_of, found.valid, found.start) == (date(2024, 5, 3), True, nap.in_bed)
    assert values(found)["total_sleep_time"] == 58
    assert sleep.valid_nights == 7
    without = summarise(recording, recording.recorded, SleepOptions(log=every_night(7)))
    assert without.metrics == sleep.metrics


def test_of_two_long_windows_of_a_day_the_longer_one_is_the_night():
    recording = changed(regular(2), "2024-05-01T14:00", "2024-05-01T18:00", 0)
    day = entry("2024-05-01T14:00", "2024-05-01T18:00")
    sleep = summarise(recording, recording.recorded, SleepOptions(log=(*every_night(1), day)))
    of_day = [night for night in sleep.nights if night.night_of == date(2024, 5, 1)]
    assert [(night.nap, night.start.hour) for night in of_day] == [(False, 22), (True, 14)]


def test_a_short_window_alone_in_its_day_is_a_nap_and_the_night_stays_unknown():
    recording = regular(2)
    log = (entry("2024-05-01T14:00", "2024-05-01T16:59"),)
    first, second, *_ = summarise(recording, recording.recorded, SleepOptions(log=log)).nights
    assert (first.nap, first.absent.reason) == (False, Reason.NO_SLEEP_LOG)
    assert second.nap


def test_a_logged_night_awake_has_its_time_in_bed_and_no_sleep():
    recording = with_values(regular(2), np.full(2 * 1440, 500.0))
    night = summarise(recording, recording.recorded, SleepOptions(log=every_night(1))).nights[0]
    found = values(night)
    assert (night.valid, night.onset, night.offset) == (True, None, None)
    assert (found["time_in_bed"], found["total_sleep_time"], found["sleep_efficiency"]) == (525, 0, 0)
    reasons = {metric.code.value: metric.absent.reason for metric in night.metrics if metric.absent}
    assert set(reasons.values()) == {Reason.INSUFFICIENT_DATA}
    assert {"sleep_onset_latency", "mid_sleep", "wake_after_sleep_onset"} <= set(reasons)


def test_a_window_that_leaves_the_recording_is_no_valid_night():
    recording = regular(1.6)
    log = (*every_night(1), entry("2024-05-02T22:00", "2024-05-03T07:00"))
    cut = summarise(recording, recording.recorded, SleepOptions(log=log)).nights[1]
    assert (cut.valid, cut.absent.reason) == (False, Reason.INSUFFICIENT_DATA)
    assert cut.end == datetime(2024, 5, 3, 7)
    assert values(cut)["sleep_onset_latency"] is None


def test_a_log_is_measured_in_elapsed_time_and_may_be_in_another_zone():
    zone = "Europe/Oslo"
    recording = regular(zone=zone, start=datetime(2024, 3, 30, 12), days=2)
    local = entry("2024-03-30T22:30", "2024-03-31T07:30", zone)
    as_utc = LogEntry(local.in_bed.astimezone(UTC), local.out_of_bed.astimezone(UTC))
    for window in (local, as_utc):
        night = summarise(recording, recording.recorded, SleepOptions(log=(window,))).nights[0]
        assert values(night)["time_in_bed"] == 8 * 60
        assert night.start == local.in_bed
        assert night.night_of == date(2024, 3, 30)


def test_times_of_the_log_go_to_the_nearest_epoch():
    recording = regular(2)
    log = (entry("2024-05-01T22:30:29", "2024-05-02T07:14:30"),)
    night = summarise(recording, recording.recorded, SleepOptions(log=log)).nights[0]
    assert (night.start, night.end) == (datetime(2024, 5, 1, 22, 30), datetime(2024, 5, 2, 7, 15))


OSLO = "Europe/Oslo"
BAD_LOGS = {
    "backwards": (entry("2024-05-02T07:00", "2024-05-01T23:00"),),
    "empty": (entry("2024-05-01T23:00", "2024-05-01T23:00"),),
    "longer than a day": (entry("2024-05-01T13:00", "2024-05-02T13:01"),),
    "overlapping": (
        entry("2024-05-01T23:00", "2024-05-02T07:00"),
        entry("2024-05-02T06:59", "2024-05-02T08:00"),
    ),
    "before": (entry("2024-04-30T23:00", "2024-05-01T07:00"),),
    "behind": (entry("2024-06-30T23:00", "2024-07-01T07:00"),),
    "aware": (entry("2024-05-01T23:00", "2024-05-02T07:00", OSLO),),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_log_that_contradicts_itself_or_the_recording_is_refused(name):
    recording = regular()
    with pytest.raises(RecordingError, match="expected") as refused:
        summarise(recording, recording.recorded, SleepOptions(log=BAD_LOGS[name]))
    assert (refused.value.code, refused.value.where) == (Refusal.INVALID_FIELD, "sleep_log")


def test_a_log_without_zone_does_not_fit_a_recording_with_one():
    recording = regular(zone=OSLO)
    with pytest.raises(RecordingError, match="zone"):
        summarise(recording, recording.recorded, SleepOptions(log=every_night(1)))


def test_windows_that_touch_do_not_overlap():
    recording = regular(2)
    log = (entry("2024-05-02T03:00", "2024-05-02T07:00"), entry("2024-05-01T22:00", "2024-05-02T03:00"))
    night, nap, *_ = summarise(recording, recording.recorded, SleepOptions(log=log)).nights
    assert (night.start.hour, nap.start.hour, nap.nap) == (22, 3, True)


@pytest.mark.parametrize(
    ("unit", "options", "where"),
    [
        (Unit.ACTIGRAPH_AXIS1_COUNTS, SleepOptions(threshold="low"), "threshold"),
        (Unit.ACTIGRAPH_AXIS1_COUNTS, SleepOptions(SleepScorer.SADEH, "automatic"), "threshold"),
        (Unit.ACTIWATCH_COUNTS, SleepOptions(rest="hlrb", log=every_night(1)), "rest"),
        (Unit.ACTIWATCH_COUNTS, SleepOptions(free_days=frozenset({0})), "free_days"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(unit, options, where):
    recording = regular(unit=unit)
    for use in (summarise, scored):
        with pytest.raises(RecordingError) as refused:
            use(recording, recording.recorded, options)
        assert (refused.value.code, refused.value.where) == (Refusal.INVALID_FIELD, where)


@pytest.mark.parametrize(("threshold", "above"), [("low", 20), ("medium", 40), ("high", 80)])
def test_the_threshold_is_named_with_its_number(threshold, above):
    recording = regular()
    found = scored(recording, recording.recorded, SleepOptions(threshold=threshold))
    assert (found.parameters["threshold"], found.parameters["wake_above"]) == (threshold, above)


def test_the_automatic_threshold_follows_the_worn_movement():
    recording = regular()
    found = scored(recording, recording.recorded, SleepOptions(threshold="automatic"))
    assert found.parameters["wake_above"] == pytest.approx(0.88888 * 500, rel=1e-12)
    still = with_values(recording, np.zeros(recording.epochs))
    why = scored(still, still.recorded, SleepOptions(threshold="automatic"))
    assert isinstance(why, Absence)
    assert why.reason is Reason.INSUFFICIENT_DATA


def test_rescoring_is_off_by_default_and_names_its_order():
    recording = regular()
    plain = summarise(recording, recording.recorded)
    rescored = summarise(recording, recording.recorded, SleepOptions(rescoring="webster"))
    assert plain.metrics[0].parameters["rescoring"] == "none"
    assert rescored.metrics[0].parameters["rescoring_order"] == "a, b, c on the scored wake; then d; then e"
    assert values(rescored.nights[0])["total_sleep_time"] == 478 - 4  # after 15 minutes of wake


def test_tudor_locke_nights_name_their_rule():
    recording = regular(unit=Unit.ACTIGRAPH_AXIS1_COUNTS, per_minute=2000)
    sleep = summarise(recording, recording.recorded, SleepOptions(SleepScorer.SADEH, rest="tudor-locke"))
    night = sleep.nights[0]
    assert night.rest_period == sleep.rest_period == TUDOR_LOCKE
    assert night.metrics[0].parameters["out_of_bed_after_wake_minutes"] == 10
    assert (night.start, night.onset, night.end) == (night.onset, night.start, night.offset)
    assert sleep.valid_nights == 8


def sequence(*parts: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.full(length, state, np.int8) for state, length in parts])


WAKE, SLEPT, GAP = AWAKE, ASLEEP, UNSCORED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (sequence((WAKE, 20), (SLEPT, 160), (WAKE, 10)), [[20, 180]]),
        (sequence((WAKE, 20), (SLEPT, 159), (WAKE, 10)), []),
        (sequence((WAKE, 20), (SLEPT, 160), (WAKE, 9)), []),  # still in bed at the end of the file
        (sequence((SLEPT, 4), (WAKE, 1), (SLEPT, 200), (WAKE, 10)), [[5, 205]]),
        (sequence((SLEPT, 100), (WAKE, 9), (SLEPT, 1), (WAKE, 9), (SLEPT, 60), (WAKE, 10)), [[0, 179]]),
        (sequence((SLEPT, 170), (WAKE, 10), (SLEPT, 170), (WAKE, 10)), [[0, 170], [180, 350]]),
        (sequence((SLEPT, 100), (GAP, 30), (SLEPT, 100), (WAKE, 10)), [[0, 230]]),
        (sequence((SLEPT, 170), (WAKE, 9), (GAP, 1), (WAKE, 9)), []),
        (sequence((SLEPT, 1440), (WAKE, 10)), [[0, 1440]]),
        (sequence((SLEPT, 1441), (WAKE, 10)), []),
        (sequence((WAKE, 30)), []),
    ],
)
def test_tudor_locke_periods_worked_out_by_hand(states, expected):
    assert tudor_locke_periods(states, np.zeros(states.size), 60).tolist() == expected


def test_tudor_locke_counts_minutes_at_thirty_seconds_too():
    states = sequence((WAKE, 40), (SLEPT, 320), (WAKE, 20))
    assert tudor_locke_periods(states, np.zeros(states.size), 30).tolist() == [[40, 360]]


def test_tudor_locke_can_ask_for_minutes_with_movement():
    states = sequence((SLEPT, 30), (WAKE, 5))
    counts = np.zeros(35)
    counts[:4] = 1
    rule = TudorLockeRule(asleep=5, awake=5, shortest=20, active_minutes=5)
    assert tudor_locke_periods(states, counts, 60, rule).tolist() == []
    counts[4] = 1
    assert tudor_locke_periods(states, counts, 60, rule).tolist() == [[0, 30]]


def test_ten_second_epochs_may_have_a_log_too():
    coarse = regular(2)
    fine = replace(coarse, epoch_seconds=10, values=np.repeat(coarse.values / 6, 6))
    options = SleepOptions(log=every_night(1))
    nights = [summarise(one, one.recorded, options).nights[0] for one in (coarse, fine)]
    assert values(nights[0]) == values(nights[1])


def test_a_nap_and_the_night_of_its_day_are_two_observations():
    recording = regular(2)
    log = (*every_night(1), entry("2024-05-01T14:00", "2024-05-01T15:00"))
    nights = summarise(recording, recording.recorded, SleepOptions(log=log)).nights
    keys = [night_key(night) for night in nights]
    assert len(set(keys)) == len(keys) == 3
