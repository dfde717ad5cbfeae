"""The built images: what runs in them, what cannot, and what they answer."""

import json
import os
import secrets
import shutil
import ssl
import subprocess
import time

import httpx
import pytest

from models import store
from pat_runner.engines import chosen
from serving.keys import new_line
from tests.certificates import Authority
from tests.e2e.server import DEMO, free_port, home_with_demo_weights, serve
from tests.image import page
from tests.image.containers import (
    IMAGES,
    SERVICE,
    WITHOUT_TORCH,
    built,
    called,
    layers,
    looked,
    megabytes,
    once,
    owned_by_the_service,
    serving,
    started,
)
from tests.serving.signed import PROJECT
from tests.shared import ROOT, missing

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

MOST_MEGABYTES = {SERVICE: 1_300, WITHOUT_TORCH: 600}
CODE = ROOT / "build" / "image"  # what the images were built from
MEASURED: dict[str, dict[str, float]] = {}


@pytest.fixture(scope="module", params=IMAGES)
def image(request):
    return built(request.param)


@pytest.fixture(scope="module")
def running(image):
    with serving(image) as running:
        yield running


@pytest.fixture(scope="module")
def week():
    return json.loads((ROOT / "examples" / "week.json").read_text())


@pytest.fixture(scope="module")
def outside(week):
    """What the same code answers outside of any container."""
    with home_with_demo_weights() as home, serve(home, {"PAT_PROFILE": "development"}) as served:
        yield served.client().post("/analyze", json=week).json()


@pytest.fixture(scope="module", autouse=True)
def results():
    """Writes what was measured, once everything was."""
    yield
    numbers = {"megabytes", "ready_seconds", "stop_seconds", "peak_megabytes", "rebuild_seconds"}
    if all(set(MEASURED.get(image, ())) == numbers for image in IMAGES):
        page.write(MEASURED)


def measured(image, **numbers):
    MEASURED.setdefault(image, {}).update(numbers)


def assert_same(found, right, place=""):
    """Equal to the last digit but one, which another build of Python rounds otherwise; embeddings to 1e-4."""
    if isinstance(right, dict):
        assert set(found) == set(right), place
        for name, value in right.items():
            assert_same(found[name], value, f"{place}.{name}")
    elif isinstance(right, list):
        assert len(found) == len(right), place
        for one, other in zip(found, right, strict=True):
            assert_same(one, other, place)
    elif isinstance(right, float):
        assert found == pytest.approx(right, rel=1e-13, abs=1e-4 if place.endswith("embedding") else 0), place
    else:
        assert found == right, place


def test_the_image_is_as_small_as_promised(image):
    measured(image, megabytes=megabytes(image))
    assert megabytes(image) <= MOST_MEGABYTES[image]


def test_the_example_is_answered_as_outside(running, week, outside):
    answer = running.client().post("/analyze", json=week)
    assert answer.status_code == 200
    assert len(answer.json()["weeks"]) == 1
    assert_same(answer.json(), outside)


def test_the_engine_is_the_one_that_was_built_here(running):
    assert f"on {chosen('auto')}, fp32" in running.log()


def test_the_weights_are_pinned_by_tag_and_content(running):
    checkpoint = running.inside("echo $PAT_CHECKPOINT $PAT_CHECKPOINT_SHA256").split()
    digest = store.files.load(DEMO).digest
    assert checkpoint == [f"pat-s-demo:{digest[: store.VERSION_LENGTH]}", digest]


def test_other_content_than_the_pinned_leaves_the_service_unready(image):
    with started(image, {"PAT_CHECKPOINT_SHA256": "0" * 64}) as running:
        assert status_when_alive(running) == 503
        assert "runner not ready" in running.log()


