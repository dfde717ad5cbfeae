"""The durable store: what is acknowledged is there, what was shredded opens nowhere, nothing rests clear."""

import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.keys import MasterKeys, Unreadable, new_line
from serving.redis_store import RedisStore
from serving.store import SqliteStore, StoreUnavailable, Vault, answers, takes
from tests.redis_server import redis_server
from tests.shared import ROOT

CANARY = b"canary-7f3a-resting-heart"


def master(folder, *names):
    path = folder / f"{'-'.join(names)}.keys"
    if not path.exists():
        known = {
            line.split()[0]: line for file in folder.glob("*.keys") for line in file.read_text().splitlines()
        }
        path.write_text("\n".join(known.get(name, new_line(name)) for name in names))
        path.chmod(0o400)
    return MasterKeys.read(path)


@pytest.fixture(params=["sqlite", "redis"])
def kept(request, tmp_path):
    """A store, and the folder that its files are in."""
    if request.param == "sqlite":
        yield SqliteStore(tmp_path / "store" / "pat.sqlite"), tmp_path / "store"
        return
    with redis_server("store") as server:
        yield RedisStore(server.address), server.folder


@pytest.fixture
def store(kept):
    return kept[0]


@pytest.fixture
def folder(kept):
    return kept[1]


@pytest.fixture
def vault(store, tmp_path):
    return Vault(store, master(tmp_path, "one"))


def test_bytes_come_back_by_room_and_name(store):
    store.put("a", "x", b"1")
    store.put("b", "x", b"2")
    store.put("a", "x", b"3")
    assert (store.get("a", "x"), store.get("b", "x"), store.get("a", "y")) == (b"3", b"2", None)
    assert store.delete("a", "x")
    assert not store.delete("a", "x")
    assert store.get("a", "x") is None


def test_only_one_adds_and_only_the_expected_is_swapped(store):
    assert store.add("a", "x", b"1")
    assert not store.add("a", "x", b"2")
    assert not store.swap("a", "x", b"2", b"3")
    assert store.swap("a", "x", b"1", b"3")
    assert store.get("a", "x") == b"3"


def test_what_has_expired_is_gone_and_then_swept(store):
    now = time.time()
    store.put("a", "old", b"1", now - 1)
    store.put("a", "new", b"1", now + 60)
    assert store.get("a", "old") is None
    assert store.names("a") == ["new"]
    assert not store.swap("a", "old", b"1", b"2")
    assert store.add("a", "old", b"2")
    assert store.get("a", "old") == b"2"
    store.put("a", "old", b"1", now - 1)
    assert store.sweep() == 1
    assert store.names("a") == ["new"]


def test_many_are_written_together_and_a_room_is_emptied_alone(store):
    store.put_all("a", {str(n): bytes([n % 256]) * 100 for n in range(2_000)})
    store.put_all("a", {})
    store.put("a", "last", b"x", time.time() + 60)
    store.put("b", "0", b"stays")
    assert (store.get("a", "7"), len(store.names("a"))) == (bytes([7]) * 100, 2_001)
    assert store.drop("a") == 2_001
    assert (store.names("a"), store.drop("a"), store.names("b")) == ([], 0, ["0"])
    store.put_all("a", {"1": b"x"}, time.time() - 1)
    assert store.get("a", "1") is None


def test_values_of_several_subjects_are_sealed_together_each_under_its_own_key(vault):
    anna, bert = vault.subject("clinic", "anna"), vault.subject("clinic", "bert")
    vault.put_all("care", [(anna, "1", b"a"), (bert, "1", b"b"), (anna, "2", b"c")])
    vault.shred(anna)
    assert [vault.get(at, "care", "1") for at in (anna, bert)] == [None, b"b"]


def test_names_are_found_by_their_beginning_whatever_they_hold(store):
    for name in ("a/1", "a/2", "b/1", "a%/1", "a_/1"):
        store.put("r", name, b"")
    assert store.names("r", "a/") == ["a/1", "a/2"]
    assert store.names("r", "a%") == ["a%/1"]


def test_a_room_is_read_at_once_without_what_has_expired(store):
    now = time.time()
    store.put_all("a", {str(n): bytes([n % 256]) * 100 for n in range(2_000)}, now + 60)
    store.put("a", "last", b"")
    store.put("a", "old", b"1", now - 1)
    store.put("b", "0", b"another's")
    found = store.all("a")
    assert (len(found), found["7"], found["last"]) == (2_001, bytes([7]) * 100, b"")
    assert store.all("c") == {}


def test_the_file_is_private(tmp_path):
    path = tmp_path / "store" / "pat.sqlite"
    SqliteStore(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_of_many_threads_one_adds(store):
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda n: store.add("a", "x", str(n).encode()), range(100)))
    assert sum(added) == 1


