"""The guarded service with its cache on a real Redis: whose it is, deletion, and life without the Redis."""

import asyncio
import re
import time
from collections import Counter

import httpx
import pytest

from serving.audit_check import events
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, open_vault
from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import free_port, wait
from tests.faults import fault_proxy
from tests.redis_server import redis_server

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
SUBJECT = "anna-canary-1970"
NOON = 5_000  # the place of a minute that PAT reads


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def redis(port):
    with redis_server("cache", f"port {port}") as server:
        yield server


@pytest.fixture(scope="module")
def faults(redis, port):
    with fault_proxy(f"redis://127.0.0.1:{port}") as faults:
        yield faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def metrics():
    return f"127.0.0.1:{free_port()}"


def on(redis, url, **more):
    rates = {f"PAT_RATE_{kind}": "1000000" for kind in ("ADDRESS", "CALLER", "TENANT")}
    return {"PAT_CACHE_URL": url, "PAT_CACHE_CREDENTIALS_FILE": str(redis.credentials), **rates, **more}


@pytest.fixture(scope="module")
def served(home, folder, redis, faults, metrics):
    with guarded(home, folder, on(redis, faults.url, PAT_METRICS_ADDRESS=metrics)) as served:
        yield served


@pytest.fixture(scope="module")
def care(folder, served):
    keys = MasterKeys.read(folder / "master.keys")
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


@pytest.fixture(autouse=True)
def healthy(served, redis, faults, week):
    """Every test begins with an empty cache that answers."""
    faults.set("pass")
    assert until(lambda: use(asked(served, "/analyze", week)) in ("miss", "hit"))
    redis.admin().flushall()


@pytest.fixture
def recorded(folder):
    """What was recorded since the test began."""
    before = len(list(events(audit_folder(folder / "state"), {})))
    return lambda: [record["event"] for record in events(audit_folder(folder / "state"), {})][before:]


_NUMBERS = iter(range(400, 10_000))


@pytest.fixture
def mine(week):
    """The example week as no other test sends it."""
    return {**week, "values": [*week["values"][:NOON], next(_NUMBERS), *week["values"][NOON + 1 :]]}


def asked(served, path, body=None, method="POST", **headers):
    with served.client() as client:
        return client.request(method, path, json=body, headers=headers or bearer())


def use(answer):
    assert answer.status_code == 200, answer.text
    return answer.headers["x-pat-cache"]


def degraded(served):
    return asked(served, "/v1/status", method="GET").json()["degraded"]


def until(ask, seconds=30):
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def counted(metrics, name, **labels):
    text = httpx.get(f"http://{metrics}/metrics").text
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    return sum(float(value) for given, value in found if wanted <= set(given.split(",")))


def held(redis):
    """Every value that is kept, by name."""
    admin = redis.admin()
    return {name: admin.get(name) for name in admin.keys("pat:cache:*") if b":once:" not in name}


def test_an_answer_is_found_again_and_the_trail_says_so(served, mine, recorded):
    answers = [asked(served, "/analyze", mine) for _ in range(2)]
    assert [use(answer) for answer in answers] == ["miss", "hit"]
    assert answers[0].content == answers[1].content
    events = recorded()
    assert [(event["cache"], event["records"]) for event in events] == [("miss", 1), ("hit", 1)]
    assert {event["model"] for event in events} == {answers[0].json()["provenance"]["model"]["sha256"]}


def test_another_caller_and_another_tenant_find_nothing(served, mine):
    assert use(asked(served, "/analyze", mine)) == "miss"
    for changes in ({"sub": "user-2"}, {"tenant": "other-clinic"}):
        assert use(asked(served, "/analyze", mine, **bearer(**changes))) == "miss"


def test_who_may_not_see_a_subject_is_refused_before_the_cache(served, mine, care):
    body = {**mine, "subject": f"Patient/{SUBJECT}"}
    care.begin("clinic", "user-1", SUBJECT)
    assert [use(asked(served, "/analyze_fhir", body)) for _ in range(2)] == ["miss", "hit"]
    stranger = asked(served, "/analyze_fhir", body, **bearer(sub="stranger"))
    assert stranger.status_code == 404
    assert "x-pat-cache" not in stranger.headers
    care.begin("clinic", "user-7", SUBJECT)
    assert use(asked(served, "/analyze_fhir", body, **bearer(sub="user-7"))) == "hit"  # the subject's
    assert asked(served, "/analyze", mine, **bearer(roles=["researcher"])).status_code == 403


