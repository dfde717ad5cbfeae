"""Overload is an early answer, not a timeout."""

import pytest

from serving.admission import Admission, Overloaded


def test_weeks_beyond_the_limit_are_refused_and_places_come_back():
    admission = Admission(limit=4)
    with admission.admit(3):
        with pytest.raises(Overloaded), admission.admit(2):
            pass
        with admission.admit(1):
            assert admission.waiting == 4
    assert admission.waiting == 0


def test_a_recording_larger_than_the_limit_is_served_when_nothing_waits():
    with Admission(limit=4).admit(9):
        pass


def test_a_failure_inside_gives_its_places_back():
    admission = Admission(limit=1)
    with pytest.raises(ZeroDivisionError), admission.admit(1):
        raise ZeroDivisionError
    assert admission.waiting == 0


def test_weeks_in_flight_are_told_as_they_change():
    told = []
    with Admission(10, told.append).admit(3):
        pass
    assert told == [3, 0]
