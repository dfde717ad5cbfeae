"""The parts of the adapter that need no server: error bodies, ids, the files of its settings, its breaker."""

from __future__ import annotations

import http.server
import ssl
import threading
from datetime import date

import httpx
import pytest

from serving.breaker import Breaker
from serving.health_data import HealthData, check, metric_id
from serving.health_errors import (
    NothingUsable,
    TokenRefused,
    UpstreamError,
    UpstreamUnavailable,
    UserUnmapped,
    told,
)
from serving.health_exchange import Deadline, Exchange, Token
from serving.health_items import Wanted
from serving.settings import Settings, SettingsError
from tests.certificates import Authority

UUID = "7d1c0a52-3f0e-4c8b-9a4e-0b6f2f1e9c11"
URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("body", "slug", "trace"),
    [
        (
            b'{"type": "https://h/problems/validation-error", "trace_id": "9c1e", "detail": "x"}',
            "validation-error",
            "9c1e",
        ),
        (b'{"type": "rate_limit_exceeded", "trace_id": null}', "rate_limit_exceeded", ""),
        (b'{"type": "about a person", "trace_id": "a person"}', "other", ""),
        (b'{"detail": "a person"}', "detail", ""),
        (b'{"detail": [{"msg": "a person"}]}', "validation", ""),
        (b'{"detail": {"error": "gone", "message": "a person"}}', "gone", ""),
        (b'{"error": "invalid_token", "message": "a person"}', "invalid_token", ""),
        (b'{"error": {"code": "not_found"}}', "not_found", ""),
        (b'{"error": 7}', "other", ""),
        (b"[]", "other", ""),
        (b"<html>", "other", ""),
        (b"[" * 100_000, "other", ""),
        (b"\xff", "other", ""),
    ],
)
def test_of_an_error_body_its_kind_and_trace_are_told(body, slug, trace):
    found = told(body)
    assert (found.slug, found.trace) == (slug, trace)


def test_the_same_analysis_has_the_same_id_and_another_another():
    one = metric_id(UUID, {"a": 1, "b": 2})
    assert one == metric_id(UUID, {"b": 2, "a": 1})
    assert len({one, metric_id(UUID, {"a": 1}), metric_id("other", {"a": 1, "b": 2})}) == 3


def test_a_token_is_not_printed():
    assert "secret" not in repr(Token("secret"))


@pytest.mark.parametrize("content", ["", "[]", '{"anna": 7}', '{"anna": "of 28 letters"}', None])
def test_a_file_of_users_that_is_none_is_refused_at_the_start(tmp_path, content):
    file = tmp_path / "users.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match="PAT_HEALTH_DATA_USERS_FILE"):
        check(Settings(health_data_url=URL, health_data_users_file=str(file)))


def test_authorities_that_are_none_are_refused_at_the_start(tmp_path):
    file = tmp_path / "ca.pem"
    for written in (False, True):
        if written:
            file.write_text("no certificate")
        with pytest.raises(SettingsError, match="PAT_HEALTH_DATA_CA_FILE"):
            check(Settings(health_data_url=URL, health_data_ca_file=str(file)))


def test_without_an_address_there_is_none():
    check(Settings())
    assert HealthData.of(Settings()) is None


def test_a_subject_is_mapped_or_is_a_uuid_itself(tmp_path):
    file = tmp_path / "users.json"
    file.write_text(f'{{"anna": "{UUID}"}}')
    found = HealthData.of(Settings(health_data_url=URL, health_data_users_file=str(file)))
    assert found is not None
    assert (found.writer("anna"), found.writer(UUID), found.user_of("berta")) == (UUID, UUID, None)
    with pytest.raises(UserUnmapped):
        found.writer("berta")


def exchange(answer, **options) -> Exchange:
    client = httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer))
    return Exchange(client, 1000, **options)


async def read(at: Exchange, seconds: float = 5) -> bytes:
    return await at.read("/", {}, Token("a.b.c"), Deadline.within(seconds))


async def test_what_is_refused_and_what_cannot_be_used_leaves_the_breaker_closed():
    for status, body, error in (
        (401, b"", TokenRefused),
        (403, b"", UpstreamError),
        (200, b"x" * 1001, UpstreamError),
    ):
        at = exchange(
            lambda _, status=status, body=body: httpx.Response(status, content=body), breaker=Breaker(1)
        )
        for _ in range(3):
            with pytest.raises(error):
                await read(at)
        assert not at.breaker.is_open


async def test_what_fails_opens_it_and_then_nothing_is_sent():
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    at = exchange(answer, breaker=Breaker(1, 60))
    with pytest.raises(UpstreamError):
        await read(at)
    assert (len(sent), at.breaker.is_open) == (3, True)
    with pytest.raises(UpstreamUnavailable) as refused:
        await read(at)
    assert (len(sent), refused.value.seconds) == (3, 60)


async def test_past_the_deadline_nothing_is_sent():
    at = exchange(lambda _: pytest.fail("it was asked"))
    with pytest.raises(UpstreamUnavailable):
        await read(at, seconds=-1)


async def test_a_wait_that_is_longer_than_what_is_left_is_not_begun():
    at = exchange(lambda _: httpx.Response(503, headers={"Retry-After": "60"}))
    with pytest.raises(UpstreamUnavailable) as refused:
        await read(at)
    assert refused.value.seconds == 60


class Empty(http.server.BaseHTTPRequestHandler):
    """Lists nothing."""

    def do_GET(self):
        body = b'{"data": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def over_tls(tmp_path):
    """A health data service over TLS: its address, and who vouches for it."""
    authority = Authority(tmp_path, "authority")
    pair = authority.pair("server", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}", authority.file
        server.shutdown()


async def pull(url: str, **settings: str):
    found = HealthData.of(Settings(health_data_url=url, health_data_seconds=5, **settings))
    assert found is not None
    return await found.pull(Wanted(date(2024, 5, 13), date(2024, 5, 21)), Token("a.b.c"))


async def test_one_for_whom_nobody_vouches_is_sent_nothing(over_tls):
    url, authority = over_tls
    with pytest.raises(UpstreamUnavailable):
        await pull(url)
    with pytest.raises(NothingUsable):
        await pull(url, health_data_ca_file=str(authority))
    with pytest.raises(UpstreamUnavailable):  # it is the right one under a name that it does not have
        await pull(url.replace("127.0.0.1", "127.0.0.2"), health_data_ca_file=str(authority))


async def test_proxies_of_the_environment_are_not_used(over_tls, monkeypatch):
    url, authority = over_tls
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(NothingUsable):
        await pull(url, health_data_ca_file=str(authority))
