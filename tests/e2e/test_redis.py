"""The served process with its store and its counts on Redis: shared by workers, and life without them."""

import contextlib
import re
import shutil
import time
from collections import Counter

import httpx
import psutil
import pytest

import cli
from serving.audit_check import events, verify
from serving.care import HELD
from serving.keys import MasterKeys, new_line
from serving.redis_store import RedisStore
from serving.state import audit_folder, audit_keys
from serving.store import Vault
from tests.e2e.server import free_port, serve, wait
from tests.redis_server import PASSWORD, redis_server
from tests.serving.signed import PROJECT, certificate_endpoint, token

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
SUBJECT = "anna-canary-1970"
WHY = {"subject": SUBJECT, "reason": "found unconscious at home"}


@contextlib.contextmanager
def on_redis(home, folder, store, rates, wait_ready=True, **settings):
    """Serve with these addresses."""
    (folder / "master.keys").write_text(new_line("one"))
    (folder / "master.keys").chmod(0o400)
    with certificate_endpoint() as endpoint:
        given = {
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": endpoint.url,
            "PAT_MASTER_KEYS_FILE": str(folder / "master.keys"),
            "PAT_STATE_FOLDER": str(folder / "state"),
            "PAT_STORE_URL": store.url,
            "PAT_STORE_CREDENTIALS_FILE": str(store.credentials),
            "PAT_RATES_URL": rates.url,
            "PAT_RATES_CREDENTIALS_FILE": str(rates.credentials),
            **settings,
        }
        with serve(home, given, wait_ready=wait_ready) as served:
            yield served


@pytest.fixture(scope="module")
def store():
    with redis_server("store") as server:
        yield server


@pytest.fixture(scope="module")
def rates():
    with redis_server("rates") as server:
        yield server


@pytest.fixture(scope="module")
def keys():
    with redis_server("store") as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="module")
def metrics():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def served(home, folder, store, rates, keys, metrics):
    few = {"PAT_RATE_CALLER": "20", "PAT_RATE_EMERGENCY": "2", "PAT_RATE_FAILURE": "3"} | apart(keys)
    few["PAT_METRICS_ADDRESS"] = metrics
    with on_redis(home, folder, store, rates, PAT_API_WORKERS="2", **few) as served:
        yield served


def apart(keys):
    """The settings for wrapped keys on a server of their own."""
    return {"PAT_KEYS_URL": keys.url, "PAT_KEYS_CREDENTIALS_FILE": str(keys.credentials)}


def bearer(**changes):
    return {"Authorization": f"Bearer {token(**changes)}"}


def asked(served, path, body=None, method="POST", **headers):
    with served.client() as client:  # a connection of its own, so that any worker may answer
        return client.request(method, path, json=body, headers=headers)


