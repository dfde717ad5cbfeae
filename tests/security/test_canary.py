"""Markers in whatever can be sent, also while the service is killed; then nothing that rests holds one."""

import base64
import contextlib
import json
import socket
import threading
import time

import httpx
import numpy as np
import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from serving.auth import Role
from tests.doubles.health_data_process import running
from tests.doubles.span_sink import span_sink
from tests.e2e.guarded import guarded
from tests.health_data.metrics import START, metric, packed, steps, upload
from tests.redis_server import redis_server
from tests.security.canary import Markers, everything
from tests.security.conftest import UNLIMITED
from tests.security.forms import forms, hits, number_forms, rest
from tests.security.samples import RECORDING
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.security]
NOBODY = "http://127.0.0.1:9/fhir"  # so that results wait
SETTINGS = {**UNLIMITED, "PAT_TIMEOUT_SECONDS": "8", "PAT_FHIR_SERVER_URL": NOBODY}


@pytest.mark.parametrize("name", forms("x" * 9))
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_the_search_finds_each_form_wherever_it_begins(tmp_path, name, before):
    marker = "zq7:é-marker"
    written = (before.encode() + forms(marker)[name] + b"and more").decode("latin-1")
    (tmp_path / "file").write_text(written, encoding="latin-1")
    assert name in hits(forms(marker), dict(rest([tmp_path]))[tmp_path / "file"])


def test_the_search_finds_base64_of_a_whole_that_holds_the_marker():
    for before in range(6):
        whole = base64.b64encode(b"x" * before + b"a marker of mine" + b"yz")
        assert hits(forms("a marker of mine"), whole)
    assert hits(number_forms(918273.5), json.dumps([918273.5]).encode())
    assert hits(number_forms(918273.5), np.full(2, 918273.5, "<f4").tobytes())


@contextlib.contextmanager
def in_files(folder):
    """The store in the state folder: no settings, and no other place to search."""
    assert folder.is_dir()
    yield {}, []


