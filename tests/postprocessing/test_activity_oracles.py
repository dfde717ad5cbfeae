"""Activity numbers against the published features of NHANES 2003-06 (Leroux 2019, Stat Biosci 11:262)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from postprocessing import activity
from postprocessing.activity import bouts_of, intensity_minutes, log_volume, nonwear_as_sedentary, volume
from postprocessing.metrics import MetricCode
from preprocessing.recording import Recording
from preprocessing.units import Unit, WearSite
from tests.postprocessing.oracles import leroux_features, leroux_minutes, leroux_people
from validation.activity import FEATURES, TROIANO


def made_from(counts: np.ndarray, wear: np.ndarray) -> dict[str, float]:
    """The nine features by the published treatment of non-wear."""
    minutes = nonwear_as_sedentary(counts, wear)
    daily = (
        volume(minutes)
        | log_volume(minutes)
        | intensity_minutes(minutes, TROIANO)
        | bouts_of(minutes, TROIANO.light).values()
    )
    found = {name: float(daily[code].mean()) for name, code in FEATURES.items()}
    return found | {"WT": float(wear.sum(axis=1).mean())}


def test_all_forty_two_people_have_the_nine_published_features():
    people = leroux_people()
    assert len(people) == 42
    for person in people:
        published = leroux_features(person)
        for name, value in made_from(*leroux_minutes(person)).items():
            assert value == pytest.approx(published[name], rel=1e-6, abs=1e-9), (person, name)


def week_of(counts: np.ndarray, wear: np.ndarray | None = None) -> Recording:
    return Recording(
        datetime(2000, 1, 1),
        None,
        60,
        counts.reshape(-1),
        Unit.ACTIGRAPH_7164_COUNTS,
        wear_site=WearSite.HIP,
        wear=None if wear is None else wear.reshape(-1),
    )


def test_the_analysis_gives_the_same_for_days_whose_non_wear_was_set_to_still_minutes():
    for person in leroux_people():
        counts, wear = leroux_minutes(person)
        recording, published = week_of(counts * wear), leroux_features(person)
        found = {m.code: m.value for m in activity.summarise(recording, recording.recorded).metrics}
        for name, code in FEATURES.items():
            assert found[code] == pytest.approx(published[name], rel=1e-6, abs=1e-9), (person, name)


def test_worn_minutes_alone_change_sedentary_time_and_nothing_that_moves():
    """The published features count non-wear as sedentary; what moves is the same either way."""
    for person in leroux_people()[:8]:
        counts, wear = leroux_minutes(person)
        recording = week_of(counts, wear)
        found = {m.code: m.value for m in activity.summarise(recording, wear.reshape(-1)).metrics}
        enough = wear.sum(axis=1) >= 600
        still = nonwear_as_sedentary(counts[enough], wear[enough])
        sedentary = intensity_minutes(still, TROIANO)[MetricCode.SEDENTARY_TIME] - (~wear[enough]).sum(axis=1)
        assert found[MetricCode.SEDENTARY_TIME] == pytest.approx(sedentary.mean(), rel=1e-12)
        assert found[MetricCode.ACTIVE_BOUT] == pytest.approx(
            bouts_of(still, TROIANO.light).active.mean(), rel=1e-12
        )
        assert found[MetricCode.TOTAL_ACTIVITY] == pytest.approx(
            volume(still)[MetricCode.TOTAL_ACTIVITY].mean()
        )


def test_a_flag_of_wear_does_not_change_what_was_counted():
    counts, wear = leroux_minutes(leroux_people()[0])
    recording = week_of(counts, wear)
    with_flags, without = (
        activity.summarise(one, wear.reshape(-1)) for one in (recording, replace(recording, wear=None))
    )
    assert with_flags == without
