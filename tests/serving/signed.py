"""Real RS256: a Google-like certificate endpoint on loopback, and tokens signed with its keys or others."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import http.server
import json
import threading
import time
from collections.abc import Iterator

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

PROJECT = "demo-pat"


@functools.cache
def key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def certificate(name: str) -> str:
    """The certificate of ``key(name)``, signed by itself."""
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key(name), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def claims(**changes: object) -> dict[str, object]:
    """What Firebase puts into a token; a change to None leaves the claim out."""
    now = int(time.time())
    made: dict[str, object] = {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "sub": "user-1",
        "iat": now - 10,
        "exp": now + 3600,
        "auth_time": now - 10,
        "firebase": {"sign_in_provider": "password", "identities": {}},
        "roles": ["clinician"],
        "tenant": "clinic",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def token(name: str = "kid1", *, kid: str | None = "", signed_by: str = "", **changes: object) -> str:
    """A token signed with ``key(name)``, or with another key under its name."""
    header = {} if kid is None else {"kid": kid or name}
    return jwt.encode(claims(**changes), key(signed_by or name), algorithm="RS256", headers=header)


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers with ``body`` and ``status``, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = json.dumps({"kid1": certificate("kid1")}).encode()
        self.status, self.max_age, self.asked = 200, 3600, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/certs"


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Cache-Control", f"public, max-age={self.server.max_age}")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def certificate_endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
