"""What waits is delivered, by one process at a time, recorded before it leaves; nothing is lost."""

import asyncio
import contextlib
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from serving import outbound
from serving.audit import AuditUnavailable
from serving.breaker import Breaker
from serving.courier import Courier, Route
from serving.deletion import Registry
from serving.fhir_push import FhirServer
from serving.leases import Leases
from serving.outbox import BUNDLES, Outbox, Parcel, State
from serving.store import SqliteStore, StoreUnavailable
from serving.telemetry import DeliveryTelemetry
from tests.doubles.bundles import transaction
from tests.doubles.fhir_endpoint import FhirEndpoint, outcome
from tests.faults import fault_proxy
from tests.serving.test_fhir_push import reports
from tests.serving.test_outbox import opened

pytestmark = pytest.mark.fhir


class Records:
    """A trail that remembers, and refuses while it is told to."""

    def __init__(self):
        self.events, self.down = [], False

    def record_now(self, event):
        if self.down:
            raise AuditUnavailable("the disk is full")
        self.events.append(event)

    @property
    def said(self):
        return [(event.reason, int(event.outcome), event.records) for event in self.events]


@pytest.fixture
def trail():
    return Records()


@pytest.fixture
def vault(tmp_path):
    return opened(tmp_path)


@pytest.fixture
def outbox(vault):
    return Outbox(vault)


@pytest.fixture
def leases(tmp_path):
    return Leases(SqliteStore(tmp_path / "leases.sqlite"))


@pytest.fixture
def told():
    with (made := FhirEndpoint()).running():
        yield made


def accept(vault, outbox, name="one", subject="anna"):
    return outbox.accept(Parcel(transaction(name), vault.subject("clinic", subject), "user-7", 2, "trace"))


@contextlib.contextmanager
def courier(url, outbox, trail, leases, *, seconds=20.0, settle=0.0, registry=None):
    """A running courier; its breaker is quick."""
    server = FhirServer(url, outbound.client(), seconds=seconds)
    server.breaker = Breaker(failures=3, seconds=0.3)
    route = Route(outbox, server, trail, leases, settle_seconds=settle, poll_seconds=0.05)
    made = Courier(route, DeliveryTelemetry(registry or CollectorRegistry()))
    made.start()
    try:
        yield made
    finally:
        asyncio.run(made.close())


def until(found, seconds=30):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


def ended(outbox, name, state=State.DELIVERED):
    return until(lambda: (ticket := outbox.ticket(name)) and ticket.state is state and ticket)


@pytest.fixture
def no_backoff(monkeypatch):
    monkeypatch.setattr("serving.outbox._FIRST_SECONDS", 0.05)
    monkeypatch.setattr("serving.outbox._LONGEST_SECONDS", 0.2)


def test_what_waits_is_delivered_and_recorded_before_it_leaves_and_once_it_is_there(
    vault,
    outbox,
    trail,
    leases,
    told,
):
    before = []
    told.told["POST"].append(lambda: (before.extend(trail.said), told._keep({"entry": [1, 2]}))[1])
    registry = CollectorRegistry()
    with courier(told.url, outbox, trail, leases, registry=registry):
        ended(outbox, accept(vault, outbox))
    assert before == [("sending", 0, 2)]
    assert trail.said == [("sending", 0, 2), ("delivered", 0, 0)]
    event = trail.events[0]
    assert (event.verb, event.actor.uid, event.actor.tenant, event.trace) == (
        *("deliver", "user-7", "clinic"),
        "trace",
    )
    assert event.subject == vault.subject("clinic", "anna").pseudonym
    assert registry.get_sample_value("pat_deliveries_total", {"outcome": "delivered"}) == 1
    assert registry.get_sample_value("pat_outbox_entries", {"state": "waiting"}) == 0


def test_what_cannot_be_recorded_is_not_sent_and_waits_as_before(vault, outbox, trail, leases, told):
    trail.down = True
    name = accept(vault, outbox)
    with courier(told.url, outbox, trail, leases):
        until(lambda: len(told.asked) > 2 and outbox.ticket(name).attempts == 0)  # 1 while it is tried
        assert told.kept == []
        trail.down = False
        ended(outbox, name)
    assert len(told.kept) == 1


