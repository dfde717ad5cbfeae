"""``GET /v1/status``: whether all is as it should be, for whoever runs the service; nothing of anybody."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import bentoml
from fastapi import APIRouter, Depends

from api.desk import Desk
from api.protection import Safeguards
from api.v1 import desk
from pat_runner.account import ModelCard
from serving.outbox import Outbox
from serving.settings import Settings
from serving.store import StoreUnavailable

__all__ = ["DEPENDENCIES", "degraded_of", "router"]

DEPENDENCIES = ("certificates", "rates", "store", "fhir_server", "cache", "health_data")  # may be degraded

router = APIRouter(prefix="/v1")


@router.get("/status")
async def read_status(at: Annotated[Desk, Depends(desk)]) -> dict[str, Any]:
    """Return the model, the state of the safeguards, and what is degraded: works, but not as it should."""
    service: Any = bentoml.get_current_service()
    safeguards: Safeguards | None = service.safeguards
    outbox = _outbox(at.settings, safeguards)
    return {
        "model": _model(at.model) if isinstance(at.model, ModelCard) else None,
        "audit": "off" if safeguards is None else "writing" if safeguards.trail.healthy else "failing",
        "degraded": await asyncio.to_thread(degraded_of, service, at.settings),
        "deliveries": None if outbox is None else await asyncio.to_thread(_deliveries, outbox),
    }


def degraded_of(service: Any, settings: Settings) -> list[str]:
    """Return what of ``service`` works, but not as it should; asks the stores, so not from an event loop."""
    safeguards: Safeguards | None = service.safeguards
    fails = service.health_data is not None and service.health_data.degraded
    return [
        *([] if safeguards is None else _degraded(safeguards, _outbox(settings, safeguards))),
        *(["cache"] if service.desk.caching.degraded else []),
        *(["health_data"] if fails else []),
    ]


def _outbox(settings: Settings, safeguards: Safeguards | None) -> Outbox | None:
    """Return what holds results for the FHIR server, where there is one."""
    if not settings.fhir_server_url or safeguards is None or safeguards.keeping is None:
        return None
    return Outbox(safeguards.keeping.vault)


def _degraded(safeguards: Safeguards, outbox: Outbox | None) -> list[str]:
    found = safeguards.degraded
    fails = outbox is not None and "store" not in found and outbox.failing
    return [*found, "fhir_server"] if fails else found


def _deliveries(outbox: Outbox) -> dict[str, int] | None:
    """Return what waits and what are dead letters; None while the store, which is degraded, does not say."""
    try:
        return outbox.counts()
    except StoreUnavailable:
        return None


def _model(card: ModelCard) -> dict[str, str]:
    return {
        "checkpoint": card.checkpoint,
        "sha256": card.sha256,
        "architecture": card.architecture,
        "engine": card.engine,
        "precision": str(card.precision),
    }
