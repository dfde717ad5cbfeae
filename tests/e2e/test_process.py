"""The served process: load, batches, pickle, readiness, start and stop."""

import asyncio
import os
import pickle
import re
import signal
import statistics
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from api.doors import PAGES
from pat_runner.engines import chosen
from serving.settings import Settings
from tests.e2e.server import BIN, environment, home_with_demo_weights, serve
from tests.shared import ROOT

pytestmark = pytest.mark.e2e

FULL = Settings(profile="test").max_batch_size  # weeks in a batch, unless set
DOORS = [
    "/analyze",
    "/analyze_fhir",
    "/embed",
    "/explain",
    "/v1/recordings:analyze",
    "/readyz",
    "/schema.json",
    "/run",
]
COMPUTED = {"Cache-Control": "no-store"}  # equal as the requests are, each is computed
PICKLES = [
    "application/vnd.bentoml+pickle",
    "Application/VND.Bentoml+Pickle",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
]


async def load(url, week, requests, concurrency):
    turn = asyncio.Semaphore(concurrency)

    async def one(client):
        async with turn:
            return (await client.post("/analyze", json=week)).status_code

    async with httpx.AsyncClient(base_url=url, timeout=120, headers=COMPUTED) as client:
        return await asyncio.gather(*(one(client) for _ in range(requests)))


async def embedded(url, rows):
    """Embed ``rows`` weeks for one caller and, while they are computed, one week each for 16 others."""
    headers = {"X-PAT-Standardized": "true", "Accept": "application/octet-stream", **COMPUTED}

    async def one(client, weeks, wait):
        await asyncio.sleep(wait)
        body = np.zeros(weeks * 10_080, "<f4").tobytes()
        return (await client.post("/v1/embed", content=body, headers=headers)).status_code

    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        return await asyncio.gather(one(client, rows, 0), *(one(client, 1, 0.1) for _ in range(16)))


@pytest.mark.slow
def test_600_requests_at_16_have_no_error(served, week):
    assert asyncio.run(load(served.url, week, 600, 16)) == [200] * 600


def test_weeks_of_several_callers_are_computed_together(served):
    before = batches(served)
    assert asyncio.run(embedded(served.url, 128)) == [200] * 17
    alone = 128 // FULL + 16
    assert batches(served) - before < alone


def test_beyond_its_admission_the_service_answers_503_early_and_recovers(home, week):
    with serve(home, {"PAT_MAX_WAITING_WEEKS": "1", "PAT_MAX_REQUESTS": "20"}) as running:
        statuses = asyncio.run(load(running.url, week, 60, 20))
        assert set(statuses) == {200, 503}
        with running.client() as client:
            assert client.post("/analyze", json=week).status_code == 200


def batches(served):
    """Batches that the runner has computed, those of the training of its dispatcher among them."""
    counted = re.findall(r"pat_batch_weeks_count ([\d.]+)", httpx.get(served.url + "/metrics").text)
    return sum(map(float, counted))  # nothing is told before the first


class Marker:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_refused_at_every_door_and_leaves_no_marker(client, tmp_path, door, kind):
    marker = tmp_path / "marker"
    answer = client.post(door, content=pickle.dumps(Marker(marker)), headers={"content-type": kind})
    assert 400 <= answer.status_code < 500
    assert not marker.exists()


@pytest.mark.parametrize("kind", [*PICKLES, ""])
def test_a_pickle_is_refused_at_the_runners_socket(served, tmp_path, kind):
    marker = tmp_path / "marker"
    (socket,) = served.scratch.glob("bentoml-uds-*/*.sock")
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://runner") as client:
        answer = client.post("/run", content=pickle.dumps([Marker(marker)]), headers={"content-type": kind})
    assert answer.status_code == 415
    assert not marker.exists()


def test_only_the_entry_has_a_tcp_port_that_answers_http_and_all_are_on_loopback(served):
    listening = [c.laddr for p in tree(served) for c in p.net_connections("tcp") if c.status == "LISTEN"]
    answering = {address.port for address in listening if speaks_http(address.port)}
    assert answering == {int(served.url.rsplit(":", 1)[1])}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def tree(served):
    top = psutil.Process(served.process.pid)
    return [top, *top.children(recursive=True)]


def speaks_http(port):
    try:
        httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1)
    except httpx.HTTPError:
        return False
    return True


def mapping(served, library):
    """Processes of the server that have ``library`` in memory."""
    return [p.pid for p in tree(served) if library in Path(f"/proc/{p.pid}/maps").read_text()]


def test_nobody_loads_what_the_engine_does_not_need(served):
    needed = {"libtorch": 0, "onnx_cpp2py": 0, "onnxruntime_pybind11": chosen("auto") == "onnxruntime"}
    assert {library: len(mapping(served, library)) for library in needed} == needed


