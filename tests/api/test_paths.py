"""BentoML's own layers hear of no path that somebody made up; and what is relied on of the pinned version."""

import inspect

import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from bentoml._internal.server.http import instruments

from api import paths
from api.paths import NOWHERE, AskedPaths, KnownPaths, door_of
from api.routes import CLOSED, PUBLIC, ROUTES
from serving.routes import Paths, new_id
from tests.e2e.guarded import NOBODY_S

pytestmark = pytest.mark.security


@pytest.fixture
def heard(monkeypatch):
    """What BentoML's middleware is called with."""
    scopes = []

    async def counted(self, scope, receive, send):
        scopes.append(scope)
        await self.app(scope, receive, send)

    monkeypatch.setattr(paths._BENTOML, "__call__", counted)
    return scopes


async def nothing(scope, receive, send):
    pass


async def asked(path, kind="http"):
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"a=anna",
    }
    await KnownPaths(nothing, namespace="n", skip_paths=[])({**scope, "headers": []}, None, None)


@pytest.mark.parametrize("path", sorted(PUBLIC | CLOSED | {path for _, path in ROUTES if "{" not in path}))
async def test_a_path_that_there_is_passes(heard, path):
    await asked(path.replace("{id}", NOBODY_S))
    assert heard[0]["path"] == path


@pytest.mark.parametrize("path", ["/anna-1970", "/v1/subjects/anna-1970", "/analyze/anna", "/livez/anna", ""])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_of_any_other_nothing_is_left(heard, path, kind):
    await asked(path, kind)
    assert heard[0]["path"] == NOWHERE
    assert "anna" not in repr(heard[0])


@pytest.mark.parametrize("path", ["/fhir", "/fhir/Patient/anna-1970", "/fhir/$anna"])
async def test_of_an_unknown_path_of_fhir_only_that_is_left(heard, path):
    await asked(path)
    assert heard[0]["path"] == "/fhir/nowhere"
    assert "anna" not in repr(heard[0])


@pytest.fixture
def templated(monkeypatch):
    monkeypatch.setattr(paths, "_known", lambda: Paths(["/v1/things/{id}", "/analyze"]))


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_of_an_id_nothing_is_left_for_those_who_count_and_all_for_those_who_answer(
    heard, templated, kind
):
    one, reached = new_id(), []

    async def answered(scope, receive, send):
        reached.append(scope)

    app = KnownPaths(AskedPaths(answered), namespace="n", skip_paths=[])
    path = f"/v1/things/{one}"
    await app({"type": kind, "path": path, "raw_path": path.encode(), "headers": []}, None, None)
    assert (heard[0]["path"], heard[0]["raw_path"]) == ("/v1/things/{id}", b"/v1/things/{id}")
    assert (reached[0]["path"], reached[0]["raw_path"]) == (path, path.encode())


def test_a_path_leads_to_the_door_of_its_template(templated):
    assert door_of(f"/v1/things/{new_id()}") == "/v1/things/{id}"
    assert door_of("/analyze") == "/analyze"
    assert door_of("/v1/things/anna-1970") == "/v1/things/anna-1970"


async def test_what_is_no_request_passes_as_it_is(heard):
    await KnownPaths(nothing)({"type": "lifespan"}, None, None)
    assert heard == [{"type": "lifespan"}]


def test_bentoml_s_outermost_middleware_is_ours_once_installed(monkeypatch):
    monkeypatch.setattr(instruments, "RunnerTrafficMetricsMiddleware", paths._BENTOML)
    paths.install()
    assert instruments.RunnerTrafficMetricsMiddleware is KnownPaths
    source = inspect.getsource(ServiceAppFactory.middlewares.fget)  # takes it from there when an app is made
    first = source.index("Middleware(\n")
    assert source.index("server.http.instruments import") < first
    assert source[first:].split()[1] == "RunnerTrafficMetricsMiddleware,"
