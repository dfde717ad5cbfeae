"""What a reader of ``/openapi.json`` is told of each operation, with a body that can be sent as it stands.

One entry an operation. A route of FastAPI may say the same in its decorator instead (``tags``, ``summary``,
``responses``) and in its model (``json_schema_extra={"examples": [...]}``); tests/api/test_openapi.py refuses
an operation that is told in neither way, tests/e2e and tests/security/test_examples.py send every example.
"""

from __future__ import annotations

from collections.abc import Mapping

from api.openapi.analysis import ANALYSIS
from api.openapi.fhir import FHIR
from api.openapi.later import LATER
from api.openapi.operation import Operations
from api.openapi.people import PEOPLE
from api.openapi.running import RUNNING

__all__ = ["OPERATIONS", "TAGS"]

TAGS: Mapping[str, str] = {
    "Analysis": "A recording of movement in; sleep, rhythm, activity and the embedding of each week out.",
    "FHIR": "The same as an operation of a FHIR R4 server; every refusal is an OperationOutcome.",
    "CDS Hooks": "The same as a card beside a patient's record; information only.",
    "Jobs": "Many recordings at once, analysed beside other requests; what becomes of a result sent on.",
    "Encoder": "Weeks in, the 96 numbers that PAT makes of each out.",
    "Research": "What of an analysis may leave for research.",
    "Subjects and care": "What is kept of a subject, and who cares for one.",
    "Audit": "What was done, by whom and what for.",
    "Operation": "Whether the service answers, and how it is called.",
}

OPERATIONS: Operations = {**ANALYSIS, **FHIR, **LATER, **PEOPLE, **RUNNING}
