"""Rhythm numbers against pyActigraphy 1.2.2 and statsmodels 0.15.0.

pyActigraphy divides by n - 1 where the published formulas divide by n, so with N hours of whole days IS =
IS_library * 23/24 * N/(N - 1) and IV = IV_library * N/(N - 1).
"""

from __future__ import annotations

import numpy as np
import pytest

from postprocessing.circadian import (
    ClockSeries,
    binarised,
    cosinor,
    day_profile,
    extreme_window,
    interdaily_stability,
    intradaily_variability,
    relative_amplitude,
    summarise,
)
from tests.postprocessing.oracles import (
    PARTIAL_DAYS,
    SEGMENTS,
    WHOLE_DAYS,
    all_segments,
    recording,
    scalars,
    statsmodels,
)

WITH_LEVELS = [segment for segment in SEGMENTS if segment[0] != "gt3x_day01"]  # one day of 25 hours


def found(name, segment):
    one = recording(name, segment)
    return {metric.code.value: metric.value for metric in summarise(one, one.recorded).metrics}


def profile_of(name, segment):
    one = recording(name, segment)
    return day_profile(ClockSeries.of(one, one.recorded))[0]


def test_every_segment_of_the_reference_is_compared():
    assert set(SEGMENTS) == all_segments()


@pytest.mark.parametrize(("name", "segment"), WHOLE_DAYS)
def test_stability_and_variability_of_whole_days(name, segment):
    library = scalars(name, segment)
    ours, hours = found(name, segment), 168
    assert ours["interdaily_stability"] == pytest.approx(
        library["IS"] * 23 / 24 * hours / (hours - 1), abs=1e-9
    )
    assert ours["intradaily_variability"] == pytest.approx(library["IV"] * hours / (hours - 1), abs=1e-9)
    assert ours["interdaily_stability"] == pytest.approx(library["IS_published_formula"], abs=1e-9)
    assert ours["intradaily_variability"] == pytest.approx(library["IV_published_formula"], abs=1e-9)


@pytest.mark.parametrize(("name", "segment"), WHOLE_DAYS)
def test_binarised_stability_and_variability_of_whole_days(name, segment):
    """The library's defaults: 1 for a minute above 4 counts."""
    library = scalars(name, segment)
    ours, hours = found(name, segment), 168
    assert ours["interdaily_stability_binarized"] == pytest.approx(
        library["IS_binarized_thr4"] * 23 / 24 * hours / (hours - 1), abs=1e-9
    )
    assert ours["intradaily_variability_binarized"] == pytest.approx(
        library["IV_binarized_thr4"] * hours / (hours - 1), abs=1e-9
    )


@pytest.mark.parametrize("values", ["counts", "binarised"])
@pytest.mark.parametrize(("name", "segment"), PARTIAL_DAYS)
def test_stability_and_variability_on_the_bins_of_the_library(name, segment, values):
    """Where days are partial the library counts hours from the first minute, and a last part as a whole hour.

    Its profile is then also centred on the mean of the 24 clock hours rather than of all hours; the term
    taken off below is that difference.
    """
    one, library = recording(name, segment), scalars(name, segment)
    suffix = "" if values == "counts" else "_binarized_thr4"
    series = ClockSeries.of(one, one.recorded)
    levels = series.levels if values == "counts" else binarised(series).levels
    whole = np.pad(levels, (0, -one.epochs % 60), constant_values=np.nan).reshape(-1, 60)
    hourly = np.nansum(whole, axis=1)
    hours = hourly.size
    clock_hour = (one.start.hour + np.arange(hours)) % 24
    assert intradaily_variability(hourly) == pytest.approx(
        library[f"IV{suffix}"] * hours / (hours - 1), abs=1e-9
    )
    means = np.array([hourly[clock_hour == hour].mean() for hour in range(24)])
    centre = (means.mean() - hourly.mean()) ** 2 / hourly.var()
    ours = interdaily_stability(hourly, clock_hour) - centre
    assert ours == pytest.approx(library[f"IS{suffix}"] * 23 / 24 * hours / (hours - 1), abs=1e-9)


