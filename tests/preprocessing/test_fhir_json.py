"""FHIR: SampledData and steps become the recording that they describe, or are refused by element."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import numpy as np
import pytest

from postprocessing.fhir import BundleOptions, bundle
from preprocessing.merging import Source
from preprocessing.readers.fhir_json import looks_like, read, read_sent
from preprocessing.readers.fhir_resources import Subject
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.readers.json_document import document_of
from preprocessing.recording import Flag, Recording, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.postprocessing.factory import CASES, ISSUED, analysis
from tests.postprocessing.factory import recording as made_recording
from tests.preprocessing.damage import outcomes

pytestmark = pytest.mark.fhir

Json = dict[str, Any]
NAN = np.nan
LOCAL = "https://example.org/fhir/CodeSystem/pat-actigraphy"
HEALTHKIT = "http://developer.apple.com/documentation/healthkit"
HKF = "https://bdh.stanford.edu/fhir/defs/"
TZ = "http://hl7.org/fhir/StructureDefinition/tz-code"
BERLIN = Hints(zone="Europe/Berlin")


def changed(fields: Json, changes: Json) -> Json:
    """A change to ``...`` removes the field."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def quantity(code: str | None = "{counts}", **changes: Any) -> Json:
    system = "http://unitsofmeasure.org"
    return changed({"value": 0, "unit": "counts", "system": system, "code": code or ...}, changes)


def sampled(data: str = "0 12 E 3.5 7", **changes: Any) -> Json:
    return changed({"origin": quantity(), "period": 60_000, "dimensions": 1, "data": data}, changes)


def series(data: str = "0 12 E 3.5 7", start: str = "2026-03-01T08:00:00+01:00", **changes: Any) -> Json:
    """An Observation of five minutes of counts in Berlin; changes of SampledData by ``sampled``."""
    fields = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(LOCAL, "activity-counts"),
        "effectivePeriod": {
            "start": start,
            "_start": {"extension": [{"url": TZ, "valueCode": "Europe/Berlin"}]},
        },
        "valueSampledData": sampled(**{"data": data, **changes.pop("sampled", {})}),
    }
    return changed(fields, changes)


def steps(minute: int, value: Any, minutes: int = 1, **changes: Any) -> Json:
    """Steps as HealthKitOnFHIR writes them, from ``minute`` after 08:00 in Berlin."""

    def at(k: int) -> str:
        return f"2026-03-01T{8 + k // 60:02d}:{k % 60:02d}:00.000000+01:00"

    uuid = f"00000000-0000-4000-8000-{minute:06d}{minutes:06d}"
    fields = {
        "resourceType": "Observation",
        "id": uuid,
        "identifier": [{"id": uuid}],
        "status": "final",
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "55423-8"},
                {"system": HEALTHKIT, "code": "HKQuantityTypeIdentifierStepCount"},
            ]
        },
        "effectivePeriod": {"start": at(minute), "end": at(minute + minutes)},
        "valueQuantity": {"value": value, "unit": "steps"},
    }
    return changed(fields, changes)


def kind(product: str, **metadata: Any) -> list[Json]:
    """Extensions of HealthKitOnFHIR: the product type, and metadata as ``key=(kind of value, value)``."""
    source = {"url": f"{HKF}sourceRevision/source", "extension": []}
    revision = [source, {"url": f"{HKF}sourceRevision/productType", "valueString": product}]
    entries = [{"url": f"{HKF}metadata/{key}", name: value} for key, (name, value) in metadata.items()]
    return [
        {"url": f"{HKF}sourceRevision", "extension": revision},
        {"url": f"{HKF}metadata", "extension": entries},
    ]


def bundled(*resources: Json, **changes: Any) -> Json:
    entries = [{"fullUrl": f"urn:uuid:{k}", "resource": one} for k, one in enumerate(resources)]
    return changed({"resourceType": "Bundle", "type": "collection", "entry": entries}, changes)


