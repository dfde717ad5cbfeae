"""`pat serve` with TLS: which handshakes it takes, who may connect, and what its processes leave."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from serving.keys import new_line
from serving.start import MEMORY, scratch
from tests.certificates import Authority
from tests.e2e.server import BIN, environment, free_port, serve, stop
from tests.serving.signed import PROJECT, certificate_endpoint, token

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]


@dataclass(frozen=True)
class Over:
    """A service over TLS, and what its clients know."""

    port: int
    authority: Authority
    process: subprocess.Popen[bytes]

    def context(self, pair=None, trusts=None):
        context = ssl.create_default_context(cafile=trusts or self.authority.file)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context

    def get(self, path, host="127.0.0.1", context=None, **headers):
        with httpx.Client(verify=context or self.context()) as client:
            return client.get(f"https://{host}:{self.port}{path}", headers=headers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder, "authority")


def elsewhere():
    """An address of this machine that is not loopback."""
    found = [a.address for of in psutil.net_if_addrs().values() for a in of if a.family == socket.AF_INET]
    return next((address for address in found if not address.startswith("127.")), None)


@contextlib.contextmanager
def over_tls(home, folder, authority, *arguments, settings=None, context=None):
    """Start `pat serve` with a certificate for this machine."""
    name = f"server-{free_port()}"
    pair = authority.pair(name, *filter(None, ("127.0.0.1", elsewhere())))
    port, log = free_port(), folder / f"{name}.log"
    line = ["serve", "--port", str(port), "--certificate", pair.certificate, "--key", pair.key, *arguments]
    env = environment(home, PAT_PROFILE="test", **(settings or {}))
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [BIN / "pat", *line], cwd=folder, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    served = Over(port, authority, process)
    try:
        ready(served, log, context)
        yield served
    finally:
        stop(process)
        shutil.rmtree(scratch(MEMORY))  # and with it what the stopped one left


def ready(served, log, context):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and served.process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if served.get("/readyz", context=context).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"server did not answer:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="module")
def guarded(home, folder, authority):
    """With identity, on every address of the machine."""
    keys = folder / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    with certificate_endpoint() as endpoint:
        settings = {
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": endpoint.url,
            "PAT_MASTER_KEYS_FILE": "master.keys",  # beside where the command is given
            "PAT_STATE_FOLDER": "state",
        }
        with over_tls(home, folder, authority, "--host", "0.0.0.0", settings=settings) as served:
            yield served


def handshake(port, version, ciphers):
    """The cipher agreed on by a client that trusts anybody and would take anything it names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        return context.wrap_socket(plain).cipher()[0]


