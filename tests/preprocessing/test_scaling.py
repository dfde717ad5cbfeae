"""Scaling: the cohort's columns, applied once; a broken table is refused."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.scaling import WEEK_MINUTES, Scaling, per_recording
from preprocessing.units import Device, Unit, WearSite

LABEL = {
    "unit": Unit.COUNTS,
    "device": Device.SYNTHETIC_DEMO,
    "wear_site": WearSite.WRIST,
    "cohort": "test",
}


@pytest.fixture(scope="module")
def weeks():
    return np.random.default_rng(7).gamma(0.5, 300, (120, WEEK_MINUTES)).astype(np.float32)


def test_a_cohort_standardised_by_itself_has_mean_0_and_sd_1(weeks):
    standardised = Scaling.fit(weeks, **LABEL).apply(weeks)
    assert standardised.dtype == np.float32
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-5)


def test_the_columns_are_mean_and_population_sd_of_what_is_recorded(weeks):
    holes = weeks.copy()
    holes[3, :50] = np.nan
    scaling = Scaling.fit(holes, **LABEL)
    exact = holes.astype(np.float64)
    np.testing.assert_allclose(scaling.mean, np.nanmean(exact, axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaling.sd, np.nanstd(exact, axis=0), rtol=1e-12)


def test_one_person_alone_gives_the_row_of_the_batch(weeks):
    scaling = Scaling.fit(weeks, **LABEL)
    np.testing.assert_array_equal(scaling.apply(weeks[5:6])[0], scaling.apply(weeks)[5])


def test_a_constant_minute_has_sd_1_and_a_missing_minute_becomes_0(weeks):
    constant = weeks.copy()
    constant[:, 0] = 0.1
    scaling = Scaling.fit(constant, **LABEL)
    assert scaling.sd[0] == 1
    constant[0, 5] = np.nan
    assert scaling.apply(constant)[0, 5] == 0


def test_too_few_weeks_or_a_minute_never_recorded_are_refused(weeks):
    with pytest.raises(ValueError, match="100 weeks"):
        Scaling.fit(weeks[:99], **LABEL)
    hole = weeks.copy()
    hole[:, 9] = np.nan
    with pytest.raises(ValueError, match="recorded in some week"):
        Scaling.fit(hole, **LABEL)


def test_a_table_of_21_filled_minutes_is_refused(weeks):
    mostly_empty = np.zeros_like(weeks)
    mostly_empty[:, ::480] = weeks[:, ::480]
    with pytest.raises(ValueError, match="95 %"):
        Scaling.fit(mostly_empty, **LABEL)


@pytest.mark.parametrize("damage", [np.nan, 0.0, -1.0])
def test_a_damaged_sd_is_refused(weeks, damage):
    scaling = Scaling.fit(weeks, **LABEL)
    sd = scaling.sd.copy()
    sd[17] = damage
    with pytest.raises(ValueError, match="sd"):
        Scaling(scaling.mean, sd, n=120, **LABEL)


def test_the_digest_follows_every_bit(weeks):
    scaling = Scaling.fit(weeks, **LABEL)
    other = scaling.mean.copy()
    other[0] = np.nextafter(other[0], np.inf)
    assert len(scaling.digest) == 64
    assert Scaling(other, scaling.sd, n=120, **LABEL).digest != scaling.digest
    assert Scaling(scaling.mean, scaling.sd, n=120, **LABEL).digest == scaling.digest


def test_only_recordings_like_the_cohort_match(weeks):
    scaling = Scaling.fit(weeks, **LABEL)
    assert scaling.matches(Unit.COUNTS, Device.SYNTHETIC_DEMO, WearSite.WRIST)
    assert not scaling.matches(Unit.COUNTS, Device.ACTIWATCH, WearSite.WRIST)


def test_the_fallback_standardises_each_week_by_itself(weeks):
    found = per_recording(weeks[:3])
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), 1, atol=1e-5)


def test_a_week_without_movement_or_data_is_all_zero():
    empty = np.stack([np.zeros(WEEK_MINUTES), np.full(WEEK_MINUTES, np.nan)]).astype(np.float32)
    assert (per_recording(empty) == 0).all()
