"""Jobs in the store: every item once, whose it is, how long it stays, and who may have it."""

import json

import pytest

from serving.deletion import Registry
from serving.job_shelf import STATES, JobHolder, JobLimits, JobShelf, Owner
from serving.job_state import MOST_CRASHES, JobStopped, Progress, State
from serving.jobs import Item, Jobs, JobsFull, NoJob, Reception, StillReceiving, TooManyJobs
from serving.keys import MasterKeys, Unreadable
from serving.redis_store import RedisStore
from serving.store import Vault

pytestmark = pytest.mark.fhir
ANNE = Owner("clinic", "user-1", ("clinician",))
BOB = Owner("clinic", "user-2", ("clinician",))
KEYS = MasterKeys({"one": bytes(range(32))})


@pytest.fixture
def store(either_store):
    return either_store


@pytest.fixture
def shelf(store, clock):
    return JobShelf(store, Vault(store, KEYS), JobLimits(unfinished=2, size=10_000), clock)


@pytest.fixture
def jobs(shelf):
    return Jobs(shelf)


@pytest.fixture
def reception(shelf):
    return Reception(shelf)


def item(number, subject=""):
    return Item(json.dumps({"n": number}).encode(), subject)


@pytest.fixture
def submitted(reception):
    def submitted(*items, owner=ANNE, key="", output="analysis"):
        intake = reception.begin(owner, output, key, 100)
        reception.add(intake, items)
        return reception.finish(intake, "digest")

    return submitted


def work(jobs, job, most=100):
    """Do what a worker does, one item after the other; return what it did."""
    record, did = jobs.resume(job), []
    while len(did) < most and (taken := jobs.take(record, alone=True)):
        did.append(taken)
        content = jobs.content(record, taken[0])
        jobs.put(record, taken[0], content or b"{}", aside=content is None)
    jobs.settle(record)
    return did


def test_every_item_is_done_once_and_in_order(jobs, submitted):
    record = submitted(item(0), item(1), Item(b"", refusal=b'{"problem":1}'), item(3))
    assert jobs.open() == [record.id]
    assert work(jobs, record.id) == [(0, 0), (1, 0), (3, 0)]
    record, held = jobs.of(ANNE, record.id)
    assert (held.state, held.done, held.set_aside, held.items) == (State.DONE, 4, 1, 4)
    results = [jobs.result(record, index) for index in range(4)]
    assert results == [
        (b'{"n": 0}', False),
        (b'{"n": 1}', False),
        (b'{"problem":1}', True),
        (b'{"n": 3}', False),
    ]
    assert jobs.open() == []
    assert jobs.content(record, 0) is None  # what came in goes when the job has ended


def test_a_job_of_refused_items_alone_ends(jobs, submitted):
    record = submitted(Item(b"", refusal=b"{}"))
    assert work(jobs, record.id) == []
    assert jobs.of(ANNE, record.id)[1].state is State.DONE


def test_it_is_its_owner_s_and_nobody_else_s(jobs, submitted):
    record = submitted(item(0))
    for other in (
        BOB,
        Owner("elsewhere", "user-1", ("clinician",)),
        Owner("clinic", "root", ("admin",)),
        Owner(),
    ):
        with pytest.raises(NoJob):
            jobs.of(other, record.id)
    with pytest.raises(NoJob):
        jobs.of(ANNE, "A" * 22)


def test_what_was_begun_when_a_process_died_is_done_by_the_next(jobs, submitted):
    record = submitted(item(0), item(1), item(2))
    jobs.resume(record.id)
    assert [jobs.take(record, alone=True), jobs.take(record, alone=False)] == [(0, 0), (1, 0)]
    jobs.put(record, 1, b"done", aside=False)
    assert work(jobs, record.id) == [(0, 1), (2, 0)]
    assert jobs.of(ANNE, record.id)[1].done == 3
    assert jobs.result(record, 1) == (b"done", False)


def test_a_result_that_was_kept_but_not_counted_is_counted_once(jobs, submitted, shelf, monkeypatch):
    record = submitted(item(0), item(1))
    jobs.resume(record.id)
    jobs.take(record, alone=True)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_count", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            jobs.put(record, 0, b"done", aside=True)
    assert work(jobs, record.id) == [(1, 0)]
    held = jobs.of(ANNE, record.id)[1]
    assert (held.done, held.set_aside, held.state) == (2, 1, State.DONE)


