"""Where this process keeps what repeats a request: the vault, or memory where there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from api.access import current_access
from api.keeping import NoStore, keeping
from serving.repeats import ANSWERS, KEPT_SECONDS, MemoryShelf, Shelf
from serving.settings import Settings
from serving.store import StoreUnavailable, Subject, Vault

__all__ = ["Shelves", "VaultShelf"]


@dataclass(frozen=True)
class VaultShelf:
    """A shelf in the vault: sealed, and what is a subject's under that subject's key."""

    vault: Vault
    tenant: str

    def get(self, subject: str, name: str) -> bytes | None:
        """Return what is kept; raises StoreUnavailable or Unreadable."""
        return self.vault.get(self._at(subject), ANSWERS, name)

    def add(self, subject: str, name: str, value: bytes) -> bytes:
        """Keep ``value`` unless something is there, and return what is; raises as ``get`` does."""
        at = self._at(subject)
        added = self.vault.add(at, ANSWERS, name, value, time.time() + KEPT_SECONDS)
        return value if added else self.vault.get(at, ANSWERS, name) or value

    def _at(self, subject: str) -> Subject:
        return self.vault.subject(self.tenant, subject.removeprefix("Patient/"))


@dataclass(frozen=True)
class Shelves:
    """Chooses the shelf of the request that is answered."""

    settings: Settings
    memory: MemoryShelf = field(default_factory=MemoryShelf)

    def __call__(self) -> Shelf:
        """Return the shelf; raises StoreUnavailable where there should be a store and is none yet."""
        try:
            vault = keeping().vault
        except NoStore:
            if self.settings.guarded or self.settings.keeps:
                raise StoreUnavailable("the durable store does not answer yet") from None
            return self.memory
        access = current_access()
        return VaultShelf(vault, access.caller.tenant if access else "")
