"""What this process keeps things in, for doors that need it and for workers beside the requests.

A guarded service always keeps; one that asks nobody who they are keeps only where it was given keys and a
folder.

Errors:

    NoStore                   this service keeps nothing; the message says what to set
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import bentoml

from serving.audit import AuditEvent
from serving.care import HELD
from serving.codes import RESEARCH_CODE
from serving.deletion import Holder, Registry, VaultHolder
from serving.job_shelf import JobHolder
from serving.keys import MasterKeys
from serving.outbox import Outbox
from serving.repeats import ANSWERS
from serving.sealed_cache import SealedCache
from serving.settings import Settings
from serving.state import open_store, open_vault
from serving.store import Store, Vault
from serving.sweeper import Expired, Sweeper

__all__ = [
    "Background",
    "Keeping",
    "NoStore",
    "Recorder",
    "Unrecorded",
    "Worker",
    "keeping",
    "opened",
    "registry",
]

log = logging.getLogger("pat.background")
_LOOK_SECONDS = 1.0


class NoStore(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """This service has nothing to keep anything in."""

    def __init__(self) -> None:
        super().__init__(
            "this door needs a durable store, and the service has none: make keys with "
            "pat keys new NAME > FILE, chmod 400 FILE, and set PAT_MASTER_KEYS_FILE and PAT_STATE_FOLDER"
        )


class Recorder(Protocol):
    """Where records of what is done beside the requests go."""

    async def record(self, event: AuditEvent) -> None:
        """Return when the event is on disk; raises AuditUnavailable."""
        ...

    def record_now(self, event: AuditEvent) -> None:
        """Do as ``record`` does, outside an event loop."""
        ...


class Unrecorded:
    """The trail of a service that asks nobody who they are: there is nobody to write of."""

    async def record(self, event: AuditEvent) -> None:
        """Do nothing."""

    def record_now(self, event: AuditEvent) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Keeping:
    """The store, the vault on it, who must hear of a deletion, and who of what was done."""

    store: Store
    vault: Vault
    trail: Recorder
    registry: Registry
    sweeper: Sweeper | None = None  # of its own, where no safeguards have one

    def close(self) -> None:
        """End what runs beside the requests."""
        if self.sweeper is not None:
            self.sweeper.close()


def registry(vault: Vault, cache: SealedCache | None = None) -> Registry:
    """Return all that holds anything of a subject: in ``vault``, whose keys ``cache`` is given, and there."""
    whole = [VaultHolder(vault, purpose) for purpose in (*HELD, RESEARCH_CODE, ANSWERS)]
    holders: list[Holder] = [*whole, JobHolder(vault), Outbox(vault)]
    if cache is not None:
        cache.keyring.vault = vault
        vault.when_shredded(cache.keyring.forget)
        holders.append(cache)
    return Registry(vault, holders)


def opened(settings: Settings, cache: SealedCache | None = None) -> Keeping | None:
    """Open what a service without safeguards keeps things in; None where it was given nothing for that.

    Raises KeysUnusable, StoreUnavailable, StoreUnfit, AddressUnusable or Unreadable.
    """
    if not settings.keeps:
        return None
    store = open_store(settings)
    vault = open_vault(settings, MasterKeys.read(Path(settings.master_keys_file)), store)
    sweeper = Sweeper(Unrecorded(), list(map(Expired, vault.stores)))
    sweeper.start()
    return Keeping(store, vault, Unrecorded(), registry(vault, cache), sweeper)


def keeping() -> Keeping:
    """Return what the service of this worker keeps things in; raises NoStore."""
    service: Any = bentoml.get_current_service()
    found: Keeping | None = service.keeping
    if found is None:
        raise NoStore
    return found


class Worker(Protocol):
    """Something that is done beside the requests of this process."""

    def start(self) -> None:
        """Begin; called once, in the event loop."""
        ...

    async def close(self) -> None:
        """End; what was begun is done or given back."""
        ...


class Background:
    """The workers of this process: begun as soon as there is a store, ended before it is closed."""

    def __init__(
        self, keeping: Callable[[], Keeping | None], made: Callable[[Keeping], Sequence[Worker]]
    ) -> None:
        self._keeping, self._made = keeping, made
        self._waiting: asyncio.Task[None] | None = None
        self._workers: Sequence[Worker] = ()

    def start(self) -> None:
        """Begin; a store that does not answer yet is waited for."""
        self._waiting = asyncio.create_task(self._begin())

    async def close(self) -> None:
        """End every worker."""
        if self._waiting is not None:
            self._waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._waiting
        for worker in self._workers:
            await worker.close()

    async def _begin(self) -> None:
        while (found := self._keeping()) is None:  # noqa: ASYNC110  # the store opens in a thread, by and by
            await asyncio.sleep(_LOOK_SECONDS)
        self._workers = tuple(self._made(found))
        for worker in self._workers:
            worker.start()
        log.info("%d workers beside the requests", len(self._workers))
