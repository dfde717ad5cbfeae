"""``/docs``: Swagger UI over ``/openapi.json``, from this host alone; without data, and open to everybody."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import FileResponse, HTMLResponse, Response

from api.desk import Desk
from api.v1 import desk

__all__ = ["CONTENT_POLICY", "router"]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OURS = Path(__file__).with_name("docs_page")
_SCRIPT, _STYLE = "text/javascript", "text/css"

router = APIRouter(include_in_schema=False)


@cache
def _swagger_ui() -> Path:
    return Path(str(files("fastapi_swagger").joinpath("resources")))


@router.get("/docs")
async def page(at: Annotated[Desk, Depends(desk)]) -> Response:
    """Return the page, which asks for a token where callers are identified."""
    callers = "identified" if at.settings.guarded else "anybody"
    html = (_OURS / "page.html").read_text("utf-8").replace("CALLERS", callers)
    return HTMLResponse(html, headers={"Content-Security-Policy": CONTENT_POLICY})


@router.get("/docs/page.js")
async def script() -> Response:
    """Return what starts Swagger UI."""
    return FileResponse(_OURS / "page.js", media_type=_SCRIPT)


@router.get("/docs/page.css")
async def style() -> Response:
    """Return the style of what is not Swagger UI."""
    return FileResponse(_OURS / "page.css", media_type=_STYLE)


@router.get("/docs/swagger-ui-bundle.js")
async def swagger_ui() -> Response:
    """Return Swagger UI."""
    return FileResponse(_swagger_ui() / "swagger-ui-bundle.js", media_type=_SCRIPT)


@router.get("/docs/swagger-ui.css")
async def swagger_ui_style() -> Response:
    """Return the style of Swagger UI."""
    return FileResponse(_swagger_ui() / "swagger-ui.css", media_type=_STYLE)