def test_what_a_process_died_on_is_tried_alone_before_the_rest(jobs, submitted):
    record = submitted(item(0), item(1), item(2))
    jobs.resume(record.id)
    jobs.take(record, alone=True)
    jobs.take(record, alone=False)
    jobs.resume(record.id)
    assert jobs.take(record, alone=True) == (0, 1)
    assert jobs.take(record, alone=False) is None
    jobs.put(record, 0, b"{}", aside=False)
    assert jobs.take(record, alone=True) == (1, 1)
    jobs.resume(record.id)  # it died again
    assert jobs.take(record, alone=True) == (1, MOST_CRASHES)


def test_what_is_given_back_is_not_counted_against_it(jobs, submitted):
    record = submitted(item(0), item(1))
    for _ in range(3):
        jobs.resume(record.id)
        assert jobs.take(record, alone=False) == (0, 0)
        jobs.give_back(record)
    assert work(jobs, record.id) == [(0, 0), (1, 0)]


def test_who_comes_late_with_an_item_of_a_job_that_another_took_over_and_ended_takes_nothing_away(
    jobs, submitted
):
    record = submitted(item(0), item(1))
    jobs.take(jobs.resume(record.id), alone=True)
    work(jobs, record.id)  # as if the lease of the first had ended meanwhile
    with pytest.raises(JobStopped):
        jobs.put(record, 0, b"late", aside=False)
    assert jobs.of(ANNE, record.id)[1].state is State.DONE
    assert [jobs.result(record, index) for index in (0, 1)] == [(b'{"n": 0}', False), (b'{"n": 1}', False)]


def test_a_cancelled_job_is_worked_on_no_more_and_leaves_nothing(jobs, submitted, store):
    record = submitted(item(0), item(1, "anna"), item(2))
    jobs.resume(record.id)
    jobs.take(record, alone=True)
    jobs.put(record, 0, b"done", aside=False)
    assert jobs.take(record, alone=True) == (1, 0)
    jobs.delete(record)
    with pytest.raises(JobStopped):
        jobs.put(record, 1, b"late", aside=False)
    with pytest.raises(JobStopped):
        jobs.take(record, alone=True)
    assert jobs.of(ANNE, record.id)[1].state is State.CANCELLED
    assert [jobs.result(record, index) for index in range(3)] == [None] * 3
    assert [name for room in rooms(store) for name in store.names(room) if "job-items" in room] == []
    jobs.delete(record)
    with pytest.raises(NoJob):
        jobs.of(ANNE, record.id)


def rooms(store):
    if isinstance(store, RedisStore):
        return [room.decode().removeprefix("pat:store:") for room in store._rooms()]
    with store._connection() as at:
        return [room for (room,) in at.execute("select distinct room from items")]


def test_a_job_that_is_deleted_leaves_no_trace(jobs, submitted, store):
    record = submitted(item(0), item(1, "anna"))
    work(jobs, record.id)
    jobs.delete(record)
    assert {room for room in rooms(store) if room.startswith("job") and store.names(room)} == set()


def test_a_subject_s_deletion_takes_its_items_and_results_and_no_others(jobs, submitted, shelf):
    record = submitted(item(0, "anna"), item(1, "bert"), item(2), item(3, "anna"))
    work(jobs, record.id, most=2)
    vault = shelf.vault
    registry = Registry(vault, [JobHolder(vault)])
    anna = vault.subject("clinic", "anna")
    found = registry.find(anna)["jobs"]
    assert {name.split("/", 1)[1]: json.loads(value) for name, value in found.items()} == {
        "0/item": {"n": 0},
        "0/result": {"n": 0},
        "3/item": {"n": 3},
    }
    assert registry.delete(anna).items == {"jobs": 3}
    assert registry.find(anna)["jobs"] == {}
    assert work(jobs, record.id) == [(2, 0), (3, 0)]
    assert shelf.subject(record, record.items[0]) is None
    assert jobs.result(record, 0) is None
    assert jobs.result(record, 3) is None  # nothing is kept of it any more
    assert jobs.result(record, 1) == (b'{"n": 1}', False)
    assert jobs.of(ANNE, record.id)[1].state is State.DONE


def test_a_result_that_comes_after_the_deletion_is_not_kept(jobs, submitted, shelf, monkeypatch):
    record = submitted(item(0, "anna"))
    jobs.resume(record.id)
    jobs.take(record, alone=True)
    vault = shelf.vault
    add = vault.add

    def late(*arguments):
        Registry(vault, [JobHolder(vault)]).delete(vault.subject("clinic", "anna"))
        return add(*arguments)

    monkeypatch.setattr(vault, "add", late)
    jobs.put(record, 0, b'{"a": "health value"}', aside=False)
    assert jobs.result(record, 0) is None
    assert jobs.settle(record)


