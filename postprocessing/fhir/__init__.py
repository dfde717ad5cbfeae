"""Analysis -> FHIR R4: the Bundle, our CodeSystem, and the check that nothing else leaves.

The only room that imports fhir.resources, and only when the first resource is checked.
"""

from __future__ import annotations

from postprocessing.fhir.audit_event import audit_bundle, audit_event
from postprocessing.fhir.bundle import BundleTooLargeError, bundle
from postprocessing.fhir.check import ConformanceError, Issue, check, warm
from postprocessing.fhir.code_system import code_system
from postprocessing.fhir.frame import DEVELOPMENT_BASE, BundleOptions, BundleOptionsError

__all__ = [
    "DEVELOPMENT_BASE",
    "BundleOptions",
    "BundleOptionsError",
    "BundleTooLargeError",
    "ConformanceError",
    "Issue",
    "audit_bundle",
    "audit_event",
    "bundle",
    "check",
    "code_system",
    "warm",
]
