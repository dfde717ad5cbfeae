"""The REST face, mounted by service.py.

desk           one place where a verb (analyze, bundle, embed, explain) becomes an answer; both faces call it
requests       the request models
weeks          weeks for the encoder, as they come in and as they go out
raw_weeks      the same as rows of float32
headers        what raw bodies are told beside the body
problems       error -> status -> problem body (RFC 9457), the only such table
app, v1        the FastAPI application and its routes
fhir           ``/fhir``; fhir_analyze is $analyze as a function, outcomes its refusals
cds            the CDS Hooks service
jobs           ``/v1/jobs``; job_lines reads bodies, job_access says for whom; fhir_jobs: the same of $analyze
job_worker     does jobs beside the requests; background and keeping say what runs there and on what store
observation    the desk, with what went in and came out counted and written down; looks at the state of things
tracing        one tracer provider for BentoML's spans and ours
mounted        the application as the service mounts it, imported by the entry alone
remote_runner  the runner service as the pipeline sees it: admission, and calls that travel together
dispatch       BentoML's batching without its waits
"""

__all__ = [
    "app",
    "background",
    "cds",
    "desk",
    "dispatch",
    "fhir",
    "fhir_analyze",
    "fhir_jobs",
    "fhir_negotiation",
    "fhir_parameters",
    "headers",
    "job_access",
    "job_lines",
    "job_worker",
    "jobs",
    "keeping",
    "looks",
    "mounted",
    "observation",
    "outcomes",
    "problems",
    "raw_weeks",
    "remote_runner",
    "requests",
    "tracing",
    "v1",
    "weeks",
]
