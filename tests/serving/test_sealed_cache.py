"""Values sealed, each made once, and gone with the subject's key; over memory and a real Redis alike."""

import asyncio
from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from serving import cache_keys
from serving.cache import CacheUnavailable, Use
from serving.cache_keys import CacheKeys, Keyring, Owner
from serving.deletion import Registry
from serving.keys import MasterKeys, new_line
from serving.memory_cache import MemoryCache
from serving.redis_cache import RedisCache
from serving.sealed_cache import Made, SealedCache, Wanted
from serving.store import SqliteStore, StoreUnavailable, Vault
from serving.telemetry import CacheTelemetry
from tests.redis_server import redis_server

SECRET = b"s" * 32
CALLER = Owner("clinic", caller="user-1")


@pytest.fixture(scope="module")
def server():
    with redis_server("cache") as server:
        yield server


class Metered(CacheTelemetry):
    """Counts where a test can look."""

    def __init__(self):
        self.registry = CollectorRegistry()
        super().__init__(self.registry)

    def requests(self, kind="analysis"):
        found = Counter()
        for outcome in ("hit", "miss", "bypass", "corrupt"):
            labels = {"kind": kind, "outcome": outcome}
            found[outcome] = int(self.registry.get_sample_value("pat_cache_requests_total", labels) or 0)
        return {name: number for name, number in found.items() if number}


@pytest.fixture(params=["memory", "redis"])
async def place(request):
    """Where bytes are: what several processes, each with a cache of its own, would have before them."""
    if request.param == "memory":
        shared = MemoryCache(10_000_000, Metered())
        yield lambda: shared
        return
    server = request.getfixturevalue("server")
    server.admin().flushall()
    made = []

    def another():
        made.append(RedisCache(server.address))
        return made[-1]

    yield another
    for one in made:
        await one.close()


@pytest.fixture
def vault(tmp_path):
    path = tmp_path / "master.keys"
    path.write_text(new_line("one"))
    path.chmod(0o400)
    return Vault(SqliteStore(tmp_path / "store.sqlite"), MasterKeys.read(path))


def cached(place, vault=None, secret=SECRET, clock=None):
    keyring = Keyring(secret) if clock is None else Keyring(secret, clock)
    made = SealedCache(place(), keyring, Metered())
    if vault is not None:
        made.keyring.vault = vault
        vault.when_shredded(made.keyring.forget)
    return made


def wanted(*digests, owner=CALLER, kind="analysis", model="m" * 64):
    return Wanted(owner, kind, model, [digest.encode() for digest in digests], 60, bytes.decode)


class Maker:
    """Makes texts and remembers which."""

    def __init__(self, *fails):
        self.made, self.fails, self.go = [], list(fails), None

    async def __call__(self, missing):
        self.made.append(tuple(missing))
        if self.go is not None:
            await self.go.wait()
        if self.fails:
            raise self.fails.pop(0)
        return [Made(f"value {place}", f"value {place}".encode()) for place in missing]


async def asked(cache, make, *digests, **more):
    filled = await cache.fill_once(wanted(*digests, **more), make)
    return filled.use.value, list(filled.values)


async def test_what_was_made_is_found_again(place):
    cache, make = cached(place), Maker()
    assert await asked(cache, make, "a") == ("miss", ["value 0"])
    assert await asked(cache, make, "a") == ("hit", ["value 0"])
    assert make.made == [(0,)]
    assert cache._telemetry.requests() == {"miss": 1, "hit": 1}


async def test_only_what_is_missing_is_made_and_the_order_stays(place):
    cache, make = cached(place), Maker()
    await cache.fill(wanted("b"), make)
    filled = await cache.fill(wanted("a", "b", "c"), make)
    assert (filled.use, list(filled.values)) == (Use.MISS, ["value 0", "value 0", "value 2"])
    assert make.made == [(0,), (0, 2)]
    assert cache._telemetry.requests() == {"miss": 3, "hit": 1}


@pytest.mark.parametrize(
    "other",
    [
        {"owner": Owner("clinic", caller="user-2")},
        {"owner": Owner("other-clinic", caller="user-1")},
        {"owner": Owner("clinic", subject="user-1")},
        {"kind": "embedding"},
    ],
    ids=["caller", "tenant", "subject", "kind"],
)
async def test_nothing_is_found_by_another(place, vault, other):
    cache, make = cached(place, vault), Maker()
    await asked(cache, make, "a")
    assert (await asked(cache, make, "a", **other))[0] == "miss"