def status_when_alive(running):
    """Wait until the entry answers, and return the status of /readyz."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{running.url}/livez", timeout=5).status_code == 200:
                return httpx.get(f"{running.url}/readyz", timeout=5).status_code
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(running.log()[-4000:])


def test_every_process_is_user_10001_without_capabilities(running):
    status = running.inside("cat /proc/[0-9]*/status")
    users = {line for line in status.splitlines() if line.startswith(("Uid:", "Gid:"))}
    assert users == {"Uid:\t10001\t10001\t10001\t10001", "Gid:\t10001\t10001\t10001\t10001"}
    assert {line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")} == {"0" * 16}
    assert {line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")} == {"0" * 16}
    assert {line.split()[1] for line in status.splitlines() if line.startswith("NoNewPrivs:")} == {"1"}


def test_nothing_can_be_written_but_memory(running):
    places = "/ /tmp /var/tmp /etc /opt/pat /opt/pat/src /opt/pat/models/pat-s-demo /opt/pat/venv /run"
    written = running.inside(
        f"for p in {places} /dev/shm; do touch $p/x 2>/dev/null && echo $p; rm -f $p/x; done"
    )
    assert written.split() == ["/dev/shm"]


def test_the_served_processes_never_load_torch(running):
    maps = running.inside("cat /proc/[0-9]*/maps")
    assert "_native" in maps or "onnxruntime" in maps
    assert "libtorch" not in maps


def test_without_torch_means_that_it_is_not_there():
    done = once(built(WITHOUT_TORCH), "-c", "import torch", options=("--entrypoint=python",))
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_the_image_with_torch_serves_on_every_engine(engine, week):
    with serving(built(SERVICE), {"PAT_ENGINE": engine}) as running:
        assert running.client().post("/analyze", json=week).status_code == 200
        assert f"on {engine}, fp32" in running.log()


def test_the_image_without_torch_serves_on_onnxruntime(week):
    with serving(built(WITHOUT_TORCH), {"PAT_ENGINE": "onnxruntime"}) as running:
        assert running.client().post("/analyze", json=week).status_code == 200


def test_the_image_without_torch_says_that_it_has_no_such_engine(week):
    with started(built(WITHOUT_TORCH), {"PAT_ENGINE": "torch"}) as running:
        assert status_when_alive(running) == 503
        answer = running.client().post("/analyze", json=week)
        assert answer.status_code in (200, 503)
        assert "engine torch: its library is not installed (torch)" in running.log()


def test_sigterm_ends_it_with_status_0(image, week):
    with serving(image) as running:
        assert running.client().post("/analyze", json=week).status_code == 200
        peak = running.inside(in_cgroup("memory.peak", "memory.max_usage_in_bytes"))
        assert running.stop() == 0
    measured(
        image,
        ready_seconds=running.ready_seconds,
        stop_seconds=running.stop_seconds,
        peak_megabytes=max(map(int, peak.split()), default=0) / 1e6,
    )


def in_cgroup(newer, older):
    """A line that prints a number of the control group, of whichever version."""
    return f"cat /sys/fs/cgroup/{newer} /sys/fs/cgroup/memory/{older} 2>/dev/null || true"


def test_the_memory_bound_is_what_the_processes_see(running):
    limits = running.inside(in_cgroup("memory.max", "memory.limit_in_bytes"))
    assert str(2**30) in limits.split()


def test_no_compiler_and_nothing_that_fetches_code_for_it_is_in_it(image):
    tools = "gcc cc c++ g++ clang tcc ld as make cmake git curl wget pip pip3 uv"
    assert looked(image, f"for t in {tools}; do command -v $t || true; done") == ""


def test_nothing_in_it_changes_the_user_and_nothing_of_it_is_the_users(image):
    assert looked(image, "find / -xdev -type f -perm /6000 2>/dev/null || true") == ""
    assert looked(image, "find / -xdev -user 10001 2>/dev/null || true").split() == ["/var/lib/pat"]
    assert looked(image, "find /opt /usr /etc -xdev -type f -perm -o+w 2>/dev/null || true") == ""
    assert looked(image, "find /opt/pat -not -perm -o+r 2>/dev/null || true") == ""


def test_no_secret_and_no_trace_of_the_machine_that_built_it_is_in_it(image):
    telling = ("*.key", ".env", ".netrc", ".git", ".npmrc", "pip.conf", "id_rsa", "id_ed25519")
    names = " -o ".join(f"-name '{name}'" for name in telling)
    where = "find / -xdev \\( -path /proc -o -path /sys \\) -prune -o \\( {} \\) -print 2>/dev/null || true"
    assert looked(image, where.format(names)) == ""
    assert looked(image, f"grep -rlF '{ROOT}' /opt/pat /etc 2>/dev/null || true") == ""
    assert (
        looked(image, "grep -rl 'PRIVATE KEY-----' /opt/pat/src /opt/pat/models /etc 2>/dev/null || true")
        == ""
    )
    variables = {line.partition("=")[0] for line in looked(image, "env").splitlines()}
    assert not {name for name in variables if name.startswith("PIP_") or "PROXY" in name.upper()}


def test_of_the_project_only_the_service_and_its_command_are_in_it(image):
    rooms = {
        "api",
        "commands",
        "deploy",
        "models",
        "pat_runner",
        "postprocessing",
        "preprocessing",
        "serving",
    }
    files = {"LICENSE", "NOTICE", "__pycache__", "bentofile.yaml", "cli.py", "service.py"}
    assert set(looked(image, "ls -A /opt/pat/src").split()) == rooms | files
    assert looked(image, "ls /opt/pat/src/deploy").split() == ["entry.sh"]


def test_the_command_works_in_it_without_a_network(image, outside):
    week = ROOT / "examples" / "week.json"
    done = once(image, "analyze", "/data/week.json", options=(f"--volume={week}:/data/week.json:ro",))
    assert done.returncode == 0, done.stderr
    assert_same(json.loads(done.stdout)["sleep"], outside["sleep"])


def test_it_does_not_start_for_other_machines_without_identity_and_tls(image):
    done = once(image, options=("--env=PAT_HOST=0.0.0.0",))
    assert done.returncode == 1
    assert "PAT_HOST must be 127.0.0.1 or ::1 unless callers are identified" in done.stderr


@pytest.fixture
def volume(image):
    """A named volume, which begins as what the image has at its place."""
    name = f"pat-test-{secrets.token_hex(6)}"
    yield name
    called("volume", "rm", "--force", name)


def test_production_answers_over_tls_on_a_published_port_and_asks_who_calls(image, tmp_path, volume, week):
    authority, port = Authority(tmp_path, "authority"), free_port()
    mounted = tmp_path / "secrets"
    mounted.mkdir()
    pair = authority.pair("server", "127.0.0.1")
    for file in (pair.certificate, pair.key):
        shutil.copy2(file, mounted)
    (mounted / "master.keys").write_text(new_line("one"))
    (mounted / "master.keys").chmod(0o400)
    owned_by_the_service(mounted)
    settings = {
        "PAT_PROFILE": "production",
        "PAT_HOST": "0.0.0.0",
        "PAT_FIREBASE_PROJECT": PROJECT,
        "PAT_MASTER_KEYS_FILE": "/run/secrets/master.keys",
        "PAT_STATE_FOLDER": "/var/lib/pat",
        "PAT_TLS_CERTIFICATE_FILE": "/run/secrets/server.pem",
        "PAT_TLS_KEY_FILE": "/run/secrets/server.key",
    }
    options = (
        f"--publish=127.0.0.1:{port}:3000",
        f"--volume={mounted}:/run/secrets:ro",
        f"--volume={volume}:/var/lib/pat",
    )
    with started(image, settings, options=options, port=port, scheme="https") as running:
        trusted = ssl.create_default_context(cafile=authority.file)
        running.wait(verify=trusted)
        asked = httpx.post(f"{running.url}/analyze", json=week, verify=trusted, timeout=60)
        assert asked.status_code == 401
        assert running.inside("ls /var/lib/pat").split()
        assert running.stop() == 0


def test_a_change_of_the_code_changes_the_last_layer_alone(image, tmp_path):
    context = tmp_path / "context"
    if not (CODE / "bento.yaml").exists():
        missing("the images' context is not here (make image)")
    shutil.copytree(CODE, context, copy_function=os.link)
    changed = context / "src" / "service.py"
    text = changed.read_text()
    changed.unlink()
    changed.write_text(f"{text}# changed\n")
    begun = time.monotonic()
    build = {"CONTEXT": str(context), "TAG": "changed", "IMAGES": image.removeprefix("localhost/pat-")}
    done = subprocess.run(
        [str(ROOT / "deploy" / "image.sh")],
        env={**os.environ, **build},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    measured(image, rebuild_seconds=time.monotonic() - begun)
    before, after = layers(image), layers(f"{image}:changed")
    called("rmi", f"{image}:changed")
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]
