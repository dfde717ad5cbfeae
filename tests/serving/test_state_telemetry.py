"""What is looked at now and then, and what of a killed process is forgotten."""

import os
import subprocess
import threading

import pytest
from prometheus_client import CollectorRegistry

from serving import breaker
from serving.breaker import Breaker
from serving.keys import Unreadable
from serving.state_telemetry import (
    DecryptTelemetry,
    Looks,
    ProcessTelemetry,
    StateTelemetry,
    decrypt_of_process,
    forget_dead,
)
from serving.store import Subject
from tests.serving.test_outbox import opened as vault_in


@pytest.fixture
def registry():
    return CollectorRegistry()


def test_an_open_breaker_is_seen_by_its_name(registry):
    told, one = StateTelemetry(registry), Breaker(failures=1, name="store")
    told.breakers()
    assert registry.get_sample_value("pat_breaker_open", {"dependency": "store"}) == 0
    with pytest.raises(ConnectionError), one.call():
        raise ConnectionError
    told.breakers()
    assert registry.get_sample_value("pat_breaker_open", {"dependency": "store"}) == 1
    assert registry.get_sample_value("pat_breaker_open", {"dependency": "fhir"}) == 0
    with pytest.raises(ConnectionError), Breaker(failures=1).call():  # a nameless one is nobody's
        raise ConnectionError
    assert "" not in breaker.states()


def test_of_two_with_one_name_an_open_one_is_seen():
    made = [Breaker(failures=1, name="rates") for _ in range(2)]
    with pytest.raises(ConnectionError), made[1].call():
        raise ConnectionError
    assert breaker.states()["rates"]


def test_what_is_degraded_is_one_and_what_is_not_zero(registry):
    told = StateTelemetry(registry)
    told.degraded(("certificates", "store"), ["certificates"])
    value = registry.get_sample_value
    assert value("pat_degraded", {"dependency": "certificates"}) == 1
    assert value("pat_degraded", {"dependency": "store"}) == 0
    assert value("pat_certificates_stale") == 1
    told.degraded(("certificates", "store"), [])
    assert value("pat_certificates_stale") == 0


def test_jobs_and_deletions_are_told_as_they_are(registry):
    told = StateTelemetry(registry)
    told.jobs({"running": 2, "done": 0})
    told.deletions(1)
    assert registry.get_sample_value("pat_jobs", {"state": "running"}) == 2
    assert registry.get_sample_value("pat_deletions_waiting") == 1


def test_a_process_tells_its_memory_and_its_time(registry):
    told = ProcessTelemetry("entry", registry)
    told.look()
    first = registry.get_sample_value("pat_process_cpu_seconds_total", {"process": "entry"})
    assert registry.get_sample_value("pat_process_resident_bytes", {"process": "entry"}) > 10_000_000
    sum(range(3_000_000))
    told.look()
    assert registry.get_sample_value("pat_process_cpu_seconds_total", {"process": "entry"}) > first > 0


def test_one_look_that_fails_leaves_the_others_alone():
    seen, again = [], threading.Event()

    def fails():
        raise ConnectionError

    def looked():
        seen.append(1)
        if len(seen) > 2:
            again.set()

    looks = Looks([fails, looked], seconds=0.01)
    looks.start()
    assert again.wait(30)
    looks.close()


def test_what_does_not_open_is_counted_by_where_it_was(tmp_path, registry):
    told = DecryptTelemetry(registry)
    told.failed("keys")
    assert registry.get_sample_value("pat_decrypt_failures_total", {"store": "keys"}) == 1
    vault = vault_in(tmp_path)
    vault.put(Subject("t", "p"), "thing", "name", b"value")
    vault._store.put("thing", "p/name", b"\x01" + bytes(60))
    counted = decrypt_of_process()._failures.labels("values")._value
    before = counted.get()
    with pytest.raises(Unreadable):
        vault.get(Subject("t", "p"), "thing", "name")
    assert counted.get() == before + 1


def test_gauges_of_a_process_that_is_gone_are_forgotten_and_no_others(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [
        *(f"gauge_livesum_{gone.pid}.db", f"gauge_livemax_{gone.pid}.db", f"counter_{gone.pid}.db"),
        f"gauge_livesum_{os.getpid()}.db",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    forget_dead(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])


def test_where_nothing_is_shared_nothing_is_forgotten(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    forget_dead()