def example() -> bytes:
    """Half an hour of counts in two Observations, a heart rate and the device, made up."""
    first, second = (
        " ".join(str((k + shift) * 7 % 50) if k % 11 else "E" for k in range(15)) for shift in (0, 15)
    )
    device = {
        "resourceType": "Device",
        "id": "d1",
        "manufacturer": "ActiGraph",
        "deviceName": [{"name": "wGT3X-BT", "type": "model-name"}],
    }
    heart = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept("http://loinc.org", "8867-4"),
        "valueQuantity": {"value": 61, "unit": "beats/minute"},
    }
    worn = {"device": {"reference": "Device/d1"}, "bodySite": {"text": "wrist"}}
    pieces = [series(first, **worn), series(second, "2026-03-01T08:15:00+01:00", **worn)]
    return json.dumps(bundled(*pieces, heart, device)).encode()


def example_of_steps() -> bytes:
    """HealthKitOnFHIR: a watch and a phone that overlap, and a number typed in by hand, made up."""
    watch = [steps(k, k * 7 % 50, extension=kind("Watch6,2")) for k in range(20)]
    phone = steps(15, 200, 20, extension=kind("iPhone14,2"))
    typed = steps(40, 30, 5, extension=kind("iPhone14,2", HKWasUserEntered=("valueDecimal", 1)))
    return json.dumps(bundled(*watch, phone, typed)).encode()


def refusal(document: Any, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        read(document, hints)
    return refused.value


def assert_same(found: Recording, expected: Recording) -> None:
    np.testing.assert_array_equal(found.values, expected.values)
    assert (found.start, found.zone, found.unit, found.device, found.flags) == (
        expected.start,
        expected.zone,
        expected.unit,
        expected.device,
        expected.flags,
    )


def test_sampled_data_becomes_the_recording_it_describes():
    found = read(series(), NO_HINTS)
    np.testing.assert_array_equal(found.values, [0, 12, NAN, 3.5, 7])
    assert (found.start.isoformat(), found.zone) == ("2026-03-01T08:00:00+01:00", "Europe/Berlin")
    assert (found.epoch_seconds, found.unit, found.device) == (60, Unit.COUNTS, Device.UNKNOWN)
    assert (found.source_format, found.serial, found.wear) == ("fhir", None, None)


def test_the_example_is_one_recording_of_the_device_that_it_names():
    found = read(document_of(example()), NO_HINTS)
    assert found.epochs == 30
    assert (found.device, found.wear_site, found.unit) == (
        Device.ACTIGRAPH_GT3X,
        WearSite.WRIST,
        Unit.COUNTS,
    )
    assert found.values[1] == 7
    assert found.values[16] == 16 * 7 % 50
    assert np.isnan(found.values[[0, 11, 15, 26]]).all()
    assert (found.tidying.gaps, found.tidying.set_aside) == (0, 1)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.zone])
def test_our_own_bundle_reads_back_as_the_recording(name: str):
    original = made_recording(CASES[name])
    options = BundleOptions(issued=ISSUED, subject="Patient/123")
    document = json.loads(json.dumps(bundle(analysis(CASES[name]), original, options)))
    found = read(document, NO_HINTS)
    np.testing.assert_array_equal(found.values, [round(value, 4) for value in original.values.tolist()])
    assert (found.start, found.zone, found.epoch_seconds) == (
        original.start,
        original.zone,
        original.epoch_seconds,
    )
    assert (found.unit, found.device, found.wear_site) == (
        original.unit,
        original.device,
        original.wear_site,
    )
    assert Flag.UNVERIFIED_FORMAT not in found.flags


def test_our_own_wall_clock_bundle_has_dates_only_and_is_refused():
    original = made_recording(CASES["wall_clock"])
    document = bundle(analysis(CASES["wall_clock"]), original, BundleOptions(issued=ISSUED))
    assert refusal(document).code is Refusal.NAIVE_TIMESTAMP


def test_origin_and_factor_make_the_value():
    found = read(series("0 10 -4", sampled={"origin": quantity(value=2), "factor": 0.5}), NO_HINTS)
    assert found.values.tolist() == [2, 7, 0]


@pytest.mark.parametrize(
    ("interval", "unit", "seconds"), [(60_000, "ms", 60), (30, "s", 30), (1, "min", 60), (0.5, "h", 1800)]
)
def test_r5_states_an_interval_and_its_unit(interval: float, unit: str, seconds: int):
    form = {"period": ..., "interval": interval, "intervalUnit": unit}
    assert read(series(sampled=form), NO_HINTS).epoch_seconds == seconds


