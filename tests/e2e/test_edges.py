"""The served process at its edges: slow and misshapen requests, foreign origins, headers of every answer."""

import json
import socket
import time

import pytest

from postprocessing.report import CONTENT_POLICY
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.security]

WEEK = ROOT / "examples" / "week.awd"
JSON = {"content-type": "application/json"}
JSON_DOORS = ["/analyze", "/analyze_fhir", "/explain", "/embed", "/v1/subjects:delete", "/v1/care:begin"]
RAW = "/v1/recordings:analyze"


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


MISSHAPEN = {
    "33 levels": (deep(33), 400, "unparsable"),
    "50,000 levels": (b"[" * 50_000, 400, "unparsable"),
    "a NaN": (b'{"subject": NaN, "uid": "canary"}', 400, "unparsable"),
    "an integer of 5,000 digits": (b'{"subject": ' + b"9" * 5000 + b"}", 400, "unparsable"),
    "half a surrogate pair": (b'{"subject": "\\ud800"}', 400, "unparsable"),
    "a name twice": (b'{"subject": "canary", "subject": "other"}', 422, "invalid_field"),
    "a name twice, once in disguise": (b'{"subject": "canary", "subj\\u0065ct": "x"}', 422, "invalid_field"),
}


@pytest.mark.parametrize("case", MISSHAPEN)
@pytest.mark.parametrize("door", JSON_DOORS)
def test_a_json_door_refuses_a_misshapen_body(client, case, door):
    body, status, code = MISSHAPEN[case]
    answer = client.post(door, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("found", "written", "status"),
    [
        (b"[12,", b"[1e400,", 422),
        (b"[12,", b"[" + b"9" * 400 + b",", 422),
        (b"[12,", b"[" + b"9" * 5_000 + b",", 400),
        (b'"values"', b'"unit": "mg", "values"', 422),
        (b'"values"', b'"device": "\\ud800", "values"', 422),
    ],
)
def test_the_raw_door_refuses_them_too(client, week, found, written, status):
    body = json.dumps({**week, "values": [12, *week["values"][1:]]}).encode()
    assert found in body
    assert client.post(RAW, content=body.replace(found, written, 1)).status_code == status
    assert client.post(RAW, content=b"[" * 100_000).status_code == 400


def talk(served, *parts, wait=0.0, seconds=40):
    """Send parts on one connection; return what comes back until it is closed, and after how long."""
    port, said = int(served.url.rsplit(":", 1)[1]), b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        began = time.monotonic()
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        while chunk := connection.recv(65_536):
            said += chunk
        return said, time.monotonic() - began


@pytest.mark.parametrize("path", ["/analyze", RAW])
@pytest.mark.parametrize("length", [b"content-length: 1000", b"transfer-encoding: chunked"])
@pytest.mark.slow
def test_a_body_that_does_not_come_is_408_and_the_connection_is_closed(served, path, length):
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n%s\r\n\r\n"
    said, seconds = talk(served, head % (path.encode(), length), b"2\r\n{ \r\n")
    assert said.startswith(b"HTTP/1.1 408")
    assert b'"body_too_slow"' in said
    assert 4 < seconds < 20


@pytest.mark.slow
def test_headers_that_do_not_come_lose_the_connection(served):
    said, seconds = talk(served, b"GET /livez HTTP/1.1\r\nhost: x\r\n")
    assert said == b""
    assert 5 < seconds < 30


def test_headers_beyond_what_anybody_needs_are_431(client, served):
    assert client.get("/livez", headers={"x-long": "1" * 40_000}).status_code == 431
    assert client.get("/livez", headers={f"x-{i}": "1" for i in range(101)}).status_code == 431
    assert client.get("/livez", headers={"x-long": "1" * 20_000}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_origin_is_let_in_nowhere(client, method):
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST", **JSON}
    for path in ("/analyze", "/livez", RAW, "/schema.json"):
        answer = client.request(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/schema.json", "/metrics", "/docs.json", "/", "/nothing"]
)
def test_every_answer_is_stored_by_nobody_guessed_by_nobody_and_names_no_server(client, path):
    headers = client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers
    assert "strict-transport-security" not in headers


def test_answers_of_every_kind_are_among_them(client, week):
    for answer in (
        client.post("/analyze", json=week),
        client.post("/analyze", json={}),
        client.get("/analyze"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_the_report_keeps_its_own_policy_which_allows_its_style_and_nothing_else(client):
    answer = client.post("/v1/recordings:report", content=WEEK.read_bytes())
    policies = answer.headers.get_list("content-security-policy")
    assert policies == [f"{CONTENT_POLICY}; frame-ancestors 'none'"]
    assert "<script" not in answer.text
    assert " style=" in answer.text or "<style" in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