async def test_what_is_not_to_be_kept_is_answered_and_made_anew(place):
    cache = cached(place)

    async def refused(missing):
        return [Made("no", None) for _ in missing]

    assert await asked(cache, refused, "a") == ("miss", ["no"])
    assert await asked(cache, Maker(), "a") == ("miss", ["value 0"])


async def test_large_values_come_back_as_they_were(place):
    cache = cached(place)
    text = "0123456789" * 20_000

    async def large(_):
        return [Made(text, text.encode())]

    await asked(cache, large, "a")
    assert await asked(cache, Maker(), "a") == ("hit", [text])


def bytes_of(cache):
    """What is held, by name: what a thief would have."""
    if isinstance(cache._cache, MemoryCache):
        return {name: value for name, (_, value) in cache._cache._held.items()}
    admin = cache._cache._address.url.removeprefix("unix://")
    import redis  # only here

    from tests.redis_server import ADMIN  # same

    client = redis.Redis(unix_socket_path=admin, username="admin", password=ADMIN)
    names = [name for name in client.keys("pat:cache:*") if b":once:" not in name]
    return {name.decode().removeprefix("pat:cache:"): client.get(name) for name in names}


async def put(cache, held):
    await cache._cache.put(held, 60)


async def test_names_and_values_tell_nothing(place):
    cache = cached(place)
    await asked(cache, Maker(), "digest-canary", owner=Owner("tenant-canary", caller="caller-canary"))
    told = b"".join(name.encode() + value for name, value in bytes_of(cache).items())
    assert told
    for word in (b"canary", b"value 0", b"clinic", b"analysis"):
        assert word not in told


async def test_a_value_that_was_changed_is_made_anew_and_replaced(place):
    cache, make = cached(place), Maker()
    await asked(cache, make, "a")
    ((name, value),) = bytes_of(cache).items()
    await put(cache, {name: value[:-1] + bytes([value[-1] ^ 1])})
    assert await asked(cache, make, "a") == ("miss", ["value 0"])
    assert await asked(cache, make, "a") == ("hit", ["value 0"])
    assert cache._telemetry.requests() == {"miss": 1, "corrupt": 1, "hit": 1}


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x02" * 40, b"a plain text", b"\x01" + bytes(28)])
async def test_junk_in_the_place_of_a_value_is_removed(place, junk):
    cache = cached(place)
    await asked(cache, Maker(), "a")
    (name,) = bytes_of(cache)
    await put(cache, {name: junk})

    async def unkept(missing):
        return [Made("anew", None) for _ in missing]

    assert await asked(cache, unkept, "a") == ("miss", ["anew"])
    assert bytes_of(cache) == {}
    assert cache._telemetry.requests()["corrupt"] == 1


@pytest.mark.parametrize("what", ["owner", "kind", "model", "digest"])
async def test_a_value_that_was_moved_does_not_open(place, vault, what):
    cache, other = cached(place, vault), {"owner": Owner("clinic", subject="q" * 32)}
    mine = {"owner": Owner("clinic", subject="p" * 32)}
    moved = {
        "owner": ("a", other),
        "kind": ("a", {**mine, "kind": "embedding"}),
        "digest": ("b", mine),
        "model": ("a", {**mine, "model": "n" * 64}),
    }[what]
    await asked(cache, Maker(), "a", **mine)
    ((name, value),) = bytes_of(cache).items()
    await cache._cache.remove(name)
    await asked(cache, Maker(), moved[0], **moved[1])
    (there,) = bytes_of(cache)
    await put(cache, {there: value})
    assert (await asked(cache, Maker(), moved[0], **moved[1]))[0] == "miss"
    assert cache._telemetry.requests(moved[1].get("kind", "analysis"))["corrupt"] == 1


async def test_a_process_with_another_secret_finds_nothing_and_breaks_nothing(place):
    one, other = cached(place), cached(place, secret=b"t" * 32)
    await asked(one, Maker(), "a")
    assert (await asked(other, Maker(), "a"))[0] == "miss"
    assert (await asked(one, Maker(), "a"))[0] == "hit"


SUBJECT = "anna-1970"


def subject_owner(vault):
    at = vault.subject("clinic", SUBJECT)
    return at, Owner("clinic", subject=at.pseudonym)


