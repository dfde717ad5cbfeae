"""A record of the audit trail as a FHIR R4 AuditEvent, with the fields that IHE's BALP asks for.

BALP (Basic Audit Log Patterns) has no pattern for an operation, so no profile is claimed. Codes: FHIR R4's
audit-event value sets and DICOM PS3.16. Never a health value: a record holds none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from postprocessing.fhir.codes import TERMINOLOGY

__all__ = ["audit_bundle", "audit_event"]

Json = dict[str, Any]

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = {"system": f"{TERMINOLOGY}/audit-event-type", "code": "rest", "display": "RESTful Operation"}
_NAMES = uuid.UUID("8f2a1f8e-63c0-5d3b-9a55-6f4f1f1b7c52")  # of the identifiers of our AuditEvents
_SOURCE, _DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
_INTERACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete", "E": "operation"}


def _dicom(code: str, display: str) -> Json:
    return {"system": _DICOM, "code": code, "display": display}


_ACTIVITY, _ALERT = _dicom("110100", "Application Activity"), _dicom("110113", "Security Alert")
_KINDS: Mapping[str, tuple[Json, Json | None]] = {  # verb -> type and subtype; all others are RESTful
    "start": (_ACTIVITY, _dicom("110120", "Application Start")),
    "stop": (_ACTIVITY, _dicom("110121", "Application Stop")),
    "retention": (_ACTIVITY, None),
    "change_settings": (_ALERT, _dicom("110129", "Security Configuration")),
    "change_keys": (_ALERT, _dicom("110129", "Security Configuration")),
    "change_care": (_ALERT, _dicom("110136", "Security Roles Changed")),
    "break_glass": (_ALERT, _dicom("110127", "Emergency Override Started")),
}
_LOGIN = (_dicom("110114", "User Authentication"), _dicom("110122", "Login"))


def audit_bundle(records: Iterable[Mapping[str, Any]], observer: str) -> Json:
    """Return records as a searchset Bundle, in their order."""
    entries = [
        {"fullUrl": f"urn:uuid:{made['id']}", "resource": made, "search": {"mode": "match"}}
        for made in (audit_event(record, observer) for record in records)
    ]
    found: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return {**found, "entry": entries} if entries else found


def audit_event(record: Mapping[str, Any], observer: str) -> Json:
    """Return a record (``at``, ``file``, ``seq``, ``event``) as an AuditEvent that ``observer`` saw."""
    event = record["event"]
    kind, subtype = _kind(event)
    made: Json = {
        "resourceType": "AuditEvent",
        "id": str(uuid.uuid5(_NAMES, f"{record['file']}/{record['seq']}")),
        "type": kind,
        "action": event["action"],
        "recorded": record["at"],
        "outcome": str(event["outcome"]),
        "outcomeDesc": event["reason"],
        "agent": _agents(event, observer),
        "source": _source(observer),
    }
    if subtype is not None:
        made["subtype"] = [subtype]
    if entities := list(_entities(event)):
        made["entity"] = entities
    return made


def _kind(event: Mapping[str, Any]) -> tuple[Json, Json | None]:
    if event["verb"] in _KINDS:
        return _KINDS[event["verb"]]
    if not (event["actor"] or {}).get("uid"):
        return _LOGIN
    code = "search-type" if event["verb"] == "search_audit" else _INTERACTIONS[event["action"]]
    subtype = {"system": "http://hl7.org/fhir/restful-interaction", "code": code}
    return _REST, subtype if code == "search-type" else {**subtype, "display": code}


def _agents(event: Mapping[str, Any], observer: str) -> list[Json]:
    """Return who asked, if somebody did, and the service; data flows from source to destination."""
    reads = event["action"] == "R"
    service = _agent(_SOURCE if reads else _DESTINATION, {"display": observer})
    if event["actor"] is None:
        return [{**service, "requestor": True}]
    return [_client(event, _DESTINATION if reads else _SOURCE), service]


def _agent(role: tuple[str, str], who: Json) -> Json:
    return {"type": {"coding": [_dicom(*role)]}, "who": who, "requestor": False}


def _client(event: Mapping[str, Any], role: tuple[str, str]) -> Json:
    actor = event["actor"]
    who = {"identifier": {"value": actor["uid"]}} if actor["uid"] else {"display": "not identified"}
    made = {**_agent(role, who), "requestor": True, "purposeOfUse": [_purpose(event["purpose"])]}
    if actor["roles"]:
        made["role"] = [{"text": name} for name in actor["roles"]]
    if actor["address"]:
        made["network"] = {"address": actor["address"], "type": "2"}
    return made


def _purpose(code: str) -> Json:
    return {"coding": [{"system": f"{TERMINOLOGY}/v3-ActReason", "code": code}]}


def _source(observer: str) -> Json:
    kind = {
        "system": f"{TERMINOLOGY}/security-source-type",
        "code": "4",
        "display": "Application Server",
    }
    return {"observer": {"display": observer}, "type": [kind]}


def _entities(event: Mapping[str, Any]) -> Iterable[Json]:
    """Yield whose data, which request, and by which weights how many answers."""
    if event["subject"]:
        role = {"system": f"{TERMINOLOGY}/object-role", "code": "1", "display": "Patient"}
        yield {**_entity("1", "Person", event["subject"]), "role": role}
    if event["trace"].strip("0"):
        balp = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
        yield {
            "what": {"identifier": {"value": event["trace"]}},
            "type": {"system": balp, "code": "XrequestId"},
        }
    if event["model"]:
        counted = {"type": "records", "valueString": str(event["records"])}
        yield {**_entity("2", "System Object", event["model"]), "name": "weights", "detail": [counted]}
    if event.get("detail"):
        yield {"name": event["detail"], "type": _entity_type("2", "System Object")}


def _entity(code: str, display: str, value: str) -> Json:
    return {"what": {"identifier": {"value": value}}, "type": _entity_type(code, display)}


def _entity_type(code: str, display: str) -> Json:
    return {"system": f"{TERMINOLOGY}/audit-entity-type", "code": code, "display": display}