def until(ask, seconds=20):
    """Ask until the answer is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def degraded(served):
    """What is degraded, as a worker says to somebody who never asked before."""
    who = bearer(sub=f"user-{time.monotonic_ns()}")
    return asked(served, "/v1/status", method="GET", **who).json()["degraded"]


def ready(served):
    return httpx.get(f"{served.url}/readyz").status_code == 200


def test_workers_count_a_caller_s_requests_together(served):
    often = bearer(sub="user-often")
    statuses = [asked(served, "/schema.json", method="GET", **often).status_code for _ in range(50)]
    assert (statuses.count(200), statuses.count(429)) == (20, 30)


def test_workers_record_each_request_once_each_in_a_chain_of_its_own(served, folder):
    trail = audit_folder(folder / "state")

    def recorded():
        found = [record["event"] for record in events(trail, {"actor.uid": "user-counted"})]
        return [(event["verb"], event["reason"]) for event in found]

    counted = bearer(sub="user-counted")
    for n in range(10):
        assert asked(served, "/schema.json", method="GET", **counted).status_code == 200
        assert asked(served, f"/nothing/{n}", method="GET", **counted).status_code == 404
    expected = {("read_schema", "http_200"): 10, ("", "no_route"): 10}
    assert Counter(recorded()) == expected
    assert len(list(trail.glob("*.open"))) == 2  # both workers write
    keys = audit_keys(MasterKeys.read(folder / "master.keys"))
    assert verify(trail, keys).faults == []


def test_workers_share_relations_emergencies_and_their_number(served, week, store):
    doctor, body = bearer(sub="user-doctor"), {**week, "subject": f"Patient/{SUBJECT}"}
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 404
    assert asked(served, "/v1/emergencies", WHY, **doctor).json() == {"minutes": 60}
    for _ in range(4):
        assert asked(served, "/analyze_fhir", body, **doctor).status_code == 200
    assert asked(served, "/v1/emergencies", WHY, **doctor).status_code == 200
    third = asked(served, "/v1/emergencies", WHY, **doctor)
    assert (third.status_code, third.json()["code"]) == (429, "too_many_requests")
    assert "emergencies an hour" in third.json()["detail"]
    assert int(third.headers["retry-after"]) > 3_000
    assert asked(served, "/v1/emergencies", WHY, **bearer(sub="user-nurse")).status_code == 200
    for secret in (SUBJECT, WHY["reason"], "user-doctor", PASSWORD):
        assert secret.encode() not in store.at_rest()
        assert secret not in served.log.read_text()


def test_the_command_finds_the_store_by_the_same_settings(served, folder, store, keys, monkeypatch, capsys):
    where = ["--state", str(folder / "state"), "--keys", str(folder / "master.keys")]
    assert cli.main(["keys", "rewrap", *where]) == 1
    assert "PAT_STORE_URL" in capsys.readouterr().err
    monkeypatch.setenv("PAT_STORE_URL", store.url)
    monkeypatch.setenv("PAT_STORE_CREDENTIALS_FILE", str(store.credentials))
    for name, value in apart(keys).items():
        monkeypatch.setenv(name, value)
    assert cli.main(["keys", "rewrap", *where]) == 0
    assert capsys.readouterr().out.startswith("0 keys")
    assert cli.main(["audit", "search", *where, "--subject", f"clinic/{SUBJECT}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8


def test_a_copy_of_the_store_alone_opens_nothing_after_a_deletion(served, folder, store, keys, tmp_path):
    who = "boris-canary-1971"
    declared = asked(served, "/v1/emergencies", {**WHY, "subject": who}, **bearer(sub="user-copy"))
    assert declared.status_code == 200
    with redis_server("store", started=False) as copy:
        shutil.copytree(store.folder, copy.folder, dirs_exist_ok=True)
        copy.start()
        vault = Vault(*opened(folder, copy, keys))
        at = vault.subject("clinic", who)
        held = [(purpose, name) for purpose in HELD for name in vault.names(at, purpose)]
        assert held
        assert all(vault.get(at, *where) for where in held)
        admin = bearer(sub="user-admin", roles=["admin"])
        assert asked(served, "/v1/subjects:delete", {"subject": who}, **admin).json()["key_shredded"]
        assert [vault.get(at, *where) for where in held] == [None] * len(held)


def opened(folder, store, keys):
    """The store of a copy, the master keys and the live keys."""
    return RedisStore(store.address), MasterKeys.read(folder / "master.keys"), RedisStore(keys.address)


@pytest.mark.parametrize("which", ["keys", "store"])
def test_without_its_store_or_its_keys_the_service_is_not_ready(served, request, which):
    with request.getfixturevalue(which).hung():
        assert not ready(served)
    time.sleep(2.1)  # as long as a worker leaves alone what failed
    assert until(lambda: ready(served))


def test_failures_of_an_address_are_counted_by_all_workers(served):
    statuses = [asked(served, "/analyze", {}, Authorization="Bearer x").status_code for _ in range(8)]
    assert (statuses.count(401), statuses.count(429)) == (3, 5)
    assert asked(served, "/schema.json", method="GET", **bearer(sub="user-good")).status_code == 200


def test_while_the_store_hangs_what_needs_it_is_503_and_the_rest_is_answered(served, week, store):
    body, doctor = {**week, "subject": f"Patient/{SUBJECT}"}, bearer(sub="user-hung")
    with store.hung():
        for _ in range(4):
            began = time.monotonic()
            answer = asked(served, "/analyze_fhir", body, **doctor)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert "retry-after" in answer.headers
            assert time.monotonic() - began < 5  # this machine has other work too
        assert not ready(served)
        assert asked(served, "/analyze", week, **doctor).status_code == 200
        assert degraded(served) == ["store"]
    time.sleep(2.1)  # as long as a worker leaves alone what failed
    assert until(lambda: ready(served))
    assert asked(served, "/analyze_fhir", body, **doctor).status_code == 404


def test_without_the_counts_requests_are_answered_but_no_failure_and_no_emergency(served, week, rates):
    rates.kill()
    doctor = bearer(sub="user-alone")
    assert [asked(served, "/analyze", week, **doctor).status_code for _ in range(6)] == [200] * 6
    bad = asked(served, "/analyze", week, Authorization="Bearer x")
    emergency = asked(served, "/v1/emergencies", WHY, **doctor)
    for refused in (bad, emergency):
        assert (refused.status_code, refused.json()["code"]) == (503, "count_unavailable")
    assert degraded(served) == ["rates"]
    assert ready(served)
    assert 1 <= served.log.read_text().count("counted by each process alone") <= 2
    rates.start()
    assert until(lambda: degraded(served) == [], 30)


def test_addresses_and_passwords_are_in_no_log(served, store, rates):
    text = served.log.read_text()
    for secret in (store.url, rates.url, PASSWORD):
        assert secret not in text


def scraped(metrics):
    """What the listener for Prometheus says; empty while there is none."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://{metrics}/metrics").text
    return ""


