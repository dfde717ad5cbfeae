"""What is to be delivered is kept sealed until it is, or cannot be; and it goes with its subject."""

import json
import time

import pytest

from serving import outbox as module
from serving.deletion import Registry
from serving.keys import MasterKeys, Unreadable, new_line
from serving.outbox import BUNDLES, Outbox, OutboxFull, Parcel, State
from serving.redis_store import RedisStore
from serving.retention import DEAD_LETTER_DAYS, DELIVERED_HOURS
from serving.settings import Settings
from serving.state import open_vault, store_file
from serving.store import Vault
from tests.doubles.bundles import transaction
from tests.redis_server import redis_server

pytestmark = [pytest.mark.fhir, pytest.mark.security]


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


def opened(folder):
    """The vault in a folder, with keys made for it."""
    keys = folder / "master.keys"
    if not keys.exists():
        keys.write_text(new_line("one"))
        keys.chmod(0o400)
    return open_vault(Settings(state_folder=str(folder)), MasterKeys.read(keys))


@pytest.fixture
def vault(tmp_path):
    return opened(tmp_path)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(vault, clock):
    return Outbox(vault, clock)


def parcel(vault, subject="anna", name="one"):
    return Parcel(transaction(name), vault.subject("clinic", subject), "user-7", 2, "trace")


def accepted(vault, outbox, **of):
    return outbox.ticket(outbox.accept(parcel(vault, **of)))


def test_an_entry_is_due_at_once_and_another_process_finds_it(vault, outbox):
    ticket = accepted(vault, outbox)
    assert Outbox(vault).due() == [ticket]
    assert (ticket.state, ticket.uid, ticket.records, ticket.attempts) == (State.WAITING, "user-7", 2, 0)
    assert outbox.bundle(ticket) == transaction()
    assert outbox.counts() == {"waiting": 1, "dead": 0}
    assert len({outbox.accept(parcel(vault)) for _ in range(20)}) == 20


def test_nothing_of_an_entry_is_readable_on_the_disk(vault, outbox, tmp_path):
    outbox.dead(accepted(vault, outbox), "send_refused", 422, ("invariant",))
    accepted(vault, outbox)
    at_rest = b"".join(path.read_bytes() for path in tmp_path.rglob("pat.sqlite*"))
    for said in (b"Observation", b"user-7", b"clinic", b"anna", b"send_refused"):
        assert said not in at_rest


def test_a_try_is_written_down_before_it_is_made_and_an_entry_rests_after_one_that_never_ended(
    vault, outbox, clock
):
    tried = outbox.claimed(accepted(vault, outbox), 60)
    assert tried.attempts == 1
    assert outbox.due() == []
    clock.now += 61
    assert outbox.due() == [tried]


def test_tries_come_later_and_later_with_jitter_and_what_the_server_asks_for_is_kept(vault, outbox, clock):
    ticket, waits = accepted(vault, outbox), []
    for _ in range(12):
        ticket = outbox.postponed(outbox.claimed(ticket, 60), "timeout")
        waits.append(ticket.due - clock.now)
        assert outbox.due() == []
        clock.now = ticket.due
        assert Outbox(vault, clock).due() == [ticket]  # a restart keeps the time
    assert all(5 * 2**n <= wait <= 7.5 * 2**n for n, wait in enumerate(waits[:7]))
    assert max(waits) <= 1350
    assert outbox.postponed(outbox.claimed(ticket, 60), "busy", 429, 3600).due - clock.now >= 3600
    many = {outbox.postponed(ticket, "timeout").due for _ in range(5)}
    assert len(many) == 5


def test_what_was_delivered_is_kept_no_longer_and_that_it_was_for_a_day(vault, outbox, clock):
    ticket = accepted(vault, outbox)
    outbox.delivered(ticket)
    found = Outbox(vault).ticket(ticket.name)
    assert (found.state, found.ended) == (State.DELIVERED, clock.now)
    assert outbox.bundle(ticket) is None
    assert outbox.due() == list(outbox.tickets(State.WAITING)) == []
    clock.now -= DELIVERED_HOURS * 3600 + 1
    old = accepted(vault, outbox)
    outbox.delivered(old)
    assert outbox.ticket(old.name) is None


