"""Who may connect, and what every answer says."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from serving.edges import HEADERS, HEADERS_OVER_TLS, AnswerHeaders, LoopbackOnly, TlsOnly

pytestmark = pytest.mark.security


def refuse(status, code, detail):
    return PlainTextResponse(f"{code}: {detail}", status)


async def asked(app, base_url="http://test"):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url) as client:
        return await client.get("/")


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("192.168.1.2", 403)]
)
async def test_a_connection_from_elsewhere_is_refused_whatever_the_server_was_bound_to(host, status):
    async def arrived(scope, receive, send):
        app = LoopbackOnly(PlainTextResponse("here"), refuse)
        await app({**scope, "server": (host, 3000)}, receive, send)

    assert (await asked(arrived)).status_code == status


@pytest.mark.parametrize(("scheme", "status"), [("https", 200), ("http", 403)])
async def test_what_came_in_the_clear_is_refused_where_there_is_tls(scheme, status):
    app = TlsOnly(PlainTextResponse("here"), refuse)
    assert (await asked(app, f"{scheme}://test")).status_code == status


async def test_every_answer_says_that_nobody_may_store_or_guess_it_and_not_who_serves():
    inner = PlainTextResponse("here", headers={"Server": "BentoML Service/PatService"})
    answer = await asked(AnswerHeaders(inner, HEADERS))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers
    assert "strict-transport-security" in (await asked(AnswerHeaders(inner, HEADERS_OVER_TLS))).headers


async def test_an_answer_s_own_policy_stays():
    inner = PlainTextResponse("page", headers={"Content-Security-Policy": "default-src 'self'"})
    answer = await asked(AnswerHeaders(inner, HEADERS))
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_a_process_that_was_told_to_end_closes_each_connection_with_its_answer(monkeypatch):
    app = AnswerHeaders(PlainTextResponse("here"), HEADERS)
    assert "connection" not in (await asked(app)).headers
    monkeypatch.setattr("serving.edges.draining", lambda: True)
    assert (await asked(app)).headers["connection"] == "close"