async def test_deleting_a_subject_removes_and_shreds_what_is_cached(place, vault):
    cache, make = cached(place, vault), Maker()
    at, owner = subject_owner(vault)
    await asked(cache, make, "a", "b", owner=owner)
    await asked(cache, make, "a")
    old = bytes_of(cache)
    done = await asyncio.to_thread(Registry(vault, [cache]).delete, at)
    assert (done.items, done.shredded) == ({"cache": 2}, True)
    assert len(bytes_of(cache)) == 1  # the caller's own
    await put(cache, old)  # what a copy would bring back
    assert await asked(cache, make, "a", "b", owner=owner) == ("miss", ["value 0", "value 1"])
    assert cache._telemetry.requests() == {"miss": 5}  # nothing corrupt: its names lead nowhere


async def test_another_process_reads_what_was_deleted_for_no_longer_than_it_holds_keys(place, vault):
    now = [0.0]
    here, there = cached(place, vault), cached(place, clock=lambda: now[0])
    there.keyring.vault = vault  # and hears of no deletion
    at, owner = subject_owner(vault)
    await asked(there, Maker(), "a", owner=owner)
    old = bytes_of(there)
    await asyncio.to_thread(Registry(vault, [here]).delete, at)
    await put(there, old)
    assert (await asked(there, Maker(), "a", owner=owner))[0] == "hit"
    now[0] = cache_keys.KEY_SECONDS + 1
    assert (await asked(there, Maker(), "a", owner=owner))[0] == "miss"


async def test_keys_read_while_a_subject_is_deleted_are_not_held(vault):
    keyring = Keyring(SECRET)
    at, owner = subject_owner(vault)

    class Slow:
        """The key is read, then the deletion passes by."""

        def derived(self, where, purpose):
            found = vault.derived(where, purpose)
            vault.shred(at)
            keyring.forget(at)
            return found

    keyring.vault = Slow()
    stale = await keyring.keys(owner)
    keyring.vault = vault
    assert (await keyring.keys(owner)).names != stale.names


async def test_deleting_a_subject_that_was_never_cached_makes_no_key(place, vault):
    cache = cached(place, vault)
    at, _ = subject_owner(vault)
    done = await asyncio.to_thread(Registry(vault, [cache]).delete, at)
    assert (done.items, done.shredded) == ({"cache": 0}, False)
    assert cache.find(at) == {}


async def test_a_damaged_key_keeps_nobody_from_being_deleted(place, vault):
    cache = cached(place, vault)
    at, owner = subject_owner(vault)
    await asked(cache, Maker(), "a", owner=owner)
    vault._store.put("subject-keys", at.pseudonym, b"one:damaged")
    done = await asyncio.to_thread(Registry(vault, [cache]).delete, at)
    assert (done.items, done.shredded) == ({"cache": 0}, True)


async def test_keys_are_asked_of_the_vault_once_in_a_while(vault):
    reads = []

    class Counted:
        def derived(self, at, purpose):
            reads.append(at)
            return vault.derived(at, purpose)

    now = [0.0]
    keyring = Keyring(SECRET, lambda: now[0])
    keyring.vault = Counted()
    _, owner = subject_owner(vault)
    for _ in range(100):
        await keyring.keys(owner)
    now[0] += cache_keys.KEY_SECONDS + 1
    await keyring.keys(owner)
    assert len(reads) == 2


async def test_while_keys_cannot_be_had_everything_is_made_past_the_cache(place):
    cache, make = cached(place), Maker()  # no vault yet
    owner = Owner("clinic", subject="p" * 32)
    assert await asked(cache, make, "a", owner=owner) == ("bypass", ["value 0"])
    filled = await cache.fill(wanted("a", owner=owner), make)
    assert filled.use is Use.BYPASS
    assert bytes_of(cache) == {}
    assert cache._telemetry.requests() == {"bypass": 2}


async def test_a_store_that_does_not_answer_is_no_error(place):
    class Down:
        def derived(self, at, purpose):
            raise StoreUnavailable

    cache = cached(place)
    cache.keyring.vault = Down()
    assert (await asked(cache, Maker(), "a", owner=Owner("clinic", subject="p")))[0] == "bypass"


class Broken(MemoryCache):
    """Fails where it is told to."""

    def __init__(self, *failing):
        super().__init__(1_000_000, Metered())
        self.failing = failing

    def __getattribute__(self, name):
        if name in ("look", "put", "remove", "unlock") and name in self.failing:

            async def fails(*_):
                raise CacheUnavailable

            return fails
        return super().__getattribute__(name)


