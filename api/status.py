"""``GET /v1/status``: whether all is as it should be, for whoever runs the service; nothing of anybody."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import bentoml
from fastapi import APIRouter, Depends

from api.desk import Desk
from api.guard import Safeguards
from api.v1 import desk
from pat_runner.account import ModelCard

__all__ = ["router"]

router = APIRouter(prefix="/v1")


@router.get("/status")
async def read_status(at: Annotated[Desk, Depends(desk)]) -> dict[str, Any]:
    """Return the model, the state of the safeguards, and what is degraded: works, but not as it should."""
    service: Any = bentoml.get_current_service()
    safeguards: Safeguards | None = service.safeguards
    return {
        "model": _model(at.model) if isinstance(at.model, ModelCard) else None,
        "audit": "off" if safeguards is None else "writing" if safeguards.trail.healthy else "failing",
        "degraded": [
            *([] if safeguards is None else await asyncio.to_thread(_degraded, safeguards)),
            *(["health_data"] if service.health_data is not None and service.health_data.degraded else []),
        ],
    }


def _degraded(safeguards: Safeguards) -> list[str]:
    return safeguards.degraded


def _model(card: ModelCard) -> dict[str, str]:
    return {
        "checkpoint": card.checkpoint,
        "sha256": card.sha256,
        "architecture": card.architecture,
        "engine": card.engine,
        "precision": str(card.precision),
    }
