"""The store on a real Redis: what is acknowledged stays; servers that could lose it, or hang, are refused."""

import contextlib
import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.care import HELD, Care, Emergency
from serving.deletion import Registry, VaultHolder
from serving.keys import MasterKeys, new_line
from serving.redis_address import AddressUnusable, RedisAddress
from serving.redis_store import PREFIX, RedisStore, StoreUnfit
from serving.store import StoreUnavailable, Vault, answers
from tests.e2e.server import free_port
from tests.redis_server import PASSWORD, certificate, documented, redis_server, tls
from tests.shared import ROOT

pytestmark = pytest.mark.security


@pytest.fixture
def server():
    with redis_server("store") as server:
        yield server


@pytest.fixture
def store(server):
    return RedisStore(server.address)


@pytest.fixture
def vault(store, tmp_path):
    (tmp_path / "keys").write_text(new_line("one"))
    (tmp_path / "keys").chmod(0o400)
    return Vault(store, MasterKeys.read(tmp_path / "keys"))


def test_many_names_come_in_order_each_once_and_of_their_room(store):
    names = sorted(f"{n % 7}/{n}" for n in range(1_201))
    for name in names:
        store.put("r", name, b"")
    store.put("other", "x", b"")
    assert store.names("r") == names
    assert store.names("r", "3/") == [name for name in names if name.startswith("3/")]
    assert store.names("nothing") == []


@pytest.mark.parametrize("prefix", ["*", "?x", "[a-z]", "[", "]", "\\", "^a", "a-b", "é/"])
def test_a_prefix_means_itself(store, prefix):
    for name in ("a", "ax", "ab", "a\\", "-", f"{prefix}1", f"{prefix}2"):
        store.put("r", name, b"")
    assert store.names("r", prefix) == [f"{prefix}1", f"{prefix}2"]


def test_the_server_s_file_holds_no_transaction_which_it_might_not_load(server, store):
    store.put("r", "x", b"1", time.time() + 0.1)
    store.add("r", "y", b"1", time.time() + 0.1)
    time.sleep(0.2)
    assert store.add("r", "x", b"2")
    assert store.swap("r", "x", b"2", b"3")
    store.put("r", "y", b"2", time.time() + 0.1)
    time.sleep(0.2)
    store.sweep()
    store.delete("r", "x")
    written = server.at_rest().lower()
    assert b"hset" in written
    assert b"multi" not in written


def test_names_that_are_there_all_the_while_are_found_whatever_others_write(store):
    stay = sorted(f"s{n:04d}" for n in range(600))
    for name in stay:
        store.put("r", name, b"")

    def busy(worker):
        for n in range(300):
            store.put("r", f"s{n:04d}-{worker}", b"")
            store.delete("r", f"s{n:04d}-{worker}")

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(busy, worker) for worker in range(3)]
        listings = [store.names("r") for _ in range(20)]
        for done in working:
            done.result()
    for listing in listings:
        assert listing == sorted(set(listing))
        assert set(stay) <= set(listing)
    assert store.names("r") == stay


def test_what_ends_is_gone_by_itself_and_its_name_with_the_sweep(server, store):
    for n in range(1_200):
        store.put("r", f"short-{n}", b"1", time.time() + 0.2)
    store.put("s", "a:b", b"1", time.time() + 0.2)
    store.put("r", "long", b"1", time.time() + 600)
    store.put("r", "for ever", b"1")
    time.sleep(0.4)
    assert store.get("r", "short-1") is None
    assert store.names("r") == ["for ever", "long"]
    assert store.sweep() == 1_201
    assert store.sweep() == 0
    with server.admin() as admin:
        assert sorted(admin.hkeys(f"{PREFIX}:r")) == [b"for ever", b"long"]
        assert admin.keys() == [f"{PREFIX}:r".encode()]


