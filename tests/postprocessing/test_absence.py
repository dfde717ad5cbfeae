"""The closed list of reasons, and that every one of them can be told to people and to FHIR."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from postprocessing.absence import Absence, Reason, absent, fhir_reason
from preprocessing.units import Unit, WearSite, validity

FHIR_R4_REASONS = {  # http://terminology.hl7.org/CodeSystem/data-absent-reason
    "unknown",
    "asked-unknown",
    "temp-unknown",
    "not-asked",
    "asked-declined",
    "masked",
    "not-applicable",
    "unsupported",
    "as-text",
    "error",
    "not-a-number",
    "negative-infinity",
    "positive-infinity",
    "not-performed",
    "not-permitted",
}


def test_the_list_of_reasons_is_closed():
    assert {reason.value for reason in Reason} == {
        "unit_not_supported",
        "device_scaling_unknown",
        "needs_raw_acceleration",
        "needs_overnight_wear",
        "too_few_valid_nights",
        "too_few_valid_days",
        "too_much_missing",
        "weekday_unknown",
        "nonwear_not_assessable",
        "insufficient_data",
        "no_sleep_log",
        "no_head",
        "head_not_applicable",
        "zone_changed",
        "not_unique",
        "not_requested",
    }
    with pytest.raises(ValueError, match="is not a valid Reason"):
        absent("because")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_and_a_fhir_code(reason):
    sentence = absent(reason).detail
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert fhir_reason(reason) in FHIR_R4_REASONS


def test_the_detail_follows_the_sentence():
    assert (
        absent(Reason.NO_HEAD, "None is registered.").detail
        == f"{absent('no_head').detail} None is registered."
    )


def test_an_absence_takes_no_other_field():
    with pytest.raises(ValidationError):
        Absence(reason=Reason.NO_HEAD, detail="", value=0.0)


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("site", WearSite)
def test_every_reason_of_the_validity_table_is_in_the_list(unit, site):
    allowed = validity(unit, site)
    for reason in (allowed.no_sleep_reason, allowed.no_rhythm_reason, allowed.no_pat_reason):
        assert reason is None or Reason(reason)
    assert bool(allowed.sleep_scorers) is (allowed.no_sleep_reason is None)
