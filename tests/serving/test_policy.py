"""The whole matrix of roles, verbs, subjects and relations, written out a second time by hand."""

import itertools

import pytest

from serving.auth import Caller, Role
from serving.policy import POLICY, Relation, Verb, decide, scopes

# own, cared for, other of the tenant: y allowed, n hidden; - the role lacks the verb
MATRIX = {
    #                 patient clinician researcher service admin
    "analyze": "ynn nyn --- yyy ---",
    "analyze_subject": "ynn --- --- --- ---",
    "embed": "--- nyn --- yyy ---",
    "read_job": "ynn nyn --- yyy ---",
    "delete_job": "ynn nyn --- yyy ---",
    "read_status": "yyy yyy yyy yyy yyy",
    "read_schema": "yyy yyy yyy yyy yyy",
    "delete_subject": "ynn --- --- --- yyy",
    "export_subject": "ynn nyn --- --- ---",
    "read_disclosures": "ynn --- --- --- yyy",
    "search_audit": "--- --- --- --- yyy",
    "change_care": "--- --- --- --- yyy",
    "break_glass": "--- yyy --- --- ---",
    "deidentify": "--- nyn nnn yyy ---",
    "resolve_code": "--- --- --- --- yyy",
    "deliver": "--- nyn --- yyy ---",
}
SUBJECTS = {"own": ("me", Relation.NONE), "cared for": ("p1", Relation.CARE), "other": ("p2", Relation.NONE)}
ROLES = (Role.PATIENT, Role.CLINICIAN, Role.RESEARCHER, Role.SERVICE, Role.ADMIN)


def caller(*roles, tenant="clinic", subject="me"):
    return Caller("u1", tenant, frozenset(roles), subject, 0, "t")


CELLS = [
    (verb, role, which, expected)
    for verb, row in MATRIX.items()
    for role, cells in zip(ROLES, row.split(), strict=True)
    for which, expected in zip(SUBJECTS, cells, strict=True)
]


def test_the_matrix_is_whole():
    assert set(MATRIX) == {verb.value for verb in Verb} == {verb.value for verb in POLICY}
    assert len(CELLS) == len(Verb) * len(Role) * 3


@pytest.mark.parametrize(("verb", "role", "which", "expected"), CELLS)
def test_a_cell(verb, role, which, expected):
    subject, relation = SUBJECTS[which]
    # a patient has no relation of care; that only a clinician's counts is part of the test
    made = decide(caller(role), Verb(verb), subject, relation)
    assert (made.allowed, made.hidden) == {"y": (True, False), "n": (False, True), "-": (False, False)}[
        expected
    ]


@pytest.mark.parametrize(("verb", "roles"), list(itertools.product(Verb, itertools.combinations(Role, 2))))
def test_two_roles_may_what_one_of_them_may(verb, roles):
    for subject, relation in SUBJECTS.values():
        together = decide(caller(*roles), verb, subject, relation).allowed
        assert together == any(decide(caller(role), verb, subject, relation).allowed for role in roles)


@pytest.mark.parametrize("verb", Verb)
def test_nobody_without_a_role_may_anything(verb):
    assert decide(caller(), verb).reason == "no_role"
    assert scopes(caller(), verb) == frozenset()


@pytest.mark.parametrize("role", Role)
def test_without_a_tenant_there_is_nothing_but_what_is_nobodys(role):
    for verb in Verb:
        allowed = decide(caller(role, tenant=""), verb, "me").allowed
        assert allowed == (verb in (Verb.READ_STATUS, Verb.READ_SCHEMA))


def test_an_empty_subject_is_not_the_own_one_of_a_caller_without():
    patient = caller(Role.PATIENT, subject="")
    for subject in ("p1", ""):
        assert not decide(patient, Verb.DELETE_SUBJECT, subject).allowed


@pytest.mark.parametrize("role", Role)
def test_what_is_done_to_a_subject_needs_one(role):
    for verb in (Verb.DELETE_SUBJECT, Verb.EXPORT_SUBJECT, Verb.READ_DISCLOSURES, Verb.BREAK_GLASS):
        assert not decide(caller(role), verb, "").allowed
    assert not decide(caller(role), Verb.CHANGE_CARE, "").allowed


def test_an_emergency_is_allowed_and_marked():
    made = decide(caller(Role.CLINICIAN), Verb.ANALYZE, "p2", Relation.EMERGENCY)
    assert (made.allowed, made.emergency, made.reason) == (True, True, "emergency")
    assert not decide(caller(Role.PATIENT), Verb.ANALYZE, "p2", Relation.EMERGENCY).allowed


@pytest.mark.parametrize("verb", [Verb.DEIDENTIFY, Verb.DELIVER])
def test_an_emergency_opens_nothing_for_research_and_nothing_for_the_record(verb):
    made = decide(caller(Role.CLINICIAN), verb, "p2", Relation.EMERGENCY)
    assert (made.allowed, made.hidden, made.emergency) == (False, True, False)


def test_a_researcher_brings_data_and_names_nobody():
    researcher = caller(Role.RESEARCHER)
    assert decide(researcher, Verb.DEIDENTIFY).allowed
    for subject, relation in (("me", Relation.NONE), ("p1", Relation.CARE), ("p2", Relation.EMERGENCY)):
        assert not decide(researcher, Verb.DEIDENTIFY, subject, relation).allowed
    allowed = {verb for verb in Verb if decide(researcher, verb).allowed}
    assert allowed == {Verb.DEIDENTIFY, Verb.READ_STATUS, Verb.READ_SCHEMA}


def test_reasons_are_for_the_audit_trail():
    assert decide(caller(Role.CLINICIAN), Verb.ANALYZE, "p2").reason == "no_relation"
    assert decide(caller(Role.PATIENT), Verb.ANALYZE, "p2").reason == "not_own"
