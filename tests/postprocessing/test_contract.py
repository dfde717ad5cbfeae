"""The missing-data contract: what each number needs, and what is said where there is less."""

from __future__ import annotations

import pytest

from postprocessing.absence import Reason
from postprocessing.contract import CONTRACT, NEEDS, Need, least, valid_day_minutes, why_absent
from postprocessing.metrics import MetricCode
from preprocessing.units import WearSite

ENOUGH = {need: minimum.least for need, minimum in CONTRACT.items()}


def test_every_number_says_what_it_needs():
    assert set(NEEDS) == set(MetricCode)
    assert set(CONTRACT) == set(Need)


@pytest.mark.parametrize("code", NEEDS)
def test_exactly_enough_is_enough_and_a_little_less_is_not(code):
    assert why_absent(code, ENOUGH) is None
    for need in NEEDS[code]:
        why = why_absent(code, ENOUGH | {need: CONTRACT[need].least * 0.99})
        assert why is not None
        assert why.reason is CONTRACT[need].reason


def test_the_first_shortfall_is_named_in_words_with_what_was_found():
    nothing = dict.fromkeys(Need, 0.0)
    why = why_absent(MetricCode.INTERDAILY_STABILITY, nothing | {Need.DAYS_OF_STABILITY: 2.5})
    assert why is not None
    assert why.reason is Reason.TOO_FEW_VALID_DAYS
    assert why.detail.endswith("The recording has 2.50 days; 3 are needed.")


def test_a_part_that_holds_too_little_is_left_out_and_gives_no_reason():
    parts = (Need.MINUTES_OF_AN_HOUR, Need.MINUTES_OF_A_DAY, Need.MINUTES_OF_A_WAKING_DAY)
    assert [least(need) for need in parts] == [30, 960, 600]
    assert all(CONTRACT[need].shortfall(0) is None for need in parts)


def test_a_valid_day_is_shorter_on_the_hip_where_nights_are_off():
    assert {site: valid_day_minutes(site) for site in WearSite} == {
        WearSite.WRIST: 960,
        WearSite.HIP: 600,
        WearSite.UNKNOWN: 960,
    }


def test_a_tenth_of_a_night_unscored_is_already_too_much():
    enough = CONTRACT[Need.SCORED_SHARE_OF_REST]
    assert enough.shortfall(0.901) is None
    assert enough.shortfall(0.9).reason is Reason.TOO_MUCH_MISSING
