"""Everything about being a service, nothing about actigraphy.

settings   the only reader of the environment
cores      how many cores this process was given
limits     body limits and content types at the door (ASGI middleware)
admission  how many weeks may wait for the runner before the door says 503
telemetry  batch size, wait and queue for Prometheus
logs       one JSON line per event, never a health value
"""

__all__ = ["admission", "cores", "limits", "logs", "settings", "telemetry"]
