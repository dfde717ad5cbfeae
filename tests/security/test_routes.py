"""Every route by every role, other people's subjects and nobody at all; and one record for each of these."""

import re

import pytest

from api.doors import PAGES
from api.routes import CLOSED, PUBLIC, ROUTES
from serving.auth import Role
from serving.policy import POLICY, Scope
from tests.e2e.guarded import bearer
from tests.security.samples import OF_A_SUBJECT, WITHOUT_SUBJECT, sent

pytestmark = [pytest.mark.e2e, pytest.mark.security]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CHANGING = {"date", "x-bentoml-request-id", "ratelimit"}
HIDING = {Scope.OWN, Scope.CARE, Scope.BROUGHT}  # roles that see some subjects of their tenant, or none
PAIRS = [(route, role, at) for route in OF_A_SUBJECT for role, at in POLICY[ROUTES[route]].items()]
HIDDEN = [(route, role) for route, role, at in PAIRS if at in HIDING]
OPEN = [(route, role) for route, role, at in PAIRS if at not in HIDING]
NOWHERE = [
    *sorted(CLOSED),
    *(
        "/nothing",
        "/analyze/",
        "/%2fanalyze",
        "/Analyze",
        "/analyze%00",
        "/v1/%2e%2e/analyze",
        "/v1/subjects",
    ),
    *("/run", "/static_content/x.js", "/assets/x.js", "/v1/care:begin/", "/task/analyze/submit", "/docs/x"),
    *("/livez/", "/livez%2fanalyze", "/readyz/x", "/.well-known/x", "/analyze;x=1", "/analyze%20"),
]
VARYING = {  # ids and times in answers
    *("/analyze_fhir", "/fhir/$analyze", "/v1/recordings:analyze", "/v1/subjects:disclosures"),
}
NOT_SET = "/fhir/.well-known/smart-configuration"  # where no operator has said who gives tokens
UNSEEN = {Scope.CARE: "no_relation", Scope.BROUGHT: "not_own"}  # why, of a subject nobody has told them of
OF_NOTHING = {("POST", "/v1/research-codes:resolve"), *(route for route in ROUTES if "{id}" in route[1])}
ANNA = "anna-1970"


def by_request(event):
    """Whether a record is of a request; what a job does beside them has no address."""
    return bool((event["actor"] or {}).get("address"))


@pytest.fixture(scope="module", autouse=True)
def counted(asked):
    """Whatever is asked in this module, refused or not, is one record; probes are none."""
    before, sent_before = len([event for event in asked.events() if by_request(event)]), asked.sent
    yield
    assert len([event for event in asked.events() if by_request(event)]) - before == asked.sent - sent_before
    assert asked.sent - sent_before > 300
    assert asked.report().faults == []


@pytest.fixture(scope="module", autouse=True)
def anna(asked, counted):
    """A subject of the tenant ``clinic`` about whom something is kept."""
    asked.care.begin("clinic", "user-9", ANNA)
    yield ANNA
    assert asked.care.subject("clinic", ANNA)
    assert asked.care.relation("clinic", "user-9", ANNA) == "care"  # nobody below could end it


def bare(answer):
    """An answer without what is another one every time."""
    headers = {name: value for name, value in answer.headers.items() if name not in CHANGING}
    return answer.status_code, headers, re.sub(rb"request [0-9a-f]{32}", b"request", answer.content)


def told(event):
    """A record without what names the subject and the request."""
    return {name: value for name, value in event.items() if name not in {"subject", "trace"}}


def test_every_route_is_known_here_with_or_without_a_subject():
    assert WITHOUT_SUBJECT.keys() | OF_A_SUBJECT.keys() == ROUTES.keys()


def test_every_operation_of_the_documents_wants_a_token_unless_it_is_a_probe(asked, recorded):
    described = asked("GET", "/openapi.json", headers=bearer()).json()
    listed = asked("GET", "/schema.json", headers=bearer()).json()["routes"]
    operations = {(method.upper(), path) for path, at in described["paths"].items() for method in at}
    operations |= {("POST", route["route"]) for route in listed}
    for method, path in sorted(operations):
        answer = asked(method, path)
        opened = 404 if path == NOT_SET else 200
        assert answer.status_code == (opened if path in PUBLIC else 401), path
    assert operations == ROUTES.keys() | {("GET", path) for path in PUBLIC - PAGES}
    assert [event["reason"] for event in recorded()[2:]] == ["no_token"] * len(ROUTES)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", ROUTES)
