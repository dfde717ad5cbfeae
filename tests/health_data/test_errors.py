"""What upstream may answer instead, and what is refused before it is asked."""

from __future__ import annotations

import pytest

from tests.health_data.asking import ANNA, DOOR, PAGES, found, numbers, refused
from tests.health_data.metrics import (
    PERIOD,
    days,
    recording,
)

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


def test_pages_beyond_the_cap_are_said_to_be_missing(double, ask):
    double.become(endless=True)
    answer = ask()
    assert refused(answer) == (422, "no_data")
    assert answer.json()["source"]["truncated"] is True
    assert answer.json()["source"]["pages"] == PAGES


E2 = {"detail": [{"loc": ["query"], "msg": "secret-text", "type": "x"}]}
ENCODED = {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "x"}
DOCUMENTED = {"status": 404, "body": {"error": {"code": "x", "message": "secret-text"}}}
LIMITED = {"status": 429, "headers": {"Retry-After": "1"}, "body": {"type": "rate_limit_exceeded"}}
ERRORS = {
    "E1 500 twice": ([{"status": 500, "body": {"type": "x/internal-server-error"}}] * 2, None),
    "E1 500": ([{"status": 500, "body": {"detail": "secret-text"}}] * 9, (502, "upstream_error")),
    "503 twice": ([{"status": 503, "headers": {"Retry-After": "1"}}] * 2, None),
    "503": ([{"status": 503, "headers": {"Retry-After": "1"}}] * 9, (503, "upstream_unavailable")),
    "429": (
        [LIMITED],
        None,
    ),
    "429 for long": ([{"status": 429, "headers": {"Retry-After": "999"}}], (503, "upstream_unavailable")),
    "403": ([{"status": 403, "body": {"detail": "secret-text"}}], (502, "upstream_error")),
    "404": (
        [DOCUMENTED],
        (502, "upstream_error"),
    ),
    "410": ([{"status": 410, "body": {"detail": {"error": "gone"}}}], (502, "upstream_error")),
    "422": ([{"status": 422, "body": E2}], (502, "upstream_error")),
    "401 flat": ([{"status": 401, "body": {"error": "invalid_token"}}], (401, "upstream_unauthenticated")),
    "redirect": ([{"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}}], (502, "upstream_error")),
    "no JSON": ([{"status": 200, "body": "<html>secret-text</html>"}], (502, "upstream_error")),
    "no list": ([{"status": 200, "body": {"metrics": []}}], (502, "upstream_error")),
    "NaN": ([{"status": 200, "body": '{"data": [NaN]}'}], (502, "upstream_error")),
    "deep": ([{"status": 200, "body": '{"data": ' + "[" * 100_000}], (502, "upstream_error")),
    "encoded": (
        [ENCODED],
        (502, "upstream_error"),
    ),
    "too large": ([{"status": 200, "body": " " * 17_000_000}], (502, "upstream_error")),
}


@pytest.mark.parametrize("which", ERRORS)
def test_every_error_of_upstream_is_retried_or_told_without_its_words(double, ask, direct, service, which):
    answers, expected = ERRORS[which]
    double.become(answers=answers)
    double.keep(*days())
    answer = ask()
    double.become()
    double.keep(*days())
    if expected is None:
        assert numbers(found(answer)["analysis"]) == direct(recording())
    else:
        assert refused(answer) == expected
        assert ("retry-after" in answer.headers) == (expected[0] == 503)
    assert ask().status_code == 200  # one that fails is not left alone yet
    assert "secret-text" not in service.log.read_text()


BAD = {
    "no day": {"since": "yesterday"},
    "backwards": {"since": "2024-05-21", "until": "2024-05-13"},
    "an unknown field": {"notes": "secret-text"},
    "an unknown quantity": {"quantity": "heartbeats"},
    "text for a boolean": {"write_back": "yes"},
}


@pytest.mark.parametrize("which", BAD)
def test_a_body_that_is_not_as_described_is_refused_before_anything_is_asked(double, ask, which):
    double.become()
    assert refused(ask(**BAD[which])) == (422, "invalid_field")
    assert refused(ask(zone="Nowhere/At_All")) == (422, "no_time_zone")
    assert double.told()["calls"] == []


@pytest.mark.parametrize("authorization", [None, "Bearer dev_token_admin", "Basic YTpi", "Bearer a.b."])
def test_nothing_is_asked_without_a_signed_token(double, service, authorization):
    double.become(defects=["D13"])
    headers = {} if authorization is None else {"Authorization": authorization}
    with service.client() as client:
        answer = client.post(DOOR, json={"subject": ANNA, **PERIOD}, headers=headers)
    assert refused(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert double.told()["calls"] == []


def test_a_service_without_a_health_data_service_has_no_such_door(served):
    with served.client() as client:
        answer = client.post(DOOR, json={"subject": ANNA, **PERIOD})
    assert refused(answer) == (404, "no_health_data_service")
