"""What the service holds of a subject: found for an export, and gone with a report for a deletion.

Every store that holds anything of a subject is in the registry. Deleting walks all of them and then shreds
the subject's key, so that copies made before do not open either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.store import Subject, Vault

__all__ = ["Deleted", "Holder", "Registry", "VaultHolder"]


class Holder(Protocol):
    """One store, as far as a subject is concerned."""

    name: str

    def find(self, at: Subject) -> Mapping[str, bytes]:
        """Return what is held of the subject, by name."""
        ...

    def delete(self, at: Subject) -> int:
        """Remove it; say how much there was."""
        ...


@dataclass(frozen=True)
class Deleted:
    """What a deletion removed: items by store, and whether there was a key to shred."""

    items: Mapping[str, int]
    shredded: bool


class VaultHolder:
    """What the vault keeps for one purpose."""

    def __init__(self, vault: Vault, purpose: str) -> None:
        self.name = purpose
        self._vault = vault

    def find(self, at: Subject) -> Mapping[str, bytes]:
        """Return the opened values by name; raises Unreadable."""
        found = {name: self._vault.get(at, self.name, name) for name in self._vault.names(at, self.name)}
        return {name: value for name, value in found.items() if value is not None}

    def delete(self, at: Subject) -> int:
        """Remove every value."""
        return sum(self._vault.delete(at, self.name, name) for name in self._vault.names(at, self.name))


class Registry:
    """All holders of this service."""

    def __init__(self, vault: Vault, holders: Sequence[Holder]) -> None:
        self._vault, self._holders = vault, tuple(holders)

    def find(self, at: Subject) -> dict[str, Mapping[str, bytes]]:
        """Return what each store holds of the subject."""
        return {holder.name: holder.find(at) for holder in self._holders}

    def delete(self, at: Subject) -> Deleted:
        """Remove everything and shred the key. Once begun it may be repeated until it succeeds."""
        items = {holder.name: holder.delete(at) for holder in self._holders}
        return Deleted(items, self._vault.shred(at))
