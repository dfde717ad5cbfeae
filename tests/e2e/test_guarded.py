"""The served process with identity on: real tokens, one record per request, nothing disclosed unrecorded."""

import json
import time

import bentoml
import httpx
import numpy as np
import psutil
import pytest

import cli
from api.routes import CLOSED, ROUTES
from serving.audit_check import checkpoints, events, verify
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, audit_keys, open_vault
from tests.e2e.guarded import asked, bearer, guarded
from tests.e2e.server import wait
from tests.serving.signed import token

pytestmark = pytest.mark.e2e
SUBJECT = "anna-canary-1970"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def served(home, folder):
    with guarded(home, folder) as served:
        yield served


@pytest.fixture(scope="module")
def keys(folder, served):
    return MasterKeys.read(folder / "master.keys")


@pytest.fixture(scope="module")
def care(folder, served, keys):
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


@pytest.fixture
def recorded(folder):
    """What was recorded since the test began."""
    before = len(list(events(audit_folder(folder / "state"), {})))
    return lambda: [record["event"] for record in events(audit_folder(folder / "state"), {})][before:]


@pytest.mark.parametrize("route", [*ROUTES, *(("GET", path) for path in sorted(CLOSED)), ("GET", "/nothing")])
def test_without_a_token_no_route_answers(served, recorded, route):
    answer = asked(served, route[1], {}, method=route[0])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    fhir = route[1].startswith("/fhir/")
    refused = "application/fhir+json; fhirVersion=4.0" if fhir else "application/problem+json"
    assert answer.headers["content-type"] == refused
    assert [(event["outcome"], event["reason"]) for event in recorded()] == [(4, "no_token")]


def test_the_answer_of_an_identified_caller_is_the_answer_and_is_recorded(served, recorded, week):
    answer = asked(served, "/analyze", week, **bearer())
    assert answer.status_code == 200
    assert answer.json()["schema"] == "pat-analysis/1"
    [event] = recorded()
    assert (event["verb"], event["outcome"], event["records"]) == ("analyze", 0, 1)
    assert event["model"] == answer.json()["provenance"]["model"]["sha256"]
    assert (event["actor"]["uid"], event["actor"]["tenant"]) == ("user-1", "clinic")
    assert int(event["trace"], 16) > 0


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"signed_by": "other"}, 401, "invalid"),
        ({"exp": 1_600_000_000}, 401, "expired"),
        ({"aud": "other"}, 401, "invalid"),
        ({"roles": ["researcher"]}, 403, "no_role"),
        ({"roles": ["admin"]}, 403, "no_role"),
        ({"roles": []}, 403, "no_role"),
        ({"tenant": None}, 403, "no_tenant"),
        ({"firebase": {"sign_in_provider": "anonymous"}}, 401, "anonymous"),
    ],
)
def test_who_may_not_gets_nothing(served, recorded, week, changes, status, reason):
    answer = asked(served, "/analyze", week, **bearer(**changes))
    assert answer.status_code == status
    assert set(answer.json()) == {"type", "title", "status", "code", "detail"}
    assert [(event["outcome"], event["reason"], event["records"]) for event in recorded()] == [(4, reason, 0)]


def test_a_subject_is_its_own_patient_s_and_its_clinician_s_and_nobody_else_s(served, recorded, week, care):
    body = {**week, "subject": f"Patient/{SUBJECT}"}
    stranger, own = bearer(), bearer(roles=["patient"], sid=SUBJECT, sub="user-2")
    hidden = asked(served, "/analyze_fhir", body, **stranger)
    missing = asked(served, "/analyze_fhir", {**week, "subject": "Patient/nobody"}, **stranger)
    assert hidden.status_code == missing.status_code == 404
    assert hidden.content == missing.content
    assert asked(served, "/analyze_fhir", body, **own).status_code == 200
    assert asked(served, "/analyze_fhir", {**week, "subject": "Patient/x"}, **own).status_code == 404
    care.begin("clinic", "user-1", SUBJECT)
    assert asked(served, "/analyze_fhir", body, **stranger).status_code == 200
    assert asked(served, "/analyze_fhir", body, **bearer(tenant="other")).status_code == 404
    care.end("clinic", "user-1", SUBJECT)
    assert asked(served, "/analyze_fhir", body, **stranger).status_code == 404
    reasons = ["no_relation", "no_relation", "http_200", "not_own", "http_200", "no_relation", "no_relation"]
    assert [event["reason"] for event in recorded()] == reasons
    assert {event["subject"] for event in recorded()[:1]} == {care.pseudonym("clinic", SUBJECT)}


