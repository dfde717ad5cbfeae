"""Research over HTTP: what leaves, who may ask, whose a code is, and that both go with the subject."""

import json
import re

import pytest

from serving.audit_check import events
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, open_vault
from tests.e2e.server import serve
from tests.e2e.test_guarded import asked, bearer, guarded

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
DEIDENTIFY, RESOLVE = "/v1/recordings:deidentify", "/v1/research-codes:resolve"
ADMIN = {"roles": ["admin"], "sub": "boss"}
SERVICE = {"roles": ["service"], "sub": "gateway"}
RESEARCHER = {"roles": ["researcher"], "sub": "scientist"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("research")


@pytest.fixture(scope="module")
def served(home, folder):
    with guarded(home, folder) as served:
        yield served


@pytest.fixture(scope="module")
def care(folder, served):
    keys = MasterKeys.read(folder / "master.keys")
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


@pytest.fixture
def recorded(folder):
    """What was recorded since the test began."""
    before = len(list(events(audit_folder(folder / "state"), {})))
    return lambda: [record["event"] for record in events(audit_folder(folder / "state"), {})][before:]


def code_of(served, week, subject, project="sleep-study", **changes):
    body = {**week, "subject": subject, "project": project}
    answer = asked(served, DEIDENTIFY, body, **bearer(**(changes or SERVICE)))
    assert answer.status_code == 200, answer.text
    return answer.json()["person"]["code"]


def resolved(served, code, project="sleep-study", **changes):
    return asked(served, RESOLVE, {"project": project, "code": code}, **bearer(**(changes or ADMIN)))


def test_a_researcher_s_recording_comes_back_without_date_place_device_and_series(served, recorded, week):
    options = {"profile": True, "series": True, "intervals": True}
    body = {**week, "age": 95, "sex": "female", "options": options}
    answer = asked(served, DEIDENTIFY, body, **bearer(**RESEARCHER))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert made["schema"] == "pat-deidentified/1"
    assert made["person"] == {"code": None, "sex": "female", "age_band": "90+"}
    assert not re.search(r"\d{4}-\d{2}-\d{2}", answer.text)
    for gone in (week["zone"], week["start"][:4] + "-", f'"{week["device"]}"', "embedding"):
        assert gone not in answer.text
    assert len([metric for metric in made["sleep"]["metrics"] if metric["value"] is not None]) > 5
    [event] = recorded()
    assert (event["verb"], event["purpose"], event["records"], event["subject"]) == (
        "deidentify", "HRESCH", 1, "",
    )  # fmt: skip
    assert event["model"] == made["provenance"]["model"]["sha256"]


@pytest.mark.parametrize("field", ["start", "zone", "device", "unit", "wear_site", "clock"])
def test_a_marker_in_any_field_of_the_recording_comes_back_from_nowhere(served, week, field):
    answer = asked(served, DEIDENTIFY, {**week, field: "canary-anna"}, **bearer(**RESEARCHER))
    assert answer.status_code == 422
    assert "canary" not in answer.text
    assert "canary" not in served.log.read_text()


def test_a_marker_among_ids_and_sources_does_not_survive(served, week):
    start = week.pop("start")
    count = 600
    minutes = [f"{start[:11]}{hour:02d}:{minute:02d}:00" for hour in range(10) for minute in range(60)]
    stamps = [minute + start[19:] for minute in minutes]
    body = {
        **week,
        "unit": "steps",
        "values": week["values"][:count],
        "timestamps": stamps,
        "ends": [*stamps[1:], f"{start[:11]}10:00:00{start[19:]}"],
        "ids": [f"canary-{number}" for number in range(count)],
        "sources": ["watch"] * count,
    }
    answer = asked(served, DEIDENTIFY, body, **bearer(**RESEARCHER))
    assert answer.status_code == 200, answer.text
    assert "canary" not in answer.text
    assert "watch" not in answer.text


def test_who_may_ask_for_what(served, week, care):
    for role, expected in {"patient": 403, "admin": 403, "researcher": 200, "service": 200}.items():
        assert asked(served, DEIDENTIFY, week, **bearer(roles=[role])).status_code == expected
    named = {**week, "subject": "p-study", "project": "sleep-study"}
    hidden = asked(served, DEIDENTIFY, named, **bearer(**RESEARCHER, sid="p-study"))
    missing = asked(served, DEIDENTIFY, {**named, "subject": "nobody"}, **bearer(**RESEARCHER))
    assert hidden.status_code == missing.status_code == 404
    assert hidden.content == missing.content
    assert asked(served, DEIDENTIFY, named, **bearer()).status_code == 404
    care.begin("clinic", "user-1", "p-study")
    assert asked(served, DEIDENTIFY, named, **bearer()).status_code == 200
    for role in ("patient", "clinician", "researcher", "service"):
        assert resolved(served, "0" * 32, roles=[role]).status_code == 403


def test_an_emergency_does_not_open_a_subject_to_research(served, week):
    why = {"subject": "p-urgent", "reason": "found unconscious at home"}
    assert asked(served, "/v1/emergencies", why, **bearer()).status_code == 200
    body = {**week, "subject": "p-urgent"}
    assert (
        asked(served, "/analyze_fhir", {**body, "subject": "Patient/p-urgent"}, **bearer()).status_code == 200
    )
    assert asked(served, DEIDENTIFY, body, **bearer()).status_code == 404


def test_a_code_is_of_one_subject_and_one_project_and_the_admin_finds_the_subject(
    served, recorded, week, care
):
    code = code_of(served, week, "Patient/anna-canary")
    assert re.fullmatch("[0-9a-f]{32}", code)
    assert code_of(served, week, "anna-canary") == code
    other = code_of(served, week, "anna-canary", "other-study")
    assert len({code, other, code_of(served, week, "bert")}) == 3
    assert resolved(served, code).json() == {"subject": "anna-canary"}
    events = recorded()
    assert [event["verb"] for event in events] == ["deidentify"] * 4 + ["resolve_code"]
    pseudonym = care.pseudonym("clinic", "anna-canary")
    assert [event["subject"] for event in events if event["subject"] == pseudonym] == [pseudonym] * 4
    assert (events[-1]["subject"], events[-1]["purpose"], events[-1]["records"]) == (pseudonym, "HRESCH", 1)
    assert (events[-1]["action"], events[-1]["outcome"]) == ("R", 0)


def test_a_code_that_is_not_the_tenant_s_or_the_project_s_is_not_there(served, recorded, week):
    code = code_of(served, week, "p-hidden")
    elsewhere = resolved(served, code, **ADMIN, tenant="other")
    nowhere = resolved(served, "0" * 32)
    assert elsewhere.status_code == nowhere.status_code == 404
    assert elsewhere.content == nowhere.content
    assert resolved(served, code, "other-study").status_code == 404
    assert [(event["outcome"], event["subject"], event["records"]) for event in recorded()[1:]] == [
        (4, "", 0)
    ] * 3


def test_a_deleted_subject_s_code_leads_to_nobody_and_never_comes_back(served, week):
    code = code_of(served, week, "p-gone")
    export = asked(served, "/v1/subjects:export", {"subject": "p-gone"}, **own("p-gone")).json()
    [kept] = export["held"]["research-code"].values()
    assert kept == {"project": "sleep-study", "subject": "p-gone", "code": code}
    done = asked(served, "/v1/subjects:delete", {"subject": "p-gone"}, **own("p-gone")).json()
    assert (done["deleted"]["research-code"], done["key_shredded"]) == (1, True)
    assert resolved(served, code).status_code == 404
    assert code_of(served, week, "p-gone") != code


def own(subject):
    return bearer(roles=["patient"], sid=subject, sub=f"user of {subject}")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"project": "sleep-study"}, "project"),
        ({"project": "a b", "subject": "p"}, "project"),
        ({"project": "x" * 65, "subject": "p"}, "project"),
        ({"age": 131}, "age"),
        ({"age": "44"}, "age"),
        ({"sex": "canary"}, "sex"),
        ({"zip": "canary"}, "(unknown field)"),
        ({"subject": "a b"}, "subject"),
    ],
)
def test_a_body_that_says_too_much_or_wrongly_is_refused_without_an_echo(served, week, changes, where):
    answer = asked(served, DEIDENTIFY, {**week, **changes}, **bearer(**SERVICE))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert where in answer.text
    assert "canary" not in answer.text


