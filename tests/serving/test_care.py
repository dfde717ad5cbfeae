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


def test_why_the_glass_was_broken_is_kept_for_the_tenant_beyond_the_emergency_and_the_subject(care, vault):
    care.declare(Emergency("clinic", "doctor", "p1"), "found unconscious", -1)
    care.declare(Emergency("clinic", "nurse", "p2"), "fell from the stairs", 60)
    care.declare(Emergency("other", "doctor", "p1"), "collapsed in the street", 60)
    vault.shred(vault.subject("clinic", "p1"))
    found = list(care.declared("clinic"))
    assert [(one["uid"], one["reason"], one["seconds"]) for one in found] == [
        ("doctor", "found unconscious", -1),
        ("nurse", "fell from the stairs", 60),
    ]
    assert found[0]["subject"] == care.pseudonym("clinic", "p1")


def test_reasons_go_when_their_time_is_over(vault):
    care = Care(vault, reason_days=0)
    care.declare(Emergency("clinic", "doctor", "p1"), "found unconscious", 60)
    assert list(care.declared("clinic")) == []
    assert care.relation("clinic", "doctor", "p1") is Relation.EMERGENCY


def test_no_subject_stands_where_a_tenant_s_own_things_are(vault):
    assert vault.tenant("clinic") != vault.tenant("other")
    assert vault.tenant("clinic") != vault.subject("clinic", "clinic")