@pytest.mark.parametrize(
    ("code", "local", "unit", "values"),
    [
        ("{counts}", "activity-counts", Unit.COUNTS, [10, 4]),
        ("{counts}/min", "activity-counts", Unit.COUNTS, [5, 2]),
        ("{MIMS}", "activity-mims", Unit.MIMS, [10, 4]),
        ("{MIMS}/min", "activity-mims", Unit.MIMS, [5, 2]),
        ("{steps}", "activity-steps", Unit.STEPS, [10, 4]),
        ("{steps}/min", "activity-steps", Unit.STEPS, [5, 2]),
        ("m[g]", "activity-enmo", Unit.ENMO_MG, [10, 4]),
        ("1", "activity-counts", Unit.COUNTS, [10, 4]),
    ],
)
def test_an_amount_per_minute_is_halved_over_30_seconds_and_a_level_is_not(code, local, unit, values):
    document = series(
        "10 4", code=concept(LOCAL, local), sampled={"origin": quantity(code), "period": 30_000}
    )
    found = read(document, NO_HINTS)
    assert (found.unit, found.values.tolist()) == (unit, values)


def test_a_hint_says_which_counts_they_are():
    assert read(series(), Hints(unit=Unit.ACTIGRAPH_AXIS1_COUNTS)).unit is Unit.ACTIGRAPH_AXIS1_COUNTS
    refused = refusal(series(), Hints(unit=Unit.MIMS))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "unit")


@pytest.mark.parametrize(
    ("manufacturer", "model", "device", "unit"),
    [
        ("CamNtech", "Actiwatch", Device.ACTIWATCH, Unit.ACTIWATCH_COUNTS),
        ("Philips Respironics", "Actiwatch 2", Device.PHILIPS_ACTIWATCH, Unit.PHILIPS_ACTIWATCH_COUNTS),
        ("ActiGraph", "GT9X Link", Device.ACTIGRAPH_GT3X, Unit.COUNTS),
        ("ActiGraph", "AM-7164", Device.ACTIGRAPH_7164, Unit.ACTIGRAPH_7164_COUNTS),
        ("CamNtech", "MotionWatch 8", Device.MOTIONWATCH, Unit.COUNTS),
        ("Unheard of", "Actiwatch", Device.UNKNOWN, Unit.COUNTS),
    ],
)
def test_a_device_is_known_by_manufacturer_and_model_only_where_they_leave_no_doubt(
    manufacturer, model, device, unit
):
    held = {
        "resourceType": "Device",
        "id": "d",
        "manufacturer": manufacturer,
        "modelNumber": model,
        "serialNumber": "S-4321",
    }
    found = read(series(contained=[held], device={"reference": "#d"}), NO_HINTS)
    assert (found.device, found.unit, found.serial) == (device, unit, None)


def test_milligravities_are_enmo_only_where_the_code_says_so():
    document = series(code=concept("http://loinc.org", "1-8"), sampled={"origin": quantity("m[g]")})
    assert refusal(document, Hints(unit=Unit.ENMO_MG)).code is Refusal.UNKNOWN_UNIT


def test_an_observation_without_code_and_unit_needs_the_hint():
    document = series(code=..., sampled={"origin": {"value": 0}})
    assert refusal(document).code is Refusal.UNKNOWN_UNIT
    assert read(document, Hints(unit=Unit.MIMS)).unit is Unit.MIMS


def test_another_waveform_is_set_aside():
    electrocardiogram = series(
        code=concept("http://loinc.org", "131329"), sampled={"origin": quantity("uV"), "period": 2}
    )
    assert read(bundled(series(), electrocardiogram), NO_HINTS).tidying.set_aside == 1
    assert refusal(electrocardiogram).code is Refusal.UNKNOWN_UNIT


def test_marks_beyond_the_limits_are_not_recorded_and_counted():
    found = read(series("1 U 3 L E", sampled={"lowerLimit": 0, "upperLimit": 9}), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1, NAN, 3, NAN, NAN])
    assert found.tidying.set_aside == 2


