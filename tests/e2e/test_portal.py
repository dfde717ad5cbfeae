"""``/docs`` in a real browser: operations are there and can be tried, and nobody else is asked anything."""

import hashlib
import re

import httpx
import pytest

from api.doors import PAGES
from api.portal import CONTENT_POLICY
from api.routes import PUBLIC, ROUTES
from tests.browser import watched
from tests.e2e.guarded import bearer, guarded

pytestmark = [pytest.mark.e2e, pytest.mark.fhir, pytest.mark.slow]

SWAGGER_UI = {  # as npm has them in swagger-ui-dist 5.34.0
    "/docs/swagger-ui-bundle.js": "3f6abf70480db7e07914df4c98a77385f22ea585eaf457a3e6415ba0eae2d167",
    "/docs/swagger-ui.css": "c3cfe8248c4b0b89673600fb829924eafbac6de4bc4b2b06f5f5243483074d0a",
}
OPERATIONS = len(ROUTES) + len(PUBLIC - PAGES)
STORED = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"


@pytest.fixture
def seen():
    with watched() as seen:
        yield seen


@pytest.fixture(scope="module")
def closed(home, tmp_path_factory):
    """A service that identifies its callers."""
    with guarded(home, tmp_path_factory.mktemp("portal")) as served:
        yield served


def tried(page, name):
    """Send the example of an operation; return the status that the page shows."""
    operation = page.locator(f"[id$='-{name}']")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    shown = operation.locator(".live-responses-table tbody .response-col_status").first
    shown.wait_for()
    return shown.inner_text().split()[0]


def test_what_is_served_is_swagger_ui_as_it_was_published(client):
    for path, digest in SWAGGER_UI.items():
        assert hashlib.sha256(client.get(path).content).hexdigest() == digest
    assert SWAGGER_UI.keys() < PAGES


@pytest.mark.parametrize("path", sorted(PAGES))
def test_a_page_is_read_and_nothing_else(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, path).status_code == 405


def test_the_policy_of_the_page_allows_this_host_alone_and_nothing_inline(client):
    page = client.get("/docs")
    assert page.headers["content-security-policy"] == CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY
    assert "http" not in CONTENT_POLICY
    assert not re.search(r"<script>|<style|\bon\w+=|https?:|//", page.text)


def test_an_operation_is_tried_without_a_request_to_another_host_or_a_complaint(served, seen):
    seen.page.goto(f"{served.url}/docs")
    seen.page.locator(".opblock").first.wait_for()
    assert seen.page.locator(".opblock").count() == OPERATIONS
    assert tried(seen.page, "analyze") == "200"
    assert "pat-analysis/1" in seen.page.locator(".live-responses-table").inner_text()
    assert f"{served.url}/analyze" in seen.asked
    assert seen.hosts == {httpx.URL(served.url).netloc.decode()}
    assert seen.complaints == []


def test_a_file_and_numbers_are_tried_as_well(served, seen, tmp_path):
    seen.page.goto(f"{served.url}/docs")
    seen.page.locator(".opblock").first.wait_for()
    assert tried(seen.page, "v1_recordings_analyze") == "200"
    assert seen.complaints == []


def test_where_callers_are_identified_the_page_asks_for_a_token_and_keeps_it_to_itself(closed, seen):
    token = bearer(roles=["service"])["Authorization"].removeprefix("Bearer ")
    seen.page.goto(f"{closed.url}/docs")
    seen.page.fill("#token", token)
    assert sorted(seen.asked) == sorted(f"{closed.url}{path}" for path in PAGES)  # no request without a token
    seen.page.click("#caller button")
    seen.page.locator(".opblock").first.wait_for()
    assert tried(seen.page, "analyze") == "200"
    assert seen.hosts == {httpx.URL(closed.url).netloc.decode()}
    assert token not in seen.page.evaluate(STORED)
    assert token not in seen.page.content()
    assert seen.page.input_value("#token") == ""
    assert seen.complaints == []
    seen.page.reload()
    assert seen.page.locator("#caller").is_visible()
    assert seen.page.locator(".opblock").count() == 0


def test_a_token_that_is_not_accepted_is_refused_in_words(closed, seen):
    seen.page.goto(f"{closed.url}/docs")
    seen.page.fill("#token", "not.a.token")
    seen.page.click("#caller button")
    seen.page.get_by_text("expected a valid Firebase ID token").wait_for()
    assert seen.page.locator(".opblock").count() == 0


def test_without_a_token_the_page_opens_and_the_document_does_not(closed):
    with closed.client() as client:
        assert {client.get(path).status_code for path in PAGES} == {200}
        assert client.get("/openapi.json").status_code == 401
        assert {client.get(path).status_code for path in ("/", "/docs.json")} == {401}
        assert {client.get(path, headers=bearer()).status_code for path in ("/", "/docs.json")} == {404}
