"""What others published stands next to every number of sleep, the same in the docs and in the table."""

from __future__ import annotations

from postprocessing.agreement import PUBLISHED, against_polysomnography
from postprocessing.metrics import MetricCode, codes_of
from tests.shared import ROOT


def test_every_number_of_sleep_says_how_its_scorers_agree_and_no_other_does():
    said = {code for code in MetricCode if against_polysomnography(code)}
    assert said == set(codes_of("sleep"))


def test_numbers_that_rest_on_seeing_wake_are_called_weak():
    assert against_polysomnography(MetricCode.WAKE_AFTER_SLEEP_ONSET).startswith("weak")
    assert against_polysomnography(MetricCode.TOTAL_SLEEP_TIME).startswith("for groups")


def test_the_studies_are_those_of_the_page_on_clinical_metrics():
    page = (ROOT / "docs" / "clinical-metrics.md").read_text()
    for study in PUBLISHED:
        assert study.source.split(",")[0] in page
        assert study.result in page
