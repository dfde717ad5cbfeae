"""What repeats a request is kept where the service keeps things, and nowhere else if it does."""

from types import SimpleNamespace

import pytest

from api import shelves
from api.keeping import NoStore
from api.shelves import Shelves, VaultShelf
from serving.deletion import Registry, VaultHolder
from serving.keys import MasterKeys
from serving.repeats import ANSWERS, MemoryShelf
from serving.settings import Settings
from serving.store import SqliteStore, StoreUnavailable, Vault

pytestmark = [pytest.mark.fhir, pytest.mark.security]
GUARDED = Settings(firebase_project="p", master_keys_file="/k", state_folder="/s")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pat.sqlite"


@pytest.fixture
def vault(file):
    return Vault(SqliteStore(file), MasterKeys({"one": bytes(range(32))}))


def nothing():
    raise NoStore


def test_without_a_store_it_is_memory_and_with_one_the_vault(monkeypatch, vault):
    choose = Shelves(Settings())
    monkeypatch.setattr(shelves, "keeping", nothing)
    assert isinstance(choose(), MemoryShelf)
    monkeypatch.setattr(shelves, "keeping", lambda: SimpleNamespace(vault=vault))
    assert choose() == VaultShelf(vault, "")


@pytest.mark.parametrize("settings", [GUARDED, Settings(master_keys_file="/k", state_folder="/s")])
def test_a_store_that_is_not_there_yet_is_no_reason_for_memory(monkeypatch, settings):
    monkeypatch.setattr(shelves, "keeping", nothing)
    with pytest.raises(StoreUnavailable):
        Shelves(settings)()


def test_what_is_kept_is_sealed_of_one_tenant_and_goes_with_its_subject(vault, file):
    shelf = VaultShelf(vault, "clinic")
    assert shelf.add("Patient/anna", "a", b'"canary"') == b'"canary"'
    assert shelf.add("anna", "a", b'"another"') == b'"canary"'
    shelf.add("", "b", b'"canary"')
    assert (shelf.get("Patient/anna", "a"), shelf.get("anna", "a")) == (b'"canary"', b'"canary"')
    assert VaultShelf(vault, "other").get("Patient/anna", "a") is None
    assert b"canary" not in file.read_bytes()
    Registry(vault, [VaultHolder(vault, ANSWERS)]).delete(vault.subject("clinic", "anna"))
    assert (shelf.get("Patient/anna", "a"), shelf.get("", "b")) == (None, b'"canary"')


def test_it_expires(monkeypatch, vault):
    shelf = VaultShelf(vault, "clinic")
    monkeypatch.setattr(shelves, "KEPT_SECONDS", -1)
    shelf.add("", "b", b"1")
    assert shelf.get("", "b") is None
    monkeypatch.setattr(shelves, "KEPT_SECONDS", 60)
    assert shelf.add("", "b", b"2") == b"2"
