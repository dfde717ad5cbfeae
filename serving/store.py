"""The one durable store: rooms of named bytes on disk, and sealed in it what belongs to a subject.

``Store`` is what a backend must do; SqliteStore does it for one instance, RedisStore (redis_store.py) for
several. Backends hold bytes that the Vault has sealed: each subject's values under that subject's key, and
the keys wrapped (serving/keys.py).

Errors:

    StoreUnavailable          the store cannot be read or written now
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serving.keys import KEY_BYTES, Place, Unreadable, Wrapped, Wrapper, derived, pseudonym, seal, unseal

__all__ = ["SqliteStore", "Store", "StoreUnavailable", "Subject", "Vault", "answers", "takes"]

_KEYS, _SERVICE, _PEPPER, _PROBE = "subject-keys", "service", "pepper", "probe"
_SCHEMA = """
create table if not exists items (
  room text not null, name text not null, value blob not null, expires real,
  primary key (room, name)
) without rowid
"""


class StoreUnavailable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The durable store does not answer."""


class Store(Protocol):
    """Rooms of named bytes; durable when a call returns. ``expires`` is in seconds since 1970."""

    def put(self, room: str, name: str, value: bytes, expires: float | None = None) -> None:
        """Write, whether or not it is there."""
        ...

    def put_all(self, room: str, values: Mapping[str, bytes], expires: float | None = None) -> None:
        """Write all of ``values`` by name, or none."""
        ...

    def add(self, room: str, name: str, value: bytes, expires: float | None = None) -> bool:
        """Write if nothing is there; say whether it was written."""
        ...

    def swap(self, room: str, name: str, old: bytes, new: bytes) -> bool:
        """Write ``new`` if ``old`` is there; say whether it was written."""
        ...

    def get(self, room: str, name: str) -> bytes | None:
        """Return what is there and has not expired."""
        ...

    def delete(self, room: str, name: str) -> bool:
        """Remove; say whether it was there."""
        ...

    def drop(self, room: str) -> int:
        """Remove all that is in ``room``; say how much."""
        ...

    def names(self, room: str, prefix: str = "") -> list[str]:
        """Return the names in ``room`` that begin with ``prefix``, in order."""
        ...

    def all(self, room: str) -> dict[str, bytes]:
        """Return what is in ``room`` by name, in one reading."""
        ...

    def sweep(self) -> int:
        """Remove what has expired; say how much."""
        ...


def takes(*stores: Store) -> bool:
    """Say whether all can be written now; a full one may still be read."""
    try:
        for store in stores:
            store.put(_SERVICE, _PROBE, b"")
    except StoreUnavailable:
        return False
    return True


def answers(*stores: Store) -> bool:
    """Say whether all can be read now."""
    try:
        for store in stores:
            store.get(_SERVICE, _PEPPER)
    except StoreUnavailable:
        return False
    return True


