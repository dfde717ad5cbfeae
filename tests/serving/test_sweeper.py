"""What has been kept for its time goes, is said to have gone, and nothing else goes."""

import json
import os
import threading
import time
from dataclasses import dataclass, field

import pytest

from serving.audit import AuditTrail, AuditUnavailable, TrailOptions
from serving.audit_check import events, verify
from serving.audit_file import canonical, mac_of
from serving.store import SqliteStore, StoreUnavailable
from serving.sweeper import AuditFiles, Expired, Sweeper
from tests.serving.test_audit import KEY, KEYS, event, lines

pytestmark = pytest.mark.security


@pytest.fixture
def trail(tmp_path):
    trail = AuditTrail(tmp_path, KEY, lambda reached: None, TrailOptions(file_bytes=2_000))
    trail.start()
    yield trail
    trail.close()


def aged(path, days):
    """Write a file's records again as if they were ``days`` older."""
    before, made = "0" * 64, []
    for line in lines(path):
        record = json.loads(line)
        moment = time.time() - days * 86_400
        record |= {"at": time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(moment)), "prev": before}
        record["mac"] = before = mac_of(record, KEYS["k1"])
        made.append(canonical(record) + b"\n")
    path.write_bytes(b"".join(made))


def filled(trail, folder, n=12):
    for i in range(n):
        trail.record_now(event(i))
    return sorted(folder.glob("*.jsonl"))


def test_old_files_go_with_a_record_and_young_ones_stay(trail, tmp_path):
    files = filled(trail, tmp_path)
    assert len(files) > 2
    aged(files[0], days=2_193)
    assert AuditFiles(trail, tmp_path).sweep() == 1
    assert not files[0].exists()
    assert all(path.exists() for path in files[1:])
    trail.close()
    assert [fault for fault in verify(tmp_path, KEYS).faults if fault.what == "missing"] == []


def test_a_file_is_as_old_as_its_youngest_record(trail, tmp_path):
    file = filled(trail, tmp_path)[0]
    rows = lines(file)
    aged(file, days=2_193)
    file.write_bytes(b"".join([*lines(file)[:-1], rows[-1]]))
    os.utime(file, (0, 0))
    assert AuditFiles(trail, tmp_path).sweep() == 0
    assert file.exists()


def test_a_file_that_cannot_be_read_is_kept(trail, tmp_path):
    file = filled(trail, tmp_path)[0]
    file.write_bytes(file.read_bytes() + b"nonsense\n")
    assert AuditFiles(trail, tmp_path, days=-1).sweep() > 0
    assert file.exists()


def test_what_cannot_be_recorded_is_not_removed(trail, tmp_path):
    file = filled(trail, tmp_path)[0]
    aged(file, days=2_193)
    trail.close()
    with pytest.raises(AuditUnavailable):
        AuditFiles(trail, tmp_path).sweep()
    assert file.exists()


def test_files_end_with_the_day(tmp_path):
    trail = AuditTrail(tmp_path, KEY, lambda reached: None, TrailOptions(file_seconds=0.05))
    trail.start()
    for i in range(3):
        trail.record_now(event(i))
        time.sleep(0.06)
    trail.close()
    assert len(list(tmp_path.glob("*.jsonl"))) >= 3
    assert verify(tmp_path, KEYS).faults == []


@dataclass
class Chore:
    """Something that is kept for a time."""

    left: list = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    name: str = "things"

    def sweep(self):
        self.done.set()
        found = self.left.pop(0) if self.left else 0
        if isinstance(found, Exception):
            raise found
        return found


def test_the_sweeper_records_what_it_removed_and_only_that(trail, tmp_path):
    sweeper = Sweeper(trail, [Chore([3, 0]), Chore([0, 5], name="others")])
    sweeper.sweep()
    sweeper.sweep()
    found = [record["event"] for record in events(tmp_path, {"verb": "retention"})]
    assert [(one["detail"], one["records"], one["action"]) for one in found] == [
        ("things", 3, "D"),
        ("others", 5, "D"),
    ]


def test_a_chore_that_cannot_be_done_now_stops_no_other_and_waits(trail):
    failing, other = Chore([StoreUnavailable("gone"), 1]), Chore([1, 1])
    sweeper = Sweeper(trail, [failing, other])
    sweeper.sweep()
    assert other.left == [1]
    sweeper.sweep()
    assert failing.left == []


def test_the_sweeper_works_by_itself_until_it_is_closed(trail):
    chore = Chore()
    sweeper = Sweeper(trail, [chore], seconds=0.02)
    sweeper.start()
    for _ in range(3):
        assert chore.done.wait(5)
        chore.done.clear()
    sweeper.close()
    chore.done.clear()
    assert not chore.done.wait(0.1)


def test_what_has_expired_in_the_store_goes(tmp_path):
    store = SqliteStore(tmp_path / "pat.sqlite")
    store.put("room", "old", b"x", time.time() - 1)
    store.put("room", "young", b"x", time.time() + 60)
    store.put("room", "for ever", b"x")
    assert Expired(store).sweep() == 1
    assert store.names("room") == ["for ever", "young"]