def test_care_begins_and_ends_by_the_admin_of_the_tenant(served, recorded, week):
    body, doctor = {**week, "subject": "Patient/p-care"}, bearer()
    admin, whom = bearer(roles=["admin"], sub="boss"), {"subject": "p-care", "uid": "user-1"}
    assert asked(served, "/v1/care:begin", whom, **bearer(roles=["admin"], tenant="other")).status_code == 200
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 404
    assert asked(served, "/v1/care:begin", whom, **doctor).status_code == 403
    assert asked(served, "/v1/care:begin", whom, **admin).json() == {"cares": True}
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 200
    assert asked(served, "/v1/care:end", whom, **admin).json() == {"cares": False, "ended": True}
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 404
    assert [event["verb"] for event in recorded()].count("change_care") == 4


def test_an_emergency_is_open_for_its_time_and_marked_everywhere(served, recorded, week):
    body, doctor = {**week, "subject": "Patient/p-urgent"}, bearer()
    why = {"subject": "p-urgent", "reason": "found unconscious at home"}
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 404
    assert asked(served, "/v1/emergencies", {**why, "reason": "because"}, **doctor).status_code == 422
    assert asked(served, "/v1/emergencies", {**why, "minutes": 241}, **doctor).status_code == 422
    assert asked(served, "/v1/emergencies", why, **bearer(roles=["patient"])).status_code == 403
    assert asked(served, "/v1/emergencies", why, **doctor).json() == {"minutes": 60}
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 200
    assert [(event["purpose"], event["reason"]) for event in recorded()][-2:] == [
        ("ETREAT", "emergency_declared"),
        ("ETREAT", "emergency"),
    ]
    assert "glass broken for 60 minutes" in served.log.read_text()
    assert why["reason"] not in served.log.read_text()


def test_what_is_kept_of_a_subject_is_exported_and_deleted_by_the_subject(served, recorded, care):
    own, whom = bearer(roles=["patient"], sid="p-own", sub="user-3"), {"subject": "p-own"}
    care.begin("clinic", "user-9", "p-own")
    held = asked(served, "/v1/subjects:export", whom, **own).json()["held"]
    assert [kept["uid"] for kept in held["care"].values()] == ["user-9"]
    assert asked(served, "/v1/subjects:delete", {"subject": "p-other"}, **own).status_code == 404
    assert asked(served, "/v1/subjects:export", whom, **bearer()).status_code == 404
    done = asked(served, "/v1/subjects:delete", whom, **own).json()
    held = ("care", "emergency", "research-code", "answers", "jobs", "outbox", "cache")
    assert done == {"deleted": {name: int(name == "care") for name in held}, "key_shredded": True}
    assert asked(served, "/v1/subjects:export", whom, **own).json()["held"] == {name: {} for name in held}
    deletions = [(event["action"], event["outcome"], event["records"]) for event in recorded()]
    assert deletions.count(("D", 0, 1)) == 1


def test_who_saw_a_subject_is_told_to_the_subject_and_to_the_admin_of_the_tenant(served, week, care):
    own, admin = bearer(roles=["patient"], sid="p-seen", sub="user-4"), bearer(roles=["admin"], sub="boss")
    care.begin("clinic", "user-1", "p-seen")
    body, whom = {**week, "subject": "Patient/p-seen"}, {"subject": "p-seen"}
    for headers in (bearer(), bearer(sub="stranger"), own):
        asked(served, "/analyze_fhir", body, **headers)
    for headers in (own, admin):
        found = asked(served, "/v1/subjects:disclosures", whom, **headers).json()
        analyses = [one for one in found["disclosures"] if one["verb"] == "analyze"]
        assert [(one["uid"], one["purpose"]) for one in analyses] == [
            ("user-1", "TREAT"),
            ("user-4", "PATRQT"),
        ]
        assert not found["more"]
    one = asked(served, "/v1/subjects:disclosures", {**whom, "limit": 1}, **own).json()
    assert (len(one["disclosures"]), one["more"]) == (1, True)
    assert asked(served, "/v1/subjects:disclosures", {"subject": "p-own"}, **own).status_code == 404
    assert asked(served, "/v1/subjects:disclosures", whom, **bearer()).status_code == 403
    other = bearer(roles=["admin"], tenant="other")
    assert asked(served, "/v1/subjects:disclosures", whom, **other).json()["disclosures"] == []


