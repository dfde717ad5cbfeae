"""The health data service and this one, together over HTTP."""
