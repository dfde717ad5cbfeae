"""A Bundle is at the FHIR server once, whatever happened on the way; and nothing hangs, leaks or is lost."""

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from serving import outbound
from serving.breaker import Breaker, BreakerOpen
from serving.fhir_push import Delivered, FhirServer, Refused, Unavailable, recognised_by
from serving.smart import BackendAccess
from tests.certificates import Authority
from tests.doubles.authorization_server import AuthorizationServer
from tests.doubles.bundles import LOINC, SYSTEM, transaction
from tests.doubles.fhir_endpoint import FhirEndpoint, outcome
from tests.doubles.http_server import as_json
from tests.faults import fault_proxy
from tests.serving.test_smart import P384, client_key

pytestmark = pytest.mark.fhir
SENT, HAD = Delivered(sent=True), Delivered(sent=False)


@contextlib.asynccontextmanager
async def pushing(base, access=None, ca_file="", **options):
    server = FhirServer(base, outbound.client(ca_file), access, **options)
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
def told():
    with (made := FhirEndpoint()).running():
        yield made


def reports(base, name):
    return found(base, "DiagnosticReport", identifier=f"{SYSTEM}|{name}/report")


def found(base, kind, **query):
    return httpx.get(f"{base}/{kind}", params=query, timeout=30).json().get("entry", [])


# The real server


async def test_a_transaction_is_found_by_code_and_patient_and_is_not_sent_again(real):
    async with pushing(real) as server:
        assert await server.deliver(transaction("round-trip", "Patient/round")) == SENT
        assert await server.deliver(transaction("round-trip", "Patient/round")) == HAD
    [sleep] = found(real, "Observation", code=f"{LOINC}|93832-4", subject="Patient/round")
    assert sleep["resource"]["valueQuantity"]["value"] == 412
    [report] = reports(real, "round-trip")
    assert report["resource"]["result"] == [{"reference": f"Observation/{sleep['resource']['id']}"}]


async def test_a_bundle_that_the_server_refuses_is_refused_with_its_codes_alone(real):
    wrong = json.loads(transaction("wrong"))
    del wrong["entry"][0]["resource"]["status"]
    async with pushing(real) as server:
        for _ in range(4):  # an answer is no failure of the server
            with pytest.raises(Refused) as refused:
                await server.deliver(json.dumps(wrong).encode())
        assert (refused.value.reason, refused.value.status) == ("send_refused", 400)
        assert set(refused.value.codes) <= {"structure", "invalid", "required"}
        assert not server.breaker.is_open


async def test_an_answer_that_is_lost_after_the_server_committed_does_not_send_again(real):
    with fault_proxy(real) as proxy:
        async with pushing(proxy.url, seconds=20) as server:
            proxy.set("latency", 0.4)
            delivering = asyncio.create_task(server.deliver(transaction("lost-answer")))
            while not await asyncio.to_thread(reports, real, "lost-answer"):  # noqa: ASYNC110  # nobody else knows
                await asyncio.sleep(0.02)
            await asyncio.to_thread(proxy.set, "reset")
            with pytest.raises(Unavailable) as failed:
                await delivering
            assert failed.value.unknown
            await asyncio.to_thread(proxy.set, "pass")
            assert await server.deliver(transaction("lost-answer")) == HAD
    assert len(reports(real, "lost-answer")) == 1


@pytest.mark.parametrize(
    ("mode", "argument", "reason"),
    [
        ("latency", 5, "timeout"),
        ("slow", 0.2, "timeout"),
        ("blackhole", 0, "timeout"),
        ("reset", 0, "unreachable"),
        ("refuse", 0, "unreachable"),
    ],
)
async def test_the_deadline_holds_the_breaker_opens_and_both_recover(real, mode, argument, reason):
    with fault_proxy(real) as proxy:
        async with pushing(proxy.url, seconds=1) as server:
            server.breaker = Breaker(failures=2, seconds=0.3)
            proxy.set(mode, argument)
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(Unavailable) as failed:
                    await server.deliver(transaction(f"fault-{mode}"))
                assert time.monotonic() - began < 3
                assert failed.value.reason in {reason, "broken_off"}
            assert server.breaker.is_open
            with pytest.raises(BreakerOpen):
                await server.deliver(transaction(f"fault-{mode}"))
            proxy.set("pass")
            await asyncio.sleep(0.35)
            server.seconds = 20
            assert await server.deliver(transaction(f"fault-{mode}")) in (SENT, HAD)
            assert not server.breaker.is_open
    assert len(reports(real, f"fault-{mode}")) == 1


