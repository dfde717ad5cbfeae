"""What computes waits in its lane; what an operator or a patient needs goes on under any load."""

from dataclasses import replace

import pytest

from api.access import Access, acting
from api.doors import DEFINITIONS, PAGES
from api.lanes import Lanes, tenant
from api.routes import PUBLIC, ROUTES
from serving.policy import Verb
from serving.settings import Settings
from tests.api.test_guard import CALLERS, Subjects

WAITING = {
    *(("POST", path) for path in ("/analyze", "/analyze_fhir", "/explain", "/embed", "/v1/embed")),
    *(("POST", f"/v1/recordings:{verb}") for verb in ("analyze", "report", "deidentify")),
    *(("POST", path) for path in ("/fhir/$analyze", "/cds-services/pat-activity", "/v1/subjects:analyze")),
}


@pytest.fixture
def lanes():
    return Lanes(Settings(profile="test", max_requests=3, max_batch_size=8))


def scope(path, method="POST", size=100):
    headers = [] if size is None else [(b"Content-Length", str(size).encode())]
    return {"type": "http", "method": method, "path": path.replace("{id}", "A" * 22), "headers": headers}


def test_doors_that_compute_wait_and_no_other_route_does(lanes):
    waiting = {(method, path) for method, path in ROUTES if lanes.of(scope(path, method)) is not None}
    assert waiting == WAITING


@pytest.mark.parametrize("path", sorted(PUBLIC | DEFINITIONS | PAGES | {"/metrics", "/nowhere"}))
def test_probes_pages_and_metrics_never_wait(lanes, path):
    assert lanes.of(scope(path, "GET")) is None
    assert lanes.of(scope(path)) is None


def test_a_large_body_waits_elsewhere_than_one_week(lanes):
    week = lanes.of(scope("/v1/embed", size=40_320))
    many = lanes.of(scope("/v1/embed", size=256 * 40_320))
    recording, large = lanes.of(scope("/analyze")), lanes.of(scope("/fhir/$analyze", size=6_000_000))
    assert many is large
    assert len({id(lane) for lane in (week, many, recording)}) == 3


def test_a_body_that_does_not_say_how_large_it_is_counts_as_large(lanes):
    assert lanes.of(scope("/v1/embed", size=None)) is lanes.of(scope("/analyze", size=6_000_000))


def test_what_is_written_back_elsewhere_is_finished(lanes):
    assert lanes.of(scope("/v1/subjects:analyze")).lasting
    assert not lanes.of(scope("/analyze")).lasting


def test_callers_of_a_tenant_share_a_name_and_others_have_their_own():
    assert tenant() == ""
    names = []
    for caller in (CALLERS["clinician"], CALLERS["admin"], replace(CALLERS["patient"], tenant="")):
        with acting(Access(Verb.ANALYZE, caller, Subjects())):
            names.append(tenant())
    assert names == ["tenant clinic", "tenant clinic", "uid u-patient"]
