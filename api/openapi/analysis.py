"""What a reader is told of the operations that take a recording or weeks."""

from __future__ import annotations

from api.openapi.operation import HTML, JSON, OCTETS, PATIENT, PLAIN, RECORDING, SHORT, Operation, Operations
from api.openapi.schemas import BINARY, BUNDLE, EMBEDDED, TEXT, ref
from api.requests import FHIR_JSON, EmbedRequest, ExplainRequest, FhirRequest, RecordingRequest
from postprocessing.analysis import Analysis
from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.explanation import Explanation

__all__ = ["ANALYSIS"]

_FILE = """# zone: Europe/Berlin
# epoch_seconds: 60
# unit: actiwatch_counts
# device: actiwatch
# wear_site: wrist
timestamp,value
2026-03-02T18:30:00+01:00,12
2026-03-02T18:31:00+01:00,0
2026-03-02T18:32:00+01:00,431
"""
_FILES = {PLAIN: TEXT, OCTETS: BINARY}
ANALYSIS: Operations = {
    ("POST", "/analyze"): Operation(
        "Analysis",
        "Analyse one recording",
        f"Takes a recording in canonical JSON and answers with the document `pat-analysis/1`. {SHORT}",
        {JSON: ref(Analysis)},
        {JSON: ref(RecordingRequest)},
        {JSON: RECORDING},
    ),
    ("POST", "/analyze_fhir"): Operation(
        "Analysis",
        "Analyse one recording, in FHIR R4",
        f"As `analyze`, answered as a Bundle of type `return` about `subject`. {SHORT}",
        {FHIR_JSON: BUNDLE},
        {JSON: ref(FhirRequest)},
        {JSON: {**RECORDING, **PATIENT, "return": "transaction"}},
    ),
    ("POST", "/explain"): Operation(
        "Analysis",
        "Show where in each week PAT looked",
        "Answers with the attention that each part of each week received. The example holds no week, so the "
        "list of weeks is empty.",
        {JSON: ref(Explanation)},
        {JSON: ref(ExplainRequest)},
        {JSON: RECORDING},
    ),
    ("POST", "/v1/recordings:analyze"): Operation(
        "Analysis",
        "Analyse one device file",
        "The body is the file as it is, in any format of docs/inputs.md, told by its content. What the file "
        "does not say, and what is wanted, goes into `X-PAT-` headers. With `Accept: application/fhir+json` "
        f"the answer is a Bundle. {SHORT}",
        {JSON: ref(Analysis), FHIR_JSON: BUNDLE},
        _FILES,
        {PLAIN: _FILE},
    ),
    ("POST", "/v1/recordings:report"): Operation(
        "Analysis",
        "Write a report of one device file",
        "Takes what `/v1/recordings:analyze` takes and answers with one HTML page, pictures included.",
        {HTML: TEXT},
        _FILES,
        {PLAIN: _FILE},
    ),
    ("POST", "/embed"): Operation(
        "Encoder",
        "Encode weeks",
        "Takes rows as they are (`standardized`) or raw weeks with unit, device and wear site. A row that "
        "cannot be encoded has `null` and the reason in its place.",
        {JSON: EMBEDDED},
        {JSON: ref(EmbedRequest)},
        {JSON: {"weeks": [[0.1, -0.4] * 9], "standardized": True}},
    ),
    ("POST", "/v1/embed"): Operation(
        "Encoder",
        "Encode weeks sent as numbers",
        "The body is rows of little-endian float32, one after the other. With `Accept: "
        "application/octet-stream` the answer is float32 too, and its `X-PAT-` headers say what each number "
        "is. The example is one row of 18 numbers whose bytes happen to be letters.",
        {JSON: EMBEDDED, OCTETS: BINARY},
        {OCTETS: BINARY},
        {OCTETS: "pat?PAT>" * 9},
        {"standardized": "true", "minutes": "18"},
    ),
    ("POST", "/v1/recordings:deidentify"): Operation(
        "Research",
        "De-identify one recording for research",
        "Takes what `analyze` takes, with `age` and `sex` of the person, and answers with "
        "`pat-deidentified/1`: no date, no place, no series. With `subject` and `project` the answer holds a "
        "random code.",
        {JSON: ref(DeidentifiedAnalysis)},
        examples={JSON: {**RECORDING, "age": 44, "sex": "female"}},
    ),
}
