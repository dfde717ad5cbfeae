"""The three stores of the health data service: what each keeps of an upload and how each lists it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["STORES", "Query", "Upload", "instant", "listed"]

Json = dict[str, Any]
_STORE_PAGE_BYTES = 1_000_000  # what one query of a DynamoDB-like store reads


@dataclass
class Upload:
    """One accepted upload, its metrics as they were sent."""

    user: str
    processing_id: str
    metrics: list[Any]
    upload_source: str = "apple_health"
    client_timestamp: str = ""
    arrived: str = ""


@dataclass(frozen=True)
class Query:
    """What a list asks for."""

    begin: datetime | None
    end: datetime | None
    limit: int = 50
    offset: int = 0
    data_type: str | None = None
    defects: frozenset[str] = field(default_factory=frozenset)
    store_page_bytes: int = _STORE_PAGE_BYTES


Row = tuple[Json, str]  # what is listed, and the time by which its store filters


def instant(text: Any) -> datetime:
    """A time; one without offset is meant to be UTC."""
    read = datetime.fromtimestamp(text, UTC) if isinstance(text, int) else datetime.fromisoformat(str(text))
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _flat(upload: Upload) -> list[Row]:
    """S1, in memory: each metric by itself; filtered by when the metric was made."""
    more = {
        "processing_id": upload.processing_id,
        "upload_source": upload.upload_source,
        "server_timestamp": upload.arrived,
    }
    return [_flat_row(metric, more, upload.arrived) for metric in upload.metrics]


def _flat_row(metric: Any, more: Json, arrived: str) -> Row:
    if not isinstance(metric, dict):
        return metric, arrived
    return {**metric, **more}, metric.get("created_at", arrived)


def _whole(upload: Upload) -> list[Row]:
    """S2, DynamoDB: the upload, its metrics by type; filtered by arrival."""
    held: Json = {}
    for metric in upload.metrics:
        kind = str(metric.get("metric_type")) if isinstance(metric, dict) else "other"
        name = kind if kind not in held else f"{kind}#{len(held)}"
        held[name] = _without_null(metric)
    item = {
        "pk": f"USER#{upload.user}",
        "sk": f"UPLOAD#{upload.arrived}",
        "id": upload.processing_id,
        "user_id": upload.user,
        "processing_id": upload.processing_id,
        "timestamp": upload.arrived,
        "client_timestamp": upload.client_timestamp,
        "upload_source": upload.upload_source,
        "metrics": held,
        "processing_status": "received",
        "created_at": upload.arrived,
        "ttl": 0,
    }
    return [(item, upload.arrived)]


def _without_null(metric: Any) -> Any:
    if not isinstance(metric, dict):
        return metric
    return {**metric, **{name: metric.get(name) or {} for name in ("raw_data", "metadata")}}


def _wrapped(upload: Upload) -> list[Row]:
    """S3, Firestore: each metric inside a document; filtered by when the document was made."""
    return [
        (
            {
                "user_id": upload.user,
                "processing_id": upload.processing_id,
                "metric_index": index,
                "metric_data": metric,
                "created_at": upload.arrived,
            },
            upload.arrived,
        )
        for index, metric in enumerate(upload.metrics)
    ]


STORES: dict[str, Callable[[Upload], list[Row]]] = {"S1": _flat, "S2": _whole, "S3": _wrapped}


def listed(store: str, uploads: Sequence[Upload], query: Query) -> list[Any]:
    """One page, newest first, with the defects of reading."""
    rows = [row for upload in uploads for row in STORES[store](upload)]
    rows = [row for row in rows if _within(row[1], query)]
    rows.sort(key=lambda row: instant(row[1]), reverse=True)
    items: list[Any] = [item for item, _ in rows]
    if "D18" in query.defects:
        items = _with_holes(_first_store_page(items, query) if store == "S2" else items, query.limit)
    page = items[query.offset : query.offset + query.limit]
    return [item for item in page if item is not _HOLE and _is_of(item, query.data_type)]


def _within(time: Any, query: Query) -> bool:
    at = instant(time)
    return (query.begin is None or query.begin <= at) and (query.end is None or at <= query.end)


def _is_of(item: Any, data_type: str | None) -> bool:
    metric = item.get("metric_data", item) if isinstance(item, dict) else {}
    return data_type is None or data_type in (metric.get("metric_type"), *metric.get("metrics", {}))


_HOLE = object()  # an item that is filtered away after the page is cut


def _with_holes(items: list[Any], limit: int) -> list[Any]:
    """A short page of half the items, an empty one, then the rest; one item comes after an empty page."""
    first = min(len(items) // 2, limit - 1)
    holes = 2 * limit - first if first else limit
    return [*items[:first], *[_HOLE] * holes, *items[first:]] if items else items


def _first_store_page(items: list[Any], query: Query) -> list[Any]:
    """What one query of the store reads: the newest uploads of about a megabyte."""
    size, kept = 0, []
    for item in items:
        size += len(json.dumps(item))
        if kept and size > query.store_page_bytes:
            break
        kept.append(item)
    return kept