def test_a_dead_letter_is_kept_for_its_time_and_can_be_sent_again_until_then(vault, outbox, clock):
    ticket = accepted(vault, outbox)
    outbox.dead(outbox.claimed(ticket, 60), "send_refused", 422, ("invariant",))
    [letter] = outbox.tickets(State.DEAD)
    assert (letter.reason, letter.status, letter.codes, letter.attempts) == (
        *("send_refused", 422, ("invariant",)),
        1,
    )
    assert (outbox.due(), outbox.counts()) == ([], {"waiting": 0, "dead": 1})
    assert outbox.replayed(ticket.name)
    [again] = outbox.due()
    assert (again.attempts, again.reason) == (0, "send_refused")
    assert not outbox.replayed(ticket.name)
    assert not outbox.replayed("nothing")
    outbox.dead(again, "send_refused", 422)
    clock.now += DEAD_LETTER_DAYS * 86_400 - 1
    assert outbox.sweep() == 0
    clock.now += 2
    assert outbox.sweep() == 1
    assert (outbox.bundle(ticket), outbox.ticket(ticket.name)) == (None, None)


def test_where_the_clock_was_set_back_an_entry_is_due_at_once_or_rests_after_a_try(vault, outbox, clock):
    new, tried = accepted(vault, outbox, name="a"), accepted(vault, outbox, name="b")
    outbox.postponed(outbox.claimed(tried, 60), "timeout")
    clock.now -= 3_600
    [found] = outbox.due()
    assert (found.name, found.due, found.accepted) == (new.name, clock.now, clock.now)
    assert Outbox(vault, clock).due() == [found]
    clock.now += 121
    assert {ticket.name for ticket in outbox.due()} == {new.name, tried.name}
    assert not any(outbox.is_overdue(ticket) for ticket in outbox.due())


def test_a_try_that_a_clock_set_ahead_put_off_for_days_is_made(vault, outbox, clock):
    ticket = accepted(vault, outbox)
    clock.now += 2 * 86_400
    outbox.claimed(ticket, 60)
    clock.now -= 2 * 86_400
    assert outbox.due() == []
    clock.now += 121
    assert [found.name for found in outbox.due()] == [ticket.name]


def test_clocks_that_differ_a_little_move_no_entry(vault, outbox, clock):
    ticket = accepted(vault, outbox)
    clock.now -= 59
    assert outbox.due() == []
    assert outbox.ticket(ticket.name) == ticket


def test_an_entry_is_given_up_after_a_week_and_a_replay_gives_it_another(vault, outbox, clock):
    ticket = accepted(vault, outbox)
    clock.now += 7 * 86_400 + 1
    assert outbox.is_overdue(ticket)
    outbox.dead(ticket, "gave_up_timeout")
    outbox.replayed(ticket.name)
    assert not outbox.is_overdue(outbox.due()[0])


def test_a_ticket_that_a_crash_left_without_its_bundle_is_forgotten_but_not_while_it_is_written(
    vault, outbox, clock
):
    ticket = accepted(vault, outbox)
    vault.delete(ticket.at, BUNDLES, ticket.name)
    outbox.lost(ticket)
    assert outbox.due() == [ticket]
    clock.now += 601
    outbox.lost(ticket)
    assert outbox.ticket(ticket.name) is None


def test_a_crash_between_delivered_and_forgotten_ends_in_delivered(vault, outbox):
    ticket = accepted(vault, outbox)
    outbox.delivered(ticket)
    outbox.unclaimed(ticket)  # as if its removal had been lost
    assert outbox.ticket(ticket.name).state is State.WAITING
    outbox.lost(ticket)
    assert outbox.ticket(ticket.name).state is State.DELIVERED