def test_a_refused_bundle_is_a_dead_letter_with_its_reason_and_a_replay_delivers_it(
    vault,
    outbox,
    trail,
    leases,
    told,
    caplog,
):
    told.told["POST"].append(outcome(422, "invariant", "patient Anna"))
    with courier(told.url, outbox, trail, leases):
        name = accept(vault, outbox)
        letter = ended(outbox, name, State.DEAD)
        assert (letter.reason, letter.status, letter.codes) == ("send_refused", 422, ("invariant",))
        assert trail.said == [("sending", 0, 2), ("dead_letter", 8, 0)]
        assert outbox.bundle(letter) == transaction()
        assert not outbox.failing
        outbox.replayed(name)
        ended(outbox, name)
    assert len(told.kept) == 1
    for secret in ("Anna", "text-of-the-server", "one/report", "anna", "user-7"):
        assert secret not in caplog.text


@pytest.mark.slow
def test_a_failing_server_opens_the_breaker_is_said_to_fail_and_gets_everything_once_it_works(
    vault,
    outbox,
    trail,
    leases,
    told,
    no_backoff,
):
    told.told["GET"] += [outcome(500, "exception")] * 5
    names = [accept(vault, outbox, name=f"n{number}") for number in range(6)]
    with courier(told.url, outbox, trail, leases):
        until(lambda: outbox.failing)
        for name in names:
            ended(outbox, name)
        until(lambda: not outbox.failing)
    assert len(told.kept) == 6
    assert trail.said.count(("sending", 0, 2)) == 6  # nothing left while the server was only asked


def test_an_entry_whose_end_is_unknown_rests_before_the_server_is_asked_again(
    vault,
    outbox,
    trail,
    leases,
    told,
    no_backoff,
):
    told.told["POST"].append(outcome(502, "transient"))
    name = accept(vault, outbox)
    with courier(told.url, outbox, trail, leases, settle=1.0):
        began = until(lambda: outbox.ticket(name).reason == "server_error" and time.monotonic())
        ended(outbox, name)
        assert time.monotonic() - began > 0.9


def test_a_deleted_subject_is_delivered_no_more(vault, outbox, trail, leases, told):
    told.told["GET"].append(outcome(503, "transient", **{"Retry-After": "1"}))
    name = accept(vault, outbox)
    with courier(told.url, outbox, trail, leases):
        until(lambda: outbox.ticket(name).reason == "server_error")
        Registry(vault, [outbox]).delete(vault.subject("clinic", "anna"))
        until(lambda: len(told.asked) == 1 and outbox.ticket(name) is None)
        ended(outbox, accept(vault, outbox, "of-bert", "bert"))
    assert len(told.kept) == 1


def test_a_bundle_that_does_not_open_or_cannot_be_recognised_is_a_dead_letter_and_holds_nothing_up(
    vault,
    outbox,
    trail,
    leases,
    told,
):
    damaged, nameless = accept(vault, outbox), accept(vault, outbox)
    at = vault.subject("clinic", "anna")
    vault._store.put(BUNDLES, f"{at.pseudonym}/{damaged}", b"\x01 damaged")
    vault.put(at, BUNDLES, nameless, b'{"entry": []}')
    with courier(told.url, outbox, trail, leases):
        assert ended(outbox, damaged, State.DEAD).reason == "unreadable"
        assert ended(outbox, nameless, State.DEAD).reason == "not_recognisable"
        ended(outbox, accept(vault, outbox))


def test_an_entry_that_cannot_be_delivered_for_a_week_is_given_up(vault, outbox, trail, leases, told):
    name = accept(vault, outbox)
    told.told["GET"].append(outcome(503, "transient"))
    later = Outbox(vault, lambda: time.time() + 8 * 86_400)
    with courier(told.url, later, trail, leases):
        assert ended(outbox, name, State.DEAD).reason == "gave_up_server_error"
    assert ("dead_letter", 8, 0) in trail.said