def test_a_value_that_is_swapped_keeps_its_end(store):
    store.put("r", "x", b"1", time.time() + 0.3)
    assert store.swap("r", "x", b"1", b"2")
    assert store.get("r", "x") == b"2"
    time.sleep(0.4)
    assert store.get("r", "x") is None
    assert not store.swap("r", "x", b"2", b"3")


def test_a_value_that_no_longer_ends_stays(store):
    store.put("r", "x", b"1", time.time() + 0.2)
    store.put("r", "x", b"2")
    time.sleep(0.3)
    store.sweep()
    assert store.get("r", "x") == b"2"


def test_of_many_instances_one_adds(server):
    stores = [RedisStore(server.address) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        added = list(pool.map(lambda n: stores[n % 4].add("r", "x", str(n).encode()), range(200)))
    assert sum(added) == 1


WRITER = """
import sys
from serving.redis_address import RedisAddress
from serving.redis_store import RedisStore
store = RedisStore(RedisAddress(sys.argv[1], sys.argv[2]))
for i in range(1_000_000):
    store.put("a", str(i), b"x" * 100)
    print(i, flush=True)
"""


def test_when_the_server_is_killed_nothing_acknowledged_is_lost(server):
    command = [sys.executable, "-c", WRITER, server.url, str(server.credentials)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        first = process.stdout.readline()
        time.sleep(0.3)
        server.kill()
        last = int((first + process.stdout.read()).split()[-1])
    server.start()
    assert {str(n) for n in range(last + 1)} <= set(RedisStore(server.address).names("a"))


def test_a_server_that_comes_back_is_used_again(server, store):
    store.put("r", "x", b"1")
    server.kill()
    with pytest.raises(StoreUnavailable):
        store.get("r", "x")
    assert not answers(store)
    server.start()
    deadline = time.monotonic() + 10
    while not answers(store) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert store.get("r", "x") == b"1"


def test_a_hung_server_is_said_within_a_second_and_then_at_once(server, store):
    store.put("r", "x", b"1")
    with server.hung():
        for most_seconds in (1.0, 1.0, 1.0, 0.1):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                store.get("r", "x")
            assert time.monotonic() - began < most_seconds
    time.sleep(2.1)
    assert store.get("r", "x") == b"1"


def test_while_it_hangs_many_that_ask_together_are_all_told_within_a_second(server, store):
    def ask(_):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.get("r", "x")
        return time.monotonic() - began

    with server.hung(), ThreadPoolExecutor(40) as pool:
        assert max(pool.map(ask, range(40))) < 1


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("appendonly no", "appendonly yes"),
        ("appendfsync everysec", "appendfsync always"),
        ("maxmemory-policy allkeys-lru", "maxmemory-policy noeviction"),
        ("replicaof 127.0.0.1 1", "a master"),
    ],
)
def test_a_server_that_may_lose_or_evict_is_refused(line, missing):
    with redis_server("store", line) as server:
        with pytest.raises(StoreUnfit, match=f"may lose what it is given: expected {missing}$") as refused:
            RedisStore(server.address)
        assert server.url not in str(refused.value)


def without(right):
    [line] = [line for line in documented("store") if line.startswith("user pat-store")]
    return line.replace(f" {right}", "")


def test_without_the_right_to_ask_for_appendfsync_it_warns_and_goes_on(caplog):
    with redis_server("store", without("+config|get")) as server, caplog.at_level(logging.WARNING):
        assert RedisStore(server.address).get("r", "x") is None
        assert "not known" in caplog.text


@pytest.mark.parametrize("right", ["+evalsha", "+hset", "+hscan", "+scan", "+info", "~pat:store:*"])
def test_a_user_without_a_right_that_is_needed_is_refused_at_the_start(right):
    with redis_server("store", without(right)) as server, pytest.raises(StoreUnfit, match="ACL lacks"):
        RedisStore(server.address)


@pytest.mark.parametrize("right", ["keys *", "hget other x", "flushall", "config set save x", "acl list"])
def test_the_documented_user_may_do_nothing_else(store, right):
    from redis.exceptions import NoPermissionError

    with pytest.raises(NoPermissionError):
        store._redis.execute_command(*right.split())