def test_prometheus_is_told_by_one_worker_what_all_counted_and_by_the_next_once_it_is_killed(served, metrics):
    asked(served, "/analyze", {}, Authorization="Bearer x")
    numbers = scraped(metrics)
    assert float(re.search(r"pat_auth_failures_total.* ([\d.]+)", numbers).group(1)) >= 1
    assert "bentoml_service_request" in numbers
    for secret in (SUBJECT, "user-", "clinic", "127.0.0.1"):
        assert secret not in numbers
    assert asked(served, "/metrics", method="GET", **bearer(sub="user-scraper")).status_code == 404
    port = int(metrics.rpartition(":")[2])
    (owner,) = {c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"}
    psutil.Process(owner).kill()
    assert until(lambda: "pat_auth_failures_total" in scraped(metrics), 60)
    assert until(lambda: ready(served), 60)


def test_a_store_that_comes_later_is_waited_for(home, tmp_path, week):
    with (
        redis_server("store", started=False) as store,
        redis_server("rates") as rates,
        on_redis(home, tmp_path, store, rates, wait_ready=False) as served,
    ):
        refused = asked(served, "/analyze", week, **bearer())
        assert (refused.status_code, refused.json()["code"]) == (503, "safeguards_unavailable")
        assert not ready(served)
        store.start()
        wait(served.process, served.url, "/readyz", served.log, 60)
        assert asked(served, "/analyze", week, **bearer()).status_code == 200


def test_a_wrong_password_keeps_the_service_from_starting(home, tmp_path):
    with redis_server("store") as store, redis_server("rates") as rates:
        store.credentials.chmod(0o600)
        store.credentials.write_text("pat-store wrong-canary")
        store.credentials.chmod(0o400)
        with (
            pytest.raises(AssertionError, match="refuses the user or password") as refused,
            on_redis(home, tmp_path, store, rates),
        ):
            pytest.fail("it started")
        for secret in (store.url, "wrong-canary"):
            assert secret not in str(refused.value)


def test_a_store_that_may_evict_keeps_the_service_from_starting(home, tmp_path):
    with (
        redis_server("store", "maxmemory-policy allkeys-lru") as store,
        redis_server("rates") as rates,
        pytest.raises(AssertionError, match="expected maxmemory-policy noeviction"),
        on_redis(home, tmp_path, store, rates),
    ):
        pytest.fail("it started")
