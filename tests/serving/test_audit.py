"""The audit trail: durable before it returns, whole or the place where it is not, silent about nothing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import datetime, timedelta

import pytest

from serving.audit import (
    Action,
    Actor,
    AuditEvent,
    AuditTrail,
    AuditUnavailable,
    Outcome,
    TrailOptions,
)
from serving.audit_check import events, verify
from serving.audit_file import Checkpoint, MacKey, canonical, mac_of
from tests.shared import ROOT

KEY = MacKey("k1", b"x" * 32)
KEYS = {"k1": KEY.secret}
DOCTOR = Actor("doctor-1", tenant="clinic", roles=("clinician",))


def event(n=0, **changes):
    made = {"action": Action.EXECUTE, "verb": "analyze", "outcome": Outcome.DONE, "reason": "ok"}
    return AuditEvent(**{**made, "actor": DOCTOR, "trace": str(n), **changes})


@pytest.fixture
def told():
    return []


def opened(folder, told, **options):
    trail = AuditTrail(folder, KEY, told.append, TrailOptions(**options))
    trail.start()
    return trail


def written(folder, told, n=5, **options):
    trail = opened(folder, told, **options)
    for i in range(n):
        trail.record_now(event(i))
    trail.close()
    return sorted(folder.iterdir())


def faults(folder, checkpoints=()):
    return [(fault.line, fault.what) for fault in verify(folder, KEYS, checkpoints).faults]


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def test_a_trail_that_was_closed_is_whole_and_private(tmp_path, told):
    [file] = written(tmp_path / "trail", told)
    report = verify(tmp_path / "trail", KEYS)
    assert (report.files, report.records, report.faults) == (1, 7, [])  # opened, five events, closed
    assert file.suffix == ".jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert told[-1].seq == 6


def test_a_record_is_on_disk_when_it_returns(tmp_path, told):
    trail = opened(tmp_path, told)
    trail.record_now(event(1))
    assert [record["event"]["trace"] for record in events(tmp_path, {})] == ["1"]
    trail.close()


async def test_records_that_wait_for_the_disk_share_a_sync(tmp_path, told, monkeypatch):
    syncs = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (syncs.append(fd), time.sleep(0.02), real(fd)))
    trail = opened(tmp_path, told)
    before = len(syncs)
    await asyncio.gather(*(trail.record(event(i)) for i in range(100)))
    assert len(syncs) - before <= 3
    trail.close()
    assert verify(tmp_path, KEYS).records == 102


def test_the_token_and_the_key_are_nowhere_in_it(tmp_path, told):
    [file] = written(tmp_path, told)
    assert KEY.secret not in file.read_bytes()
    assert "secret" not in repr(KEY)


EDITS = {
    "edit": (lambda ls: [*ls[:2], ls[2].replace(b"analyze", b"embedxx"), *ls[3:]], (3, "forged")),
    "space": (lambda ls: [*ls[:2], ls[2].replace(b",", b", ", 1), *ls[3:]], (3, "unreadable")),
    "delete": (lambda ls: [*ls[:2], *ls[3:]], (3, "out_of_order")),
    "delete the first": (lambda ls: ls[1:], (1, "out_of_order")),
    "swap": (lambda ls: [*ls[:2], ls[3], ls[2], *ls[4:]], (3, "out_of_order")),
    "twice": (lambda ls: [*ls[:3], ls[2], *ls[3:]], (4, "out_of_order")),
    "not json": (lambda ls: [*ls[:2], b"nonsense\n", *ls[3:]], (3, "unreadable")),
    "half a line": (lambda ls: [*ls, ls[-1][:40]], (8, "torn")),
}


@pytest.mark.parametrize("how", EDITS)
def test_what_is_done_to_a_file_is_found_with_its_line(tmp_path, told, how):
    [file] = written(tmp_path, told)
    change, expected = EDITS[how]
    file.write_bytes(b"".join(change(lines(file))))
    assert expected in faults(tmp_path)


def test_a_record_forged_with_another_key_is_found(tmp_path, told):
    [file] = written(tmp_path, told)
    rows = lines(file)
    record = json.loads(rows[3])
    record["event"]["actor"]["uid"] = "somebody-else"
    for name, what in (("k1", "forged"), ("k2", "unknown_key")):
        record["key"] = name
        record["mac"] = mac_of(record, b"y" * 32)
        file.write_bytes(b"".join([*rows[:3], canonical(record) + b"\n", *rows[4:]]))
        assert (4, what) in faults(tmp_path)
        assert (5, "out_of_order") in faults(tmp_path)


def test_a_record_moved_between_files_is_found(tmp_path, told):
    written(tmp_path, told)
    _, second = written(tmp_path, told)
    first = sorted(tmp_path.iterdir())[0]
    rows = lines(second)
    second.write_bytes(b"".join([*rows[:2], lines(first)[2], *rows[3:]]))
    assert {(3, "misplaced"), (3, "out_of_order")} <= set(faults(tmp_path))


def test_a_cut_end_is_found_by_a_checkpoint_alone(tmp_path, told):
    [file] = written(tmp_path, told)
    file.write_bytes(b"".join(lines(file)[:4]))
    assert faults(tmp_path) == []
    assert faults(tmp_path, told) == [(7, "cut")]
    file.unlink()
    assert faults(tmp_path, told) == [(0, "missing")]


def test_files_of_one_process_hang_together(tmp_path, told):
    files = written(tmp_path, told, n=40, file_bytes=4_000)
    assert len(files) > 3
    assert faults(tmp_path, told) == []
    kept = files[1].read_bytes()
    files[1].write_bytes(b"".join(kept.splitlines(keepends=True)[:-1]))
    assert [what for _, what in faults(tmp_path)] == ["cut"]
    files[1].unlink()
    assert faults(tmp_path) == [(0, "missing")]


def test_what_retention_removed_is_not_missing(tmp_path, told):
    files = written(tmp_path, told, n=40, file_bytes=4_000)
    last = json.loads(lines(files[0])[-1])
    files[0].unlink()
    trail = opened(tmp_path, told)
    trail.purged(Checkpoint(files[0].stem, last["seq"], last["mac"]))
    trail.close()
    assert faults(tmp_path, told) == []


def test_checkpoints_come_by_number_and_by_time(tmp_path, told):
    trail = opened(tmp_path, told, checkpoint_records=3, checkpoint_seconds=0.2)
    for i in range(3):
        trail.record_now(event(i))
    assert [checkpoint.seq for checkpoint in told] == [3]
    trail.record_now(event(3))
    time.sleep(0.6)
    assert [checkpoint.seq for checkpoint in told] == [3, 4]
    trail.close()
    assert faults(tmp_path, told) == []


def test_a_checkpoint_that_cannot_be_delivered_stops_nothing(tmp_path):
    def tell(checkpoint):
        raise OSError(28, "No space left on device")

    trail = AuditTrail(tmp_path, KEY, tell, TrailOptions(checkpoint_records=1))
    trail.start()
    trail.record_now(event())
    assert trail.healthy
    trail.close()


WRITER = """
import sys
from pathlib import Path
from serving.audit import *
from tests.serving.test_audit import KEY, event
trail = AuditTrail(Path(sys.argv[1]), KEY, lambda checkpoint: None)
trail.start()
for i in range(1_000_000):
    trail.record_now(event(i))
    print(i, flush=True)
