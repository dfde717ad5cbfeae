"""Analysis -> FHIR R4: the Bundle, our definitions, and the check that nothing else leaves.

The only room that imports fhir.resources, and only when the first resource is checked.
"""

from __future__ import annotations

from postprocessing.fhir.audit_event import audit_bundle, audit_event
from postprocessing.fhir.bundle import BundleTooLargeError, bundle
from postprocessing.fhir.capability import FHIR_VERSION, Instance, capability_statement
from postprocessing.fhir.check import ConformanceError, Issue, check, warm
from postprocessing.fhir.code_system import code_system
from postprocessing.fhir.concept_map import CONCEPT_MAP, concept_map
from postprocessing.fhir.frame import DEVELOPMENT_BASE, BundleOptions, BundleOptionsError, digest
from postprocessing.fhir.operation import OPERATION, Parameter, operation_definition
from postprocessing.fhir.outcome import Fault, operation_outcome

__all__ = [
    "CONCEPT_MAP",
    "DEVELOPMENT_BASE",
    "FHIR_VERSION",
    "OPERATION",
    "BundleOptions",
    "BundleOptionsError",
    "BundleTooLargeError",
    "ConformanceError",
    "Fault",
    "Instance",
    "Issue",
    "Parameter",
    "audit_bundle",
    "audit_event",
    "bundle",
    "capability_statement",
    "check",
    "code_system",
    "concept_map",
    "digest",
    "operation_definition",
    "operation_outcome",
    "warm",
]