def test_two_processes_deliver_each_entry_once_and_one_goes_on_when_the_other_ends(
    vault,
    outbox,
    trail,
    leases,
    told,
):
    with courier(told.url, Outbox(vault), trail, leases) as other:
        first = accept(vault, outbox)
        ended(outbox, first)
        with courier(told.url, outbox, trail, leases):
            names = [accept(vault, outbox, name=f"n{number}") for number in range(10)]
            for name in names:
                ended(outbox, name)
            asyncio.run(other.close())
            ended(outbox, accept(vault, outbox, name="after"))
    assert len(told.kept) == 12
    assert [reason for reason, _, _ in trail.said].count("sending") == 12


def test_who_loses_the_lease_stops_and_goes_on_when_it_is_free_again(vault, outbox, trail, leases, told):
    with courier(told.url, outbox, trail, leases):
        ended(outbox, accept(vault, outbox))
        leases.store.delete("leases", "outbox")
        other = until(lambda: leases.take("outbox"))
        name = accept(vault, outbox, "later")
        time.sleep(0.3)
        assert outbox.ticket(name).attempts == 0
        other.release()
        ended(outbox, name)


def test_a_store_that_does_not_answer_for_a_while_ends_nothing(
    vault,
    outbox,
    trail,
    leases,
    told,
    monkeypatch,
):
    def down():
        raise StoreUnavailable("the durable store does not answer")

    with courier(told.url, outbox, trail, leases):
        monkeypatch.setattr(outbox, "due", down)
        time.sleep(0.3)
        monkeypatch.undo()
        name = accept(vault, outbox)
        ended(outbox, name)


def test_a_fault_of_ours_does_not_end_deliveries(vault, outbox, trail, leases, told, monkeypatch):
    monkeypatch.setattr(outbox, "due", lambda: 1 / 0)
    with courier(told.url, outbox, trail, leases):
        time.sleep(0.3)
        monkeypatch.undo()
        ended(outbox, accept(vault, outbox))


def test_it_ends_at_once_though_the_server_hangs(vault, outbox, trail, leases, told):
    hangs = threading.Event()
    told.told["GET"].append(lambda: (hangs.wait(20), outcome(500))[1])
    accept(vault, outbox)
    with courier(told.url, outbox, trail, leases) as running:
        until(lambda: told.asked)
        began = time.monotonic()
        asyncio.run(running.close())
        assert time.monotonic() - began < 3
        hangs.set()
    assert leases.take("outbox") is not None


@pytest.mark.parametrize(
    ("mode", "argument"), [("latency", 1), ("slow", 0.05), ("blackhole", 0), ("reset", 0), ("refuse", 0)]
)
@pytest.mark.slow
def test_a_fault_on_the_way_delays_a_delivery_and_neither_loses_nor_repeats_it(
    vault,
    outbox,
    trail,
    leases,
    real,
    no_backoff,
    mode,
    argument,
):
    with fault_proxy(real) as proxy, courier(proxy.url, outbox, trail, leases, seconds=0.6, settle=0.3):
        ended(outbox, accept(vault, outbox, f"before-{mode}"))
        proxy.set(mode, argument)
        name = accept(vault, outbox, f"during-{mode}")
        until(lambda: outbox.failing)
        assert outbox.ticket(name).state is State.WAITING
        proxy.set("pass")
        ended(outbox, name)
        until(lambda: not outbox.failing)
    for when in ("before", "during"):
        assert len(reports(real, f"{when}-{mode}")) == 1


def test_an_answer_lost_after_the_commit_is_made_up_for_by_looking(
    vault, outbox, trail, leases, real, no_backoff
):
    with fault_proxy(real) as proxy, courier(proxy.url, outbox, trail, leases):
        proxy.set("latency", 0.4)
        name = accept(vault, outbox, "lost")
        until(lambda: reports(real, "lost"))
        proxy.set("reset")
        until(lambda: outbox.ticket(name).reason)
        assert outbox.ticket(name).reason == "broken_off"
        proxy.set("pass")
        ended(outbox, name)
    assert len(reports(real, "lost")) == 1
    assert trail.said == [("sending", 0, 2), ("already_there", 0, 0)]