def test_a_role_is_let_in_where_the_policy_says_so_and_nowhere_else(asked, recorded, route, role):
    uid = f"{role}-{route[1]}"  # its own for every route: an emergency would open others
    headers = bearer(roles=[role.value], sid="p-own", sub=uid)
    answer = asked(*route, **sent(route, "p-own", **headers))
    [event] = recorded()
    if role not in POLICY[ROUTES[route]]:
        assert (answer.status_code, event["reason"]) == (403, "no_role")
    elif (scope := POLICY[ROUTES[route]][role]) in UNSEEN and route in OF_A_SUBJECT:
        assert (answer.status_code, event["reason"]) == (404, UNSEEN[scope])
    elif route in OF_NOTHING:
        assert (answer.status_code, event["outcome"]) == (404, 4)
    else:
        assert (answer.status_code, event["outcome"]) == (202 if route == ("POST", "/v1/jobs") else 200, 0)
    assert event["actor"]["uid"] == uid


def test_a_caller_without_a_role_gets_nothing_anywhere(asked):
    for roles in ([], ["root"], "admin", [["admin"]], {"admin": True}, None):
        for route in ROUTES:
            answer = asked(*route, **sent(route, **bearer(roles=roles)))
            assert answer.status_code == (403 if roles in ([], None) else 401)


@pytest.mark.parametrize(("route", "role"), HIDDEN)
@pytest.mark.parametrize("tenant", ["clinic", "elsewhere"])
def test_another_s_subject_answers_as_one_that_does_not_exist(asked, recorded, anna, route, role, tenant):
    headers = bearer(roles=[role.value], tenant=tenant, sid="p-own", sub="swapper")
    there, nowhere = (asked(*route, **sent(route, subject, **headers)) for subject in (anna, "p-nowhere"))
    assert there.status_code == 404
    assert bare(there) == bare(nowhere)
    first, second = recorded()
    assert told(first) == told(second)
    assert first["subject"] != second["subject"]
    assert (first["outcome"], first["records"]) == (4, 0)


@pytest.mark.parametrize(("route", "role"), OPEN)
def test_a_subject_of_another_tenant_is_not_the_one_of_that_name(asked, recorded, anna, route, role):
    headers = bearer(roles=[role.value], tenant="elsewhere", sub="swapper")
    there, nowhere = (asked(*route, **sent(route, subject, **headers)) for subject in (anna, "p-nowhere"))
    assert there.status_code == 200
    if route[1] not in VARYING:
        assert bare(there) == bare(nowhere)
    assert asked.care.pseudonym("clinic", anna) not in {event["subject"] for event in recorded()}
    for whom in (anna, "p-nowhere"):  # emergencies were declared for it
        asked(
            *("POST", "/v1/subjects:delete"),
            json={"subject": whom},
            headers=bearer(roles=["admin"], tenant="elsewhere"),
        )


def test_a_tenant_that_is_left_out_or_empty_is_none(asked, anna):
    for tenant in (None, ""):
        for route, verb in ROUTES.items():
            for role in (role for role, at in POLICY[verb].items() if at is not Scope.ANY):
                headers = bearer(roles=[role.value], tenant=tenant, sid=anna)
                assert asked(*route, **sent(route, anna, **headers)).status_code == 403


@pytest.mark.parametrize("route", OF_A_SUBJECT)
def test_nobody_is_the_subject_that_has_no_name(asked, route):
    everybody = bearer(roles=[role.value for role in Role], sid="p-own", sub="swapper")
    options = sent(route, "", **everybody)
    if "json" in options:
        options["json"] = {**options["json"], "subject": "Patient/"}
    else:
        options["headers"]["X-PAT-Subject"] = "Patient/"
    assert asked(*route, **options).status_code in (404, 422)


def test_nobody_says_from_where_they_ask(asked, recorded):
    for claimed in ("10.0.0.7", "anna-1970", "10.0.0.7, 10.0.0.8"):
        asked("POST", "/analyze", headers={"X-Forwarded-For": claimed, "X-Forwarded-Proto": "https"})
    assert [event["actor"]["address"] for event in recorded()] == ["127.0.0.1"] * 3


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_another_method_is_refused_whoever_asks(asked, recorded, path):
    others = [method for method in METHODS if (method, path) not in ROUTES]
    for method in others:
        for headers in (bearer(), {}):
            assert asked(method, path, headers=headers).status_code == (405 if headers else 401)
    assert [event["reason"] for event in recorded()] == ["no_method", "no_token"] * len(others)


@pytest.mark.parametrize("path", NOWHERE)
def test_a_path_that_is_not_in_the_table_is_not_there(asked, recorded, path):
    for method in ("GET", "POST"):
        assert asked(method, path, headers=bearer(roles=["admin"])).status_code == 404
        assert asked(method, path).status_code == 401
    assert [event["reason"] for event in recorded()] == ["no_route", "no_token"] * 2