class SqliteStore:
    """A Store in one SQLite file (WAL, every commit synced); for the processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with self._connection() as connection:
            connection.execute(_SCHEMA)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection."""
        try:
            if not hasattr(self._own, "connection"):
                self._own.connection = _connected(self._path)
            yield self._own.connection
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the durable store does not answer ({type(error).__name__})") from error

    def put(self, room: str, name: str, value: bytes, expires: float | None = None) -> None:
        """Write, whether or not it is there."""
        with self._connection() as at:
            at.execute("replace into items values (?, ?, ?, ?)", (room, name, value, expires))

    def put_all(self, room: str, values: Mapping[str, bytes], expires: float | None = None) -> None:
        """Write all in one transaction."""
        with self._connection() as at:
            at.execute("begin immediate")
            try:
                rows = [(room, name, value, expires) for name, value in values.items()]
                at.executemany("replace into items values (?, ?, ?, ?)", rows)
            except BaseException:
                at.execute("rollback")
                raise
            at.execute("commit")

    def add(self, room: str, name: str, value: bytes, expires: float | None = None) -> bool:
        """Write if nothing is there that has not expired."""
        with self._connection() as at:
            made = at.execute(
                "insert into items values (?1, ?2, ?3, ?4) "
                "on conflict do update set value = ?3, expires = ?4 where items.expires <= ?5",
                (room, name, value, expires, time.time()),
            )
            return made.rowcount > 0

    def swap(self, room: str, name: str, old: bytes, new: bytes) -> bool:
        """Write ``new`` if ``old`` is there."""
        with self._connection() as at:
            made = at.execute(
                "update items set value = ? where room = ? and name = ? and value = ? "
                "and (expires is null or expires > ?)",
                (new, room, name, old, time.time()),
            )
            return made.rowcount > 0

    def get(self, room: str, name: str) -> bytes | None:
        """Return what is there and has not expired."""
        with self._connection() as at:
            found = at.execute(
                "select value from items where room = ? and name = ? and (expires is null or expires > ?)",
                (room, name, time.time()),
            ).fetchone()
        return bytes(found[0]) if found else None

    def delete(self, room: str, name: str) -> bool:
        """Remove; the freed pages are overwritten, and the log that still has them is cut off."""
        with self._connection() as at:
            gone = at.execute("delete from items where room = ? and name = ?", (room, name)).rowcount > 0
            at.execute("pragma wal_checkpoint(truncate)")  # left to the next deletion while others read
        return gone

    def drop(self, room: str) -> int:
        """Remove all that is in ``room``, as ``delete`` does."""
        with self._connection() as at:
            gone = at.execute("delete from items where room = ?", (room,)).rowcount
            at.execute("pragma wal_checkpoint(truncate)")
        return gone

    def names(self, room: str, prefix: str = "") -> list[str]:
        """Return the names in ``room`` that begin with ``prefix``."""
        with self._connection() as at:
            found = at.execute(
                "select name from items where room = ? and substr(name, 1, ?) = ? "
                "and (expires is null or expires > ?) order by name",
                (room, len(prefix), prefix, time.time()),
            ).fetchall()
        return [name for (name,) in found]

    def all(self, room: str) -> dict[str, bytes]:
        """Return what is in ``room``, in one query."""
        with self._connection() as at:
            found = at.execute(
                "select name, value from items where room = ? and (expires is null or expires > ?)",
                (room, time.time()),
            ).fetchall()
        return {name: bytes(value) for name, value in found}

    def sweep(self) -> int:
        """Remove what has expired."""
        with self._connection() as at:
            return at.execute("delete from items where expires <= ?", (time.time(),)).rowcount


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    for pragma in ("journal_mode = wal", "synchronous = full", "secure_delete = on"):
        connection.execute(f"pragma {pragma}")
    return connection


@dataclass(frozen=True)
class Subject:
    """A subject by pseudonym."""

    tenant: str
    pseudonym: str


