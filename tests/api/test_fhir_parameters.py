"""The parameters of $analyze are read by the table that the OperationDefinition is made from."""

import pytest

from api.fhir_parameters import wanted_of
from api.requests import Options
from postprocessing.fhir import operation_definition
from postprocessing.fhir.operation import HINTS, OPTIONS, PARAMETERS
from preprocessing.readers.fhir_resources import Subject
from preprocessing.readers.hints import TEXT_HINTS
from preprocessing.recording import RecordingError, Refusal
from preprocessing.units import SleepScorer, Unit
from preprocessing.wear import WearMode

pytestmark = pytest.mark.fhir
NIGHT = {"start": "2026-03-02T23:00:00+01:00", "end": "2026-03-03T07:00:00+01:00"}


def parameters(*given):
    return {"resourceType": "Parameters", "parameter": list(given)}


def read(*given, of=None):
    """Everything that the parameters may be read for."""
    wanted = wanted_of(parameters(*given))
    try:
        return wanted.hints(), wanted.options(), wanted.wish(of or Subject())
    except RecordingError as error:
        raise wanted.placed(error) from None


def refusal(*given, of=None):
    with pytest.raises(RecordingError) as caught:
        read(*given, of=of)
    return caught.value


def test_the_options_are_those_of_the_json_door_and_the_hints_those_of_a_reader():
    assert {name.replace("-", "_") for name in OPTIONS} == set(Options.model_fields)
    assert {name.replace("-", "_") for name in HINTS} < set(TEXT_HINTS)
    defined = {one["name"] for one in operation_definition("https://a.example/fhir")["parameter"]}
    assert defined == {*PARAMETERS, "observation", "bundle"}


def test_every_parameter_is_read():
    wanted = wanted_of(
        parameters(
            {"name": "return", "valueCode": "transaction"},
            {"name": "unit", "valueCode": "counts"},
            {"name": "wear-site", "valueCode": "wrist"},
            {"name": "since", "valueDate": "2026-03-02"},
            {"name": "wear", "valueCode": "as_recorded"},
            {"name": "stride-days", "valueInteger": 1},
            {"name": "profile", "valueBoolean": True},
            {"name": "scorer", "valueCode": "oakley-actiware"},
            {"name": "sleep-log", "valuePeriod": NIGHT},
            {"name": "sleep-log", "valuePeriod": NIGHT},
        )
    )
    assert wanted.hints().unit is Unit.COUNTS
    assert str(wanted.hints().since) == "2026-03-02"
    options = wanted.options()
    assert (options.wear, options.stride_days, options.profile) == (WearMode.AS_RECORDED, 1, True)
    assert options.scorer == SleepScorer.OAKLEY
    assert len(options.sleep_log) == 2
    assert wanted.wish(Subject("Patient/1")).kind == "transaction"


@pytest.mark.parametrize("document", [{"resourceType": "Observation"}, {"resourceType": "Bundle"}, [], None])
def test_without_parameters_the_defaults_hold(document):
    wanted = wanted_of(document)
    assert wanted.options() == Options()
    assert (wanted.wish(Subject()).kind, wanted.wish(Subject()).subject) == ("collection", None)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"name": "return", "valueCode": "document"}, "valueCode"),
        ({"name": "return", "valueString": "collection"}, "valueCode"),
        ({"name": "return", "valueCode": "collection", "valueString": "x"}, "valueCode"),
        ({"name": "return"}, "valueCode"),
        ({"name": "return", "resource": {}}, "valueCode"),
        ({"name": "profile", "valueBoolean": "true"}, "valueBoolean"),
        ({"name": "stride-days", "valueInteger": True}, "valueInteger"),
        ({"name": "sleep-log", "valuePeriod": "night"}, "valuePeriod"),
        ({"name": "scorer", "valueCode": "best"}, "valueCode"),
        ({"name": "subject", "valueReference": {"reference": 7}}, "reference"),
        ({"name": "subject", "valueReference": {}}, "valueReference"),
    ],
)
def test_a_wrong_value_is_refused_by_its_element(given, where):
    error = refusal(given)
    assert error.code is Refusal.INVALID_FIELD
    assert error.where is not None
    assert error.where.startswith("Parameters.parameter[0]")
    assert error.where.endswith(where)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "stride-days", "valueInteger": 8},
        {"name": "zone", "valueCode": "Mars/Olympus"},
        {"name": "since", "valueDate": "yesterday"},
        {"name": "source-priority", "valueString": "watch,watch"},
        {"name": "sleep-log", "valuePeriod": {"start": "2026-03-02T23:00:00+01:00"}},
    ],
)
def test_an_impossible_value_is_refused_by_its_parameter(given):
    assert refusal({"name": "profile", "valueBoolean": True}, given).where == "Parameters.parameter[1]"


def test_a_parameter_that_is_twice_there_is_refused():
    one = {"name": "return", "valueCode": "collection"}
    assert refusal(one, one).where == "Parameters.parameter[1].name"


def test_the_subject_is_that_of_the_observations_or_the_one_that_is_named():
    named = {"name": "subject", "valueReference": {"reference": "Patient/1"}}
    identified = {"name": "subject", "valueReference": {"identifier": {"system": "urn:a", "value": "7"}}}
    assert wanted_of(parameters()).wish(Subject("Patient/1")).subject == "Patient/1"
    assert wanted_of(parameters(named)).wish(Subject()).subject == "Patient/1"
    assert wanted_of(parameters(named)).wish(Subject("Patient/1")).subject == "Patient/1"
    assert wanted_of(parameters(named)).wish(Subject("urn:uuid:0")).subject == "Patient/1"
    assert wanted_of(parameters(identified)).wish(Subject()).identifier == ("urn:a", "7")
    error = refusal(named, of=Subject("Patient/2"))
    assert (error.code, error.where) == (Refusal.INVALID_FIELD, "Parameters.parameter[0]")
    assert "Patient/" not in str(error)
