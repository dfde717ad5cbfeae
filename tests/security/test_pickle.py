"""A pickle is opened nowhere: not on any route of the guarded service, not on the runner's own socket."""

import io
import pickle
import socket
import uuid

import httpx
import pytest

from api.routes import ROUTES
from api.runner_door import FRAME
from serving.auth import Role
from tests.e2e.guarded import bearer
from tests.e2e.test_process import Marker

pytestmark = [pytest.mark.e2e, pytest.mark.security]
PICKLE, JSON = "application/vnd.bentoml+pickle", "application/json"
VARIANTS = {
    "plain": [("Content-Type", PICKLE)],
    "upper case": [("Content-Type", PICKLE.upper())],
    "mixed case": [("cOnTeNt-TyPe", "Application/VND.BentoML+Pickle")],
    "a parameter": [("Content-Type", f"{PICKLE}; charset=utf-8")],
    "a space": [("Content-Type", f"{PICKLE} ;")],
    "json, then pickle": [("Content-Type", f"{JSON}, {PICKLE}")],
    "pickle, then json": [("Content-Type", f"{PICKLE}, {JSON}")],
    "pickle as a parameter": [("Content-Type", f"{JSON}; {PICKLE}")],
    "two headers, json first": [("Content-Type", JSON), ("Content-Type", PICKLE)],
    "two headers, pickle first": [("Content-Type", PICKLE), ("Content-Type", JSON)],
    "as json": [("Content-Type", JSON)],
    "as numbers": [("Content-Type", "application/octet-stream")],
    "as arrow": [("Content-Type", "application/vnd.bentoml+arrow")],
    "no type": [],
    "binary by header": [("Content-Type", JSON), ("Bentoml-Is-Binary", "true")],
    "payload headers": [
        *(("Content-Type", PICKLE), ("Payload-Meta", '{"with_buffer": true, "pickle_bytes_str": "gAQu"}')),
        *(("Payload-Container", "DefaultContainer"), ("Args-Number", "1"), ("Bento-Name", "x")),
    ],
    "buffers": [("Content-Type", PICKLE), ("Buffer-Lengths", "1,2"), ("Batch-Size", "1")],
    "accepting one": [("Content-Type", JSON), ("Accept", PICKLE)],
}


@pytest.fixture
def armed(tmp_path):
    """A pickle, as text and in bytes, whose opening leaves a file; and that none was left."""
    marker = tmp_path / "marker"
    yield [pickle.dumps(Marker(marker), protocol) for protocol in (0, pickle.HIGHEST_PROTOCOL)]
    assert not marker.exists()


def test_the_marker_marks(tmp_path):
    pickle.loads(pickle.dumps(Marker(tmp_path / "marker"))).close()
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_route_opens_a_pickle_of_anybody(asked, armed, variant):
    everybody = bearer(roles=[role.value for role in Role], sub="pickler")
    for method, path in ROUTES:
        for content in armed:
            headers = [*VARIANTS[variant], *everybody.items()]
            answer = asked(method, path, content=content, headers=headers)
            assert 400 <= answer.status_code < 500 or method == "GET", path  # which reads no body
        assert asked(method, path, content=armed[0], headers=VARIANTS[variant]).status_code == 401
    assert asked.served.process.poll() is None


@pytest.mark.parametrize("kind", [PICKLE, "application/octet-stream", JSON, ""])
def test_no_route_opens_a_pickle_in_a_form(asked, armed, kind):
    everybody = bearer(roles=[role.value for role in Role], sub="pickler")
    for method, path in ROUTES:
        for name in ("recording", "items", "file", "args"):
            form = {name: ("x.pkl", io.BytesIO(armed[-1]), kind)}
            answer = asked(method, path, files=form, headers=everybody)
            assert 400 <= answer.status_code < 500 or method == "GET", path


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("path", ["/run", "/", "/schema.json", "/analyze", "/readyz"])
def test_the_runner_s_socket_refuses_whatever_is_no_frame(asked, armed, variant, path):
    with runner(asked) as client:
        for content in armed:
            assert client.post(path, content=content, headers=VARIANTS[variant]).status_code == 415


def test_the_runner_s_socket_does_not_open_a_pickle_that_calls_itself_a_frame(asked, armed):
    with runner(asked) as client:
        for content in armed:
            assert client.post("/run", content=content, headers={"content-type": FRAME}).status_code == 400
            for method in ("GET", "PUT", "PATCH", "DELETE"):
                assert client.request(method, "/run", content=content).status_code >= 400


def runner(asked):
    (path,) = asked.served.scratch.glob("bentoml-uds-*/*.sock")
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://runner", timeout=60)


def test_a_pickle_beside_the_declared_length_is_not_opened(asked, armed):
    """Two requests in one, by two lengths that disagree: the second must not get past the guard."""
    with socket.create_connection(asked.client.base_url.netloc.decode().split(":")) as connection:
        smuggled = b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\n\r\n%b" % (
            PICKLE.encode(),
            armed[-1],
        )
        head = f"POST /analyze HTTP/1.1\r\nHost: x\r\nX-Try: {uuid.uuid4()}\r\nContent-Length: 4\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
        connection.settimeout(5)
        answer = connection.recv(65536)
    assert answer.split(b" ")[1] in (b"400", b"401")