class Vault:
    """What subjects left, sealed each under its own key; a shredded key takes all of it along.

    ``keys`` is where the wrapped keys are, if not beside the values: then no copy of the values alone opens
    once a key is shredded.
    """

    def __init__(self, store: Store, wrapper: Wrapper, keys: Store | None = None) -> None:
        self._store, self._wrapper, self._keys = store, wrapper, keys or store
        self._pepper = self._key(_SERVICE, _PEPPER)
        self._told: list[Callable[[Subject], None]] = []

    @property
    def stores(self) -> tuple[Store, ...]:
        """Where values and keys are, which may be one."""
        return (self._store,) if self._keys is self._store else (self._store, self._keys)

    @property
    def current(self) -> str:
        """Name of the master key that wraps from now on."""
        return self._wrapper.current

    def subject(self, tenant: str, identifier: str) -> Subject:
        """Return the subject that a tenant calls ``identifier``."""
        return Subject(tenant, pseudonym(self._pepper, tenant, identifier))

    def tenant(self, tenant: str) -> Subject:
        """Return where a tenant's own things are; no subject has an empty identifier."""
        return self.subject(tenant, "")

    def put(self, at: Subject, purpose: str, name: str, value: bytes, expires: float | None = None) -> None:
        """Seal and keep ``value``, durable when it returns."""
        key = self._key(_KEYS, at.pseudonym)
        sealed = seal(key, value, Place(at.tenant, at.pseudonym, purpose, name))
        self._store.put(purpose, f"{at.pseudonym}/{name}", sealed, expires)

    def get(self, at: Subject, purpose: str, name: str) -> bytes | None:
        """Return what ``put`` kept; None if it is gone or its key is. Raises Unreadable."""
        sealed = self._store.get(purpose, f"{at.pseudonym}/{name}")
        wrapped = self._keys.get(_KEYS, at.pseudonym)
        if sealed is None or wrapped is None:
            return None
        key = self._unwrapped(wrapped)
        with _counted("values"):
            return unseal(key, sealed, Place(at.tenant, at.pseudonym, purpose, name))

    def put_all(
        self, purpose: str, values: Sequence[tuple[Subject, str, bytes]], expires: float | None = None
    ) -> None:
        """Seal and keep values of several subjects, each with its name; all of them or none."""
        keys = {at.pseudonym: self._key(_KEYS, at.pseudonym) for at, _, _ in values}
        sealed = {
            f"{at.pseudonym}/{name}": seal(
                keys[at.pseudonym], value, Place(at.tenant, at.pseudonym, purpose, name)
            )
            for at, name, value in values
        }
        self._store.put_all(purpose, sealed, expires)

    def add(self, at: Subject, purpose: str, name: str, value: bytes, expires: float | None = None) -> bool:
        """Seal and keep ``value`` if nothing is there; say whether it was kept."""
        sealed = seal(self._key(_KEYS, at.pseudonym), value, Place(at.tenant, at.pseudonym, purpose, name))
        return self._store.add(purpose, f"{at.pseudonym}/{name}", sealed, expires)

    def having(self, tenant: str, purpose: str, name: str) -> list[Subject]:
        """Return the subjects of ``tenant`` with a value called ``name``, which no other tenant may use."""
        ending = f"/{name}"
        found = (known for known in self._store.names(purpose) if known.endswith(ending))
        return [Subject(tenant, known.removesuffix(ending)) for known in found]

    def names(self, at: Subject, purpose: str) -> list[str]:
        """Return the names under which a subject has values for ``purpose``."""
        prefix = f"{at.pseudonym}/"
        return [name.removeprefix(prefix) for name in self._store.names(purpose, prefix)]

    def delete(self, at: Subject, purpose: str, name: str) -> bool:
        """Remove one value."""
        return self._store.delete(purpose, f"{at.pseudonym}/{name}")

    def shred(self, at: Subject) -> bool:
        """Remove the subject's key: no value opens again, wherever it was copied without the key."""
        gone = self._keys.delete(_KEYS, at.pseudonym)
        for tell in self._told:
            tell(at)
        return gone

    def when_shredded(self, tell: Callable[[Subject], None]) -> None:
        """Have ``tell`` called with every subject whose key was removed by this process."""
        self._told.append(tell)

    def derived(self, at: Subject, purpose: str) -> bytes:
        """Return a key for ``purpose`` that comes from the subject's, which is made if there is none."""
        return derived(self._key(_KEYS, at.pseudonym), f"subject {purpose}")

    def has_key(self, at: Subject) -> bool:
        """Say whether the subject has a key."""
        return self._keys.get(_KEYS, at.pseudonym) is not None

    def rewrap(self) -> int:
        """Wrap every key under the current master key; say how many were not."""
        rooms = [(_SERVICE, _PEPPER), *((_KEYS, name) for name in self._keys.names(_KEYS))]
        return sum(self._rewrapped(room, name) for room, name in rooms)

    def _rewrapped(self, room: str, name: str) -> bool:
        text = self._keys.get(room, name)
        if text is None or (old := Wrapped.of(text)).by == self._wrapper.current:
            return False
        new = self._wrapper.wrap(self._wrapper.unwrap(old))
        return self._keys.swap(room, name, text, new.text())

    def _key(self, room: str, name: str) -> bytes:
        """Return the key that is kept there, made now if there is none."""
        if (found := self._keys.get(room, name)) is None:
            self._keys.add(room, name, self._wrapper.wrap(secrets.token_bytes(KEY_BYTES)).text())
            found = self._keys.get(room, name)
        if found is None:
            raise Unreadable("a key was deleted while it was made; try again")
        return self._unwrapped(found)

    def _unwrapped(self, wrapped: bytes) -> bytes:
        with _counted("keys"):
            return self._wrapper.unwrap(Wrapped.of(wrapped))


@contextlib.contextmanager
def _counted(store: str) -> Iterator[None]:
    """Count what does not open."""
    try:
        yield
    except Unreadable:
        from serving.state_telemetry import decrypt_of_process  # noqa: PLC0415  # asks where metrics go

        decrypt_of_process().failed(store)
        raise
