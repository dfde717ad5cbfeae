"""Starts the real redis-server with the lines of docs/operations.md, on a Unix socket."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.redis_address import RedisAddress
from tests.shared import ROOT, missing

PASSWORD, ADMIN = "a-long-password-of-the-tests", "another-password-of-the-tests"
_SECONDS = 20


def documented(kind: str) -> list[str]:
    """The lines for the server of the ``store`` or of the ``rates``."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"```redis-{kind}\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found.group(1).replace(">PASSWORD", f">{PASSWORD}").splitlines()


class RedisServer:
    """A server with ``lines``; later ones win. Its files are in ``folder``, its socket beside them."""

    def __init__(self, home: Path, kind: str, lines: tuple[str, ...]) -> None:
        self.folder, self.socket = home / "data", home / "r.sock"
        self.user, self.credentials = f"pat-{kind}", home / "credentials"
        self.folder.mkdir(exist_ok=True)
        self.credentials.write_text(f"{self.user} {PASSWORD}\n")
        self.credentials.chmod(0o400)
        plain = ["port 0", f"unixsocket {self.socket}", f"dir {self.folder}", f"logfile {home / 'redis.log'}"]
        admin = [f"user admin on >{ADMIN} ~* &* +@all"]
        given = documented(kind)
        if any(line.startswith("user ") for line in lines):  # Redis takes each user once
            given = [line for line in given if not line.startswith("user pat-")]
        self._config = home / "redis.conf"
        self._config.write_text("\n".join([*plain, *given, *admin, *lines]) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def address(self) -> RedisAddress:
        return RedisAddress(self.url, str(self.credentials))

    def admin(self) -> Any:
        """A client that may do everything."""
        return redis.Redis(unix_socket_path=str(self.socket), username="admin", password=ADMIN)

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError), self.admin() as client:
                if client.ping():
                    return
            time.sleep(0.02)
        raise RuntimeError("redis-server did not answer")

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the child that writes its file anew as well
            self.process.wait(timeout=_SECONDS)

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Let it take connections and answer nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def at_rest(self) -> bytes:
        """Every byte of its files."""
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def redis_server(kind: str, *lines: str, started: bool = True) -> Iterator[RedisServer]:
    """A server for the ``store`` or the ``rates``; skips where there is no redis-server."""
    if shutil.which("redis-server") is None:
        missing("redis-server is not on this machine (Debian: apt-get install redis-server)")
    home = Path(tempfile.mkdtemp(prefix="pr-", dir="/tmp"))  # short, for the path of a socket is
    server = RedisServer(home, kind, lines)
    try:
        if started:
            server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(home, ignore_errors=True)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself; its key is beside it."""
    folder.mkdir()
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "r")]),
    )
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.key").write_bytes(text)
    return folder / "server.crt"


def tls(certificate: Path, port: int) -> tuple[str, ...]:
    """The lines for a port with TLS."""
    files = (f"tls-cert-file {certificate}", f"tls-key-file {certificate.with_suffix('.key')}")
    rest = (f"tls-ca-cert-file {certificate}", "tls-auth-clients no", 'tls-protocols "TLSv1.2 TLSv1.3"')
    return (f"tls-port {port}", *files, *rest)