def test_everything_of_a_subject_is_found_deleted_and_reported_and_nothing_of_others(vault, outbox):
    registry = Registry(vault, [outbox])
    waits, dies, done = (accepted(vault, outbox, name=name) for name in ("a", "b", "c"))
    others = accepted(vault, outbox, subject="bert")
    outbox.dead(dies, "send_refused", 422)
    outbox.delivered(done)
    anna = vault.subject("clinic", "anna")
    assert {name: json.loads(value)["type"] for name, value in registry.find(anna)["outbox"].items()} == {
        waits.name: "transaction",
        dies.name: "transaction",
    }
    report = registry.delete(anna)
    assert (report.items, report.shredded) == ({"outbox": 3}, True)
    assert registry.find(anna) == {"outbox": {}}
    assert [outbox.ticket(ticket.name) for ticket in (waits, dies, done)] == [None, None, None]
    assert outbox.due() == [others]
    assert outbox.bundle(others) == transaction()


def test_a_copy_of_the_store_does_not_open_once_the_subject_is_deleted(vault, outbox):
    ticket = accepted(vault, outbox)
    name = f"{ticket.subject}/{ticket.name}"
    sealed = vault._store.get(BUNDLES, name)
    Registry(vault, [outbox]).delete(ticket.at)
    vault._store.put(BUNDLES, name, sealed)
    assert outbox.bundle(ticket) is None
    accepted(vault, outbox)  # the subject comes again, with another key
    with pytest.raises(Unreadable):
        outbox.bundle(ticket)


def test_what_ends_after_its_subject_was_deleted_brings_nothing_back(vault, outbox, tmp_path):
    tried = outbox.claimed(accepted(vault, outbox), 60)
    Registry(vault, [outbox]).delete(tried.at)
    for end in (
        lambda: outbox.postponed(tried, "timeout"),
        lambda: outbox.dead(tried, "send_refused", 422),
        lambda: outbox.replayed(tried.name),
        lambda: outbox.delivered(tried),
    ):
        end()
        assert outbox.bundle(tried) is None
        assert outbox.find(tried.at) == {}
    assert store_file(tmp_path).exists()


def test_an_outbox_that_is_full_takes_no_more(vault, outbox, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for _ in range(2):
        outbox.accept(parcel(vault))
    with pytest.raises(OutboxFull, match="wait for the FHIR server"):
        outbox.accept(parcel(vault))


def test_a_ticket_that_does_not_open_is_left_alone_and_holds_nothing_up(vault, outbox, caplog):
    ticket = accepted(vault, outbox)
    room, name = State.WAITING.room, f"{vault.tenant('').pseudonym}/{ticket.name}"
    vault._store.put(room, name, vault._store.get(room, name)[:-1])
    after = accepted(vault, outbox)
    assert outbox.due() == [after]
    assert "does not open" in caplog.text


def test_all_processes_hear_that_the_server_fails_for_a_while_or_until_it_works(vault, outbox, clock):
    assert not outbox.failing
    outbox.fails(60)
    assert Outbox(vault).failing
    outbox.works()
    assert not Outbox(vault).failing
    clock.now -= 100
    outbox.fails(60)
    assert not outbox.failing


def test_several_instances_share_an_outbox_on_redis(tmp_path):
    keys = tmp_path / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    with redis_server("store") as server:
        own, other = (Vault(RedisStore(server.address), MasterKeys.read(keys)) for _ in range(2))
        first, second = Outbox(own), Outbox(other)
        names = [first.accept(parcel(own, name=name)) for name in ("a", "b", "c")]
        tried = second.claimed(second.ticket(names[0]), 60)
        assert [ticket.name for ticket in first.due()] == names[1:]
        second.delivered(tried)
        second.dead(second.ticket(names[1]), "send_refused", 422)
        assert first.counts() == {"waiting": 1, "dead": 1}
        assert first.replayed(names[1])
        assert first.bundle(first.ticket(names[2])) == transaction("c")
        assert first.delete(own.subject("clinic", "anna")) == 3
        assert (second.due(), second.ticket(names[0])) == ([], None)