def test_the_admin_searches_the_trail_of_the_tenant_and_of_no_other(served, recorded):
    admin = bearer(roles=["admin"], sub="boss")
    asked(served, "/v1/subjects:delete", {"subject": "p"}, **bearer(roles=["researcher"], sub="curious"))
    query = {"uid": "curious", "verb": "delete_subject", "outcome": 4, "since": "2026-11"}
    [event] = asked(served, "/v1/audit:search", query, **admin).json()["events"]
    assert (event["reason"], event["actor"]["tenant"]) == ("no_role", "clinic")
    other = bearer(roles=["admin"], tenant="other", sub="boss-2")
    assert asked(served, "/v1/audit:search", query, **other).json()["events"] == []
    bundle = asked(served, "/v1/audit:search", query, **admin, Accept="application/fhir+json")
    assert bundle.headers["content-type"] == "application/fhir+json"
    assert bundle.json()["entry"][0]["resource"]["resourceType"] == "AuditEvent"
    for wrong in ({"verb": "anything"}, {"since": "yesterday"}, {"outcome": 5}, {"limit": 0}, {"x": 1}):
        assert asked(served, "/v1/audit:search", wrong, **admin).status_code == 422
    assert [event["verb"] for event in recorded()].count("search_audit") == 8


def test_reasons_of_emergencies_are_for_the_admin(served):
    why = {"subject": "p-reason", "reason": "found unconscious in the garden", "minutes": 1}
    assert asked(served, "/v1/emergencies", why, **bearer(sub="user-8")).status_code == 200
    assert asked(served, "/v1/emergencies", method="GET", **bearer(sub="user-8")).status_code == 403
    found = asked(served, "/v1/emergencies", method="GET", **bearer(roles=["admin"])).json()["emergencies"]
    assert found[-1]["reason"] == why["reason"]
    assert "p-reason" not in json.dumps(found)
    assert {"since", "seconds", "uid", "subject", "reason"} == found[-1].keys()


def test_the_status_says_what_is_in_use_and_what_is_degraded(served):
    status = asked(served, "/v1/status", method="GET", **bearer(roles=["researcher"])).json()
    assert (status["audit"], status["degraded"]) == ("writing", [])
    assert status["model"]["checkpoint"].startswith("pat-s-demo:")


@pytest.mark.slow
def test_the_start_and_the_stop_of_the_service_and_changed_settings_are_recorded(home, tmp_path):
    with guarded(home, tmp_path):
        pass
    with guarded(home, tmp_path, {"PAT_RATE_CALLER": "119"}):
        pass
    found = [record["event"] for record in events(audit_folder(tmp_path / "state"), {"purpose": "HSYSADMIN"})]
    said = [(one["verb"], one["detail"]) for one in found]
    assert said[:3] == [("start", ""), ("stop", ""), ("start", "")]
    assert said[-1] == ("stop", "")
    assert "PAT_RATE_CALLER" in dict(said)["change_settings"]