# Answers that the real server never gives


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("answer", "reason", "wait"),
    [
        (outcome(429, "throttled", **{"Retry-After": "7"}), "busy", 7),
        (outcome(503, "transient", **{"Retry-After": "100000"}), "server_error", 3600),
        (outcome(503, "transient", **{"Retry-After": "soon"}), "server_error", 0),
        (outcome(408, "timeout"), "busy", 0),
        (outcome(409, "conflict"), "busy", 0),
        (outcome(500, "exception"), "server_error", 0),
        (outcome(401, "login"), "unauthorized", 0),
        ((302, {"Location": "https://elsewhere.example/"}, b""), "redirected", 0),
        (as_json(200, {"resourceType": "Bundle", "type": "batch-response"}), "unexpected_answer", 0),
        (as_json(200, [1]), "unexpected_answer", 0),
        ((200, {}, b"<html>"), "unexpected_answer", 0),
        ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"), "unexpected_answer", 0),
    ],
)
async def test_what_may_be_another_time_is_tried_another_time(told, method, answer, reason, wait):
    async with pushing(told.url) as server:
        told.told[method].append(answer)
        with pytest.raises(Unavailable) as failed:
            await server.deliver(transaction())
        assert (failed.value.reason, failed.value.wait_seconds) == (reason, wait)
        assert failed.value.unknown <= (method == "POST")
        assert "text-of-the-server" not in str(failed.value)
        assert await server.deliver(transaction()) == SENT
    assert len(told.kept) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [400, 403, 404, 410, 412, 413, 415, 422])
async def test_what_the_server_will_never_take_is_refused_and_no_text_of_it_is_kept(told, method, status):
    codes = ("invariant", "patient-Anna-Example", "invariant", "value")
    told.told[method].append(outcome(status, *codes))
    async with pushing(told.url) as server:
        with pytest.raises(Refused) as refused:
            await server.deliver(transaction())
    assert refused.value.status == status
    assert refused.value.reason == ("search_refused" if method == "GET" else "send_refused")
    assert refused.value.codes == ("invariant", "value")


async def test_a_time_to_come_back_at_is_kept_as_well(told):
    for ahead, least, most in ((90, 80, 90), (-90, 0, 0), (10**6, 3600, 3600)):
        at = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
        told.told["GET"].append(outcome(503, **{"Retry-After": at}))
        async with pushing(told.url) as server:
            with pytest.raises(Unavailable) as failed:
                await server.deliver(transaction())
        assert least <= failed.value.wait_seconds <= most


async def test_an_outcome_that_is_none_has_no_codes(told):
    told.told["POST"] += [as_json(400, {"issue": 7}), as_json(400, {"issue": [7, {"code": [1]}]})]
    async with pushing(told.url) as server:
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await server.deliver(transaction())
            assert refused.value.codes == ()


