"""Research codes: random, one a subject and project, back only by who keeps them, gone with the subject."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest

from serving.codes import RESEARCH_CODE, Codes
from serving.keys import MasterKeys, Unreadable, new_line
from serving.store import SqliteStore, Vault

pytestmark = pytest.mark.security
PROJECT = "dementia-study"


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys").write_text(new_line("one"))
    (tmp_path / "keys").chmod(0o400)
    return MasterKeys.read(tmp_path / "keys")


@pytest.fixture
def vault(tmp_path, keys):
    return Vault(SqliteStore(tmp_path / "pat.sqlite"), keys)


@pytest.fixture
def codes(vault):
    return Codes(vault)


def test_a_subject_has_one_code_in_a_project_and_keeps_it(codes, tmp_path, keys):
    code = codes.code("clinic", PROJECT, "anna")
    assert re.fullmatch("[0-9a-f]{32}", code)
    assert codes.code("clinic", PROJECT, "anna") == code
    assert Codes(Vault(SqliteStore(tmp_path / "pat.sqlite"), keys)).code("clinic", PROJECT, "anna") == code


def test_codes_of_subjects_projects_and_tenants_have_nothing_in_common(codes):
    made = [
        codes.code(tenant, project, subject)
        for tenant in ("clinic", "other")
        for project in (PROJECT, "sleep-study")
        for subject in ("anna", "bert", "a")
    ]
    assert len(set(made)) == 12
    for one, two in combinations(made, 2):  # as random ones: 64 of 128 bits differ, give or take six SD
        assert 30 < (int(one, 16) ^ int(two, 16)).bit_count() < 98


def test_the_same_ids_under_the_same_keys_get_other_codes_elsewhere(codes, tmp_path, keys):
    elsewhere = Codes(Vault(SqliteStore(tmp_path / "elsewhere.sqlite"), keys))
    assert elsewhere.code("clinic", PROJECT, "anna") != codes.code("clinic", PROJECT, "anna")


def test_calls_at_the_same_time_agree_on_one_code(tmp_path, keys):
    vaults = [Vault(SqliteStore(tmp_path / "pat.sqlite"), keys) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for subject in ("anna", "bert", "carl"):
            made = list(pool.map(lambda vault: Codes(vault).code("clinic", PROJECT, subject), vaults * 2))  # noqa: B023  # done within the turn
            assert len(set(made)) == 1


def test_a_code_leads_back_within_its_tenant_and_project_alone(codes):
    code, other = codes.code("clinic", PROJECT, "anna"), codes.code("clinic", PROJECT, "bert")
    assert codes.subject("clinic", PROJECT, code) == "anna"
    assert codes.subject("clinic", PROJECT, other) == "bert"
    assert codes.subject("clinic", "sleep-study", code) is None
    assert codes.subject("other", PROJECT, code) is None
    assert codes.subject("clinic", PROJECT, "0" * 32) is None


def test_neither_code_nor_subject_nor_project_rests_in_clear(codes, tmp_path):
    code = codes.code("clinic", PROJECT, "anna-canary")
    at_rest = b"".join(path.read_bytes() for path in tmp_path.glob("pat.sqlite*"))
    assert b"research-code" in at_rest
    for clear in (code, code[:16], "anna", "canary", PROJECT, "dementia"):
        assert clear.encode() not in at_rest
    assert bytes.fromhex(code) not in at_rest


def test_without_the_subject_s_key_there_is_no_way_back(codes, vault):
    code = codes.code("clinic", PROJECT, "anna")
    vault.shred(vault.subject("clinic", "anna"))
    assert codes.subject("clinic", PROJECT, code) is None


def test_a_code_that_does_not_open_hides_no_other_and_is_no_answer(codes, vault):
    anna, bert = codes.code("clinic", PROJECT, "anna"), codes.code("clinic", PROJECT, "bert")
    at = vault.subject("clinic", "anna")
    [name] = vault.names(at, RESEARCH_CODE)
    vault._store.put(RESEARCH_CODE, f"{at.pseudonym}/{name}", b"\x01" + b"damaged" * 8)
    assert codes.subject("clinic", PROJECT, bert) == "bert"
    with pytest.raises(Unreadable):
        codes.subject("clinic", PROJECT, anna)
    with pytest.raises(Unreadable):
        codes.code("clinic", PROJECT, "anna")


def test_a_code_deleted_while_it_is_made_is_refused(codes, vault, monkeypatch):
    monkeypatch.setattr(vault, "add", lambda *_: False)
    with pytest.raises(Unreadable, match="deleted while it was made"):
        codes.code("clinic", PROJECT, "anna")


def test_only_one_adds_to_the_vault_and_only_those_having_it_are_found(vault):
    anna, bert = vault.subject("clinic", "anna"), vault.subject("clinic", "bert")
    assert vault.add(anna, "any", "x", b"1")
    assert not vault.add(anna, "any", "x", b"2")
    vault.add(bert, "any", "y", b"3")
    assert vault.get(anna, "any", "x") == b"1"
    assert vault.having("clinic", "any", "x") == [anna]
    assert vault.having("clinic", "any", "z") == []
