"""A deleted subject is in no store, opens from no copy, and others are untouched."""

import json
import shutil

import pytest

from api.keeping import registry as registry_of
from serving.care import HELD, Care, Emergency
from serving.codes import RESEARCH_CODE, Codes
from serving.deletion import Registry, VaultHolder
from serving.keys import MasterKeys, Unreadable, new_line
from serving.outbox import Outbox, Parcel
from serving.policy import Relation
from serving.settings import Settings
from serving.state import keys_file, open_vault, store_file
from serving.store import SqliteStore, Vault


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "master.keys").write_text(new_line("one"))
    (tmp_path / "master.keys").chmod(0o400)
    return MasterKeys.read(tmp_path / "master.keys")


@pytest.fixture
def vault(tmp_path, keys):
    return open_vault(Settings(state_folder=str(tmp_path)), keys)


@pytest.fixture
def registry(vault):
    return Registry(vault, [VaultHolder(vault, purpose) for purpose in (*HELD, RESEARCH_CODE)])


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
        "research-code": set(),
    }
    done = registry.delete(anna)
    assert (done.items, done.shredded) == ({"care": 2, "emergency": 1, "research-code": 0}, True)
    assert registry.find(anna) == {"care": {}, "emergency": {}, "research-code": {}}
    assert set(registry.delete(anna).items.values()) == {0}
    assert not registry.delete(anna).shredded
    assert care.relation("clinic", "doctor", "anna") is Relation.NONE
    assert care.relation("clinic", "doctor", "bert") is Relation.CARE


def test_a_copy_of_the_store_made_before_does_not_open_after(vault, registry, keys, tmp_path):
    Care(vault).begin("clinic", "doctor", "anna")
    anna = vault.subject("clinic", "anna")
    shutil.copytree(store_file(tmp_path).parent, tmp_path / "copy")
    registry.delete(anna)
    copied = SqliteStore(tmp_path / "copy" / "pat.sqlite")
    (name,) = copied.names("care")
    restored = Care(Vault(copied, keys, SqliteStore(keys_file(tmp_path))))
    assert restored.relation("clinic", "doctor", "anna") is Relation.NONE
    Care(vault).begin("clinic", "doctor", "anna")  # with a new key
    vault._store.put("care", name, copied.get("care", name))
    for care in (restored, Care(vault)):
        with pytest.raises(Unreadable):
            care.relation("clinic", "doctor", "anna")


def test_nothing_of_a_shredded_key_rests_on_the_disk(vault, registry, tmp_path):
    Care(vault).begin("clinic", "doctor", "anna")
    anna = vault.subject("clinic", "anna")
    wrapped = SqliteStore(keys_file(tmp_path)).get("subject-keys", anna.pseudonym)

    def at_rest():
        return b"".join(path.read_bytes() for path in tmp_path.rglob("pat.sqlite*"))

    assert wrapped in at_rest()
    registry.delete(anna)
    assert wrapped not in at_rest()


def test_research_codes_and_what_they_stand_for_go_with_their_subject(vault, registry):
    codes = Codes(vault)
    anna, bert = (codes.code("clinic", "sleep-study", subject) for subject in ("anna", "bert"))
    codes.code("clinic", "other-study", "anna")
    done = registry.delete(vault.subject("clinic", "anna"))
    assert (done.items["research-code"], done.shredded) == (2, True)
    assert codes.subject("clinic", "sleep-study", anna) is None
    assert codes.subject("clinic", "sleep-study", bert) == "bert"
    assert codes.code("clinic", "sleep-study", "anna") != anna  # another, if anna comes again


def test_a_research_code_of_a_copy_does_not_open_with_the_key_gone(vault, registry):
    codes, at = Codes(vault), vault.subject("clinic", "anna")
    code = codes.code("clinic", "sleep-study", "anna")
    [name] = vault.names(at, RESEARCH_CODE)
    sealed = vault._store.get(RESEARCH_CODE, f"{at.pseudonym}/{name}")
    registry.delete(at)
    vault._store.put(RESEARCH_CODE, f"{at.pseudonym}/{name}", sealed)  # the value comes back from a copy
    assert codes.subject("clinic", "sleep-study", code) is None
    with pytest.raises(Unreadable):
        codes.code("clinic", "sleep-study", "anna")
    with pytest.raises(Unreadable):
        codes.subject("clinic", "sleep-study", code)
    assert registry.delete(at).items["research-code"] == 1
    assert codes.code("clinic", "sleep-study", "anna") != code


def test_results_that_wait_for_a_fhir_server_go_with_their_subject(vault):
    outbox = Outbox(vault)
    anna, bert = (vault.subject("clinic", subject) for subject in ("anna", "bert"))
    names = [outbox.accept(Parcel(b"{}", at, "user-7", 1)) for at in (anna, bert)]
    done = registry_of(vault).delete(anna)
    assert (done.items["outbox"], done.shredded) == (1, True)
    assert outbox.ticket(names[0]) is None
    assert [ticket.name for ticket in outbox.due()] == [names[1]]


def test_every_purpose_of_the_vault_is_in_the_registry():
    assert set(HELD) == {"care", "emergency"}