REFUSED = {
    "TLS 1.0": (ssl.TLSVersion.TLSv1, "ALL"),
    "TLS 1.1": (ssl.TLSVersion.TLSv1_1, "ALL"),
    "CBC with SHA-1": (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA"),
    "CBC with SHA-256": (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256"),
    "no forward secrecy": (ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384"),
}


@contextlib.contextmanager
def lenient(authority):
    """A server that takes every handshake of this OpenSSL: what a client can do at all."""
    pair = authority.pair("lenient", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            with contextlib.suppress(OSError):
                while True:
                    with contextlib.suppress(ssl.SSLError), listening.accept()[0] as plain:
                        context.wrap_socket(plain, server_side=True).close()

        threading.Thread(target=greet, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("case", REFUSED)
def test_a_weak_handshake_is_refused_that_another_server_takes(guarded, authority, case):
    with lenient(authority) as port:
        assert handshake(port, *REFUSED[case])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(guarded.port, *REFUSED[case])


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"])
def test_tls_1_2_with_an_aead_cipher_and_1_3_are_taken(guarded, cipher):
    assert handshake(guarded.port, ssl.TLSVersion.TLSv1_2, cipher) == cipher
    assert handshake(guarded.port, ssl.TLSVersion.TLSv1_3, "ALL").startswith("TLS_")


def test_plain_http_gets_no_answer(guarded):
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{guarded.port}/livez", timeout=10)


def test_every_answer_tells_browsers_to_come_back_over_tls_only(guarded):
    for path in ("/livez", "/schema.json", "/nothing"):
        answer = guarded.get(path)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["cache-control"] == "no-store"


def test_others_are_answered_once_they_are_identified(guarded):
    if (address := elsewhere()) is None:
        pytest.skip("this machine has no address but loopback")
    assert guarded.get("/schema.json", address).status_code == 401
    bearer = f"Bearer {token()}"
    assert guarded.get("/schema.json", address, Authorization=bearer).status_code == 200


def test_without_identity_nobody_else_is_answered_even_over_tls(home, authority, folder):
    if (address := elsewhere()) is None:
        pytest.skip("this machine has no address but loopback")
    pair = authority.pair("unguarded", "127.0.0.1", address)
    port = free_port()
    settings = {"PAT_TLS_CERTIFICATE_FILE": str(pair.certificate), "PAT_TLS_KEY_FILE": str(pair.key)}
    env = environment(home, PAT_PROFILE="test", **settings)
    line = [BIN / "bentoml", "serve", "service:PatService", "--host", "0.0.0.0", "--port", str(port)]
    log = folder / "unguarded.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*line, "--working-dir", os.getcwd()], env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    served = Over(port, authority, process)
    try:
        ready(served, log, None)  # plain `bentoml serve` speaks TLS too
        assert served.get("/livez", address).json()["code"] == "loopback_only"
    finally:
        stop(process)


def test_the_processes_leave_no_core_and_their_files_are_in_memory_and_private(guarded):
    top = psutil.Process(guarded.process.pid)
    for process in (top, *top.children(recursive=True)):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[-3:-1] == ["0", "0"]
        assert "Umask:\t0077" in Path(f"/proc/{process.pid}/status").read_text()
    held = {file.path for file in top.open_files()}
    [lock] = [Path(path) for path in held if path.endswith("/lock") and path.startswith(str(MEMORY))]
    assert lock.parent.stat().st_mode & 0o777 == 0o700
    assert list(lock.parent.glob("bentoml-uds-*"))


def test_a_signal_stops_the_service_and_the_next_start_removes_what_it_left(home, folder, authority):
    with over_tls(home, folder, authority) as served:
        files = psutil.Process(served.process.pid).open_files()
        [lock] = [Path(f.path) for f in files if f.path.endswith("/lock") and f.path.startswith(str(MEMORY))]
        assert stop(served.process) == 0
        assert lock.exists()
        made = scratch(MEMORY)
        assert not lock.parent.exists()
        shutil.rmtree(made)


def test_mutual_tls_answers_the_right_certificate_only(home, folder, authority):
    stranger = Authority(folder, "stranger")
    right, wrong = authority.pair("client"), stranger.pair("wrong")
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(right.certificate, right.key)
    with over_tls(home, folder, authority, "--client-ca", authority.file, context=context) as served:
        assert served.get("/livez", context=context).status_code == 200
        for refused in (served.context(), served.context(wrong)):
            with pytest.raises(httpx.HTTPError):
                served.get("/livez", context=refused)


def test_a_host_that_others_reach_needs_tls_and_identity(home, folder):
    line = [BIN / "pat", "serve", "--host", "0.0.0.0"]
    env = environment(home)
    done = subprocess.run(line, env=env, cwd=folder, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "PAT_HOST must be" in done.stderr


def test_bentoml_serve_on_every_address_still_answers_loopback_only(home):
    if (address := elsewhere()) is None:
        pytest.skip("this machine has no address but loopback")
    with serve(home, {"BENTOML_HOST": "0.0.0.0"}) as served:
        port = served.url.rsplit(":", 1)[1]
        answer = httpx.get(f"http://{address}:{port}/livez")
        assert (answer.status_code, answer.json()["code"]) == (403, "loopback_only")