@pytest.mark.parametrize(
    ("place", "url"),
    [("_start", TZ), ("period", TZ), ("observation", TZ), ("_start", TZ.replace("tz-code", "timezone"))],
)
def test_the_zone_is_that_of_the_extension(place: str, url: str):
    extension = {"extension": [{"url": url, "valueCode": "America/Denver"}]}
    period = {"start": "2026-03-01T08:00:00-07:00"}
    if place == "_start":
        period["_start"] = extension
    document = series(effectivePeriod=period | (extension if place == "period" else {}))
    found = read(document | (extension if place == "observation" else {}), NO_HINTS)
    assert found.zone == "America/Denver"


@pytest.mark.parametrize("name", ["effectiveDateTime", "effectiveInstant"])
def test_one_time_is_the_start(name: str):
    extended = {f"_{name}": {"extension": [{"url": TZ, "valueCode": "Europe/Berlin"}]}}
    document = series(effectivePeriod=..., **{name: "2026-03-01T07:00:00Z"}, **extended)
    assert read(document, NO_HINTS).start.isoformat() == "2026-03-01T08:00:00+01:00"


def test_without_a_zone_the_hint_and_then_the_offset_of_the_start_counts():
    document = series(effectivePeriod={"start": "2026-03-01T08:00:00+01:00"})
    assert read(document, BERLIN).zone == "Europe/Berlin"
    assert read(document, NO_HINTS).zone == "+01:00"


@pytest.mark.parametrize("start", ["2026-03-01T07:00:00Z", "2026-03-01T07:00:00+00:00"])
def test_an_offset_of_zero_is_an_instant_and_no_zone(start: str):
    document = series(effectivePeriod={"start": start})
    assert refusal(document).code is Refusal.NO_TIME_ZONE
    assert read(document, BERLIN).start.isoformat() == "2026-03-01T08:00:00+01:00"


@pytest.mark.parametrize("end", ["08:05:00", "08:04:00", "08:04:59.999"])
def test_the_end_may_be_that_of_the_last_epoch_or_its_start(end: str):
    document = series()
    document["effectivePeriod"]["end"] = f"2026-03-01T{end}+01:00"
    assert read(document, NO_HINTS).epochs == 5


