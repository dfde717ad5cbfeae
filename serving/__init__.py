"""Everything about being a service, nothing about actigraphy.

settings   the only reader of the environment
cores      how many cores this process was given
limits     body and header limits, pace and content types at the door (ASGI middleware)
json_shape how deep a JSON body is, and whether a name comes twice
edges      who may connect, and the headers of every answer (ASGI middleware)
protocol   an end to waiting for a request that does not come
tls        the certificate, the ciphers, and whether clients need one
start      `pat serve`
hardening  no core dumps
spans      what of a span may leave
entrance   who is let in before a body is read, and what becomes of callers who leave (ASGI middleware)
turns      whose turn it is, among those who wait; admission, what is refused instead
garbage    no search for garbage where there is none
telemetry  what Prometheus is told of batches, safeguards and deliveries; request_telemetry of requests,
           model_telemetry of weights, weeks and drift, state_telemetry of breakers, jobs, memory
under_way  the request that is being answered, as log lines and metrics name it
tracing    which spans leave for a collector; otlp sends them, otlp_logs log lines, otlp_metrics counts
logs       one JSON line per event, never a health value
auth       who asks: each token verified by who is responsible for its issuer; firebase_tokens, system_tokens
revocation whether a sign-in still holds, before what cannot be taken back; signing_keys fetches what verifies
policy     who may do what: one table, deny by default
routes     which route a path with a random id in it means
codes      random names of subjects for research, and the way back
care       who cares for whom, and emergencies
audit      the audit trail, on disk before any disclosure; audit_check reads it
jobs       work that a caller leaves and comes back for; job_shelf keeps it, job_state counts it
keys       a key per subject, wrapped by master keys
leases     which of several processes does a piece of work
state      where the trail and the store are, and under which keys
store      the durable store and, sealed in it, what belongs to a subject; redis_store for several instances
rates      how often one address, caller, tenant may ask; shared_rates counts for all processes together
cache      what can be computed again: memory_cache, redis_cache, sealed_cache over both, cache_keys; flights
repeats    the same answer to the same request: the first issue of a result, the answer to a key
redis_address  where a Redis is, and as whom the service comes
patience   waits for a quick answer in a busy event loop
breaker    leaves alone for a while what fails again and again
outbound   asks other services over HTTP; web_address says where one may be
fhir_push  hands transactions to a FHIR server, each once in effect; smart gets the tokens for it
outbox     what is to be delivered, until it is or cannot be; courier delivers it
"""

__all__ = [
    "admission",
    "audit",
    "audit_check",
    "auth",
    "breaker",
    "cache",
    "cache_keys",
    "care",
    "codes",
    "cores",
    "courier",
    "edges",
    "entrance",
    "fhir_push",
    "firebase_tokens",
    "flights",
    "garbage",
    "hardening",
    "job_shelf",
    "job_state",
    "jobs",
    "json_shape",
    "keys",
    "leases",
    "limits",
    "logs",
    "memory_cache",
    "model_telemetry",
    "otlp",
    "otlp_logs",
    "otlp_metrics",
    "otlp_telemetry",
    "outbound",
    "outbox",
    "patience",
    "policy",
    "protocol",
    "rates",
    "redis_address",
    "redis_cache",
    "redis_store",
    "repeats",
    "request_telemetry",
    "revocation",
    "routes",
    "sealed_cache",
    "settings",
    "shared_rates",
    "signing_keys",
    "smart",
    "spans",
    "start",
    "state",
    "state_telemetry",
    "store",
    "system_tokens",
    "telemetry",
    "tls",
    "tracing",
    "turns",
    "under_way",
    "web_address",
]
