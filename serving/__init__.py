"""Everything about being a service, nothing about actigraphy.

settings   the only reader of the environment
cores      how many cores this process was given
limits     body limits and content types at the door (ASGI middleware)
admission  how many weeks may wait for the runner before the door says 503
telemetry  batch size, wait and queue for Prometheus
logs       one JSON line per event, never a health value
auth       who asks: each token verified by who is responsible for its issuer; firebase_tokens, system_tokens
revocation whether a sign-in still holds, before what cannot be taken back; signing_keys fetches what verifies
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
    "firebase_tokens",
    "keys",
    "limits",
    "logs",
    "policy",
    "rates",
    "revocation",
    "settings",
    "signing_keys",
    "state",
    "store",
    "system_tokens",
    "telemetry",
]