@pytest.mark.parametrize(("name", "segment"), WITH_LEVELS)
def test_levels_and_relative_amplitude(name, segment):
    ours, library = found(name, segment), scalars(name, segment)
    assert ours["l5"] == pytest.approx(library["L5"], abs=1e-9)
    assert ours["m10"] == pytest.approx(library["M10"], abs=1e-9)
    assert ours["relative_amplitude"] == pytest.approx(library["RA"], abs=1e-9)


@pytest.mark.parametrize(("name", "segment"), SEGMENTS)
def test_windows_of_every_segment_however_short(name, segment):
    library, profile = scalars(name, segment), profile_of(name, segment)
    l5, m10 = extreme_window(profile, 300, highest=False), extreme_window(profile, 600, highest=True)
    assert l5.level == pytest.approx(library["L5"], abs=1e-9)
    assert m10.level == pytest.approx(library["M10"], abs=1e-9)
    assert relative_amplitude(l5.level, m10.level) == pytest.approx(library["RA"], abs=1e-9)
    assert m10.onset == pytest.approx(library["M10_onset_h"], abs=1e-9)


@pytest.mark.parametrize(("name", "segment"), SEGMENTS)
def test_the_onset_of_l5_is_that_of_the_library_or_the_middle_of_starts_that_tie_with_it(name, segment):
    profile = profile_of(name, segment)
    means = np.array([np.take(profile, range(k, k + 300), mode="wrap").mean() for k in range(1440)])
    tied = set(np.flatnonzero(means - means.min() < 1e-9).tolist())
    theirs = round(scalars(name, segment)["L5_onset_h"] * 60)
    assert theirs in tied
    ours = extreme_window(profile, 300, highest=False).onset
    if len(tied) == 1:
        assert ours * 60 == pytest.approx(theirs, abs=1e-9)
    else:
        first = next(start for start in tied if (start - 1) % 1440 not in tied)
        assert ours * 60 == pytest.approx((first + (len(tied) - 1) / 2) % 1440, abs=1e-9)


@pytest.mark.parametrize(("name", "segment"), SEGMENTS)
@pytest.mark.parametrize("transform", ["raw", "log1p"])
def test_cosinor_against_ordinary_least_squares(name, segment, transform):
    one = recording(name, segment)
    series = ClockSeries.of(one, one.recorded)
    levels = series.levels[series.valid]
    hours = series.clock_seconds[series.valid] / 3600
    fit = cosinor(hours, np.log1p(levels) if transform == "log1p" else levels)
    expected = statsmodels(name, segment)[transform]
    assert fit.mesor == pytest.approx(expected["mesor"], rel=1e-9)
    assert fit.amplitude == pytest.approx(expected["amplitude"], rel=1e-9)
    assert fit.acrophase == pytest.approx(expected["acrophase_h"] % 24, rel=1e-9)
    assert fit.r_squared == pytest.approx(expected["r_squared"], rel=1e-9)


@pytest.mark.parametrize(("name", "segment"), WITH_LEVELS)
@pytest.mark.parametrize(("transform", "prefix"), [("raw", ""), ("log1p", "log_")])
def test_the_analysis_reports_the_cosinor_of_counts_and_of_their_logarithm(name, segment, transform, prefix):
    ours, expected = found(name, segment), statsmodels(name, segment)[transform]
    assert ours[f"{prefix}mesor"] == pytest.approx(expected["mesor"], rel=1e-9)
    assert ours[f"{prefix}amplitude"] == pytest.approx(expected["amplitude"], rel=1e-9)
    assert ours[f"{prefix}acrophase"] == pytest.approx(expected["acrophase_h"] % 24, rel=1e-9)
    assert ours[f"{prefix}cosinor_r_squared"] == pytest.approx(expected["r_squared"], rel=1e-9)