"""


def killed(folder, seconds):
    """Start a writer, kill it after ``seconds``, return the last record that it knew to be written."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    first = process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    return int((first + rest).split()[-1])


def test_killed_nothing_acknowledged_is_lost_and_the_next_writer_says_so(tmp_path, told):
    last = killed(tmp_path, 0.05)
    opened(tmp_path, told).close()
    assert faults(tmp_path, told) == []
    assert last in {int(record["event"]["trace"]) for record in events(tmp_path, {})}
    assert not list(tmp_path.glob("*.open"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_two_hundred_moments(tmp_path, told):
    for moment in range(200):
        folder = tmp_path / str(moment)
        last = killed(folder, (moment * 37 % 200) / 2_000)
        opened(folder, told).close()
        assert faults(folder) == []
        assert last in {int(record["event"]["trace"]) for record in events(folder, {})}


def test_a_torn_record_is_accounted_for_and_kept(tmp_path, told):
    [file] = written(tmp_path, told)
    file = file.rename(file.with_suffix(".open"))
    torn = b"".join(lines(file)[:4])[:-20]
    file.write_bytes(torn)
    assert (4, "torn") in faults(tmp_path)
    opened(tmp_path, told).close()
    assert faults(tmp_path) == []
    assert file.with_suffix(".jsonl").read_bytes() == torn
    file.with_suffix(".jsonl").write_bytes(torn[:-1])
    assert (4, "torn") in faults(tmp_path)
    file.with_suffix(".jsonl").write_bytes(b"".join(lines(file.with_suffix(".jsonl"))[:2]))
    assert (3, "cut") in faults(tmp_path)


def test_a_file_that_is_being_written_is_nobody_elses(tmp_path, told):
    one = opened(tmp_path, told)
    other = opened(tmp_path, told)
    one.record_now(event(1))
    other.record_now(event(2))
    one.close()
    other.close()
    assert faults(tmp_path, told) == []
    assert len(list(tmp_path.iterdir())) == 2


class Full:
    """A disk that takes ``bytes`` more and then is full."""

    def __init__(self, monkeypatch, room):
        self.room, self._write = room, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd, data):
        if os.get_blocking(fd) and len(data) > 100:  # records, not the wake-up bytes of event loops
            if self.room <= 0:
                raise OSError(28, "No space left on device")
            data = data[: self.room]
            self.room -= len(data)
        return self._write(fd, data)


def test_a_full_disk_refuses_and_recovers_by_itself(tmp_path, told, monkeypatch):
    trail = opened(tmp_path, told, retry_seconds=0.05)
    trail.record_now(event(0))
    full = Full(monkeypatch, 120)
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        trail.record_now(event(1))
    assert not trail.healthy
    with pytest.raises(AuditUnavailable):
        trail.record_now(event(2))
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) == 1  # tries leave nothing
    full.room = 10**9
    deadline = time.monotonic() + 5
    while not trail.healthy and time.monotonic() < deadline:
        time.sleep(0.02)
    trail.record_now(event(3))
    assert trail.healthy
    trail.close()
    assert faults(tmp_path, told) == []
    assert [record["event"]["trace"] for record in events(tmp_path, {})] == ["0", "3"]