@pytest.mark.parametrize("subject", ["", "a b", 7, None, "x" * 129])
def test_a_body_that_names_no_subject_is_refused_without_an_echo(served, subject):
    answer = asked(served, "/v1/subjects:delete", {"subject": subject}, **bearer(roles=["patient"], sid="p"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["where"] == "subject"
    assert "a b" not in answer.text
    assert "xxx" not in answer.text


def test_a_subject_over_the_raw_door_is_checked_too(served, week):
    with served.client() as client:
        headers = {**bearer(), "Accept": "application/fhir+json", "X-PAT-Subject": f"Patient/{SUBJECT}"}
        assert client.post("/v1/recordings:analyze", json=week, headers=headers).status_code == 404


def test_the_bentoml_client_sends_its_token(served, recorded):
    with bentoml.SyncHTTPClient(served.url, token=token(roles=["service"])) as client:
        answer = client.embed({"weeks": np.zeros((1, 10_080)).tolist(), "standardized": True})
    assert len(answer["weeks"]) == 1
    assert [event["verb"] for event in recorded()][-1] == "embed"
    assert {event["outcome"] for event in recorded()} == {0}


def test_a_bad_recording_of_a_good_caller_is_refused_as_before_and_recorded(served, recorded, week):
    answer = asked(served, "/analyze", {**week, "unit": "furlongs"}, **bearer())
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_unit")
    assert [(event["outcome"], event["reason"]) for event in recorded()] == [(4, "http_422")]


def test_an_answer_is_stored_by_nobody_and_says_what_is_left(served, week):
    answer = asked(served, "/analyze", week, **bearer(sub="user-rates"))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["ratelimit-policy"] == '"caller";q=120;w=60'
    assert answer.headers["ratelimit"].startswith('"caller";r=119;')


def test_who_asks_too_often_is_told_when_to_come_again_and_is_recorded(served, recorded):
    often = bearer(sub="user-often")
    with served.client(headers=often) as client:
        answers = [client.get("/schema.json") for _ in range(122)]
    assert [answer.status_code for answer in answers] == [200] * 120 + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["code"] == "too_many_requests"
    assert asked(served, "/schema.json", method="GET", **bearer(sub="user-other")).status_code == 200
    assert [event["reason"] for event in recorded()].count("rate_limited") == 2


def test_the_trail_is_whole_and_holds_no_token_no_subject_and_no_value(served, folder, keys, week):
    report = verify(audit_folder(folder / "state"), audit_keys(keys), checkpoints(served.log.read_text()))
    assert report.faults == []
    assert report.records > 20
    signature = bearer()["Authorization"].rpartition(".")[2]
    asked(served, "/analyze", week, **bearer())
    texts = [path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()]
    for secret in (SUBJECT, signature, str(week["values"][600:606])[1:-1]):
        assert not any(secret.encode() in text for text in (*texts, served.log.read_bytes()))


def test_the_command_reads_the_trail(served, folder, capsys):
    where = ["--state", str(folder / "state"), "--keys", str(folder / "master.keys")]
    assert cli.main(["audit", "verify", *where, "--checkpoints", str(served.log)]) == 0
    assert " 0 faults" in capsys.readouterr().out
    assert cli.main(["audit", "search", *where, "reason=no_token", "--since", "2026"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= len(ROUTES)
    assert {json.loads(line)["reason"] for line in lines} == {"no_token"}
    assert cli.main(["audit", "search", *where, "--subject", f"clinic/{SUBJECT}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 4
    assert cli.main(["audit", "search", *where, "outcome"]) == 1


@pytest.mark.slow
def test_a_trail_that_cannot_be_written_discloses_nothing_and_recovers(home, tmp_path, week):
    (tmp_path / "state").mkdir()
    (audit_folder(tmp_path / "state")).touch()  # where the folder should be
    with guarded(home, tmp_path, wait_ready=False) as served:
        assert httpx.get(f"{served.url}/livez").status_code == 200
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = asked(served, "/analyze", week, **bearer())
            if answer.status_code == 503 and answer.json()["code"] == "audit_unavailable":
                break
            time.sleep(0.2)
        assert answer.json()["code"] == "audit_unavailable"
        assert "retry-after" in answer.headers
        assert httpx.get(f"{served.url}/readyz").status_code == 503
        (audit_folder(tmp_path / "state")).unlink()
        wait(served.process, served.url, "/readyz", served.log, 60)
        assert asked(served, "/analyze", week, **bearer()).status_code == 200


@pytest.mark.slow
def test_killed_under_load_the_trail_has_every_answered_request(home, tmp_path):
    body = np.zeros(10_080, "<f4").tobytes()
    answered = 0
    for _ in range(5):
        with guarded(home, tmp_path) as served, served.client() as client:
            headers = {**bearer(), "X-PAT-Standardized": "true", "Accept": "application/octet-stream"}
            until = time.monotonic() + 1
            while time.monotonic() < until:
                answered += client.post("/v1/embed", content=body, headers=headers).status_code == 200
            top = psutil.Process(served.process.pid)
            for process in (top, *top.children(recursive=True)):
                process.kill()
    with guarded(home, tmp_path):
        pass
    keys = audit_keys(MasterKeys.read(tmp_path / "master.keys"))
    assert verify(audit_folder(tmp_path / "state"), keys).faults == []
    done = list(events(audit_folder(tmp_path / "state"), {"outcome": "0", "verb": "embed"}))
    assert len(done) >= answered > 0


@pytest.mark.slow
def test_a_service_that_is_stopped_ends_its_trail(home, tmp_path):
    with guarded(home, tmp_path):
        assert list(audit_folder(tmp_path / "state").glob("*.open"))
    assert not list(audit_folder(tmp_path / "state").glob("*.open"))
    keys = audit_keys(MasterKeys.read(tmp_path / "master.keys"))
    assert verify(audit_folder(tmp_path / "state"), keys).faults == []


@pytest.mark.parametrize("line", ["one c2hvcnQ=", "", "one AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_keys_that_must_not_be_used_keep_the_service_from_starting(home, tmp_path, line):
    (tmp_path / "master.keys").write_text(line)
    (tmp_path / "master.keys").chmod(0o400)
    with pytest.raises(AssertionError, match="master keys"), guarded(home, tmp_path):
        pytest.fail("it started")