@pytest.mark.parametrize("end", ["08:06:00", "08:03:00", "07:00:00"])
def test_an_end_that_does_not_agree_with_the_number_of_values_is_refused(end: str):
    document = series()
    document["effectivePeriod"]["end"] = f"2026-03-01T{end}+01:00"
    assert (refusal(document).code, refusal(document).where) == (Refusal.INVALID_FIELD, "end")


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"period": ...}, Refusal.NO_EPOCH_INFORMATION, "period"),
        ({"interval": 1, "intervalUnit": "min"}, Refusal.NO_EPOCH_INFORMATION, "period"),
        (
            {"period": ..., "interval": 1, "intervalUnit": "d"},
            Refusal.NO_EPOCH_INFORMATION,
            "period",
        ),
        ({"period": "60000"}, Refusal.INVALID_FIELD, "period"),
        ({"period": 33}, Refusal.INVALID_FIELD, "period"),
        ({"period": 1500}, Refusal.INVALID_FIELD, "period"),
        ({"period": 0}, Refusal.INVALID_FIELD, "period"),
        ({"period": 10**400}, Refusal.INVALID_FIELD, "period"),
        ({"period": 86_400_000}, Refusal.RESOLUTION_TOO_COARSE, "period"),
        ({"dimensions": 3}, Refusal.INVALID_FIELD, "dimensions"),
        ({"dimensions": ...}, Refusal.INVALID_FIELD, "dimensions"),
        ({"offsets": "0 1"}, Refusal.INVALID_FIELD, "offsets"),
        ({"codeMap": "http://example.org"}, Refusal.INVALID_FIELD, "codeMap"),
        ({"data": ...}, Refusal.NO_SAMPLES, "data"),
        ({"data": 12}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1  2"}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1 2 "}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1 x"}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1 1e999"}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1 -4321"}, Refusal.INVALID_FIELD, "values"),
        ({"data": "1 43210000"}, Refusal.INVALID_FIELD, "values"),
        ({"data": "1 U"}, Refusal.INVALID_FIELD, "data"),
        ({"data": "1 L", "upperLimit": 9}, Refusal.INVALID_FIELD, "data"),
        ({"lowerLimit": 9, "upperLimit": 1}, Refusal.INVALID_FIELD, "data"),
        ({"upperLimit": 11}, Refusal.INVALID_FIELD, "data"),
        ({"origin": quantity("{MIMS}")}, Refusal.INVALID_FIELD, "origin.unit"),
        ({"origin": quantity(system="http://example.org", unit="bpm")}, Refusal.UNKNOWN_UNIT, None),
        ({"origin": []}, Refusal.INVALID_FIELD, "origin"),
    ],
)
def test_what_is_wrong_in_sampled_data_is_refused_by_element(change, code, where):
    refused = refusal(series(sampled=change))
    place = where if where in (None, "values") else f"Observation.valueSampledData.{where}"
    assert (refused.code, refused.where) == (code, place)
    assert "4321" not in str(refused)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"effectivePeriod": ...}, Refusal.INVALID_FIELD),
        ({"effectivePeriod": {"start": "2026-03-01"}}, Refusal.NAIVE_TIMESTAMP),
        ({"effectivePeriod": {"start": "2026-03-01T08:00:00"}}, Refusal.NAIVE_TIMESTAMP),
        ({"effectivePeriod": {"start": "yesterday"}}, Refusal.INVALID_FIELD),
        ({"effectiveDateTime": "2026-03-01T08:00:00+01:00"}, Refusal.INVALID_FIELD),
        ({"effectivePeriod": ..., "effectiveTiming": {}}, Refusal.INVALID_FIELD),
        ({"status": ...}, Refusal.INVALID_FIELD),
        ({"status": "finall"}, Refusal.INVALID_FIELD),
        ({"status": "entered-in-error"}, Refusal.NO_SAMPLES),
        ({"status": "cancelled"}, Refusal.NO_SAMPLES),
        ({"modifierExtension": [{"url": "http://example.org/not"}]}, Refusal.INVALID_FIELD),
        ({"implicitRules": "http://example.org/rules"}, Refusal.INVALID_FIELD),
        ({"bodySite": {"coding": [{"modifierExtension": []}]}}, Refusal.INVALID_FIELD),
        ({"code": {"coding": "x"}}, Refusal.INVALID_FIELD),
    ],
)
def test_what_is_wrong_in_an_observation_is_refused(change, code):
    assert refusal(series(**change)).code is code


def test_what_is_wrong_in_a_bundle_is_refused_by_its_entry():
    wrong = series(sampled={"period": "60000"})
    assert refusal(bundled(series(), wrong)).where == "Bundle.entry[1].resource.valueSampledData.period"


def test_a_long_series_is_read_as_a_short_one_is():
    tokens = ["E" if k % 97 == 0 else str(k % 1000 / 4) for k in range(60_000)]
    long = series(" ".join(tokens), sampled={"period": 1000})
    found = read(long, NO_HINTS).values
    assert np.isnan(found).tolist() == [token == "E" for token in tokens]
    assert found[~np.isnan(found)].tolist() == [float(token) for token in tokens if token != "E"]


def test_a_zone_that_contradicts_the_offset_or_the_hint_is_refused():
    document = series(start="2026-03-01T08:00:00+02:00")
    assert (refusal(document).code, refusal(document).where) == (Refusal.INVALID_FIELD, "start")
    assert refusal(series(), Hints(zone="Europe/Oslo")).where == "zone"
    nowhere = series(
        effectivePeriod={
            "start": "2026-03-01T08:00:00Z",
            "extension": [{"url": TZ, "valueCode": "Europe/Nowhere"}],
        }
    )
    assert refusal(nowhere).code is Refusal.NO_TIME_ZONE


