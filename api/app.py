"""The FastAPI application that service.py mounts at the root, beside BentoML's own routes."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from api import accounts, cds, delivery, fhir, fhir_jobs, health, jobs, portal, research, status, subjects, v1
from api.openapi import Description
from api.problems import invalid, problem

__all__ = ["build"]


def build() -> FastAPI:
    """Build the application; BentoML's HTML page at ``/`` is replaced, for it loads a tag manager."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _refused)
    app.include_router(v1.router)
    app.include_router(subjects.router)
    app.include_router(health.router)
    app.include_router(accounts.router)
    app.include_router(status.router)
    app.include_router(research.router)
    app.include_router(delivery.router)
    app.include_router(jobs.router)
    app.include_router(fhir_jobs.router)
    app.include_router(fhir.router)
    app.include_router(cds.router)
    app.include_router(portal.router)
    app.add_api_route("/openapi.json", Description(app).answer, include_in_schema=False)
    app.add_api_route("/", _closed, include_in_schema=False)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    """Answer without the input; FastAPI repeats it, and fails where it cannot (NaN, half a pair)."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for it
    return invalid(error.errors())


async def _closed() -> Response:
    return problem(404, "not_found", "nothing is here; docs/api.md lists the doors")
