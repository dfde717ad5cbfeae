"""The double is what it says it is: without defects the contract, and with each switch its symptom."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.doubles.health_data_service import DEFECTS, PROFILES
from tests.health_data.asking import ANNA, FIREBASE_UID
from tests.health_data.metrics import START, metric, named, packed, upload
from tests.serving.signed import token

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
LIST = "/api/v1/health-data/"
NOW = datetime.now(UTC)
NIGHT = {
    "total_sleep_minutes": 480,
    "sleep_efficiency": 0.9,
    "sleep_start": "2026-03-01T23:00:00Z",
    "sleep_end": "2026-03-02T07:00:00Z",
}


@pytest.fixture
def asked(double):
    """A client of the double with a token of Anna's, or of nobody's."""

    def ask(method: str, path: str = LIST, *, uid: str | None = ANNA, **options: Any) -> httpx.Response:
        headers = (
            {} if uid is None else {"Authorization": f"Bearer {token(sub=uid, **options.pop('claims', {}))}"}
        )
        headers |= options.pop("headers", {})
        return httpx.request(method, double.url + path, headers=headers, timeout=30, **options)

    return ask


def sent(*metrics: Any, user: str = ANNA, **changes: Any) -> dict[str, Any]:
    now = NOW.isoformat()
    body = {"user_id": user, "upload_source": "manual", "client_timestamp": now, "metrics": [*metrics]}
    return {**body, **changes}


def activity(**changes: Any) -> dict[str, Any]:
    return metric(str(uuid.uuid4()), NOW, activity_data={"steps": 14}, **changes)


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
def test_without_defects_an_upload_is_stored_listed_and_deleted(double, asked, store):
    double.become(store=store)
    said = asked("POST", json=sent(activity(), activity())).raise_for_status().json()
    assert (said["status"], said["accepted_metrics"], said["rejected_metrics"]) == ("processing", 2, 0)
    page = asked("GET", params={"limit": 1000, "offset": 0}).json()
    assert len(page["data"]) == (1 if store == "S2" else 2)
    assert all(item["processing_id"] == said["processing_id"] for item in page["data"])
    assert page["pagination"]["total_count"] is page["links"]["last"] is None
    of_upload = f"{LIST}processing/{said['processing_id']}"
    assert asked("GET", of_upload).json()["status"] == "completed"
    assert asked("DELETE", LIST + said["processing_id"]).status_code == 200
    assert asked("GET").json()["data"] == []
    assert asked("GET", of_upload).status_code == asked("DELETE", LIST + "x").status_code == 404


def test_an_item_has_the_shape_of_its_store(double, asked):
    keys = {}
    for store in ("S1", "S2", "S3"):
        double.become(store=store)
        asked("POST", json=sent(activity()))
        [item] = asked("GET").json()["data"]
        keys[store] = set(item)
    assert {"metric_id", "metric_type", "processing_id", "upload_source", "server_timestamp"} <= keys["S1"]
    assert {"pk", "sk", "metrics", "timestamp", "processing_status", "ttl"} <= keys["S2"]
    assert keys["S3"] == {"user_id", "processing_id", "metric_index", "metric_data", "created_at"}


def day_around(at: datetime) -> dict[str, str]:
    ends = (at - timedelta(days=1), at + timedelta(days=1))
    return dict(zip(("start_date", "end_date"), (end.isoformat() for end in ends), strict=True))


def test_stores_filter_by_three_different_times(double, asked):
    measured, arrived = START, START + timedelta(days=30)
    for store, at in (("S1", measured), ("S2", arrived), ("S3", arrived)):
        double.become(store=store)
        double.keep(upload(metric(named("m"), measured), arrived=arrived))
        other = arrived if at == measured else measured
        around, far = day_around(at), day_around(other)
        assert [len(asked("GET", params=params).json()["data"]) for params in (around, far)] == [1, 0]


def test_the_next_link_is_there_only_if_an_offset_was_given(double, asked):
    double.become()
    asked("POST", json=sent(*(activity() for _ in range(3))))
    assert asked("GET", params={"limit": 2}).json()["links"]["next"] is None
    assert asked("GET", params={"limit": 2, "offset": 0}).json()["links"]["next"]
    assert asked("GET", params={"limit": 2}).json()["pagination"]["has_next"] is True
    assert asked("GET", params={"limit": 1001}).status_code == 422


BACKWARDS = {"metric_type": "sleep_analysis", "sleep_data": {**NIGHT, "total_sleep_minutes": 60}}
REFUSED = {
    "another user": (sent(activity(), user=str(uuid.uuid4())), 403),
    "no metrics": (sent(), 422),
    "the same id twice": (sent(*[activity()] * 2), 422),
    "too many": (sent(*(activity() for _ in range(1001))), 422),
    "no source": ({**sent(activity()), "upload_source": None}, 422),
    "out of bounds": (sent(activity() | {"activity_data": {"steps": 100_001}}), 422),
    "no block": (sent(activity() | {"activity_data": None}), 400),
    "an unknown type": (sent(activity() | {"metric_type": "steps"}), 422),
    "a night of another length": (sent(activity() | BACKWARDS), 422),
}


@pytest.mark.parametrize("which", REFUSED)
def test_an_upload_that_the_contract_refuses_is_refused_whole(double, asked, which):
    body, status = REFUSED[which]
    double.become()
    assert asked("POST", json=body).status_code == status
    assert double.told()["uploads"] == []


def test_an_empty_block_naive_times_and_unknown_fields_pass(double, asked):
    double.become()
    odd = activity() | {"activity_data": {}, "created_at": "2026-03-01T00:00:00", "colour": "red"}
    assert asked("POST", json=sent(odd)).status_code == 201
    assert asked("POST", json=sent(packed([1, None, 3]))).status_code == 201


def test_each_kind_of_error_body_is_there(double, asked):
    double.become()
    assert asked("GET", uid=None).json()["error"] == "missing_token"
    assert (
        asked("GET", uid=None, headers={"Authorization": "bearer x"}).json()["error"]
        == "invalid_token_format"
    )
    assert isinstance(asked("POST", json=sent()).json()["detail"], list)
    problem = asked("POST", json=REFUSED["another user"][0]).json()
    assert problem["type"].endswith("/problems/authorization-denied")
    assert problem["trace_id"]
    assert asked("GET", LIST + "query").status_code == 410
    double.become(profile="r2")
    answer = asked("GET", uid=None)
    assert (answer.json(), answer.headers["www-authenticate"]) == (
        {"detail": "Authentication required"},
        "Bearer",
    )


def test_the_revisions_take_uploads_where_they_did(double, asked):
    body = sent(activity())
    for profile, there, absent in (("r1", "upload", ""), ("r2", "", "upload")):
        double.become(profile=profile, without=sorted(PROFILES[profile]))
        assert asked("POST", LIST + there, json=body).status_code == 201
        assert asked("POST", LIST + absent, json=body).status_code in (404, 405)


def d01(double, asked):
    asked("POST", json=sent(activity()))
    assert asked("GET").json()["data"] == []


def d02(double, asked):
    said = asked("POST", json=sent(activity(), activity())).json()
    assert (said["accepted_metrics"], len(asked("GET").json()["data"])) == (2, 1)


def d03(double, asked):
    double.turn(upload_limit=0)
    assert asked("POST", json=REFUSED["another user"][0]).status_code == 500
    assert asked("POST", json=sent(activity())).status_code == 500
    assert asked("DELETE", LIST + "x").status_code == 500
    assert asked("GET", f"{LIST}processing/x").status_code == 400


def d04(double, asked):
    stress = activity() | {"metric_type": "stress_indicators", "mental_health_data": {"stress_level": 3}}
    assert asked("POST", json=sent(stress)).status_code == 400


def d05(double, asked):
    night = activity() | {"metric_type": "sleep_analysis", "sleep_data": NIGHT}
    assert asked("POST", json=sent(night)).status_code == 500


def d06(double, asked):
    double.turn(users={FIREBASE_UID: ANNA})
    assert asked("GET", uid=FIREBASE_UID).status_code == 200
    assert asked("POST", uid=FIREBASE_UID, json=sent(activity())).status_code == 403
    assert asked("POST", uid=FIREBASE_UID, json=sent(activity(), user=FIREBASE_UID)).status_code == 422


def d07(double, asked):
    assert asked("DELETE", f"{LIST}{uuid.uuid4()}").status_code == 200


def d08(double, asked):
    assert asked("POST", json=sent(activity())).status_code == 500
    assert asked("GET").status_code == 200


def d09(double, asked):
    assert asked("GET", "/api/v1/pat/analysis/x").status_code == 404


def d10(double, asked):
    assert asked("GET").json()["detail"].startswith("User not authenticated")


def d11(double, asked):
    assert asked("GET", "/api/v1/pat/analysis/x").status_code == 500


def d12(double, asked):
    top, custom = ({"role": "clinician"}, {"custom_claims": {"role": "clinician"}})
    roles = [asked("GET", "/api/v1/auth/me", claims=claims).json()["role"] for claims in (top, custom)]
    assert roles == ["patient", "clinician"]


def d13(double, asked):
    assert asked("GET", uid=None, headers={"Authorization": "Bearer dev_token_admin"}).status_code == 200


def d14(double, asked):
    assert asked("GET", "/api/v1/auth/users").status_code == 200


def d15(double, asked):
    double.turn(audit_fails=True)
    assert asked("GET").status_code == 200


def d16(double, asked):
    double.turn(storage_fails=1)
    answer = asked("GET")
    assert (answer.status_code, "secret-text" in answer.json()["detail"]) == (400, True)


def d17(double, asked):
    double.turn(save_fails=1)
    assert asked("POST", json=sent(activity())).status_code == 201
    assert asked("GET").json()["data"] == []


def d18(double, asked):
    asked("POST", json=sent(*(activity() for _ in range(6))))
    pages = [asked("GET", params={"limit": 5, "offset": at}).json()["data"] for at in (0, 5, 10, 15)]
    assert [len(page) for page in pages] == [3, 0, 3, 0]


def d19(double, asked):
    assert asked("GET", params={"start_date": "2026-03-01T00:00:00"}).status_code == 400


def d20(double, asked):
    for store, said in (("S1", "completed"), ("S2", "received"), ("S3", "processing")):
        double.turn(store=store)
        made = asked("POST", json=sent(activity())).json()["processing_id"]
        assert asked("GET", f"{LIST}processing/{made}").json()["status"] == said


SYMPTOMS = {name.upper(): found for name, found in globals().items() if name.upper() in DEFECTS}


def test_every_defect_has_its_symptom_here():
    assert tuple(sorted(SYMPTOMS)) == DEFECTS


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_switch_brings_its_symptom_and_nothing_else_does(double, asked, defect):
    double.become(defects=[defect])
    SYMPTOMS[defect](double, asked)
    double.become(defects=[])
    with pytest.raises((AssertionError, KeyError)):
        SYMPTOMS[defect](double, asked)