def test_pieces_in_any_order_and_twice_are_one_recording():
    first, second = series("1 2 3"), series("7 8", "2026-03-01T08:05:00+01:00")
    found = read(bundled(first, second), NO_HINTS)
    np.testing.assert_array_equal(found.values, [1, 2, 3, NAN, NAN, 7, 8])
    assert (found.tidying.gaps, found.tidying.duplicates) == (2, 0)
    again = read(bundled(second, first, copy.deepcopy(second)), NO_HINTS)
    assert_same(again, found)
    assert (again.tidying.gaps, again.tidying.duplicates, again.tidying.conflicts) == (2, 2, 0)


def test_of_overlapping_pieces_the_larger_value_counts():
    found = read(bundled(series("1 2 3"), series("9 1 4", "2026-03-01T08:01:00+01:00")), NO_HINTS)
    assert found.values.tolist() == [1, 9, 3, 4]
    assert (found.tidying.duplicates, found.tidying.conflicts) == (2, 2)


def test_pieces_on_both_sides_of_a_clock_change_are_one_recording():
    first = series("1 2", "2026-03-29T01:58:00+01:00")
    found = read(bundled(first, series("3", "2026-03-29T03:00:00+02:00")), NO_HINTS)
    assert found.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("second", "code", "where"),
    [
        (
            series(code=concept(LOCAL, "activity-mims"), sampled={"origin": quantity("{MIMS}")}),
            Refusal.MIXED_QUANTITIES,
            "unit",
        ),
        (series(sampled={"period": 30_000}), Refusal.INVALID_FIELD, "epoch_seconds"),
        (series(device={"reference": "Device/2"}), Refusal.INVALID_FIELD, "device"),
        (series(bodySite={"text": "hip"}), Refusal.INVALID_FIELD, "wear_site"),
        (series(id="a", start="2026-03-01T08:01:00+01:00"), Refusal.INVALID_FIELD, "id"),
        (series(subject={"reference": "Patient/4321"}), Refusal.INVALID_FIELD, "Observation.subject"),
        (steps(0, 5, subject={"reference": "Patient/1"}), Refusal.MIXED_QUANTITIES, None),
    ],
)
def test_pieces_that_are_not_of_one_recording_are_refused(second, code, where):
    first = series(
        id="a",
        device={"reference": "Device/1"},
        bodySite={"text": "wrist"},
        subject={"reference": "Patient/1"},
    )
    refused = refusal(bundled(first, second))
    assert (refused.code, refused.where) == (code, where)
    assert "4321" not in str(refused)


def test_too_many_values_are_refused_before_they_are_split():
    assert refusal(series("0 " * 10 + "0"), Hints(max_epochs=10)).code is Refusal.TOO_MANY_EPOCHS
    assert refusal(bundled(*[series()] * 20_161)).code is Refusal.TOO_MANY_EPOCHS
    far = bundled(series(), series(start="2026-03-02T08:00:00+01:00"))
    assert refusal(far, Hints(max_epochs=100)).code is Refusal.TOO_MANY_EPOCHS


@pytest.mark.parametrize("form", ["observation", "bundle", "both"])
def test_the_parameters_of_an_operation_hold_observations_and_bundles(form: str):
    one = {"name": "observation", "resource": series("1 2 3")}
    two = {"name": "bundle", "resource": bundled(series("4", "2026-03-01T08:03:00+01:00"))}
    held = [one] * (form != "bundle") + [two] * (form != "observation")
    options = [{"name": "return", "valueCode": "collection"}]
    document = {"resourceType": "Parameters", "parameter": [*held, *options]}
    found = read_sent(document, NO_HINTS, {"return"}).recording
    assert found.epochs == {"observation": 3, "bundle": 1, "both": 4}[form]
    refused = refusal(document)  # what nobody reads is not passed over
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, f"Parameters.parameter[{len(held)}].name")


@pytest.mark.parametrize(
    "parameter",
    [
        {"name": "patient", "valueString": "J. Doe"},
        {"resource": series()},
        {"name": "observation", "resource": {"resourceType": "Patient"}},
        {"name": "bundle", "resource": series()},
        {"name": "observation", "resource": series(), "modifierExtension": []},
    ],
)
def test_unknown_parameters_are_refused(parameter):
    refused = refusal({"resourceType": "Parameters", "parameter": [parameter]})
    assert refused.code is Refusal.INVALID_FIELD
    assert "Doe" not in str(refused)


