"""What does the jobs: waits where it must, sets aside what cannot be, stops where another has the job."""

import asyncio
import json

import aiohttp
import pytest

from api import job_worker
from api.job_worker import JobWorker
from api.keeping import Keeping, registry
from api.remote_runner import RunnerBrokeOff
from pat_runner.pipeline import RunnerUnavailable
from serving.admission import Overloaded
from serving.audit import AuditUnavailable
from serving.job_shelf import JobShelf, Owner
from serving.job_state import State
from serving.jobs import Item, Jobs, Reception
from serving.keys import MasterKeys
from serving.leases import Leases
from serving.settings import Settings
from serving.store import SqliteStore, StoreUnavailable, Vault

pytestmark = pytest.mark.fhir
RECORDING = {
    "start": "2026-03-02T18:30:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
}
ANNE = Owner("clinic", "user-1", ("clinician",))


class Made:
    def __init__(self, size=1):
        self.text = json.dumps({"made": "x" * size})

    def model_dump_json(self):
        return self.text


class Desk:
    """Answers at once, unless it is told what happens instead; ``at_once`` is how many it had at a time."""

    def __init__(self, **settings):
        self.settings = Settings(**settings)
        self.happens, self.calls, self.now, self.at_once = [], 0, 0, 0
        self.model = None

    async def analyze(self, recording, options):
        self.calls += 1
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        try:
            await asyncio.sleep(0.01)
            if self.happens and (happens := self.happens.pop(0)):
                if isinstance(happens, Exception):
                    raise happens
                await happens
            return Made()
        finally:
            self.now -= 1


class Trail:
    def __init__(self):
        self.events, self.broken = [], 0

    async def record(self, event):
        if self.broken:
            self.broken -= 1
            raise AuditUnavailable("disk full")
        self.events.append(event)

    def record_now(self, event):
        self.events.append(event)


@pytest.fixture
def trail():
    return Trail()


@pytest.fixture
def keeping(tmp_path, trail):
    store = SqliteStore(tmp_path / "pat.sqlite")
    vault = Vault(store, MasterKeys({"one": bytes(range(32))}))
    return Keeping(store, vault, trail, registry(vault))


