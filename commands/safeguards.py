"""`pat keys`, `pat audit` and `pat outbox`: what is kept where the service keeps it, each use recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.arguments import Arguments, add_state, command

if TYPE_CHECKING:
    from serving.audit import Actor, AuditEvent
    from serving.store import Vault

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the commands."""
    _add_keys(commands)
    _add_audit(commands)
    _add_outbox(commands)


def _add_keys(commands: Any) -> None:
    parser = commands.add_parser("keys", help="Master keys.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    made = command(verbs, "new", _keys_new, "Print a line with a new key for the file of master keys.")
    made.add_argument("name", help="a-z, 0-9, -; such as 2026-11")
    rewrap = command(
        verbs,
        "rewrap",
        _keys_rewrap,
        "Wrap every subject's key under the first master key of the file.",
    )
    add_state(rewrap)


def _add_audit(commands: Any) -> None:
    parser = commands.add_parser("audit", help="The audit trail.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verify = command(verbs, "verify", _audit_verify, "Read the whole trail; say which line is wrong.")
    add_state(verify)
    verify.add_argument("--checkpoints", type=Path, help="the service's log, or lines `file seq mac`")
    for name, run, text in (
        ("search", _audit_search, "Print events whose fields are as given, oldest first."),
        ("export", _audit_export, "Print the same as FHIR R4 AuditEvents, one a line."),
    ):
        found = command(verbs, name, run, f"{text} Reading the trail is recorded in it.")
        add_state(found)
        found.add_argument(
            "wanted", nargs="*", metavar="FIELD=VALUE", help="such as outcome=4 or actor.uid=u1"
        )
        found.add_argument("--subject", metavar="TENANT/ID", help="events about this subject")
        found.add_argument("--since", default="", help="ISO 8601 in UTC, or its beginning: 2026-11")
        found.add_argument("--until", default="~", help="same")


def _add_outbox(commands: Any) -> None:
    parser = commands.add_parser("outbox", help="Results that wait for the FHIR server, and dead letters.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_state(command(verbs, "list", _outbox_list, "Print what waits and what are dead letters, as JSON."))
    replay = command(
        verbs, "replay", _outbox_replay, "Let dead letters wait again, as if they were new; recorded."
    )
    add_state(replay)
    replay.add_argument("names", nargs="*", metavar="DELIVERY", help="as `pat outbox list` calls it")
    replay.add_argument("--all", action="store_true", help="every dead letter")


def _keys_new(arguments: Arguments) -> None:
    from serving.keys import new_line

    print(new_line(arguments.name))


def _keys_rewrap(arguments: Arguments) -> None:
    from serving.audit import Action, AuditEvent, Outcome, Purpose

    vault = _vault(arguments)
    event = AuditEvent(
        Action.UPDATE, "rewrap_keys", Outcome.DONE, "command", _operator(), detail=vault.current
    )
    _record(arguments, replace(event, purpose=Purpose.SYSTEM))
    print(f"{vault.rewrap()} keys are now under the first master key")


def _vault(arguments: Arguments) -> Vault:
    from serving.keys import KeysUnusable, MasterKeys
    from serving.settings import Settings
    from serving.state import audit_folder, open_vault, store_file

    settings = replace(Settings.from_environment(), state_folder=str(arguments.state))
    there = (audit_folder if settings.store_url else store_file)(arguments.state)
    if not there.exists():
        expected = f"expected a state folder with {there.relative_to(arguments.state)}"
        raise KeysUnusable(f"{arguments.state}: {expected}; for a store on Redis set PAT_STORE_URL as well")
    return open_vault(settings, MasterKeys.read(arguments.keys))


def _audit_verify(arguments: Arguments) -> int:
    from serving.audit_check import checkpoints, verify
    from serving.keys import MasterKeys
    from serving.state import audit_folder, audit_keys

    text = arguments.checkpoints.read_text(errors="replace") if arguments.checkpoints else ""
    keys = audit_keys(MasterKeys.read(arguments.keys))
    report = verify(audit_folder(arguments.state), keys, checkpoints(text))
    for fault in report.faults:
        print(f"{fault.file} line {fault.line}: {fault.what}")
    print(f"{report.records} records in {report.files} files, {len(report.faults)} faults")
    return 1 if report.faults else 0


def _audit_search(arguments: Arguments) -> None:
    for record in _events(arguments):
        print(json.dumps({"at": record["at"], **record["event"]}))


def _audit_export(arguments: Arguments) -> None:
    from postprocessing.fhir import audit_event

    for record in _events(arguments):
        print(json.dumps(audit_event(record, "PAT Service")))


def _events(arguments: Arguments) -> list[dict[str, Any]]:
    """Find the events asked for, and record that they were before any is shown."""
    from serving.audit import Action, AuditEvent, Outcome, Purpose
    from serving.audit_check import events
    from serving.keys import KeysUnusable
    from serving.state import audit_folder

    wanted = dict(pair.split("=", 1) for pair in arguments.wanted if "=" in pair)
    if len(wanted) < len(arguments.wanted):
        raise KeysUnusable("expected FIELD=VALUE, such as outcome=4")
    if arguments.subject:
        tenant, _, subject = arguments.subject.partition("/")
        wanted["subject"] = _vault(arguments).subject(tenant, subject).pseudonym
    found = list(events(audit_folder(arguments.state), wanted, arguments.since, arguments.until))
    about = {"subject": wanted.get("subject", ""), "purpose": Purpose.OPERATIONS, "records": len(found)}
    _record(arguments, AuditEvent(Action.READ, "search_audit", Outcome.DONE, "command", _operator(), **about))
    return found


def _operator() -> Actor:
    """Return who runs the command, as the operating system knows them."""
    import getpass

    from serving.audit import Actor

    return Actor(f"os:{getpass.getuser()}", roles=("operator",))


def _record(arguments: Arguments, event: AuditEvent) -> None:
    """Write ``event`` to the trail of the state folder, in a file of its own."""
    from serving.audit import AuditTrail
    from serving.audit_file import MacKey
    from serving.keys import MasterKeys
    from serving.state import audit_folder, audit_keys

    name, secret = next(iter(audit_keys(MasterKeys.read(arguments.keys)).items()))
    trail = AuditTrail(audit_folder(arguments.state), MacKey(name, secret), lambda _: None)
    trail.start()
    try:
        trail.record_now(event)
    finally:
        trail.close()


def _outbox_list(arguments: Arguments) -> None:
    from serving.outbox import Outbox, State

    outbox = Outbox(_vault(arguments))
    for state in (State.WAITING, State.DEAD):
        for ticket in sorted(outbox.tickets(state), key=lambda ticket: ticket.accepted):
            print(json.dumps(ticket.told()))


def _outbox_replay(arguments: Arguments) -> int:
    from serving.audit import Action, AuditEvent, Outcome, Purpose
    from serving.keys import KeysUnusable
    from serving.outbox import Outbox

    if bool(arguments.names) == arguments.all:
        raise KeysUnusable("expected the names of dead letters (pat outbox list prints them), or --all")
    outbox = Outbox(_vault(arguments))
    letters = outbox.dead_letters(arguments.names)
    event = AuditEvent(Action.UPDATE, "replay_deliveries", Outcome.DONE, "command", _operator())
    _record(
        arguments,
        replace(event, purpose=Purpose.OPERATIONS, records=len(letters), detail=" ".join(letters)),
    )
    done = sum(map(outbox.replayed, letters))
    print(f"{done} results wait for the FHIR server again")
    return 0 if done >= len(arguments.names) else 1