async def test_what_cannot_be_looked_up_is_made_past_the_cache():
    cache = cached(lambda: Broken("look", "put", "unlock"))
    assert await asked(cache, Maker(), "a") == ("bypass", ["value 0"])
    assert cache._telemetry.requests() == {"bypass": 1}


async def test_what_cannot_be_kept_is_answered():
    cache = cached(lambda: Broken("put", "unlock"))
    assert await asked(cache, Maker(), "a") == ("miss", ["value 0"])


async def test_equal_requests_at_once_are_made_once_and_counted(place):
    cache, make = cached(place), Maker()
    make.go = asyncio.Event()
    tasks = [asyncio.create_task(asked(cache, make, "a")) for _ in range(200)]
    await asyncio.sleep(0.05)
    make.go.set()
    answers = await asyncio.gather(*tasks)
    assert Counter(use for use, _ in answers) == {"miss": 1, "hit": 199}
    assert all(values == ["value 0"] for _, values in answers)
    assert make.made == [(0,)]
    joined = cache._telemetry.registry.get_sample_value("pat_cache_joined_total", {"kind": "analysis"})
    assert joined == 199


async def test_equal_requests_of_two_processes_are_made_once_in_all(server):
    server.admin().flushall()
    make, stores = Maker(), [RedisCache(server.address) for _ in range(2)]
    make.go = asyncio.Event()
    one, other = (SealedCache(store, Keyring(SECRET), Metered()) for store in stores)
    tasks = [asyncio.create_task(asked(cache, make, "a")) for cache in (one, other) for _ in range(100)]
    await asyncio.sleep(0.1)
    make.go.set()
    answers = await asyncio.gather(*tasks)
    assert {tuple(values) for _, values in answers} == {("value 0",)}
    assert make.made == [(0,)]
    for store in stores:
        await store.close()


async def test_a_process_whose_work_failed_lets_the_other_go_on(server):
    server.admin().flushall()
    stores = [RedisCache(server.address) for _ in range(2)]
    one, other = (SealedCache(store, Keyring(SECRET), Metered()) for store in stores)
    failing, make = Maker(RuntimeError("out of luck")), Maker()
    failing.go = asyncio.Event()
    first = asyncio.create_task(asked(one, failing, "a"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(asked(other, make, "a"))
    await asyncio.sleep(0.05)
    assert make.made == []  # it waits
    failing.go.set()
    with pytest.raises(RuntimeError):
        await first
    assert await asyncio.wait_for(second, 5) == ("miss", ["value 0"])
    for store in stores:
        await store.close()


async def test_a_process_whose_callers_left_lets_the_other_go_on(server):
    server.admin().flushall()
    stores = [RedisCache(server.address) for _ in range(2)]
    one, other = (SealedCache(store, Keyring(SECRET), Metered()) for store in stores)
    left, make = Maker(), Maker()
    left.go = asyncio.Event()
    first = asyncio.create_task(asked(one, left, "a"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(asked(other, make, "a"))
    await asyncio.sleep(0.05)
    first.cancel()
    assert await asyncio.wait_for(second, 5) == ("miss", ["value 0"])
    for store in stores:
        await store.close()


async def test_a_process_that_hangs_holds_others_up_for_a_bounded_time(server, monkeypatch):
    monkeypatch.setattr("serving.sealed_cache.LOCK_SECONDS", 0.3)
    server.admin().flushall()
    stores = [RedisCache(server.address) for _ in range(2)]
    one, other = (SealedCache(store, Keyring(SECRET), Metered()) for store in stores)
    hung, make = Maker(), Maker()
    hung.go = asyncio.Event()
    first = asyncio.create_task(asked(one, hung, "a"))
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(asked(other, make, "a"), 5) == ("miss", ["value 0"])
    hung.go.set()
    assert await first == ("miss", ["value 0"])
    for store in stores:
        await store.close()


def test_keys_of_one_owner_have_one_tag_and_their_names_no_pattern():
    keys = CacheKeys.of(SECRET)
    names = {keys.name(kind, digest) for kind in ("a", "b") for digest in (b"1", b"2")}
    assert len(names) == 4
    assert all(name.startswith(f"{keys.tag}:") for name in names)