def test_what_was_deleted_is_computed_anew_and_its_old_copies_do_not_open(served, mine, care, redis, metrics):
    body = {**mine, "subject": "Patient/p-gone"}
    own = bearer(roles=["patient"], sid="p-gone", sub="user-5")
    care.begin("clinic", "user-1", "p-gone")
    assert [use(asked(served, "/analyze_fhir", body)) for _ in range(2)] == ["miss", "hit"]
    assert use(asked(served, "/analyze", mine, **own)) == "hit"  # the patient's own, without a name
    old = held(redis)
    assert len(old) == 2  # the analysis and the embedding
    done = asked(served, "/v1/subjects:delete", {"subject": "p-gone"}, **own).json()
    assert (done["deleted"]["cache"], done["key_shredded"]) == (2, True)
    assert held(redis) == {}
    for name, value in old.items():
        redis.admin().set(name, value)  # from a copy that somebody made
    care.begin("clinic", "user-1", "p-gone")
    corrupt = counted(metrics, "pat_cache_requests_total", outcome="corrupt")
    assert use(asked(served, "/analyze_fhir", body)) == "miss"
    new = {name: value for name, value in held(redis).items() if name not in old}
    assert len(new) == 2  # under other names
    for (name, _), value in zip(new.items(), old.values(), strict=True):
        redis.admin().set(name, value)
    assert use(asked(served, "/analyze_fhir", body)) == "miss"
    assert counted(metrics, "pat_cache_requests_total", outcome="corrupt") > corrupt


def test_nothing_on_the_redis_can_be_read(served, mine, redis, care):
    care.begin("clinic", "user-1", SUBJECT)
    asked(served, "/analyze_fhir", {**mine, "subject": f"Patient/{SUBJECT}"})
    kept = b"".join(name + value for name, value in held(redis).items())
    assert kept
    for word in (b"anna", b"user-1", b"clinic", b"pat-analysis", b"pooled", b"Berlin"):
        assert word not in kept


def test_changed_values_are_counted_removed_and_computed_anew(served, mine, redis, metrics):
    first = asked(served, "/analyze", mine)
    before = counted(metrics, "pat_cache_requests_total", outcome="corrupt")
    for name, value in held(redis).items():
        redis.admin().set(name, value[:40] + b"\0" + value[41:])
    second = asked(served, "/analyze", mine)
    assert (use(second), second.content == first.content) == ("miss", True)
    assert counted(metrics, "pat_cache_requests_total", outcome="corrupt") == before + 2
    assert use(asked(served, "/analyze", mine)) == "hit"
    assert degraded(served) == []


def test_values_of_another_service_are_not_believed(served, mine, redis):
    """Another key, the same name: as if somebody who may write there put an answer of their own."""
    first = asked(served, "/analyze", mine)
    stranger = {**mine, "values": mine["values"][::-1]}
    mine_names = set(held(redis))
    asked(served, "/analyze", stranger, **bearer(sub="somebody"))
    theirs = [value for name, value in held(redis).items() if name not in mine_names]
    for name, value in zip(sorted(mine_names), theirs, strict=True):
        redis.admin().set(name, value)
    again = asked(served, "/analyze", mine)
    assert (use(again), again.content == first.content) == ("miss", True)


@pytest.mark.parametrize("fault", [("refuse",), ("reset",), ("blackhole",), ("latency", 1.0), ("slow", 0.05)])
def test_without_the_redis_everything_is_computed_and_said(served, mine, faults, fault):
    first = asked(served, "/analyze", mine)
    assert use(first) == "miss"
    faults.set(*fault)
    answers = [asked(served, "/analyze", mine) for _ in range(4)]
    assert [use(answer) for answer in answers] == ["bypass"] * 4
    assert {answer.content for answer in answers} == {first.content}
    assert degraded(served) == ["cache"]
    assert httpx.get(f"{served.url}/readyz").status_code == 200
    faults.set("pass")
    assert until(lambda: use(asked(served, "/analyze", mine)) == "hit")
    assert degraded(served) == []


def test_a_redis_that_ends_and_comes_back_empty_harms_nobody(served, mine, redis):
    asked(served, "/analyze", mine)
    redis.kill()
    try:
        assert use(asked(served, "/analyze", mine)) == "bypass"
    finally:
        redis.start()
    assert until(lambda: use(asked(served, "/analyze", mine)) == "miss")
    assert until(lambda: use(asked(served, "/analyze", mine)) == "hit")