@pytest.mark.parametrize("engine", ["onnxruntime", "torch", "openvino"])
@pytest.mark.slow
def test_another_engine_gives_the_same_numbers_under_its_own_name(home, served, week, engine):
    with served.client() as client:
        expected = client.post("/analyze", json=week).json()
    with serve(home, {"PAT_ENGINE": engine}) as running, running.client() as client:
        found = client.post("/analyze", json=week).json()
        assert len(mapping(running, "libtorch")) == (engine == "torch")
        assert len(mapping(running, "onnxruntime_pybind11")) == (engine == "onnxruntime")
    assert (found["provenance"]["model"].pop("engine"), expected["provenance"]["model"].pop("engine")) == (
        engine,
        chosen("auto"),
    )
    ours, theirs = (np.array(answer["weeks"][0].pop("embedding")) for answer in (found, expected))
    assert np.abs(ours - theirs).max() < 2e-5
    assert found == expected


@pytest.mark.slow
def test_an_engine_that_cannot_compute_as_asked_is_not_ready(home, week):
    with serve(home, {"PAT_PRECISION": "bf16", "PAT_ENGINE": "onnxruntime"}, wait_ready=False) as running:
        assert unready(running, week)
        assert "computes in fp32 only" in running.log.read_text()


@pytest.mark.slow
def test_a_lone_call_after_a_burst_does_not_wait_for_others(served, week):
    with served.client() as client:

        def seconds():
            began = time.perf_counter()
            assert client.post("/analyze", json=week, headers=COMPUTED).status_code == 200
            return time.perf_counter() - began

        undisturbed = statistics.median(seconds() for _ in range(15))
        extra = []
        for _ in range(3):
            asyncio.run(load(served.url, week, 100, 16))
            time.sleep(1)
            extra.append(seconds() - undisturbed)
    assert min(extra) < 0.015


@pytest.mark.slow
def test_the_queue_and_its_batches_are_measured_in_weeks():
    rows = [[0.0] * 1260] * 20
    with home_with_demo_weights() as home, serve(home) as running, running.client() as client:
        assert client.post("/embed", json={"weeks": rows, "standardized": True}).status_code == 200
        assert metric(client, "pat_batch_weeks_sum") == 20
        assert metric(client, "pat_batch_weeks_count") == 3  # of at most 8 weeks
        assert metric(client, "pat_queue_weeks") == 0
        assert metric(client, "pat_batch_wait_seconds_count") > 0
        assert metric(client, "pat_batch_seconds_sum") > 0


def metric(client, name):
    (line,) = [line for line in client.get("/metrics").text.splitlines() if re.match(rf"{name}[ {{]", line)]
    return float(line.rsplit(" ", 1)[1])


def test_the_service_stops_cleanly(home):
    with serve(home) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0


def weights_file(home):
    (file,) = home.glob("models/pat-s-demo/*/weights.safetensors")
    return file


def unready(running, week):
    with running.client() as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        answer = client.post("/analyze", json=week)
    assert answer.status_code == 503
    assert answer.json()["code"] == "model_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    return True


@pytest.mark.parametrize("damage", ["missing", "one flipped bit", "truncated"])
@pytest.mark.slow
def test_without_proven_weights_the_service_lives_and_says_so(week, damage):
    with home_with_demo_weights() as home:
        file = weights_file(home)
        content = bytearray(file.read_bytes())
        file.chmod(0o644)
        if damage == "missing":
            for left in sorted(home.glob("models/**/*"), reverse=True):
                left.rmdir() if left.is_dir() else left.unlink()
        elif damage == "truncated":
            file.write_bytes(content[: len(content) // 2])
        else:
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
        with serve(home, wait_ready=False) as running:
            assert unready(running, week)


@pytest.mark.slow
def test_a_checkpoint_that_is_not_the_pinned_one_is_not_served(home, week):
    with serve(home, {"PAT_CHECKPOINT_SHA256": "0" * 64}, wait_ready=False) as running:
        assert unready(running, week)


@pytest.mark.parametrize(
    "settings", [{"PAT_PROFILE": "production"}, {"PAT_FLAG": "1"}, {"PAT_HOST": "0.0.0.0"}]
)
def test_what_must_not_start_exits(home, settings):
    done = subprocess.run(
        [str(BIN / "bentoml"), "serve", "service:PatService", "--port", "0"],
        env={**environment(home), **settings},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "SettingsError" in done.stderr + done.stdout


@pytest.mark.slow
def test_the_bento_serves_the_same_answers(home, served, week, tmp_path):
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    subprocess.run([str(BIN / "bentoml"), "build"], env=env, cwd=ROOT, check=True, capture_output=True)
    with serve(home, cwd=tmp_path, target="pat_service:latest") as bento, bento.client() as client:
        answer = client.post("/analyze", json=week)
        pages = {path: client.get(path) for path in PAGES}
    assert answer.status_code == 200
    with served.client() as client:
        assert client.post("/analyze", json=week).json() == answer.json()
        assert {path: client.get(path).content for path in PAGES} == {
            path: at.content for path, at in pages.items()
        }
