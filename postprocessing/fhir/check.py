"""The runtime conformance check: what leaves as FHIR is FHIR R4, or it does not leave.

One walk looks at the structure (elements, types, what must be there); the rules of R4 that fhir.resources
leaves out (codes, references, invariants) look at the objects it found. The full validator runs in the tests.

    ConformanceError    a resource that we built breaks R4: a fault of ours (500), never of the caller
"""

from __future__ import annotations

from postprocessing.fhir.links import MAX_ENTRIES, bundle_issues, reference_issues
from postprocessing.fhir.rules import Issue, Json, node_issues
from postprocessing.fhir.structure import shape_of
from postprocessing.fhir.walk import walk

__all__ = ["MAX_ENTRIES", "ConformanceError", "Issue", "check", "warm"]

_KINDS = (
    *("Bundle", "Device", "Observation", "DocumentReference", "RiskAssessment", "DiagnosticReport"),
    *("Provenance", "Parameters", "OperationOutcome"),
)


class ConformanceError(RuntimeError):
    """What was built is not FHIR R4; ``issues`` say where, without any value."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = tuple(issues)
        shown = "; ".join(f"{issue.expression}: {issue.rule}" for issue in issues[:5])
        super().__init__(f"expected a conformant FHIR R4 resource, found {len(issues)} issues: {shown}")


def check(resource: Json) -> list[Issue]:
    """Return every departure of ``resource`` (a Bundle or any other) from R4 that can be seen at run time."""
    nodes, structure = walk(resource)
    found = [*structure, *bundle_issues(resource), *reference_issues(resource, nodes)]
    for node in nodes:
        found.extend(node_issues(node))
    return found


def warm() -> None:
    """Read the shapes that a result uses, so that the first request does not pay for them."""
    waiting, read = list(_KINDS), set()
    while waiting:
        kind = waiting.pop()
        if kind not in read:
            read.add(kind)
            fields = shape_of(kind).fields.values()
            waiting.extend(field.kind for field in fields if field.validator is None)
