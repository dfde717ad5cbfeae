"""What FHIR R4 4.0.1 demands and fhir.resources does not enforce, as data.

Source: the 4.0.1 definitions of the named elements (required bindings, reference targets, formats).
"""

from __future__ import annotations

import re

from postprocessing.fhir.codes import (
    AIAST,
    CATEGORIES,
    DATA_ABSENT_REASONS,
    LOINC,
    METRIC_TERMS,
    PHR,
    PHYSICAL_ACTIVITY,
    TERMINOLOGY,
    UCUM_LABELS,
)

__all__ = [
    "CLOSED_SYSTEMS",
    "ID",
    "REFERENCE",
    "REQUIRED_CODES",
    "SAMPLES",
    "TARGETS",
    "UCUM_ALLOWED",
    "URN_UUID",
]

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
URN_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
REFERENCE = re.compile(
    r"(?:https?://[^\s#?]+/)?(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
SAMPLES = re.compile(r"(?:-?\d+(?:\.\d+)?|[EUL])(?: (?:-?\d+(?:\.\d+)?|[EUL]))*")

_OBSERVATION = "registered preliminary final amended corrected cancelled entered-in-error unknown"
_PUBLICATION = "draft active retired unknown"
_REQUIRED = {
    "Observation.status": _OBSERVATION,
    "RiskAssessment.status": _OBSERVATION,
    "DiagnosticReport.status": f"{_OBSERVATION} partial appended",
    "Device.status": "active inactive entered-in-error unknown",
    "Device.deviceName.type": (
        "udi-label-name user-friendly-name patient-reported-name manufacturer-name model-name other"
    ),
    "DocumentReference.status": "current superseded entered-in-error",
    "DocumentReference.docStatus": "preliminary final amended entered-in-error",
    "Bundle.type": (
        "document message transaction transaction-response batch batch-response history searchset collection"
    ),
    "Bundle.entry.search.mode": "match include outcome",
    "Bundle.entry.request.method": "GET HEAD POST PUT DELETE PATCH",
    "Provenance.entity.role": "derivation revision quotation source removal",
    "AuditEvent.action": "C R U D E",
    "AuditEvent.outcome": "0 4 8 12",
    "CapabilityStatement.status": _PUBLICATION,
    "CapabilityStatement.kind": "instance capability requirements",
    "CapabilityStatement.rest.mode": "client server",
    "CodeSystem.status": _PUBLICATION,
    "CodeSystem.content": "not-present example fragment complete supplement",
    "CodeSystem.property.type": "code Coding string integer boolean dateTime decimal",
    "ConceptMap.status": _PUBLICATION,
    "ConceptMap.group.element.target.equivalence": (
        "relatedto equivalent equal wider subsumes narrower specializes inexact unmatched disjoint"
    ),
    "OperationDefinition.status": _PUBLICATION,
    "OperationDefinition.kind": "operation query",
    "OperationDefinition.parameter.use": "in out",
    "Narrative.status": "generated extensions additional empty",
    "Identifier.use": "usual official temp secondary old",
    "Quantity.comparator": "< <= >= >",
    "OperationOutcome.issue.severity": "fatal error warning information",
    "OperationOutcome.issue.code": (
        "invalid structure required value invariant security login unknown expired forbidden suppressed "
        "processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid "
        "extension too-costly business-rule conflict transient lock-error no-store exception timeout "
        "incomplete throttled informational"
    ),
}
REQUIRED_CODES: dict[str, frozenset[str]] = {
    name: frozenset(codes.split()) for name, codes in _REQUIRED.items()
}

_SUBJECT = "Patient Group Device Location"
_CARER = "Practitioner PractitionerRole Organization CareTeam"
_PERSON = "Practitioner PractitionerRole RelatedPerson Patient Device Organization"
_TARGETS = {
    "Observation.subject": _SUBJECT,
    "Observation.performer": f"{_CARER} Patient RelatedPerson",
    "Observation.device": "Device DeviceMetric",
    "Observation.hasMember": "Observation QuestionnaireResponse MolecularSequence",
    "Observation.derivedFrom": (
        "DocumentReference ImagingStudy Media QuestionnaireResponse Observation MolecularSequence"
    ),
    "DiagnosticReport.subject": _SUBJECT,
    "DiagnosticReport.performer": _CARER,
    "DiagnosticReport.resultsInterpreter": _CARER,
    "DiagnosticReport.result": "Observation",
    "RiskAssessment.subject": "Patient Group",
    "RiskAssessment.performer": "Practitioner PractitionerRole Device",
    "DocumentReference.subject": "Patient Practitioner Group Device",
    "DocumentReference.author": "Practitioner PractitionerRole Organization Device Patient RelatedPerson",
    "DocumentReference.authenticator": "Practitioner PractitionerRole Organization",
    "DocumentReference.custodian": "Organization",
    "Device.patient": "Patient",
    "Device.owner": "Organization",
    "Device.parent": "Device",
    "Provenance.agent.who": _PERSON,
    "Provenance.agent.onBehalfOf": _PERSON,
    "Provenance.location": "Location",
}
TARGETS: dict[str, frozenset[str]] = {name: frozenset(types.split()) for name, types in _TARGETS.items()}

UCUM_ALLOWED: frozenset[str] = frozenset(
    {*UCUM_LABELS, "h/d", "/d", "{steps}/(24.h)", "{clock_time}", "s", "ms"}
)
CLOSED_SYSTEMS: dict[str, dict[str, str]] = {  # system -> code -> display: all that we may say of it
    LOINC: dict(term.loinc for term in METRIC_TERMS.values() if term.loinc),
    PHR: dict(term.phr for term in METRIC_TERMS.values() if term.phr),
    PHYSICAL_ACTIVITY: {"DeviceActivePercentage": "Device Active Percentage"},
    f"{TERMINOLOGY}/data-absent-reason": DATA_ABSENT_REASONS,
    f"{TERMINOLOGY}/observation-category": {code: entry["display"] for code, entry in CATEGORIES.items()},
    f"{TERMINOLOGY}/v3-ObservationValue": {AIAST["code"]: AIAST["display"]},
    f"{TERMINOLOGY}/v3-DataOperation": {"CREATE": "create"},
    f"{TERMINOLOGY}/provenance-participant-type": {"author": "Author", "assembler": "Assembler"},
    f"{TERMINOLOGY}/v2-0074": {"OTH": "Other"},
    f"{TERMINOLOGY}/v2-0203": {"SNO": "Serial Number"},
}