def test_a_trail_that_cannot_be_opened_refuses_until_it_can(tmp_path, told):
    (tmp_path / "place").touch()
    trail = opened(tmp_path / "place", told, retry_seconds=0.02)
    assert not trail.healthy
    with pytest.raises(AuditUnavailable):
        trail.record_now(event(1))
    (tmp_path / "place").unlink()
    deadline = time.monotonic() + 5
    while not trail.healthy and time.monotonic() < deadline:
        time.sleep(0.02)
    trail.record_now(event(2))
    trail.close()
    assert [record["event"]["trace"] for record in events(tmp_path / "place", {})] == ["2"]


def test_too_many_that_wait_are_refused(tmp_path, told, monkeypatch):
    trail = opened(tmp_path, told, waiting=2)
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (time.sleep(0.2), real(fd)))

    async def many():
        return await asyncio.gather(*(trail.record(event(i)) for i in range(10)), return_exceptions=True)

    refused = [found for found in asyncio.run(many()) if isinstance(found, AuditUnavailable)]
    assert len(refused) >= 6
    trail.close()
    assert verify(tmp_path, KEYS).records == 2 + 10 - len(refused)


def test_a_closed_trail_refuses_and_nobody_waits_for_it(tmp_path, told):
    trail = opened(tmp_path, told)
    trail.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        trail.record_now(event())
    assert not trail.healthy


def test_a_record_that_cannot_be_made_is_refused_and_the_next_is_written(tmp_path, told):
    trail = opened(tmp_path, told, retry_seconds=0.01)
    with pytest.raises(AuditUnavailable, match="TypeError"):
        trail.record_now(event(1, model=object()))
    time.sleep(0.1)
    trail.record_now(event(2))
    trail.close()
    assert faults(tmp_path, told) == []
    assert [record["event"]["trace"] for record in events(tmp_path, {})] == ["2"]


def test_the_trail_is_searched_by_field_and_time(tmp_path, told):
    trail = opened(tmp_path, told)
    trail.record_now(event(1, subject="p1"))
    trail.record_now(event(2, subject="p2", outcome=Outcome.REFUSED, reason="no_relation"))
    trail.record_now(event(3, subject="p1", actor=None))
    trail.close()

    def found(wanted, **times):
        return [record["event"]["trace"] for record in events(tmp_path, wanted, **times)]

    assert found({"subject": "p1"}) == ["1", "3"]
    assert found({"actor.uid": "doctor-1"}) == ["1", "2"]
    assert found({"outcome": "4"}) == ["2"]
    assert found({"outcome": "0", "actor.tenant": "clinic"}) == ["1"]
    assert found({"actor.tenant": "clin"}) == []
    assert found({}, since="2999") == []
    assert found({}, until="2000") == []
    assert found({}, since="20", until="2999") == ["1", "2", "3"]


def test_where_the_clock_was_set_back_every_event_is_found_at_the_time_that_it_names(
    tmp_path, told, monkeypatch
):
    day = [began := time.time()]
    monkeypatch.setattr("serving.audit_file.time.time", lambda: day[0])
    trail = opened(tmp_path, told)
    for number, hours in enumerate((0, 1, 0, 0, -1)):
        day[0] = began + 3_600 * hours + number / 1_000
        trail.record_now(event(number))
    trail.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert faults(tmp_path, told) == []
    whole = list(events(tmp_path, {}))
    assert sorted(record["event"]["trace"] for record in whole) == ["0", "1", "2", "3", "4"]
    for record in whole:
        until = datetime.fromisoformat(record["at"]) + timedelta(seconds=1)
        assert record in list(events(tmp_path, {}, since=record["at"], until=until.isoformat()))


def test_files_of_another_time_are_not_read(tmp_path, told):
    [file] = written(tmp_path, told)
    began = file.stem.split("-")[1]
    os.utime(file, (0, 0))
    assert list(events(tmp_path, {}, since="2000")) == []
    os.utime(file)
    assert len(list(events(tmp_path, {}, since="2000"))) == 5
    assert list(events(tmp_path, {}, until=f"{began[:4]}-{began[4:6]}")) == []
    assert len(list(events(tmp_path, {}, until="2999-01"))) == 5


def test_an_event_says_nothing_that_it_was_not_given():
    assert asdict(event())["subject"] == ""
    assert json.loads(canonical(asdict(event())))["outcome"] == 0