@contextlib.contextmanager
def on_redis(_):
    """Values, keys and counts each on a Redis; their files are to be searched."""
    kinds = {"STORE": "store", "KEYS": "store", "RATES": "rates"}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(redis_server(kind)) for name, kind in kinds.items()}
        urls = {f"PAT_{name}_URL": server.url for name, server in servers.items()}
        files = {f"PAT_{name}_CREDENTIALS_FILE": str(at.credentials) for name, at in servers.items()}
        yield urls | files, [server.folder for server in servers.values()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kept", [in_files, on_redis])
def test_no_marker_rests_anywhere_but_who_asked_in_the_trail(tmp_path_factory, home, kept, double):
    at, folder = Markers(), tmp_path_factory.mktemp("canary")
    upstream = {"PAT_HEALTH_DATA_URL": double.url, "PAT_HEALTH_DATA_SECONDS": "3"}
    double.keep(listed(at))
    with span_sink() as sink, kept(folder) as (where, places):
        given = {**SETTINGS, **upstream, **where, **sink.settings(), "PAT_OTLP_METRICS_SECONDS": "1"}
        leaks = leaks_of_a_life(home, folder, at, given, places)
        sent = b"".join(sink.bodies)
    assert b"POST /analyze" in sent  # there is something to search
    assert sink.lines("pat.inference")
    assert any(one.name == "pat_inferences_total" for report in sink.reports() for one in report)
    leaks += leaked(at, [(folder / "spans", sent)])
    assert sorted(set(leaks)) == []
    trail = b"".join(path.read_bytes() for path in (folder / "state" / "audit").iterdir())
    assert at.uid.encode() in trail  # the search sees what is there
    assert at.tenant.encode() in trail
    assert not (ROOT / "monitoring").exists()


def leaks_of_a_life(home, folder, at, settings, places):
    """Serve, ask for everything, kill, and serve again; return what was found where it must not be."""
    with guarded(home, folder, settings) as served:
        statuses = asked_for_everything(served, at)
        assert statuses >= {200, 400, 401, 403, 404, 406, 413, 415, 422}
        assert not {status for status in statuses if status >= 500}
        interrupted(served, at)
        found = scraped(served)
        assert b"bentoml" in found  # there is something to search
        leaks = list(leaked(at, [(served.home / "as scraped", found)]))
        leaks += leaked(at, rest([served.home, served.scratch, folder, *places]))
        killed(served, at)
        leaks += leaked(at, rest([served.home, served.scratch, folder, *places]))
    with guarded(home, folder, settings) as served:  # what the next one finds and says of it
        time.sleep(1)
    return [*leaks, *leaked(at, rest([home, folder, *places]))]


@pytest.fixture(scope="module")
def double():
    with running() as one:
        yield one


def listed(at):
    """What the health data service holds of everybody, with markers in it."""
    note = {"metric_type": "mood_assessment", "mental_health_data": {"notes": at.secret}}
    mood = metric(at.secret, START, metadata={at.secret: at.secret}, **note)
    return upload(packed([at.number] * 1440), mood, {"metric_type": at.secret}, steps(2, at.secret))


def leaked(at, files):
    """What was found where it must not be; uid and tenant may be in the trail, the keys hold nothing."""
    nowhere = {"secret": forms(at.secret), "number": number_forms(at.number)}
    trail_only = {"uid": forms(at.uid), "tenant": forms(at.tenant)}
    for path, content in files:
        wanted = nowhere if path.parent.name == "audit" else {**nowhere, **trail_only}
        for name, found in wanted.items():
            yield from ((str(path), name, form) for form in hits(found, content))


def asked_for_everything(served, at):
    """Send everything; no refusal repeats a marker. Return the statuses that were seen."""
    seen = set()
    with served.client() as client:
        for method, path, options in everything(at):
            answer = client.request(method, path, **options)
            seen.add(answer.status_code)
            if answer.status_code >= 400:
                said = answer.content + repr(answer.headers).encode()
                assert hits(forms(at.secret), said) == [], (method, path, answer.status_code)
                assert hits(number_forms(at.number), said) == [], (method, path, answer.status_code)
    return seen


def interrupted(served, at):
    """Requests that are no HTTP, that stop in the middle, that nobody waits for, that are too slow."""
    host, port = served.url.removeprefix("http://").split(":")
    authorized = "".join(f"{name}: {value}\r\n" for name, value in at.caller(Role.PATIENT).items())
    body = json.dumps({**RECORDING, "subject": at.secret, "values": [at.number] * 1000}).encode()
    head = f"POST /analyze_fhir HTTP/1.1\r\nHost: x\r\n{authorized}Content-Type: application/json\r\n"
    half = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2]
    raw = [
        f"{at.secret} /analyze HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"GET /{at.secret} {at.secret}\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nHost: x\r\n{at.secret}\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nHost: x\r\nX: {at.secret * 10_000}\r\n\r\n".encode(),
        head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + at.secret.encode() + b"\r\n",
        f"GET /{at.secret} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {at.secret}\r\n\r\n".encode(),
        half,
        head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body,
    ]
    for sent in raw:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(sent)
            time.sleep(0.05)
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(half)
        assert slow.recv(65536).split(b" ")[1] in (b"408", b"504")


def scraped(served):
    """What Prometheus would be told."""
    registry = CollectorRegistry()
    (folder,) = served.home.rglob("prometheus_multiproc_dir")
    MultiProcessCollector(registry, str(folder))
    return generate_latest(registry)


def killed(served, at):
    """Kill all of the service while it answers."""
    over = threading.Event()

    def ask(path, options):
        with contextlib.suppress(httpx.HTTPError), served.client() as client:
            while not over.is_set():
                client.post(path, **options)

    body = {**RECORDING, "subject": at.secret, "values": [at.number] * 20_000}
    glass = {"subject": at.secret, "reason": f"because of {at.secret}"}
    weeks = np.full((256, 10_080), at.number, "<f4").tobytes()
    ready = {**at.caller(), "X-PAT-Standardized": "true"}
    work = [
        *[("/analyze_fhir", {"json": body, "headers": at.caller(Role.PATIENT)})] * 3,
        *[("/v1/emergencies", {"json": glass, "headers": at.caller()})] * 2,
        *[("/v1/embed", {"content": weeks, "headers": ready})] * 2,
        ("/analyze", {"files": {"file": (at.secret, json.dumps(body))}, "headers": at.caller()}),
    ]
    threads = [threading.Thread(target=ask, args=one) for one in work]
    for thread in threads:
        thread.start()
    time.sleep(2)
    top = psutil.Process(served.process.pid)
    for process in (top, *top.children(recursive=True)):
        process.kill()
    over.set()
    for thread in threads:
        thread.join(30)