def test_the_door_takes_json_alone_and_two_megabytes(served, week):
    with served.client(headers=bearer(**RESEARCHER)) as client:
        assert client.post(DEIDENTIFY, content=b"x").status_code == 415
        large = json.dumps({**week, "values": [1.25] * 400_000})
        answer = client.post(DEIDENTIFY, content=large, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        nan = json.dumps({**week, "values": [float("nan")] * 1440})
        answer = client.post(DEIDENTIFY, content=nan, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "unparsable")


def test_nothing_of_a_subject_a_project_or_a_code_rests_in_clear(served, folder, week):
    code = code_of(served, week, "rest-canary", "project-canary")
    texts = [path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()]
    for secret in ("rest-canary", "project-canary", code):
        assert not any(secret.encode() in text for text in (*texts, served.log.read_bytes()))


@pytest.mark.slow
def test_where_nobody_is_asked_who_they_are_there_are_documents_and_no_codes(home, week):
    with serve(home) as served, served.client() as client:
        answer = client.post(DEIDENTIFY, json=week)
        assert (answer.status_code, answer.json()["schema"]) == (200, "pat-deidentified/1")
        for more in ({"subject": "p"}, {"subject": "p", "project": "s"}):
            assert client.post(DEIDENTIFY, json={**week, **more}).status_code == 404
        assert client.post(RESOLVE, json={"project": "s", "code": "0" * 32}).status_code == 404
