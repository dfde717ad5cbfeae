"""The three kinds of error bodies of the health data service."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

__all__ = ["Refused", "detail", "flat", "problem"]


class Refused(Exception):  # noqa: N818  # it is an answer
    """How a request is answered instead."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


def problem(status: int, slug: str, detail: str, **headers: str) -> Refused:
    """E1, a problem body."""
    body = {
        "type": f"https://hds.example/problems/{slug}",
        "title": slug.replace("-", " ").title(),
        "status": status,
        "detail": detail,
        "instance": "https://hds.example/requests/1f0d",
        "trace_id": uuid.uuid4().hex,
    }
    return Refused(JSONResponse(body, status, headers=headers))


def detail(status: int, said: Any, **headers: str) -> Refused:
    """E2, ``detail``."""
    return Refused(JSONResponse({"detail": said}, status, headers=headers))


def flat(status: int, code: str, message: str) -> Refused:
    """E3, of a middleware."""
    body = {"error": code, "message": message, "timestamp": datetime.now(UTC).isoformat()}
    return Refused(JSONResponse(body, status))
