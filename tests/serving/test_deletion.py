"""A deleted subject is in no store, opens from no copy, and others are untouched."""

import json
import shutil

import pytest

from serving.care import HELD, Care, Emergency
from serving.deletion import Registry, VaultHolder
from serving.keys import MasterKeys, Unreadable, new_line
from serving.policy import Relation
from serving.store import SqliteStore, Vault


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys").write_text(new_line("one"))
    (tmp_path / "keys").chmod(0o400)
    return MasterKeys.read(tmp_path / "keys")


@pytest.fixture
def vault(tmp_path, keys):
    return Vault(SqliteStore(tmp_path / "store" / "pat.sqlite"), keys)


@pytest.fixture
def registry(vault):
    return Registry(vault, [VaultHolder(vault, purpose) for purpose in HELD])


def carers(found):
    return {json.loads(value)["uid"] for value in found.values()}


def test_everything_is_found_deleted_and_reported(vault, registry):
    care = Care(vault)
    for subject in ("anna", "bert"):
        care.begin("clinic", "doctor", subject)
        care.begin("clinic", "nurse", subject)
    care.declare(Emergency("clinic", "guest", "anna"), "found unconscious", 60)
    anna = vault.subject("clinic", "anna")
    assert {store: carers(found) for store, found in registry.find(anna).items()} == {
        "care": {"doctor", "nurse"},
        "emergency": {"guest"},
    }
    done = registry.delete(anna)
    assert (done.items, done.shredded) == ({"care": 2, "emergency": 1}, True)
    assert registry.find(anna) == {"care": {}, "emergency": {}}
    assert registry.delete(anna).items == {"care": 0, "emergency": 0}
    assert not registry.delete(anna).shredded
    assert care.relation("clinic", "doctor", "anna") is Relation.NONE
    assert care.relation("clinic", "doctor", "bert") is Relation.CARE


def test_a_copy_of_the_values_made_before_does_not_open_after(vault, registry, keys, tmp_path):
    Care(vault).begin("clinic", "doctor", "anna")
    anna = vault.subject("clinic", "anna")
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    registry.delete(anna)
    copied = SqliteStore(tmp_path / "copy" / "pat.sqlite")
    (name,) = copied.names("care")
    Care(vault).begin("clinic", "doctor", "anna")  # with a new key
    vault._store.put("care", name, copied.get("care", name))
    with pytest.raises(Unreadable):
        Care(vault).relation("clinic", "doctor", "anna")


def test_every_purpose_of_the_vault_is_in_the_registry():
    assert set(HELD) == {"care", "emergency"}
