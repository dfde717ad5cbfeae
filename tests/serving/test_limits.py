"""Each door says no before anything reads the body."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from serving.limits import BodyLimits, Door, JsonOnly, LoopbackOnly


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


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/vnd.bentoml+pickle"},
        {"Content-Type": "Application/VND.bentoml+PICKLE"},
        {},
    ],
)
async def test_the_inner_service_takes_json_or_nothing(headers):
    transport = httpx.ASGITransport(JsonOnly(echo_length, refuse))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.post("/run", content=b"x", headers=headers)).status_code == 415
        assert (await client.post("/run", content=b"{}", headers=JSON)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("192.168.1.2", 403)]
)
async def test_a_connection_from_elsewhere_is_refused_whatever_the_server_was_bound_to(host, status):
    async def arrived(scope, receive, send):
        await LoopbackOnly(echo_length, refuse)({**scope, "server": (host, 3000)}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(arrived), base_url="http://test") as client:
        assert (await client.get("/")).status_code == status
