"""Where callers are identified: whose data may be pulled, what is passed on, and what is recorded of it."""

from __future__ import annotations

import json

import pytest

from serving.audit_check import events
from serving.state import audit_folder
from tests.e2e.guarded import bearer, guarded
from tests.health_data.asking import ANNA, DOOR, numbers, refused
from tests.health_data.metrics import PERIOD, days, recording
from tests.serving.signed import token

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.security]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def private(home, folder, double):
    with guarded(home, folder, {"PAT_HEALTH_DATA_URL": double.url}) as running_service:
        yield running_service


@pytest.fixture
def ask(private, double):
    double.become()
    double.keep(*days())

    def asked(headers, subject=ANNA):
        with private.client() as client:
            return client.post(DOOR, json={"subject": subject, **PERIOD}, headers=headers)

    return asked


def patient(**changes):
    return {"sub": ANNA, "sid": ANNA, "roles": ["patient"], **changes}


def test_a_patient_s_own_token_is_passed_on_and_kept_nowhere(ask, double, private, folder, direct):
    own = token(**patient())
    answer = ask({"Authorization": f"bearer {own}"})
    assert answer.status_code == 200, answer.text
    assert numbers(answer.json()["analysis"]) == direct(recording())
    assert {call["authorization"] for call in double.told()["calls"]} == {f"Bearer {own}"}
    *_, event = [record["event"] for record in events(audit_folder(folder / "state"), {})]
    assert (event["verb"], event["outcome"], event["records"]) == ("analyze_subject", 0, 1)
    assert event["subject"]
    rest = private.log.read_text() + json.dumps(event) + answer.text + str(answer.headers)
    assert own.rpartition(".")[2] not in rest


@pytest.mark.parametrize("role", ["clinician", "service", "admin", "researcher"])
def test_nobody_else_may_however_they_stand_to_the_subject(ask, double, role):
    assert refused(ask(bearer(**patient(roles=[role])))) == (403, "forbidden")
    assert double.told()["calls"] == []


def test_another_s_subject_is_not_there_and_upstream_is_not_asked(ask, double):
    answers = [ask(bearer(**patient(sid=own)), subject) for own, subject in (("p-1", ANNA), ("p-1", "p-2"))]
    assert [refused(answer) for answer in answers] == [(404, "not_found")] * 2
    assert answers[0].content == answers[1].content
    assert double.told()["calls"] == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer dev_token_admin"}])
def test_a_token_that_is_none_is_refused_here(ask, double, headers):
    assert refused(ask(headers)) == (401, "unauthenticated")
    assert double.told()["calls"] == []
