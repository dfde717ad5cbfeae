"""Every request: one caller, one decision, one record before the first byte; nothing where there is none."""

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse, StreamingResponse

from api import guard
from api.access import current_access
from api.guard import Guard
from api.protection import RATES, Safeguards
from api.routes import CLOSED, PUBLIC, ROUTES
from serving.audit import Action, AuditUnavailable, Outcome, Purpose
from serving.auth import Caller, IdentityUnavailable, Role, Unauthenticated
from serving.policy import CONFIRMED, POLICY, NotThere, Relation, Verb
from serving.rates import CountUnavailable, Rates
from serving.routes import new_id
from serving.store import StoreUnavailable
from serving.telemetry import AdmissionTelemetry, SafeguardTelemetry
from tests.e2e.guarded import NOBODY_S

SECRET = "an embedding"
CALLERS = {role.value: Caller(f"u-{role}", "clinic", frozenset({role}), "me", 5, "t" * 16) for role in Role}


class Identity:
    """Believes a bearer token that is the name of a role; ``gone`` is what has become of the sign-in."""

    degraded = False
    gone = None

    async def identify(self, authorization):
        if authorization == "Bearer unavailable":
            raise IdentityUnavailable
        caller = CALLERS.get((authorization or "").removeprefix("Bearer "))
        if caller is None:
            raise Unauthenticated("no_token" if authorization is None else "invalid")
        return caller

    async def confirm(self, caller):
        if self.gone is not None:
            raise self.gone


class Trail:
    healthy = True

    def __init__(self):
        self.events, self.broken = [], False

    async def record(self, event):
        if self.broken:
            raise AuditUnavailable("disk full")
        self.events.append(event)


class Subjects:
    def pseudonym(self, tenant, subject):
        return f"pseudonym of {subject}"

    def relation(self, tenant, uid, subject):
        return {"mine": Relation.CARE, "urgent": Relation.EMERGENCY}.get(subject, Relation.NONE)


@pytest.fixture
def trail():
    return Trail()


@pytest.fixture
def app():
    """Answers with a secret about the subject that the query names, or fails as it says."""

    async def app(scope, receive, send):
        asked = dict(pair.split("=") for pair in scope["query_string"].decode().split("&") if pair)
        access = current_access()
        if "fail" in asked:
            raise ZeroDivisionError
        try:
            if "subject" in asked and access:
                await access.about(asked["subject"])
                access.records, access.model = 3, "m" * 64
        except NotThere:
            await JSONResponse({}, 404)(scope, receive, send)
            return
        if "stream" in asked:
            await StreamingResponse(SECRET for _ in range(3))(scope, receive, send)
            return
        await JSONResponse({"found": SECRET}, int(asked.get("status", 200)))(scope, receive, send)

    return app


