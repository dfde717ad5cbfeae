"""What a reader is told of one operation, and what several are told with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from api.openapi.schemas import Json

__all__ = [
    "HTML",
    "JSON",
    "KEY",
    "OCTETS",
    "PATIENT",
    "PLAIN",
    "RECORDING",
    "SHORT",
    "Operation",
    "Operations",
]

JSON, OCTETS, HTML, PLAIN = "application/json", "application/octet-stream", "text/html", "text/plain"


@dataclass(frozen=True)
class Operation:
    """One operation; of a route of FastAPI, what that does not know.

    ``answers`` and ``body`` are schemas by media type, ``examples`` bodies by media type, ``headers`` the
    ``X-PAT-`` headers that go with them, ``parameters`` what else may stand beside the body (in the place of
    what FastAPI says of one of that name). An example is answered with ``example_status``, but with
    ``open_status`` where nobody is asked who they are. ``more`` are answers of other statuses; ``also`` are
    statuses of refusals beside those that every operation of its kind has; ``refused`` gives the body of a
    refusal, or nothing where that status does not occur, for operations that refuse in a form of their own.
    """

    tag: str
    summary: str
    description: str
    answers: Mapping[str, Json]
    body: Mapping[str, Json] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Sequence[Json] = ()
    status: int = 200
    example_status: int = 0
    open_status: int = 0
    more: Mapping[int, Mapping[str, Json]] = field(default_factory=dict)
    also: Sequence[HTTPStatus] = ()
    refused: Callable[[HTTPStatus], Json] | None = None


Operations = Mapping[tuple[str, str], Operation]  # by method and path

RECORDING: Json = {
    "start": "2026-03-02T18:30:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
    "device": "actiwatch",
    "wear_site": "wrist",
    "values": [12, 0, None, 431],
}
SHORT = (
    "The example is four minutes long, so most numbers are absent, each with its reason; send a week "
    "(`examples/week.json`) to see them all."
)
PATIENT = {"subject": "Patient/example"}
KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request sent again with the same key has the same answer.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
