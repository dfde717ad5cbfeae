"""Every refusal has the right status, says what to do, repeats no input, and hurts nobody else."""

import json

import pytest

from tests.shared import ROOT

pytestmark = pytest.mark.e2e

MINUTES = 10_080
DEVICE = {"unit": "actiwatch_counts", "device": "actiwatch", "wear_site": "wrist"}
CANARY = 867_530_986_753  # longer than chance puts into the hexadecimal names of requests
PICKLE = "application/vnd.bentoml+pickle"


def recording(**changes):
    base = {
        "start": "2026-03-02T00:00:00+01:00",
        "zone": "Europe/Berlin",
        "epoch_seconds": 60,
        "unit": "actiwatch_counts",
        "values": [CANARY % (i + 7) for i in range(100)],
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def body(**changes):
    return json.dumps(recording(**changes)).encode()


REFUSED = {
    "truncated JSON": (body()[:-20], 400, "unparsable"),
    "empty body": (b"", 400, "unparsable"),
    "a NaN literal": (body().replace(b"[", b"[NaN, ", 1), 400, "unparsable"),
    "an Infinity literal": (body().replace(b"[", b"[Infinity, ", 1), 400, "unparsable"),
    "unknown unit": (body(unit="furlongs"), 422, "unknown_unit"),
    "no unit": (body(unit=...), 422, "unknown_unit"),
    "unknown field": (body(sampling_rate=30), 422, "invalid_field"),
    "no epoch": (body(epoch_seconds=...), 422, "no_epoch_information"),
    "neither zone nor wall clock": (body(zone=...), 422, "no_time_zone"),
    "a zone that does not exist": (body(zone="Mars/Olympus"), 422, "no_time_zone"),
    "daily totals": (body(epoch_seconds=86_400), 422, "resolution_too_coarse"),
    "a number as text": (body(values=["12"]), 422, "invalid_field"),
    "a boolean as number": (body(values=[True]), 422, "invalid_field"),
    "a negative count": (body(values=[-1, CANARY]), 422, "invalid_field"),
    "no values": (body(values=[]), 422, "no_samples"),
    "an array": (b"[1, 2]", 422, "invalid_field"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("door", ["/analyze", "/analyze_fhir", "/explain"])
def test_a_json_door_refuses(client, case, door):
    sent, status, code = REFUSED[case]
    answer = client.post(door, content=sent, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(CANARY) not in answer.text
    assert "furlongs" not in answer.text
    assert "sampling_rate" not in answer.text


@pytest.mark.parametrize("case", sorted(REFUSED.keys() - {"an array", "empty body"}))
def test_the_raw_door_refuses_with_the_same_code(client, case):
    sent, status, code = REFUSED[case]
    answer = client.post("/v1/recordings:analyze", content=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert str(CANARY) not in answer.text


@pytest.mark.parametrize("length", [1, 10_079, 10_081])
def test_embed_refuses_rows_of_a_wrong_length(client, length):
    answer = client.post("/embed", json={"weeks": [[0.0] * length], "standardized": True})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert "18" in answer.json()["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"weeks": [[0.0] * 18, [0.0] * 36], "standardized": True},
        {"weeks": [[None] * 18], "standardized": True},
        {"weeks": [], "standardized": True},
        {"weeks": [[0.0] * MINUTES], "standardized": False},
        {"weeks": [[-1.0] * MINUTES], "standardized": False, **DEVICE},
        {"weeks": [[None] * 4000 + [1.0] * (MINUTES - 4000)], "standardized": False, **DEVICE},
        {"weeks": [[0.0] * MINUTES], "standardized": True, "unit": "actiwatch_counts"},
        {"weeks": [[0.0] * 18]},
    ],
)
def test_embed_refuses_what_it_cannot_mean(client, wrong):
    assert client.post("/embed", json=wrong).status_code == 422


def test_a_body_of_60_mb_is_413_with_the_limit_and_the_other_door(client):
    answer = client.post("/analyze", content=b"x" * 60_000_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "2000000 bytes" in answer.json()["detail"]
    assert "/v1/recordings:analyze" in answer.json()["detail"]
    assert client.post("/v1/recordings:analyze", content=b"x" * 60_000_000).status_code == 413


def test_a_chunked_body_of_60_mb_is_413(client):
    chunks = (b"x" * 1_000_000 for _ in range(60))
    answer = client.post("/analyze", content=chunks, headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("GET", "/analyze", {}, 405),
        ("POST", "/analyze", {"content-type": "text/csv"}, 415),
        ("POST", "/analyze", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ("POST", "/v1/recordings:analyze", {"accept": "text/html"}, 406),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Sampling": "30"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Subject": "Patient/1"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Wear": "always"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Stride-Days": "0"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Scorer": "guess"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Rest": "guess"}, 422),
        ("POST", "/v1/recordings:analyze", {"X-PAT-Sleep-Log": "guess"}, 422),
    ],
)
def test_wrong_doors_and_media_types(client, method, path, headers, status):
    answer = client.request(method, path, content=body() if method == "POST" else None, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_foreign_file_is_refused_by_the_raw_door(client):
    for sent in (b"PK\x03\x04 not a recording", b"\x00" * 100, b"hello", b""):
        assert client.post("/v1/recordings:analyze", content=sent).status_code in (400, 422)


def found(client, **changes):
    answer = client.post("/analyze", json=recording(**changes))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_all_zero_is_an_answer_with_a_flag(client):
    analysis = found(client, values=[0] * (8 * 1440))
    assert "no_movement" in analysis["quality"]["flags"]


def test_all_missing_is_an_answer_without_numbers(client):
    analysis = found(client, values=[None] * (8 * 1440))
    assert "all_missing" in analysis["quality"]["flags"]
    assert all(m["value"] is None for m in analysis["sleep"]["metrics"] + analysis["rhythm"]["metrics"])
    assert analysis["weeks"][0]["absent"]["reason"] == "too_much_missing"


def test_less_than_a_week_is_an_answer_without_pat(client):
    analysis = found(client, values=[3] * 1440)
    assert analysis["weeks"] == []
    assert analysis["weeks_absent"]["reason"] == "insufficient_data"


def test_unsorted_and_duplicated_samples_change_nothing_but_the_counts(client):
    minutes = [f"2026-03-02T{h:02d}:{m:02d}:00+01:00" for h in range(24) for m in range(60)]
    values = [float((i * 7919) % 500) for i in range(1440)]
    orderly = found(client, start=..., timestamps=minutes, values=values)
    order = sorted(range(1440), key=lambda i: (i * 37) % 1440)
    shuffled = [minutes[i] for i in order] + minutes[:5]
    disorderly = found(client, start=..., timestamps=shuffled, values=[values[i] for i in order] + values[:5])
    assert disorderly["quality"]["duplicate_samples"] == 5
    assert disorderly["quality"]["unsorted_samples"] > 0
    assert disorderly["rhythm"] == orderly["rhythm"]
    assert disorderly["provenance"]["input_sha256"] == orderly["provenance"]["input_sha256"]


def test_a_device_file_without_zone_is_an_answer_with_a_flag(client):
    answer = client.post("/v1/recordings:analyze", content=(ROOT / "examples" / "week.awd").read_bytes())
    assert answer.status_code == 200
    assert "timezone_unknown" in answer.json()["quality"]["flags"]
    assert answer.json()["weeks"][0]["calibration"] == "per_recording"


def test_after_all_refusals_the_service_still_answers(client, week):
    assert client.post("/analyze", json=week).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_no_refused_value_reached_the_log(served, client):
    client.post("/analyze", json=recording(unit="canary-unit-4711", values=[CANARY, -1]))
    log = served.log.read_text()
    assert "canary-unit-4711" not in log
    assert str(CANARY) not in log
    assert '"message": "request"' in log
    assert "Traceback" not in log


GARBAGE = [*(sent for sent, _, _ in REFUSED.values()), b"\xff\xfe", b"[" * 10_000, b'{"weeks": 1}', b"\x00"]


@pytest.mark.parametrize("door", ["/analyze", "/analyze_fhir", "/explain", "/embed"])
def test_what_a_caller_did_wrong_is_no_error_in_the_log(served, client, door):
    before = len(served.log.read_text())
    for sent in GARBAGE:
        assert client.post(door, content=sent, headers={"content-type": "application/json"}).is_client_error
    assert client.post(door, content=b"{}", headers={"content-type": PICKLE}).status_code == 415
    lines = list(map(json.loads, served.log.read_text()[before:].splitlines()))
    assert len(lines) > len(GARBAGE)
    assert {line["level"] for line in lines} == {"INFO"}