async def test_a_transaction_that_was_not_taken_whole_is_for_a_person_to_look_at(told):
    def taken(*statuses):
        entries = [{"response": {"status": status}} for status in statuses]
        return as_json(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

    told.told["POST"] += [taken("201", "422"), taken("201"), taken("201", None)]
    async with pushing(told.url) as server:
        for _ in range(3):
            with pytest.raises(Refused) as refused:
                await server.deliver(transaction())
            assert refused.value.reason == "taken_in_part"


async def test_a_server_that_does_not_understand_the_search_is_not_believed_to_have_the_bundle(told):
    other = {"resource": {"resourceType": "DiagnosticReport", "identifier": [{"system": "x", "value": "y"}]}}
    told.told["GET"] += [
        as_json(200, {"resourceType": "Bundle", "type": "searchset", "entry": [other]}),
        as_json(200, {"resourceType": "Bundle", "type": "searchset", "entry": [7]}),
    ]
    async with pushing(told.url) as server:
        for reason in ("search_not_understood", "unexpected_answer"):
            with pytest.raises(Unavailable) as failed:
                await server.deliver(transaction())
            assert failed.value.reason == reason
    assert told.kept == []


async def test_an_answer_without_end_is_read_no_further_than_the_limit(told, monkeypatch):
    monkeypatch.setattr("serving.fhir_push._MOST_BYTES", 1_000)
    told.told["POST"].append((200, {}, bytes(100_000)))
    async with pushing(told.url) as server:
        with pytest.raises(Unavailable) as failed:
            await server.deliver(transaction())
    assert (failed.value.reason, failed.value.unknown) == ("unexpected_answer", True)


def test_a_bundle_is_recognised_by_its_report_or_else_by_what_has_an_identifier():
    bundle = json.loads(transaction())
    assert recognised_by(bundle) == ("DiagnosticReport", SYSTEM, "one/report")
    del bundle["entry"][1]
    assert recognised_by(bundle) == ("Observation", SYSTEM, "one/sleep")
    del bundle["entry"][0]["resource"]["identifier"]
    with pytest.raises(ValueError, match="identifier"):
        recognised_by(bundle)


# Who asks, and whom


@pytest.fixture
def guarded():
    authorization = AuthorizationServer("pat-service", "key-1", P384.public_key(), "ES384")
    with authorization.running(), (endpoint := FhirEndpoint(authorization)).running():
        yield authorization, endpoint


async def test_a_bundle_comes_with_a_token_and_with_a_new_one_once_that_is_no_longer_taken(tmp_path, guarded):
    authorization, endpoint = guarded
    async with pushing(endpoint.url, BackendAccess(client_key(tmp_path), endpoint.url)) as server:
        assert await server.deliver(transaction("a")) == SENT
        authorization.tokens.clear()
        assert await server.deliver(transaction("b")) == SENT
    assert (authorization.asked, len(endpoint.kept)) == (2, 2)


async def test_a_key_that_is_not_registered_waits_for_its_owner_and_opens_the_breaker(tmp_path, guarded):
    _, endpoint = guarded
    access = BackendAccess(client_key(tmp_path, ec.generate_private_key(ec.SECP384R1())), endpoint.url)
    async with pushing(endpoint.url, access) as server:
        for _ in range(3):
            with pytest.raises(Unavailable) as failed:
                await server.deliver(transaction())
            assert (failed.value.reason, failed.value.unknown) == ("token_refused", False)
        assert server.breaker.is_open
    assert endpoint.kept == endpoint.asked == []


async def test_a_token_that_the_server_does_not_take_leaves_the_bundle_waiting(tmp_path, guarded):
    authorization, endpoint = guarded
    authorization.life = 0
    async with pushing(endpoint.url, BackendAccess(client_key(tmp_path), endpoint.url)) as server:
        with pytest.raises(Unavailable) as failed:
            await server.deliver(transaction())
    assert (failed.value.reason, endpoint.kept) == ("unauthorized", [])


async def test_a_token_endpoint_that_hangs_does_not_hold_the_deadline_up(tmp_path, guarded):
    authorization, endpoint = guarded
    with fault_proxy(authorization.url) as proxy:
        proxy.set("blackhole")
        access = BackendAccess(client_key(tmp_path), endpoint.url, token_url=proxy.url)
        async with pushing(endpoint.url, access, seconds=0.5) as server:
            with pytest.raises(Unavailable) as failed:
                await server.deliver(transaction())
        assert (failed.value.reason, failed.value.unknown) == ("token_timeout", False)


@pytest.mark.security
async def test_a_server_is_believed_whose_certificate_is_vouched_for_and_no_other(tmp_path):
    authority = Authority(tmp_path, "authority")
    elsewhere = Authority(tmp_path, "elsewhere")
    right, named = authority.pair("server", "127.0.0.1"), authority.pair("other-name", "127.0.0.2")
    for pair, ca_file, reason in (
        (right, str(authority.file), None),
        (right, str(elsewhere.file), "certificate"),
        (right, "", "certificate"),  # whom the system trusts
        (named, str(authority.file), "certificate"),
    ):
        with (endpoint := FhirEndpoint(pair=pair)).running():
            async with pushing(endpoint.url, ca_file=ca_file) as server:
                if reason is None:
                    assert await server.deliver(transaction()) == SENT
                    continue
                with pytest.raises(Unavailable) as failed:
                    await server.deliver(transaction())
                assert (failed.value.reason, failed.value.unknown) == (reason, False)
            assert endpoint.asked == []


@pytest.mark.security
async def test_no_proxy_and_no_password_of_the_environment_is_used(told, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with pushing(told.url) as server:
        assert await server.deliver(transaction()) == SENT
