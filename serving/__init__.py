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
admission  how many weeks may wait for the runner before the door says 503
telemetry  batch size, wait and queue for Prometheus
logs       one JSON line per event, never a health value
auth       who asks: Firebase ID tokens verified for real
policy     who may do what: one table, deny by default
care       who cares for whom, and emergencies
audit      the audit trail, on disk before any disclosure; audit_check reads it
keys       a key per subject, wrapped by master keys
state      where the trail and the store are, and under which keys
store      the durable store and, sealed in it, what belongs to a subject
rates      how often one address, caller, tenant may ask
breaker    leaves alone for a while what fails again and again
"""

__all__ = [
    "admission",
    "audit",
    "audit_check",
    "auth",
    "breaker",
    "care",
    "cores",
    "edges",
    "hardening",
    "json_shape",
    "keys",
    "limits",
    "logs",
    "policy",
    "protocol",
    "rates",
    "settings",
    "spans",
    "start",
    "state",
    "store",
    "telemetry",
    "tls",
]