@pytest.fixture
def shelf(keeping):
    return JobShelf(keeping.store, keeping.vault)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(job_worker, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(job_worker, "_BUSY_SECONDS", 0.01)


@pytest.fixture
def job(shelf):
    def job(*items, subject=""):
        reception = Reception(shelf)
        intake = reception.begin(ANNE, "analysis", "", 100)
        content = [
            json.dumps({**RECORDING, "id": str(n), "values": [1, 2]} | one) for n, one in enumerate(items)
        ]
        reception.add(intake, [Item(text.encode(), subject) for text in content])
        return reception.finish(intake, "digest")

    return job


async def until(there, seconds=10):
    deadline = asyncio.get_running_loop().time() + seconds
    while not there():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def done(shelf, record, keeping, desk):
    worker = JobWorker(keeping, desk)
    worker.start()
    try:
        await until(lambda: shelf.progress(record.id).state is State.DONE)
    finally:
        await worker.close()
    return [json.loads(Jobs(shelf).result(record, index)[0]) for index in range(len(record.items))]


async def test_items_are_done_a_few_at_a_time_and_in_their_places(shelf, job, keeping):
    desk, record = Desk(), job(*[{}] * 40)
    lines = await done(shelf, record, keeping, desk)
    assert [(line["index"], line["id"], line["analysis"]) for line in lines] == [
        (n, str(n), {"made": "x"}) for n in range(40)
    ]
    assert (desk.calls, desk.at_once) == (40, job_worker.ITEMS_AT_ONCE)


async def test_a_busy_or_absent_runner_is_waited_for_and_nothing_is_set_aside(shelf, job, keeping):
    desk, record = Desk(), job({}, {}, {})
    desk.happens = [Overloaded(), RunnerUnavailable("no weights"), StoreUnavailable("gone"), Overloaded()]
    lines = await done(shelf, record, keeping, desk)
    assert all("analysis" in line for line in lines)
    assert shelf.progress(record.id).set_aside == 0


async def test_a_runner_that_is_away_is_waited_for_but_not_for_ever(shelf, job, keeping, monkeypatch):
    monkeypatch.setattr(job_worker, "MOST_TRIES", 3)
    desk, record = Desk(), job({})
    desk.happens = [RunnerBrokeOff(), aiohttp.ClientConnectionError(), TimeoutError()]
    assert "analysis" in (await done(shelf, record, keeping, desk))[0]
    desk, record = Desk(), job({})
    desk.happens = [RunnerBrokeOff()] * 4
    assert (await done(shelf, record, keeping, desk))[0]["problem"]["code"] == "item_failed"


async def test_an_item_that_fails_in_any_way_is_set_aside_and_says_nothing_of_itself(shelf, job, keeping):
    desk, record = Desk(), job({}, {"unit": "parsecs"}, {})
    desk.happens = [ZeroDivisionError("a health value")]
    lines = await done(shelf, record, keeping, desk)
    assert [line.get("problem", {}).get("code") for line in lines] == ["internal", "unknown_unit", None]
    assert "health value" not in json.dumps(lines)


async def test_a_result_that_is_too_large_is_set_aside(shelf, job, keeping, monkeypatch):
    monkeypatch.setattr(job_worker, "RESULT_BYTES", 10)
    lines = await done(shelf, job({}), keeping, Desk())
    assert lines[0]["problem"]["code"] == "result_too_large"


async def test_nothing_is_kept_unrecorded(shelf, job, keeping, trail):
    desk, record = Desk(firebase_project="p", master_keys_file="x", state_folder="y"), job({}, {})
    trail.broken = 3
    await done(shelf, record, keeping, desk)
    events = [event for event in trail.events if event.verb == "analyze"]
    assert len(events) >= 2  # one that was recorded and not kept is done, and recorded, again
    assert {(event.actor.uid, event.actor.tenant, event.reason, event.records) for event in events} == {
        ("user-1", "clinic", "job", 0)
    }


async def test_a_job_whose_lease_another_has_is_left_to_it(shelf, job, keeping):
    record, desk = job({}), Desk()
    other = Leases(keeping.store).take(record.id)
    worker = JobWorker(keeping, desk)
    worker.start()
    await asyncio.sleep(0.2)
    assert (desk.calls, shelf.progress(record.id).state) == (0, State.WAITING)
    other.release()
    await until(lambda: shelf.progress(record.id).state is State.DONE)
    await worker.close()


async def test_who_loses_the_lease_stops_at_once_and_keeps_nothing_more(shelf, job, keeping, monkeypatch):
    record, desk = job({}), Desk()
    desk.happens = [asyncio.sleep(60)]
    worker = JobWorker(keeping, desk)
    worker._leases = Leases(keeping.store, seconds=3)
    worker.start()
    await until(lambda: desk.now)
    keeping.store.put("leases", record.id, b'{"holder": "another", "until": 9000000000.0}')
    await until(lambda: not desk.now)
    assert shelf.progress(record.id).under_way == {"0": 0}  # which the other counts as a death
    await asyncio.sleep(0.1)
    assert desk.calls == 1
    await worker.close()


async def test_what_is_under_way_at_the_end_is_given_back(shelf, job, keeping):
    record, desk = job({}, {}), Desk()
    desk.happens = [asyncio.sleep(60), asyncio.sleep(60)]
    worker = JobWorker(keeping, desk)
    worker.start()
    await until(lambda: desk.now == 2)
    await worker.close()
    held = shelf.progress(record.id)
    assert (held.under_way, held.again) == ({}, {"0": 0, "1": 0})
    assert all("analysis" in line for line in await done(shelf, record, keeping, Desk()))


async def test_every_job_gets_its_turn(shelf, job, keeping, monkeypatch):
    monkeypatch.setattr(job_worker, "ITEMS_A_TURN", 2)
    long, short = job(*[{}] * 60), job({})
    await done(shelf, short, keeping, Desk())
    assert shelf.progress(long.id).done < 60


async def test_a_deleted_subject_s_item_is_not_done(shelf, job, keeping):
    desk, record = Desk(), job({}, subject="anna")
    keeping.registry.delete(keeping.vault.subject("clinic", "anna"))
    worker = JobWorker(keeping, desk)
    worker.start()
    await until(lambda: shelf.progress(record.id).state is State.DONE)
    await worker.close()
    assert desk.calls == 0
    assert Jobs(shelf).result(record, 0) is None


async def test_a_job_that_cannot_be_read_fails(shelf, job, keeping):
    record = job({})
    own = shelf.own(record.id)
    keeping.store.put("job-records", f"{own.pseudonym}/{record.id}", b"\x01" + bytes(40))
    worker = JobWorker(keeping, Desk())
    worker.start()
    await until(lambda: shelf.progress(record.id).state is State.FAILED)
    await worker.close()
    assert shelf.progress(record.id).reason == "unreadable"
