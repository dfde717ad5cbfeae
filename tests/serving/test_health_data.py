"""The parts of the adapter that need no server: error bodies, ids, the files of its settings, its breaker."""

from __future__ import annotations

import httpx
import pytest

from serving.breaker import Breaker
from serving.health_data import HealthData, check, metric_id
from serving.health_errors import TokenRefused, UpstreamError, UpstreamUnavailable, UserUnmapped, told
from serving.health_exchange import Deadline, Exchange, Token
from serving.settings import Settings, SettingsError

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
