"""Each door says no before anything reads the body."""

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from serving.limits import BodyLimits, Door, HeaderLimits, Pace

pytestmark = pytest.mark.security


async def echo_length(scope, receive, send):
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def refuse(status, code, detail):
    return PlainTextResponse(f"{code}: {detail}", status)


SMALL = Door(10, json_only=True, larger="use the other door")
ANY = Door(20, json_only=False, larger="use the command")


@pytest.fixture
async def client():
    app = BodyLimits(echo_length, {"/small": SMALL}, ANY, refuse)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def chunks(*parts):
    for part in parts:
        yield part


JSON = {"content-type": "application/json"}


async def test_a_body_within_the_limit_passes(client):
    answer = await client.post("/small", content=b"x" * 10, headers=JSON)
    assert (answer.status_code, answer.text) == (200, "10")


async def test_a_declared_length_beyond_the_limit_is_413_naming_limit_and_other_door(client):
    answer = await client.post("/small", content=b"x" * 11, headers=JSON)
    assert answer.status_code == 413
    assert "at most 10 bytes; use the other door" in answer.text


async def test_a_chunked_body_beyond_the_limit_is_413(client):
    answer = await client.post("/small", content=chunks(b"x" * 6, b"x" * 6), headers=JSON)
    assert answer.status_code == 413


async def test_another_path_has_the_default_limit(client):
    assert (await client.post("/other", content=b"x" * 20)).text == "20"
    assert (await client.post("/other", content=b"x" * 21)).status_code == 413


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP"])
async def test_a_compressed_body_is_415(client, encoding):
    answer = await client.post("/small", content=b"x", headers={**JSON, "content-encoding": encoding})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/vnd.bentoml+pickle", "multipart/form-data; boundary=x", ""]
)
async def test_a_json_door_takes_json_only(client, kind):
    answer = await client.post("/small", content=b"x", headers={"content-type": kind})
    assert answer.status_code == 415


def body_limits(inner=echo_length, pace=None):
    return BodyLimits(
        inner, {"/small": Door(1_000_000, json_only=True, larger="-")}, ANY, refuse, pace or Pace(30)
    )


async def post(app, path, body, headers=JSON):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post(path, content=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 33 + b"]" * 33, 400),
        (b"[" * 32 + b"]" * 32, 200),
        (b'{"a": NaN}', 400),
        (b'{"a": -Infinity}', 400),
        (b'{"a": "NaN Infinity"}', 200),
        (b'{"a": 1, "a": 2}', 422),
        (b"[1, 2", 200),  # left to the parser behind
    ],
)
async def test_a_json_body_of_a_wrong_shape_is_refused_before_it_is_parsed(body, status):
    assert (await post(body_limits(), "/small", body)).status_code == status


async def test_the_application_gets_the_json_body_as_it_was_sent():
    async def echo(scope, receive, send):
        await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)

    assert (await post(body_limits(echo), "/small", chunks(b'{"a":', b" 1}"))).content == b'{"a": 1}'


async def dripping(parts, seconds):
    for part in parts:
        await asyncio.sleep(seconds)
        yield part


def sent_by(parts):
    """A client's messages, as a server hands them on."""

    async def receive():
        try:
            part = await anext(parts)
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": part, "more_body": True}

    return receive


async def status_of(app, path, parts):
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    found = []

    async def send(message):
        found.append(message.get("status"))

    await app(scope, sent_by(parts), send)
    return found[0]


@pytest.mark.parametrize("path", ["/small", "/other"])
async def test_a_body_that_comes_too_slowly_is_408(path):
    app = body_limits(pace=Pace(0.3))
    assert await status_of(app, path, dripping([b" "] * 10, 0.1)) == 408
    assert await status_of(app, path, dripping([b" "] * 10, 0.001)) == 200


async def test_a_body_that_drips_is_408_long_before_the_whole_time_is_over():
    app = body_limits(pace=Pace(30, grace_seconds=0.2, bytes_a_second=1000))
    assert await status_of(app, "/other", dripping([b" "] * 20, 0.1)) == 408
    assert await status_of(app, "/small", dripping([b" " * 500] * 5, 0.1)) == 200


async def test_an_application_that_makes_an_answer_of_the_signal_is_not_heard():
    async def swallows(scope, receive, send):
        try:
            body = await Request(scope, receive).body()
        except Exception:
            body = b"mine"
        await PlainTextResponse(body)(scope, receive, send)

    assert await status_of(body_limits(swallows, Pace(0.05)), "/other", dripping([b" "], 1)) == 408


async def test_waiting_for_the_client_to_go_away_takes_as_long_as_it_takes():
    async def waits(scope, receive, send):
        await Request(scope, receive).body()
        await asyncio.sleep(0.2)
        await asyncio.wait_for(receive(), 1)
        await PlainTextResponse("done")(scope, receive, send)

    assert await status_of(body_limits(waits, Pace(0.1)), "/other", dripping([b" "], 0)) == 200


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({f"x-{i}": "1" for i in range(90)}, "", 200),
        ({f"x-{i}": "1" for i in range(101)}, "", 431),
        ({"x-long": "1" * 30_000}, "", 200),
        ({"x-long": "1" * 33_000}, "", 431),
        ({}, "a" * 33_000, 431),
    ],
)
async def test_many_or_large_headers_are_431(headers, query, status):
    transport = httpx.ASGITransport(HeaderLimits(echo_length, refuse))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get(f"/?{query}", headers=headers)).status_code == status