@pytest.fixture
def ask(app, trail):
    guard = Guard(app, {"safeguards": Safeguards(Identity(), trail, Subjects())})

    async def ask(path="/analyze", who="clinician", method="POST"):
        headers = {"Authorization": f"Bearer {who}"} if who else {}
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False, client=("10.0.0.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path.replace("{id}", "A" * 22), headers=headers)

    return ask


async def test_an_access_is_recorded_once_with_who_what_whose_and_how_it_ended(ask, trail):
    answer = await ask("/analyze?subject=mine")
    assert (answer.status_code, answer.json()) == (200, {"found": SECRET})
    [event] = trail.events
    assert (event.action, event.verb, event.outcome, event.reason) == (
        Action.EXECUTE,
        "analyze",
        0,
        "http_200",
    )
    assert (event.subject, event.records, event.model) == ("pseudonym of mine", 3, "m" * 64)
    assert (event.actor.uid, event.actor.tenant, event.actor.roles) == (
        "u-clinician",
        "clinic",
        ("clinician",),
    )
    assert (event.actor.address, event.actor.auth_time, event.actor.token) == ("10.0.0.7", 5, "t" * 16)


@pytest.mark.parametrize("route", [*ROUTES, ("GET", "/nothing"), *(("GET", path) for path in CLOSED)])
async def test_without_a_token_no_route_answers(ask, trail, route):
    method, path = route
    answer = await ask(path, who=None, method=method)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert SECRET not in answer.text
    [event] = trail.events
    assert (event.outcome, event.reason, event.actor.uid) == (Outcome.REFUSED, "no_token", "")


@pytest.mark.parametrize("path", PUBLIC)
async def test_probes_answer_everybody_and_are_no_access(ask, trail, path):
    assert (await ask(path, who=None, method="GET")).status_code == 200
    assert trail.events == []


async def test_pages_which_are_large_count_for_the_address_and_probes_do_not(app, trail):
    guarded = Safeguards(Identity(), trail, Subjects(), rates=Rates({"address": 2}))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": guarded}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        pages = [(await client.get("/docs/swagger-ui-bundle.js")).status_code for _ in range(3)]
        assert (await client.get("/livez")).status_code == 200
    assert pages == [200, 200, 429]
    assert trail.events == []


@pytest.mark.parametrize("path", [*CLOSED, "/nothing", "/analyze/"])
@pytest.mark.parametrize("role", Role)
async def test_a_route_that_is_not_in_the_table_is_not_there_for_anybody(ask, trail, path, role):
    answer = await ask(path, who=role.value, method="GET")
    assert answer.status_code == 404
    assert SECRET not in answer.text
    assert [(event.reason, event.actor.uid) for event in trail.events] == [("no_route", f"u-{role}")]


async def test_a_route_asked_by_another_method_says_which_it_takes(ask, trail):
    answer = await ask("/v1/emergencies", method="DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert [(event.reason, event.actor.uid) for event in trail.events] == [("no_method", "u-clinician")]


async def test_a_route_with_an_id_is_found_by_what_the_server_makes_and_by_nothing_else(
    ask, trail, monkeypatch
):
    monkeypatch.setitem(guard.ROUTES, ("GET", "/v1/things/{id}"), Verb.ANALYZE)
    guard._paths.cache_clear()
    try:
        assert (await ask(f"/v1/things/{new_id()}", method="GET")).status_code == 200
        assert (await ask(f"/v1/things/{new_id()}", who="admin", method="GET")).status_code == 403
        assert (await ask(f"/v1/things/{new_id()}", method="DELETE")).headers["allow"] == "GET"
        assert (await ask("/v1/things/anna-1970", method="GET")).status_code == 404
    finally:
        guard._paths.cache_clear()
    assert [event.reason for event in trail.events] == ["http_200", "no_role", "no_method", "no_route"]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_role_without_the_verb_is_refused(ask, trail, role, route):
    may = {
        Verb.ANALYZE: {Role.PATIENT, Role.CLINICIAN, Role.SERVICE},
        Verb.ANALYZE_SUBJECT: {Role.PATIENT},
        Verb.EMBED: {Role.CLINICIAN, Role.SERVICE},
        Verb.READ_JOB: {Role.PATIENT, Role.CLINICIAN, Role.SERVICE},
        Verb.DELETE_JOB: {Role.PATIENT, Role.CLINICIAN, Role.SERVICE},
        Verb.READ_SCHEMA: set(Role),
        Verb.DELETE_SUBJECT: {Role.PATIENT, Role.ADMIN},
        Verb.EXPORT_SUBJECT: {Role.PATIENT, Role.CLINICIAN},
        Verb.CHANGE_CARE: {Role.ADMIN},
        Verb.BREAK_GLASS: {Role.CLINICIAN},
        Verb.SEARCH_AUDIT: {Role.ADMIN},
        Verb.READ_DISCLOSURES: {Role.PATIENT, Role.ADMIN},
        Verb.READ_STATUS: set(Role),
        Verb.DEIDENTIFY: {Role.CLINICIAN, Role.RESEARCHER, Role.SERVICE},
        Verb.RESOLVE_CODE: {Role.ADMIN},
        Verb.DELIVER: {Role.CLINICIAN, Role.SERVICE},
    }
    answer = await ask(route[1].replace("{id}", NOBODY_S), who=role.value, method=route[0])
    assert answer.status_code == (200 if role in may[ROUTES[route]] else 403)
    assert len(trail.events) == 1
    assert trail.events[0].reason == ("http_200" if answer.status_code == 200 else "no_role")


@pytest.mark.parametrize("route", [route for route, verb in ROUTES.items() if verb in CONFIRMED])
@pytest.mark.parametrize(
    ("gone", "status", "outcome"),
    [
        (Unauthenticated("revoked"), 401, Outcome.REFUSED),
        (IdentityUnavailable("revocation"), 503, Outcome.FAILED),
    ],
)
async def test_what_cannot_be_taken_back_is_refused_unless_the_sign_in_still_holds(
    app, trail, route, gone, status, outcome
):
    identity = Identity()
    identity.gone = gone
    guard = Guard(app, {"safeguards": Safeguards(identity, trail, Subjects())})
    role = next(role for role in POLICY[ROUTES[route]])
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"Authorization": f"Bearer {role}"}
        answer = await client.request(route[0], route[1].replace("{id}", NOBODY_S), headers=headers)
        read = await client.get("/schema.json", headers=headers)
    assert (answer.status_code, read.status_code) == (status, 200)
    assert SECRET not in answer.text
    event = trail.events[0]
    assert (event.outcome, event.reason, event.actor.uid) == (outcome, gone.reason, f"u-{role}")


def test_everything_that_deletes_exports_or_is_an_admin_s_needs_a_sign_in_that_holds():
    admins = {verb for verb, rule in POLICY.items() if Role.ADMIN in rule and len(rule) < len(Role)}
    assert admins | {Verb.DELETE_SUBJECT, Verb.EXPORT_SUBJECT, Verb.BREAK_GLASS} <= CONFIRMED


async def test_a_subject_that_is_not_there_and_one_that_is_not_allowed_look_alike(ask, trail):
    answers = [await ask(f"/analyze?subject={subject}") for subject in ("other", "nobody")]
    assert answers[0].status_code == answers[1].status_code == 404
    assert answers[0].content == answers[1].content
    assert [(event.outcome, event.reason, event.records) for event in trail.events] == [
        (4, "no_relation", 0)
    ] * 2
    assert trail.events[0].subject == "pseudonym of other"


@pytest.mark.parametrize("who", ["service", "clinician", "patient"])
async def test_a_subject_without_a_name_is_not_there_for_anybody(ask, trail, who):
    assert (await ask("/analyze?subject=Patient/", who=who)).status_code == 404
    assert [(event.reason, event.subject) for event in trail.events] == [("no_subject", "")]


async def test_an_emergency_is_marked(ask, trail):
    assert (await ask("/analyze?subject=urgent")).status_code == 200
    assert (trail.events[0].purpose, trail.events[0].reason) == (Purpose.EMERGENCY, "emergency")


@pytest.mark.parametrize(
    ("who", "path", "purpose"),
    [
        ("clinician", "/analyze", Purpose.TREATMENT),
        ("service", "/analyze", Purpose.TREATMENT),
        ("patient", "/analyze", Purpose.PATIENT_REQUEST),
        ("admin", "/v1/subjects:delete", Purpose.OPERATIONS),
        ("admin", "/v1/audit:search", Purpose.OPERATIONS),
        ("patient", "/v1/subjects:disclosures", Purpose.PATIENT_REQUEST),
    ],
)
async def test_a_record_says_what_for(ask, trail, who, path, purpose):
    assert (await ask(path, who=who)).status_code == 200
    assert trail.events[0].purpose == purpose


@pytest.mark.parametrize(
    ("path", "who", "action"),
    [
        ("/v1/recordings:deidentify", "researcher", Action.EXECUTE),
        ("/v1/research-codes:resolve", "admin", Action.READ),
    ],
)
async def test_what_is_done_for_research_is_recorded_as_such(ask, trail, path, who, action):
    assert (await ask(path, who=who)).status_code == 200
    assert [(event.purpose, event.action) for event in trail.events] == [(Purpose.RESEARCH, action)]


async def test_certificates_that_are_not_at_hand_are_no_401(ask, trail):
    answer = await ask(who="unavailable")
    assert (answer.status_code, trail.events[0].outcome) == (503, Outcome.FAILED)
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("query", ["", "?stream=1", "?subject=mine"])
async def test_what_cannot_be_recorded_is_not_disclosed(ask, trail, query):
    trail.broken = True
    answer = await ask(f"/analyze{query}")
    assert answer.status_code == 503
    assert SECRET not in answer.text
    assert answer.json()["code"] == "audit_unavailable"
    trail.broken = False
    assert (await ask(f"/analyze{query}")).status_code == 200


async def test_with_a_trail_that_is_known_to_be_broken_nothing_is_even_begun(trail):
    begun = []

    async def app(scope, receive, send):
        begun.append(scope)

    trail.healthy = False
    transport = httpx.ASGITransport(Guard(app, {"safeguards": Safeguards(Identity(), trail, Subjects())}))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/v1/subjects:delete", headers={"Authorization": "Bearer admin"})
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert begun == []


async def test_refusals_that_cannot_be_recorded_are_503_too(ask, trail):
    trail.broken = True
    for who in (None, "admin", "researcher"):
        assert (await ask(who=who)).status_code == 503
    assert (await ask("/livez", who=None, method="GET")).status_code == 200


async def test_a_stream_is_recorded_once(ask, trail):
    assert (await ask("/analyze?stream=1")).text == SECRET * 3
    assert len(trail.events) == 1


@pytest.mark.parametrize(("status", "outcome"), [(422, 4), (413, 4), (500, 8), (503, 8)])
async def test_refusals_and_failures_of_the_handler_are_recorded_as_such(ask, trail, status, outcome):
    await ask(f"/analyze?status={status}&subject=mine")
    assert [(event.outcome, event.reason, event.records) for event in trail.events] == [
        (outcome, f"http_{status}", 0)
    ]


async def test_a_handler_that_breaks_is_recorded(ask, trail):
    assert (await ask("/analyze?fail=1")).status_code == 500
    assert [(event.outcome, event.reason) for event in trail.events] == [(8, "aborted")]


async def test_an_address_that_asks_too_often_is_refused_before_anything_else(app, trail):
    at = Safeguards(Identity(), trail, Subjects(), rates=Rates({"address": 2, "caller": 9, "tenant": 9}))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": at}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.post("/analyze") for _ in range(4)]
        assert (await client.get("/livez")).status_code == 200
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert "retry-after" in answers[-1].headers
    assert len(trail.events) == 2


@pytest.mark.security
@pytest.mark.parametrize(
    ("client", "known"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("anna-1970", ""),
        ("fe80::1%anna", "fe80::1"),
    ],
)
async def test_of_an_address_that_is_none_nothing_is_recorded(app, trail, client, known):
    guard = Guard(app, {"safeguards": Safeguards(Identity(), trail, Subjects())})
    transport = httpx.ASGITransport(guard, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.post("/analyze")
    assert trail.events[0].actor.address == known


async def test_a_tenant_that_asks_too_often_is_refused_whoever_asks(app, trail):
    rates, counts = Rates({"address": 99, "caller": 99, "tenant": 2}), CollectorRegistry()
    at = Safeguards(Identity(), trail, Subjects(), rates=rates, admission=AdmissionTelemetry(counts))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": at}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        who = ("clinician", "service", "patient")
        answers = [await client.post("/analyze", headers={"Authorization": f"Bearer {name}"}) for name in who]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "one tenant" in answers[-1].json()["detail"]
    assert (trail.events[-1].reason, trail.events[-1].actor.uid) == ("rate_limited", "u-patient")
    assert counts.get_sample_value("pat_refused_total", {"reason": "quota"}) == 1


async def test_an_address_that_fails_too_often_is_told_so_and_good_tokens_from_there_are_answered(app, trail):
    at = Safeguards(Identity(), trail, Subjects(), rates=Rates({**RATES, "failure": 2}))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": at}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.post("/analyze", headers={"Authorization": "Bearer x"}) for _ in range(3)]
        good = await client.post("/analyze", headers={"Authorization": "Bearer clinician"})
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert good.status_code == 200
    assert "failed identifications" in answers[-1].json()["detail"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert [event.reason for event in trail.events] == ["invalid", "invalid", "rate_limited", "http_200"]


class NoCount:
    """Windows that are out of reach."""

    lost = True

    async def take(self, item, kind, who):
        raise CountUnavailable

    stats = take


async def test_a_failure_that_cannot_be_counted_is_503_and_the_rest_goes_on(app, trail):
    at = Safeguards(Identity(), trail, Subjects(), rates=Rates(RATES, NoCount()))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": at}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        bad = await client.post("/analyze")
        good = await client.post("/analyze", headers={"Authorization": "Bearer clinician"})
    assert (bad.status_code, bad.json()["code"]) == (503, "count_unavailable")
    assert good.status_code == 200
    assert [event.reason for event in trail.events] == ["no_token", "http_200"]
    assert at.degraded == ["rates"]


class NoStore:
    """A store that does not answer."""

    def put(self, *_):
        raise StoreUnavailable("gone")

    def get(self, room, name):
        raise StoreUnavailable


def test_without_its_store_the_service_is_not_ready_and_says_why(trail):
    at = Safeguards(Identity(), trail, Subjects(), stores=[NoStore()])
    assert (at.able, at.ready, at.degraded) == (True, False, ["store"])


async def test_nothing_is_answered_before_the_safeguards_stand(app):
    transport = httpx.ASGITransport(Guard(app, {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.post("/analyze")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


async def test_what_an_operator_must_hear_of_is_counted_without_saying_of_whom(app, trail):
    registry = CollectorRegistry()
    at = Safeguards(Identity(), trail, Subjects(), telemetry=SafeguardTelemetry(registry))
    transport = httpx.ASGITransport(Guard(app, {"safeguards": at}), client=("10.0.0.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for who in ("", "nobody", "unavailable", "clinician"):
            await client.post("/analyze", headers={"Authorization": f"Bearer {who}"} if who else {})
        trail.broken = True
        await client.post("/analyze", headers={"Authorization": "Bearer clinician"})
        trail.broken, trail.healthy = False, False
        await client.post("/analyze", headers={"Authorization": "Bearer clinician"})

    def count(name, **labels):
        return registry.get_sample_value(f"pat_{name}_total", labels)

    reasons = ("no_token", "invalid", "certificates")
    assert [count("auth_failures", reason=reason) for reason in reasons] == [1, 1, 1]
    assert count("audit_write_failures") == 2


def test_outside_a_guarded_request_there_is_no_access():
    assert current_access() is None