@pytest.mark.parametrize("line", ["pat-store wrong", "nobody x"])
def test_a_wrong_password_is_said_without_address_user_and_password(server, line):
    server.credentials.chmod(0o600)
    server.credentials.write_text(line)
    server.credentials.chmod(0o400)
    with pytest.raises(StoreUnfit, match="refuses the user or password") as refused:
        RedisStore(server.address)
    assert not any(word in str(refused.value) for word in (server.url, *line.split()))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(("text", "mode"), [("pat-store x", 0o644), ("pat-store", 0o400), ("a b c", 0o400)])
def test_a_file_of_credentials_that_must_not_be_used_is_refused(server, text, mode):
    server.credentials.chmod(0o600)
    server.credentials.write_text(text)
    server.credentials.chmod(mode)
    with pytest.raises(AddressUnusable, match="Redis user and password"):
        RedisStore(server.address)


def test_without_a_server_it_is_unavailable_and_the_address_is_not_said(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"does not answer \(FileNotFoundError\)$") as refused:
        RedisStore(RedisAddress(f"unix://{tmp_path}/none.sock"))
    assert not isinstance(refused.value, StoreUnfit)


def test_over_tls_only_a_server_that_is_vouched_for_and_named_so_is_believed(tmp_path):
    trusted, other, port = certificate(tmp_path / "one"), certificate(tmp_path / "other"), free_port()
    with redis_server("store", *tls(trusted, port)) as server:

        def store(host, ca):
            return RedisStore(RedisAddress(f"rediss://{host}:{port}", str(server.credentials), str(ca)))

        store("127.0.0.1", trusted).put("r", "x", b"1")
        assert store("127.0.0.1", trusted).get("r", "x") == b"1"
        for host, ca in (("127.0.0.1", other), ("localhost", trusted)):
            with pytest.raises(StoreUnavailable, match="Cert"):
                store(host, ca)
        with pytest.raises(StoreUnavailable):
            RedisStore(RedisAddress(f"redis://127.0.0.1:{port}", str(server.credentials)))


def test_nothing_of_a_subject_and_nobody_who_cares_rests_in_clear(server, vault):
    care = Care(vault)
    care.begin("clinic-of-1970", "doctor-canary", "anna-canary")
    care.declare(Emergency("clinic-of-1970", "guest-canary", "anna-canary"), "found unconscious", 60)
    at_rest = server.at_rest()
    assert vault.subject("clinic-of-1970", "anna-canary").pseudonym.encode() in at_rest
    for secret in (b"anna", b"canary", b"clinic-of", b"unconscious", PASSWORD.encode()):
        assert secret not in at_rest


def test_after_a_deletion_and_the_sweep_the_server_s_files_hold_no_key_of_the_subject(server, store, vault):
    registry = Registry(vault, [VaultHolder(vault, purpose) for purpose in HELD])
    store.sweep()
    Care(vault).begin("clinic", "doctor", "anna")
    anna = vault.subject("clinic", "anna")
    wrapped = store.get("subject-keys", anna.pseudonym)
    assert wrapped in server.at_rest()
    assert registry.delete(anna).shredded
    assert wrapped in server.at_rest()  # the file of changes still has it
    deadline = time.monotonic() + 20
    while wrapped in server.at_rest() and time.monotonic() < deadline:
        store.sweep()
        time.sleep(0.2)
    assert wrapped not in server.at_rest()
    assert anna.pseudonym.encode() not in server.at_rest()


def test_a_store_that_fills_its_memory_refuses_and_keeps_what_it_has():
    with redis_server("store", "maxmemory 3mb") as server:
        store = RedisStore(server.address)
        kept = 0
        with contextlib.suppress(StoreUnavailable):
            for kept in range(10_000):
                store.put("r", str(kept), b"x" * 10_000)
        assert 10 < kept < 1_000
        assert len(store.names("r")) == kept
