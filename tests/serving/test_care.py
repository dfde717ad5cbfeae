"""Relations of care and emergencies: whose, until when, and gone with the subject's key."""

import pytest

from serving.care import Care, Emergency
from serving.keys import MasterKeys, new_line
from serving.policy import Relation
from serving.store import SqliteStore, Vault


@pytest.fixture
def vault(tmp_path):
    (tmp_path / "keys").write_text(new_line("one"))
    (tmp_path / "keys").chmod(0o400)
    return Vault(SqliteStore(tmp_path / "pat.sqlite"), MasterKeys.read(tmp_path / "keys"))


@pytest.fixture
def care(vault):
    return Care(vault)


def test_a_relation_is_of_one_caller_one_subject_and_one_tenant_until_it_ends(care):
    care.begin("clinic", "doctor", "p1")
    assert care.relation("clinic", "doctor", "p1") is Relation.CARE
    for other in (("clinic", "nurse", "p1"), ("clinic", "doctor", "p2"), ("other", "doctor", "p1")):
        assert care.relation(*other) is Relation.NONE
    assert care.end("clinic", "doctor", "p1")
    assert not care.end("clinic", "doctor", "p1")
    assert care.relation("clinic", "doctor", "p1") is Relation.NONE


def test_an_emergency_ends_by_itself(care):
    care.declare(Emergency("clinic", "doctor", "p1"), "found unconscious", 60)
    assert care.relation("clinic", "doctor", "p1") is Relation.EMERGENCY
    care.declare(Emergency("clinic", "doctor", "p1"), "found unconscious", -1)
    assert care.relation("clinic", "doctor", "p1") is Relation.NONE


def test_care_goes_before_emergency_and_both_go_with_the_key(care, vault):
    care.declare(Emergency("clinic", "doctor", "p1"), "found unconscious", 60)
    care.begin("clinic", "doctor", "p1")
    assert care.relation("clinic", "doctor", "p1") is Relation.CARE
    vault.shred(vault.subject("clinic", "p1"))
    assert care.relation("clinic", "doctor", "p1") is Relation.NONE


def test_the_reason_the_subject_and_who_cares_rest_nowhere_in_clear(care, tmp_path):
    care.declare(Emergency("clinic", "doctor", "anna-1970"), "found unconscious", 60)
    care.begin("clinic", "nurse", "anna-1970")
    at_rest = b"".join(path.read_bytes() for path in tmp_path.glob("pat.sqlite*"))
    assert b"unconscious" not in at_rest
    assert b"anna" not in at_rest
    assert b"doctor" not in at_rest
    assert b"nurse" not in at_rest