def test_whose_they_are_is_passed_on_as_written():
    of = {"reference": "Patient/1"}
    named = {"identifier": {"system": "urn:oid:1.2", "value": "7"}}
    assert read_sent(series(), NO_HINTS).subject == Subject()
    assert read_sent(bundled(series(), series(subject=of)), NO_HINTS).subject == Subject("Patient/1")
    assert read_sent(series(subject=named), NO_HINTS).subject == Subject(identifier=("urn:oid:1.2", "7"))
    later = series(start="2026-03-01T08:05:00+01:00", subject=named)
    assert refusal(bundled(series(subject=of), later)).where == "Observation.subject"


def test_only_bundles_that_hold_resources_as_they_are_now_are_read():
    assert refusal(bundled(series(), type="history")).where == "Bundle.type"
    assert read(bundled(series(), type="searchset"), NO_HINTS).epochs == 5
    modified = bundled(series())
    modified["entry"][0]["modifierExtension"] = []
    assert refusal(modified).where == "modifierExtension"


def test_steps_become_minutes_of_steps():
    found = read(bundled(steps(0, 12), steps(1, 0), steps(3, 30, 2)), NO_HINTS)
    np.testing.assert_array_equal(found.values, [12, 0, NAN, 15, 15])
    assert (found.unit, found.epoch_seconds, found.zone) == (Unit.STEPS, 60, "+01:00")
    assert found.start.isoformat() == "2026-03-01T08:00:00+01:00"
    assert Flag.UNVERIFIED_FORMAT in found.flags


def test_watch_and_phone_count_each_moment_once_and_a_typed_number_comes_last():
    found = read(document_of(example_of_steps()), NO_HINTS)
    assert found.values[:20].tolist() == [k * 7 % 50 for k in range(20)]
    assert found.values[20:35].tolist() == [10] * 15
    assert found.values[40:45].tolist() == [6] * 5
    assert np.isnan(found.values[35:40]).all()
    assert [found.sources[k] for k in found.source[[0, 20, 40]]] == [
        Source.WATCH,
        Source.PHONE,
        Source.MANUAL,
    ]
    assert found.tidying.overlaps == 1


def test_a_permutation_and_copies_of_samples_change_nothing():
    entries = [entry["resource"] for entry in json.loads(example_of_steps())["entry"]]
    shuffled = [*entries, *entries[:7]]
    random.Random(3).shuffle(shuffled)
    found, again = read(bundled(*entries), NO_HINTS), read(bundled(*shuffled), NO_HINTS)
    assert_same(again, found)
    assert again.tidying.duplicates == 7


def test_the_zone_of_the_samples_is_that_of_their_metadata_and_tells_travel():
    def at(minute: int, zone: str) -> Json:
        return steps(minute, 5, extension=kind("Watch6,2", HKTimeZone=("valueString", zone)))

    assert read(bundled(at(0, "Europe/Berlin"), at(5, "Europe/Berlin")), NO_HINTS).zone == "Europe/Berlin"
    travelled = bundled(at(0, "Europe/Berlin"), at(30, "Europe/London"))
    found = read(travelled, BERLIN)
    assert Flag.ZONE_CHANGED in found.flags
    assert [change.zone for change in found.travel] == ["+00:00"]
    assert read(bundled(at(0, "GMT+0100")), NO_HINTS).zone == "+01:00"
    assert refusal(bundled(at(0, "Europe/Berlin")), Hints(zone="Europe/Oslo")).where == "zone"


def test_more_zones_than_a_traveller_crosses_are_refused():
    zones = [f"Etc/GMT+{k}" for k in range(1, 13)] + ["Etc/GMT-1"]
    entries = [
        steps(k, 5, extension=kind("Watch6,2", HKTimeZone=("valueString", zone)))
        for k, zone in enumerate(zones)
    ]
    assert refusal(bundled(*entries), BERLIN).where == "zone"


