"""`pat keys` and `pat audit`: what an operator does beside the service."""

import json

import pytest

import cli
from serving.audit import AuditTrail
from serving.audit_check import events
from serving.audit_file import MacKey
from serving.care import Care
from serving.keys import MasterKeys
from serving.policy import Relation
from serving.settings import Settings
from serving.state import audit_folder, audit_keys, open_vault
from tests.serving.test_audit import event


@pytest.fixture
def state(tmp_path, capsys):
    """A state folder with one relation of care and a trail, and the file of its keys."""
    keys_file = tmp_path / "master.keys"
    assert cli.main(["keys", "new", "one"]) == 0
    keys_file.write_text(capsys.readouterr().out)
    keys_file.chmod(0o400)
    keys = MasterKeys.read(keys_file)
    Care(open_vault(Settings(state_folder=str(tmp_path)), keys)).begin("clinic", "doctor", "anna")
    trail = AuditTrail(audit_folder(tmp_path), MacKey("one", audit_keys(keys)["one"]), lambda reached: None)
    trail.start()
    trail.record_now(event(1))
    trail.close()
    return ["--state", str(tmp_path), "--keys", str(keys_file)]


def test_a_new_master_key_on_top_takes_over_and_the_trail_stays_readable(state, tmp_path, capsys):
    keys_file = tmp_path / "master.keys"
    assert cli.main(["keys", "new", "two"]) == 0
    text = capsys.readouterr().out + keys_file.read_text()
    keys_file.chmod(0o600)
    keys_file.write_text(text)
    assert cli.main(["keys", "rewrap", *state]) == 0
    assert capsys.readouterr().out.startswith("2 keys")
    assert cli.main(["keys", "rewrap", *state]) == 0
    assert capsys.readouterr().out.startswith("0 keys")
    care = Care(open_vault(Settings(state_folder=str(tmp_path)), MasterKeys.read(keys_file)))
    assert care.relation("clinic", "doctor", "anna") is Relation.CARE
    assert cli.main(["audit", "verify", *state]) == 0
    assert capsys.readouterr().out.endswith(" files, 0 faults\n")
    said = [record["event"] for record in events(audit_folder(tmp_path), {"verb": "rewrap_keys"})]
    assert [(one["detail"], one["actor"]["roles"]) for one in said] == [("two", ["operator"])] * 2


def test_who_reads_the_trail_stands_in_it_before_anything_is_shown(state, tmp_path, capsys):
    assert cli.main(["audit", "search", *state, "verb=analyze"]) == 0
    assert cli.main(["audit", "export", *state, "verb=analyze"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one.get("resourceType") for one in shown] == [None, "AuditEvent"]
    reads = [record["event"] for record in events(audit_folder(tmp_path), {"verb": "search_audit"})]
    assert [(one["records"], one["actor"]["uid"][:3]) for one in reads] == [(1, "os:")] * 2
    folder = audit_folder(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    assert cli.main(["audit", "search", *state]) == 1
    assert capsys.readouterr().out == ""


def test_a_changed_trail_is_said_with_its_line_and_by_the_exit_status(state, tmp_path, capsys):
    [file] = (audit_folder(tmp_path)).iterdir()
    file.write_bytes(file.read_bytes().replace(b"analyze", b"explain"))
    assert cli.main(["audit", "verify", *state]) == 1
    assert f"{file.stem} line 2: forged" in capsys.readouterr().out


def test_what_is_no_state_folder_is_refused(state, tmp_path, capsys):
    state[1] = str(tmp_path / "nothing")
    assert cli.main(["keys", "rewrap", *state]) == 1
    assert "expected a state folder" in capsys.readouterr().err


def test_keys_that_others_may_read_are_refused(state, tmp_path, capsys):
    (tmp_path / "master.keys").chmod(0o644)
    for command in (["keys", "rewrap"], ["audit", "verify"]):
        assert cli.main([*command, *state]) == 1
        assert "chmod 400" in capsys.readouterr().err