def test_a_store_that_is_none_is_said(tmp_path):
    (tmp_path / "pat.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(StoreUnavailable):
        SqliteStore(tmp_path / "pat.sqlite")


def test_a_full_server_is_read_but_takes_nothing(redis_for_stores):
    store = RedisStore(redis_for_stores.address)
    store.put("a", "n", b"kept")
    assert takes(store)
    with redis_for_stores.admin() as admin:
        admin.config_set("maxmemory", 1)
        try:
            assert not takes(store)
            assert answers(store)
            assert store.get("a", "n") == b"kept"
        finally:
            admin.config_set("maxmemory", 0)
    assert takes(store)


def test_a_file_that_may_not_grow_is_read_but_takes_nothing(tmp_path):
    store = SqliteStore(tmp_path / "pat.sqlite")
    store.put("a", "n", b"kept")
    with store._connection() as at:
        at.execute("pragma max_page_count = 1")
    with pytest.raises(StoreUnavailable):
        store.put_all("a", {str(number): bytes(4096) for number in range(100)})
    assert store.get("a", "n") == b"kept"


WRITER = """
import sys
from pathlib import Path
from serving.store import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for i in range(1_000_000):
    store.put("a", str(i), b"x" * 100)
    print(i, flush=True)
"""


def test_killed_nothing_acknowledged_is_lost(tmp_path):
    path = tmp_path / "pat.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    first = process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    last = int((first + process.stdout.read()).split()[-1])
    assert {str(n) for n in range(last + 1)} <= set(SqliteStore(path).names("a"))


def test_what_a_subject_left_comes_back_and_rests_nowhere_in_clear(vault, folder):
    anna = vault.subject("clinic", "anna@example.org")
    vault.put(anna, "result", "week", CANARY)
    assert vault.get(anna, "result", "week") == CANARY
    assert vault.names(anna, "result") == ["week"]
    at_rest = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert anna.pseudonym.encode() in at_rest
    assert CANARY not in at_rest
    assert b"anna" not in at_rest
    assert b"clinic" not in at_rest


def test_subjects_and_tenants_do_not_see_each_other(vault):
    vault.put(vault.subject("clinic", "anna"), "result", "week", b"1")
    assert vault.get(vault.subject("clinic", "bert"), "result", "week") is None
    assert vault.get(vault.subject("other", "anna"), "result", "week") is None
    assert vault.names(vault.subject("other", "anna"), "result") == []


def test_a_moved_value_does_not_open(vault, store):
    anna = vault.subject("clinic", "anna")
    vault.put(anna, "result", "one", b"1")
    store.put("result", f"{anna.pseudonym}/two", store.get("result", f"{anna.pseudonym}/one"))
    store.put("export", f"{anna.pseudonym}/one", store.get("result", f"{anna.pseudonym}/one"))
    for purpose, name in (("result", "two"), ("export", "one")):
        with pytest.raises(Unreadable):
            vault.get(anna, purpose, name)


def test_a_shredded_subject_opens_nowhere_not_even_in_an_earlier_copy(vault, store, tmp_path):
    anna, bert = vault.subject("clinic", "anna"), vault.subject("clinic", "bert")
    for subject in (anna, bert):
        vault.put(subject, "result", "week", b"1")
    values = store.get("result", f"{anna.pseudonym}/week")
    assert vault.shred(anna)
    assert not vault.shred(anna)
    assert vault.get(anna, "result", "week") is None
    assert vault.get(bert, "result", "week") == b"1"
    vault.put(anna, "result", "other", b"2")  # a new key
    store.put("result", f"{anna.pseudonym}/week", values)  # from a backup of values
    with pytest.raises(Unreadable):
        vault.get(anna, "result", "week")


def test_a_new_master_key_rewraps_keys_and_touches_no_value(vault, store, tmp_path):
    anna = vault.subject("clinic", "anna")
    vault.put(anna, "result", "week", CANARY)
    sealed = store.get("result", f"{anna.pseudonym}/week")
    rotated = Vault(store, master(tmp_path, "two", "one"))
    assert rotated.subject("clinic", "anna") == anna
    assert rotated.rewrap() == 2  # the pepper's and anna's
    assert rotated.rewrap() == 0
    assert store.get("result", f"{anna.pseudonym}/week") == sealed
    without = Vault(store, master(tmp_path, "two"))
    assert without.get(anna, "result", "week") == CANARY


def test_with_another_master_key_nothing_opens_and_nothing_is_made_anew(vault, store, tmp_path):
    vault.put(vault.subject("clinic", "anna"), "result", "week", b"1")
    with pytest.raises(Unreadable):
        Vault(store, master(tmp_path, "three"))


def test_two_processes_agree_on_the_key_of_a_new_subject(store, tmp_path):
    keys = master(tmp_path, "one")
    vaults = [Vault(store, keys) for _ in range(8)]
    anna = vaults[0].subject("clinic", "anna")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: vaults[n].put(anna, "result", str(n), b"1"), range(8)))
    assert [vaults[0].get(anna, "result", str(n)) for n in range(8)] == [b"1"] * 8


def test_a_copy_of_the_whole_store_opens_nothing_without_the_master_key(tmp_path):
    vault = Vault(SqliteStore(tmp_path / "store" / "pat.sqlite"), master(tmp_path, "one"))
    vault.put(vault.subject("clinic", "anna"), "result", "week", b"1")
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    with pytest.raises(Unreadable):
        Vault(SqliteStore(tmp_path / "copy" / "pat.sqlite"), master(tmp_path, "four"))