def test_steps_without_any_zone_need_the_hint():
    period = {"start": "2026-03-01T07:00:00Z", "end": "2026-03-01T07:01:00Z"}
    document = steps(0, 5, effectivePeriod=period)
    assert refusal(document).code is Refusal.NO_TIME_ZONE
    assert read(document, BERLIN).start.isoformat() == "2026-03-01T08:00:00+01:00"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (steps(0, 5, code=concept("http://loinc.org", "41950-7")), Refusal.RESOLUTION_TOO_COARSE),
        (
            steps(0, 5, effectivePeriod=..., effectiveDateTime="2026-03-01"),
            Refusal.RESOLUTION_TOO_COARSE,
        ),
        (steps(0, 5, 600), Refusal.RESOLUTION_TOO_COARSE),
        (steps(0, 5, status="entered-in-error"), Refusal.NO_SAMPLES),
        (steps(0, 5, code=concept("http://loinc.org", "8867-4")), Refusal.NO_SAMPLES),
        (steps(0, 5, valueQuantity={"value": 5, "unit": "steps/min"}), Refusal.UNKNOWN_UNIT),
        (steps(0, 5, valueQuantity={"value": 5, "comparator": ">"}), Refusal.NO_SAMPLES),
        (steps(0, 5, valueQuantity=...), Refusal.NO_SAMPLES),
        (steps(0, -4321), Refusal.INVALID_FIELD),
        (steps(0, "4321"), Refusal.INVALID_FIELD),
        (steps(0, True), Refusal.INVALID_FIELD),
        (
            steps(0, 5, effectivePeriod={"start": "2026-03-01T08:00", "end": "2026-03-01T08:01"}),
            Refusal.NAIVE_TIMESTAMP,
        ),
        (steps(0, 5, effectivePeriod={"start": "2026-03-01T08:00:00Z"}), Refusal.NO_EPOCH_INFORMATION),
        (steps(0, 5, effectivePeriod=...), Refusal.NO_EPOCH_INFORMATION),
        (steps(5, 5, -2), Refusal.INVALID_FIELD),
        (steps(0, 5, modifierExtension=[]), Refusal.INVALID_FIELD),
        (bundled(), Refusal.NO_SAMPLES),
        ({"resourceType": "Patient"}, Refusal.NO_SAMPLES),
        ([], Refusal.UNPARSABLE),
    ],
)
def test_what_is_no_minute_of_steps_is_refused(document, code):
    refused = refusal(document)
    assert refused.code is code
    assert "4321" not in str(refused)


def test_beside_usable_steps_others_are_set_aside_and_counted():
    daily = steps(9, 9000, code=concept("http://loinc.org", "41950-7"))
    naive = steps(9, 3, effectivePeriod={"start": "2026-03-01T08:00:00", "end": "2026-03-01T08:01:00"})
    heart = steps(9, 61, code=concept("http://loinc.org", "8867-4"))
    wrong = steps(9, 3, status="entered-in-error", modifierExtension=[])
    found = read(bundled(steps(0, 5), daily, naive, heart, wrong), NO_HINTS)
    assert found.values.tolist() == [5]
    assert found.tidying.set_aside == 4


def test_a_business_identifier_tells_copies_under_other_resource_ids():
    identifier = [{"system": "urn:app", "value": "s1"}]
    first = steps(0, 12, id="a", identifier=identifier)
    longer = steps(0, 15, 2, id="b", identifier=identifier)
    found = read(bundled(first, longer), NO_HINTS)
    assert found.values.tolist() == [7.5, 7.5]
    assert found.tidying.duplicates == 1


def test_the_device_of_steps_may_be_a_resource():
    watch = {"resourceType": "Device", "id": "w", "deviceName": [{"name": "Watch", "type": "model-name"}]}
    found = read(
        bundled(steps(0, 12, device={"reference": "Device/w"}), watch),
        NO_HINTS,
    )
    assert [found.sources[k] for k in found.source] == [Source.WATCH]


def test_a_resource_is_told_by_its_type():
    assert looks_like(series())
    assert not looks_like({"values": []})
    assert not looks_like([series()])


@pytest.mark.parametrize("data", [example(), example_of_steps()])
def test_damaged_copies_are_read_or_refused(data: bytes):
    assert outcomes(lambda copied: read(document_of(copied), NO_HINTS), data) == {"read", "refused"}