def test_nothing_of_a_job_is_readable_at_rest(jobs, submitted, store, tmp_path, redis_for_stores):
    record = submitted(item("a-secret-value", "anna-1970"), item("another-secret"), key="my-own-key")
    work(jobs, record.id)
    kept = redis_for_stores.at_rest() + b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert record.id.encode() in kept
    for secret in (b"a-secret-value", b"anna-1970", b"another-secret", b"my-own-key", b"user-1", b"clinic"):
        assert secret not in kept


def test_a_key_stands_for_one_job_until_it_is_gone(jobs, reception, submitted):
    record = submitted(item(0), key="k")
    assert reception.known(ANNE, "k") == record
    assert reception.known(BOB, "k") is None
    assert reception.known(ANNE, "other") is None
    assert reception.known(ANNE, "") is None
    with pytest.raises(StillReceiving):
        reception.begin(ANNE, "analysis", "k", 100)
    work(jobs, record.id)
    jobs.delete(record)
    assert reception.known(ANNE, "k") is None
    assert submitted(item(0), key="k").id != record.id


def test_a_key_whose_job_is_on_the_way_in_is_told_to_wait(reception):
    intake = reception.begin(ANNE, "analysis", "k", 100)
    with pytest.raises(StillReceiving):
        reception.known(ANNE, "k")
    with pytest.raises(StillReceiving):
        reception.begin(ANNE, "analysis", "k", 100)
    reception.abandon(intake)
    assert reception.known(ANNE, "k") is None


def test_a_job_that_was_abandoned_while_it_was_finished_does_not_come_back(jobs, reception):
    intake = reception.begin(ANNE, "analysis", "", 100)
    reception.add(intake, [item(0)])
    reception.abandon(intake)
    with pytest.raises(NoJob):
        reception.finish(intake, "digest")
    assert jobs.open() == []


def test_a_caller_has_so_many_unfinished_jobs_and_no_more(jobs, reception, submitted):
    first, _ = submitted(item(0)), submitted(item(0))
    with pytest.raises(TooManyJobs):
        reception.begin(ANNE, "analysis", "", 100)
    assert submitted(item(0), owner=BOB)
    work(jobs, first.id)
    assert submitted(item(0))


def test_all_jobs_together_keep_so_much_and_no_more(jobs, reception, submitted):
    with pytest.raises(JobsFull):
        reception.begin(ANNE, "analysis", "", 10_001)
    record = submitted(Item(b"x" * 8_000))
    with pytest.raises(JobsFull):
        reception.begin(BOB, "analysis", "", 3_000)
    work(jobs, record.id)
    with pytest.raises(JobsFull):  # the result is as large
        reception.begin(BOB, "analysis", "", 3_000)
    jobs.delete(record)
    assert reception.begin(BOB, "analysis", "", 3_000)


def test_results_are_kept_for_their_time_and_then_the_job_is_forgotten(jobs, submitted, clock):
    record = submitted(item(0))
    work(jobs, record.id)
    clock.now += 24 * 3600 - 1
    assert jobs.sweep() == 0
    assert jobs.result(record, 0) is not None
    clock.now += 2
    assert jobs.sweep() == 1
    assert jobs.result(record, 0) is None
    assert jobs.of(ANNE, record.id)[1].state is State.EXPIRED
    clock.now += 24 * 3600
    assert jobs.sweep() == 1
    with pytest.raises(NoJob):
        jobs.of(ANNE, record.id)


def test_what_is_never_done_fails_and_what_never_came_whole_is_forgotten(jobs, reception, submitted, clock):
    record = submitted(item(0))
    reception.begin(ANNE, "analysis", "k", 100)
    clock.now += 601
    assert jobs.sweep() == 1
    clock.now += 3 * 86_400
    assert jobs.sweep() == 1
    held = jobs.of(ANNE, record.id)[1]
    assert (held.state, held.reason) == (State.FAILED, "too_long")
    assert jobs.content(record, 0) is None


def test_a_job_whose_state_is_damaged_holds_up_no_other(jobs, submitted, shelf, store):
    damaged, whole = submitted(item(1)), submitted(item(2), owner=BOB)
    kept = store.get(STATES, damaged.id)
    for damage in (kept[1:], kept[:-1], kept.replace(b"waiting", b"waitinh"), b'{"x": 1}'):
        store.put(STATES, damaged.id, damage)
        assert jobs.open() == [whole.id]
        assert jobs.sweep() == 0
        with pytest.raises(Unreadable):
            jobs.of(ANNE, damaged.id)
    submitted(item(3))  # its owner may send others
    store.put(STATES, damaged.id, kept)
    assert damaged.id in jobs.open()


def test_a_state_is_read_as_it_was_written():
    held = Progress(State.RUNNING, 1.5, 10, items=3).begun(1).begun(0).crashed()
    assert Progress.of(held.text()) == held
