"""`pat outbox`: what waits and what are dead letters, and letting those wait again."""

import json

import pytest

import cli
from serving.audit import AuditTrail
from serving.audit_check import events
from serving.audit_file import MacKey
from serving.keys import MasterKeys
from serving.outbox import Outbox, Parcel, State
from serving.state import audit_folder, audit_keys
from tests.doubles.bundles import transaction
from tests.serving.test_outbox import opened

pytestmark = pytest.mark.fhir


@pytest.fixture
def outbox(tmp_path):
    vault = opened(tmp_path)
    keys = MasterKeys.read(tmp_path / "master.keys")
    trail = AuditTrail(audit_folder(tmp_path), MacKey("one", audit_keys(keys)["one"]), lambda _: None)
    trail.start()
    trail.close()
    return Outbox(vault)


@pytest.fixture
def state(tmp_path, outbox):
    return ["--state", str(tmp_path), "--keys", str(tmp_path / "master.keys")]


@pytest.fixture
def letters(tmp_path, outbox):
    """Three dead letters of anna, the oldest first."""
    anna = opened(tmp_path).subject("clinic", "anna")
    names = [outbox.accept(Parcel(transaction(), anna, "user-7", 2)) for _ in range(3)]
    for name in names:
        outbox.dead(outbox.ticket(name), "send_refused", 422, ("invariant",))
    return names


def test_what_waits_and_what_is_dead_is_listed_without_anything_of_anybody(
    state, tmp_path, outbox, letters, capsys
):
    waits = outbox.accept(Parcel(transaction(), opened(tmp_path).subject("clinic", "bert"), "user-8", 2))
    assert cli.main(["outbox", "list", *state]) == 0
    shown = capsys.readouterr().out
    listed = [json.loads(line) for line in shown.splitlines()]
    assert [one["delivery"] for one in listed] == [waits, *letters]
    assert [one["state"] for one in listed] == ["waiting", "dead", "dead", "dead"]
    assert (listed[1]["reason"], listed[1]["status"], listed[1]["codes"]) == (
        *("send_refused", 422),
        ["invariant"],
    )
    for said in ("anna", "bert", "user-7", "clinic", "Observation", ticket_subject(outbox, letters[0])):
        assert said not in shown


def ticket_subject(outbox, name):
    return outbox.ticket(name).subject


def test_dead_letters_wait_again_by_name_or_all_and_that_is_recorded_before(
    state, tmp_path, outbox, letters, capsys
):
    assert cli.main(["outbox", "replay", *state, letters[1]]) == 0
    assert capsys.readouterr().out == "1 results wait for the FHIR server again\n"
    assert [ticket.name for ticket in outbox.due()] == [letters[1]]
    assert cli.main(["outbox", "replay", *state, "--all"]) == 0
    assert outbox.counts() == {"waiting": 3, "dead": 0}
    said = [record["event"] for record in events(audit_folder(tmp_path), {"verb": "replay_deliveries"})]
    assert [(one["records"], one["actor"]["roles"]) for one in said] == [(1, ["operator"]), (2, ["operator"])]
    assert said[0]["detail"] == letters[1]


def test_what_is_no_dead_letter_is_not_replayed_and_the_exit_status_says_so(state, outbox, letters, capsys):
    assert cli.main(["outbox", "replay", *state, letters[0], "A" * 22]) == 1
    assert capsys.readouterr().out.startswith("1 results")
    assert outbox.ticket(letters[0]).state is State.WAITING
    assert cli.main(["outbox", "replay", *state, letters[0]]) == 1


@pytest.mark.parametrize("arguments", [[], ["--all", "A" * 22]])
def test_it_is_said_which_letters_or_all(state, outbox, letters, arguments, capsys):
    assert cli.main(["outbox", "replay", *state, *arguments]) == 1
    assert "or --all" in capsys.readouterr().err
    assert outbox.counts()["dead"] == 3


def test_a_replay_that_cannot_be_recorded_is_none(state, tmp_path, outbox, letters):
    folder = audit_folder(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    assert cli.main(["outbox", "replay", *state, "--all"]) == 1
    assert outbox.counts() == {"waiting": 0, "dead": 3}
