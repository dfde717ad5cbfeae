"""The REST face, mounted by service.py.

desk       one place where a verb (analyze, bundle, embed, explain) becomes an answer; both faces call it
requests   the request models
problems   error -> status -> problem body (RFC 9457), the only such table
app, v1    the FastAPI application and its routes
"""

__all__ = ["app", "desk", "problems", "requests", "v1"]
