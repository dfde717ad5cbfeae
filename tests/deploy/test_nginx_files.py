"""deploy/nginx before no instance at all: its limits are the service's, and its refusals look like it."""

import json
import re
import shlex
import socket
import ssl
import subprocess

import httpx
import pytest

from api.doors import doors, raw
from api.outcomes import FHIR_TYPE, as_outcome
from api.problems import MEDIA_TYPE, problem
from serving.settings import Settings
from serving.tls import CIPHERS
from tests.deploy.parts import DEPLOY, deployed_nginx
from tests.e2e.server import free_port
from tests.shared import ROOT

pytestmark = [pytest.mark.security, pytest.mark.slow]
SETTINGS = Settings()
DOORS = {**doors(SETTINGS), "/v1/recordings:other": raw(SETTINGS), "/fhir/other": raw(SETTINGS)}
CONF = (DEPLOY / "nginx" / "pat-service.conf").read_text()


@pytest.fixture(scope="module")
def nginx(secrets):
    with deployed_nginx(secrets, (free_port(), free_port()), **{"rate=20r/s": "rate=1000r/s"}) as running:
        yield running


@pytest.fixture(scope="module")
def context(secrets):
    return ssl.create_default_context(cafile=secrets / "ca.pem")


@pytest.fixture
def client(nginx, context):
    with httpx.Client(base_url=nginx.url, verify=context) as client:
        yield client


def announced(nginx, context, path, size):
    """What is said to a body of ``size`` bytes that is announced and does not come; nothing while it may."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    plain = socket.create_connection(("127.0.0.1", nginx.port), timeout=5)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        secured.sendall(head)
        secured.settimeout(0.4)
        try:
            return int(secured.recv(64).split()[1])
        except TimeoutError:
            return None


@pytest.mark.parametrize("path", DOORS)
def test_each_door_takes_as_much_as_the_service_does(nginx, context, path):
    limit = DOORS[path].limit_bytes
    assert announced(nginx, context, path, limit + 1) == 413
    assert announced(nginx, context, path, limit) in (None, 503)


@pytest.mark.parametrize("path", ["/v1/recordings:analyze", "/fhir/$analyze", "/fhir/other"])
def test_its_refusals_are_said_as_the_service_says_them(client, path):
    too_large = problem(
        413, "body_too_large", "the body is beyond what this door takes; docs/api.md names the limits"
    )
    away = problem(503, "no_instance", "no instance of the service answers; try again later")
    for body, expected in ((b"x" * 16_000_001, too_large), (b"{}", away)):
        answer = client.post(path, content=body)
        made = json.loads(expected.body)
        if path.startswith("/fhir"):
            made = json.loads(as_outcome(expected).body)
            made["issue"][0]["diagnostics"] = f"request {answer.headers['x-request-id']}"
        assert answer.headers["content-type"] == (FHIR_TYPE if "issue" in made else MEDIA_TYPE)
        assert answer.json() == made
        assert answer.status_code == expected.status_code
        assert answer.headers.get("retry-after") == expected.headers.get("retry-after")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "nginx/" not in answer.headers["server"]


def test_one_address_may_not_ask_without_end(secrets, context):
    with (
        deployed_nginx(secrets, (free_port(),), **{"burst=100": "burst=3"}) as nginx,
        httpx.Client(base_url=nginx.url, verify=context) as client,
    ):
        answers = [client.get("/livez") for _ in range(20)]
    many = [answer for answer in answers if answer.status_code == 429]
    assert len(many) >= 10
    assert many[0].json()["code"] == "too_many_requests"
    assert many[0].headers["retry-after"] == "5"


def test_what_is_for_those_who_run_it_is_closed(client, context, secrets):
    assert client.get("/metrics").status_code == 404
    assert client.get("/v1/status").status_code == 503  # let through, to nobody, on this machine
    with (
        deployed_nginx(secrets, (free_port(),), **{"allow 127.0.0.0/8;": ""}) as nginx,
        httpx.Client(base_url=nginx.url, verify=context) as stranger,
    ):
        assert stranger.get("/v1/status").status_code == 404


def test_its_log_holds_no_query_and_no_body(nginx, client):
    client.post("/v1/recordings:analyze?subject=anna-canary", content=b"body-canary")
    assert "recordings:analyze" in nginx.requests
    assert "canary" not in nginx.requests
    for line in nginx.requests.splitlines():
        assert set(json.loads(line)) == {
            *("time", "id", "from", "method", "path", "status", "bytes", "seconds"),
            *("instance", "instance_status"),
        }


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_handshakes_are_refused(nginx, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", nginx.port), timeout=5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


def test_it_speaks_the_ciphers_of_the_service_on_both_sides():
    assert CONF.count(f"ssl_ciphers {CIPHERS};") == 2
    assert CONF.count("ssl_protocols TLSv1.2 TLSv1.3;") == 2
    assert "proxy_ssl_verify on;" in CONF


def test_no_recording_rests_on_a_disk():
    assert "proxy_max_temp_file_size 0;" in CONF
    for size, buffer in (("16000000", "16m"), ("10321920", "10m"), ("2000000", "2m"), ("65536", "64k")):
        assert f"client_max_body_size {size};" in CONF
        assert f"client_body_buffer_size {buffer};" in CONF
    assert "proxy_request_buffering off;" in CONF.partition("location = /v1/jobs")[2].partition("}")[0]


def test_the_configuration_is_accepted_as_a_whole(nginx):
    tested = nginx.command("-t")
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_the_rollout_of_the_page_takes_an_instance_out_and_puts_it_back(tmp_path):
    page = (ROOT / "docs" / "deployment.md").read_text()
    out, back = re.findall(r"^(sed -i .*) deploy/nginx/upstream.conf$", page, re.MULTILINE)
    file, before = tmp_path / "upstream.conf", (DEPLOY / "nginx" / "upstream.conf").read_text()
    file.write_text(before)
    subprocess.run([*shlex.split(out), file], check=True)
    assert "server pat-1:3000 max_fails=2 fail_timeout=1s down;" in file.read_text()
    assert "server pat-2:3000 max_fails=2 fail_timeout=1s;" in file.read_text()
    subprocess.run([*shlex.split(back), file], check=True)
    assert file.read_text() == before