def test_a_redis_that_hangs_harms_nobody(served, mine, redis):
    with redis.hung():
        assert use(asked(served, "/analyze", mine)) == "bypass"
    assert until(lambda: use(asked(served, "/analyze", mine)) == "hit")


def test_a_full_redis_is_degraded_and_harms_nobody(served, mine, redis):
    first = asked(served, "/analyze", mine)
    admin = redis.admin()
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", "1mb")
    try:
        changed = {**mine, "options": {"series": True}}
        answers = [asked(served, "/analyze", changed) for _ in range(4)]
        assert {use(answer) for answer in answers} <= {"miss", "bypass"}
        assert len({answer.content for answer in answers}) == 1
        assert degraded(served) == ["cache"]
    finally:
        admin.config_set("maxmemory", "256mb")
        admin.config_set("maxmemory-policy", "allkeys-lru")
    assert until(lambda: use(asked(served, "/analyze", changed)) == "hit")
    assert asked(served, "/analyze", mine).content == first.content
    assert until(lambda: degraded(served) == [])


def test_a_redis_that_refuses_the_user_is_degraded(served, mine, redis):
    admin = redis.admin()
    rights = "-@all +auth +ping"
    admin.execute_command("acl", "setuser", "pat-cache", *rights.split())
    try:
        assert use(asked(served, "/analyze", mine)) == "bypass"
        for _ in range(3):
            asked(served, "/analyze", mine)
        assert degraded(served) == ["cache"]
    finally:
        for right in ("get", "set", "del", "unlink", "eval", "scan"):
            admin.execute_command("acl", "setuser", "pat-cache", f"+{right}")
    assert until(lambda: use(asked(served, "/analyze", mine)) == "hit")


def test_deleting_works_while_the_redis_does_not(served, mine, care, faults, redis):
    own = bearer(roles=["patient"], sid="p-alone", sub="user-6")
    body = {**mine, "subject": "Patient/p-alone"}
    assert [use(asked(served, "/analyze_fhir", body, **own)) for _ in range(2)] == ["miss", "hit"]
    faults.set("refuse")
    done = asked(served, "/v1/subjects:delete", {"subject": "p-alone"}, **own).json()
    assert (done["deleted"]["cache"], done["key_shredded"]) == (0, True)
    faults.set("pass")
    assert len(held(redis)) == 2  # what nobody can open
    assert until(lambda: use(asked(served, "/analyze_fhir", body, **own)) == "miss")


async def at_once(url, body, number):
    limits, headers = httpx.Limits(max_connections=250), bearer()
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, headers=headers) as client:
        return await asyncio.gather(*(client.post("/analyze", json=body) for _ in range(number)))


def test_200_equal_requests_to_two_workers_are_computed_once_in_all(home, tmp_path, redis, mine):
    metrics = f"127.0.0.1:{free_port()}"
    more = {"PAT_API_WORKERS": "2", "PAT_METRICS_ADDRESS": metrics}
    with guarded(home, tmp_path, on(redis, redis.url, **more)) as served:
        wait(served.process, f"http://{metrics}", "/metrics", served.log)
        assert until(lambda: {httpx.get(f"{served.url}/readyz").status_code for _ in range(50)} == {200})
        before = counted(metrics, "pat_batch_weeks_sum")
        answers = asyncio.run(at_once(served.url, mine, 200))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert counted(metrics, "pat_batch_weeks_sum") - before == 1
        assert Counter(map(use, answers))["miss"] == 1


def test_another_engine_finds_nothing_of_this_one(home, folder, served, redis, mine, tmp_path):
    """A second instance with the same keys on the same Redis, as during a rollout."""
    assert use(asked(served, "/analyze", mine)) == "miss"
    (tmp_path / "master.keys").write_bytes((folder / "master.keys").read_bytes())
    (tmp_path / "master.keys").chmod(0o400)
    engine = served_engine(served, mine)
    other = "onnxruntime" if engine != "onnxruntime" else "torch"
    with guarded(home, tmp_path, on(redis, redis.url, PAT_ENGINE=other)) as second:
        assert use(asked(second, "/analyze", mine)) == "miss"
        assert served_engine(second, mine) == other
    with guarded(home, tmp_path, on(redis, redis.url)) as second:
        assert use(asked(second, "/analyze", mine)) == "hit"  # what the first instance made
    assert use(asked(served, "/analyze", mine)) == "hit"


def served_engine(served, mine):
    return asked(served, "/analyze", mine).json()["provenance"]["model"]["engine"]
