"""The health data service as a real HTTP server: its contract, and each of its known defects as a switch.

It serves ``/api/v1/health-data`` as the contract says. Nothing is wrong with it unless a switch is on: D01 to
D20, by themselves or as the sets of the revisions ``r1`` and ``r2``. A defect that shows only when something
else breaks has that as a knob. Whoever sends a token with a payload is the user that its ``sub`` names: who
may see what is not what is tested with it. ``/_double`` is how a test changes and questions it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.doubles.health_data_errors import Refused, detail, flat, problem
from tests.doubles.health_data_models import ACCEPTED_BY_D04, HealthDataUpload, rule_broken
from tests.doubles.health_data_stores import Query, Upload, instant, listed

__all__ = ["DEFECTS", "PROFILES"]

Json = dict[str, Any]
PATH = "/api/v1/health-data"
DEFECTS = tuple(f"D{number:02d}" for number in range(1, 21))
_BOTH = {"D03", "D04", "D07", "D15", "D16", "D19", "D20"}
PROFILES = {
    "r1": frozenset(_BOTH | {"D06", "D10", "D11", "D12", "D13", "D17"}),
    "r2": frozenset(_BOTH | {"D01", "D02", "D05", "D08", "D09", "D14", "D18"}),
}
PROFILE_STORES = {"r1": "S3", "r2": "S2"}
FIXED_TOKENS = frozenset({"dev_token_admin", "dev_token_user", "dev_token_patient", "mock_token"})
_BODY_BYTES = 5_000_000


@dataclass
class State:
    """What the double is at present."""

    store: str = "S1"
    profile: str = ""
    defects: frozenset[str] = frozenset()
    users: dict[str, str] = field(default_factory=dict)  # uid to UUID
    storage_fails: int = 0  # the next reads of the store
    save_fails: int = 0  # the next saves
    hang_on_save: bool = False  # uploads are never answered
    endless: bool = False  # every page of the list is full, of metrics that say nothing
    forget_to_answer: int = 0  # the next uploads are saved and answered with an error
    audit_fails: bool = False
    upload_limit: int = 100
    store_page_bytes: int = 1_000_000
    answers: list[Json] = field(
        default_factory=list
    )  # given to the next requests instead: status, body, headers
    uploads: list[Upload] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    uploaded: dict[str, int] = field(default_factory=dict)

    def has(self, defect: str) -> bool:
        return defect in self.defects

    def happens(self, knob: str) -> bool:
        """Whether what a knob counts down happens now."""
        left = getattr(self, knob)
        setattr(self, knob, max(0, left - 1))
        return left > 0


STATE = State()


@dataclass(frozen=True)
class User:
    """Who sends a request."""

    name: str
    claims: Json

    @property
    def role(self) -> str:
        held = self.claims.get("custom_claims", {}) if STATE.has("D12") else self.claims
        return str(held.get("role", "patient"))


def user_of(request: Request) -> User:
    """The user of a token; Refused without a good one."""
    if STATE.has("D10"):
        raise detail(401, "User not authenticated. Please log in.")
    header = request.headers.get("authorization", "")
    if not header.startswith("Bearer "):
        raise _no_token("missing_token" if not header else "invalid_token_format")
    token = header.removeprefix("Bearer ")
    if token in FIXED_TOKENS and STATE.has("D13"):
        return User(token, {})
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        uid, ends = str(claims["sub"]), float(claims.get("exp", 1e12))
    except (ValueError, IndexError, KeyError):
        raise _no_token("invalid_token") from None
    if ends < time.time():
        raise _no_token("invalid_token")
    name = uid if STATE.has("D06") else STATE.users.get(uid) or _uuid(uid)
    return User(name, claims)


def _uuid(uid: str) -> str:
    with contextlib.suppress(ValueError):
        return str(uuid.UUID(uid))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, uid))


def _no_token(code: str) -> Refused:
    if STATE.profile == "r2":
        return detail(401, "Authentication required", **{"WWW-Authenticate": "Bearer"})
    return flat(401, code, "Token verification failed")


def storage_failure() -> Refused:
    """The store failed: D16 says so as a bad request, with its own words."""
    if STATE.has("D16"):
        return problem(400, "validation-error", "ProvisionedThroughputExceeded on table health: secret-text")
    return problem(503, "service-unavailable", "The store does not answer", **{"Retry-After": "1"})


def inside_try(refused: Refused) -> Refused:
    """D03: what is raised inside ``try`` comes out as 500."""
    return problem(500, "internal-server-error", "Upload failed") if STATE.has("D03") else refused


def audited() -> None:
    """D15: that nothing could be recorded is ignored."""
    if STATE.audit_fails and not STATE.has("D15"):
        raise problem(503, "service-unavailable", "Audit log unavailable", **{"Retry-After": "1"})


async def upload(request: Request) -> Response:
    """``POST`` an upload: all or nothing."""
    if STATE.profile and request.url.path.endswith("/upload") != (STATE.profile == "r1"):
        raise detail(405 if STATE.profile == "r1" else 404, "Method Not Allowed")
    user = user_of(request)
    if STATE.has("D08"):
        raise problem(500, "internal-server-error", "'Request' object has no attribute 'user'")
    body = await request.body()
    if len(body) > _BODY_BYTES:
        raise flat(413, "payload_too_large", "Body too large")
    audited()
    read = parsed(json.loads(body))
    if str(read.user_id) != user.name:
        raise inside_try(problem(403, "authorization-denied", "Cannot upload for another user"))
    STATE.uploaded[user.name] = STATE.uploaded.get(user.name, 0) + 1
    if STATE.uploaded[user.name] > STATE.upload_limit:
        raise inside_try(too_many())
    if any(map(rule_broken, read.metrics)) or (
        STATE.has("D04") and {metric.metric_type for metric in read.metrics} - ACCEPTED_BY_D04
    ):
        raise problem(400, "validation-error", "Invalid metric")
    if STATE.hang_on_save:
        await asyncio.Event().wait()
    said = saved(user, read)
    if STATE.happens("forget_to_answer"):
        raise problem(500, "internal-server-error", "secret-text")
    return JSONResponse(said, 201)


def too_many() -> Refused:
    if STATE.profile != "r2":
        return problem(429, "rate-limit-exceeded", "Too many uploads", **{"Retry-After": "1"})
    body = {"type": "rate_limit_exceeded", "title": "Too Many Requests", "status": 429, "trace_id": None}
    return Refused(JSONResponse(body, 429, headers={"X-RateLimit-Limit": "100"}))


def parsed(body: Any) -> HealthDataUpload:
    """The upload, as far as the schema goes."""
    metrics = body.get("metrics") if isinstance(body, dict) else None
    for metric in metrics if isinstance(metrics, list) else []:
        sleep = metric.get("sleep_data") if isinstance(metric, dict) else None
        if STATE.has("D05") and isinstance(sleep, dict) and {"sleep_start", "sleep_end"} <= sleep.keys():
            raise problem(500, "internal-server-error", "unsupported operand type(s) for -: 'str' and 'str'")
    try:
        return HealthDataUpload.model_validate(body)
    except (ValidationError, TypeError) as error:
        found = error.errors(include_context=False) if isinstance(error, ValidationError) else []
        said = [{"loc": ["body", *e["loc"]], "msg": e["msg"], "type": e["type"]} for e in found]
        raise detail(422, said) from None


def saved(user: User, read: HealthDataUpload) -> Json:
    """Save an upload, or with D17 say so only."""
    processing_id, now = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    works = not STATE.happens("save_fails")
    if not works and not STATE.has("D17"):
        raise storage_failure()
    if works:
        metrics = [metric.model_dump(mode="json") for metric in read.metrics]
        sent = read.client_timestamp.isoformat()
        keep(Upload(user.name, processing_id, metrics, read.upload_source, sent, now))
    return {
        "processing_id": processing_id,
        "status": "processing",
        "accepted_metrics": len(read.metrics),
        "rejected_metrics": 0,
        "validation_errors": [],
        "estimated_processing_time": 2 * len(read.metrics),
        "sync_token": read.sync_token,
        "message": "Health data uploaded",
        "timestamp": now,
    }


def keep(made: Upload) -> None:
    """Keep an upload; D02 keeps one metric of each type, the last."""
    if STATE.has("D02"):
        by_type = {str(m.get("metric_type")) if isinstance(m, dict) else "other": m for m in made.metrics}
        made.metrics = list(by_type.values())
    STATE.uploads.append(made)


async def read_list(request: Request) -> Response:
    """``GET`` a page of the user's own data, newest first."""
    user, query = user_of(request), request.query_params
    audited()
    limit, offset = int(query.get("limit", 50)), int(query.get("offset", 0))
    if not 1 <= limit <= 1000 or offset < 0:
        raise detail(422, [{"loc": ["query", "limit"], "msg": "out of range", "type": "less_than_equal"}])
    if STATE.happens("storage_fails"):
        raise storage_failure()
    asked = Query(
        _asked(query.get("start_date")),
        _asked(query.get("end_date")),
        limit,
        offset,
        query.get("data_type"),
        STATE.defects,
        STATE.store_page_bytes,
    )
    own = [replace(made, user=user.name) for made in STATE.uploads if made.user in (user.name, "*")]
    data = [] if STATE.has("D01") else listed(STATE.store, own, asked)
    if STATE.endless:
        data = [{"metric_id": f"{offset + k}", "metric_type": "heart_rate"} for k in range(limit)]
    link = f"{request.url}"
    return JSONResponse(
        {
            "data": data,
            "pagination": {
                "total_count": None,
                "page_size": limit,
                "has_next": len(data) == limit,
                "has_previous": offset > 0,
                "next_cursor": None,
                "previous_cursor": None,
            },
            "links": {
                "self": link,
                "first": link,
                "previous": None,
                "next": link if "offset" in query and len(data) == limit else None,
                "last": None,
            },
        }
    )


def _asked(text: str | None) -> datetime | None:
    """A time of a query; D19: one without offset cannot be compared."""
    if text is None:
        return None
    if STATE.has("D19") and datetime.fromisoformat(text).tzinfo is None:
        raise problem(400, "validation-error", "can't compare offset-naive and offset-aware datetimes")
    return instant(text)


async def status(request: Request) -> Response:
    """``GET`` what became of an upload."""
    user, name = user_of(request), request.path_params["name"]
    made = next((made for made in STATE.uploads if made.processing_id == name), None)
    if made is None or made.user not in (user.name, "*"):
        unknown = problem(404, "resource-not-found", "Processing Job not found")
        raise problem(400, "validation-error", "Processing Job not found") if STATE.has("D03") else unknown
    ends = {"S1": "completed", "S2": "received", "S3": "processing"}[STATE.store]
    body = {
        "processing_id": name,
        "status": ends if STATE.has("D20") else "completed",
        "created_at": made.arrived,
        "updated_at": None if STATE.store == "S2" else made.arrived,
    }
    if STATE.store != "S2":
        body |= {"metrics_count": len(made.metrics), "upload_source": made.upload_source}
    return JSONResponse(body)


async def delete(request: Request) -> Response:
    """``DELETE`` an upload; D07 says so of an unknown one too."""
    user, name = user_of(request), request.path_params["name"]
    mine = [made for made in STATE.uploads if made.processing_id == name and made.user == user.name]
    if not mine and not STATE.has("D07"):
        raise inside_try(problem(404, "resource-not-found", "Processing Job not found"))
    STATE.uploads = [made for made in STATE.uploads if made not in mine]
    said = {"message": "deleted", "processing_id": name, "deleted_at": datetime.now(UTC).isoformat()}
    return JSONResponse(said)


async def analysis(request: Request) -> Response:
    """Its own PAT routes: D11 fails on each, D09 never begins."""
    user_of(request)
    if STATE.has("D11"):
        raise problem(500, "internal-server-error", "'UserContext' object is not subscriptable")
    if STATE.has("D09"):
        raise detail(
            404, {"analysis_id": request.path_params["name"], "error": "not_found", "message": "none"}
        )
    return JSONResponse({"analysis_id": request.path_params["name"], "status": "completed"})


async def me(request: Request) -> Response:
    """Who the caller is taken for: D12 looks for roles in the wrong place."""
    return JSONResponse({"user_id": user_of(request).name, "role": user_of(request).role})


async def users(request: Request) -> Response:
    """For admins: D14 asks whether somebody is logged in, not who."""
    if user_of(request).role != "admin" and not STATE.has("D14"):
        raise problem(403, "authorization-denied", "manage_users is missing")
    return JSONResponse({"users": []})


async def probe(_: Request) -> Response:
    """Says that it lives, and probes nothing."""
    return JSONResponse({"status": "healthy"})


async def gone(request: Request) -> Response:
    """The old query."""
    user_of(request)
    raise detail(410, {"error": "gone", "message": "use the list"})


async def change(request: Request) -> Response:
    """Become another double: everything that is not said is as it should be."""
    said = await request.json()
    profile = said.get("profile", "")
    said["defects"] = frozenset(said.get("defects", ())) | PROFILES.get(profile, frozenset())
    said["defects"] -= frozenset(said.pop("without", ()))
    said.setdefault("store", PROFILE_STORES.get(profile, "S1"))
    fresh = State(**said)
    vars(STATE).update(vars(fresh))
    return JSONResponse({})


async def seed(request: Request) -> Response:
    """Keep uploads of the past, unchecked; user ``*`` is everybody."""
    for made in await request.json():
        keep(Upload(**made))
    return JSONResponse({})


async def calls(_: Request) -> Response:
    """Every request of the contract since the last change, and how many uploads are kept."""
    return JSONResponse({"calls": STATE.calls, "uploads": [vars(made) for made in STATE.uploads]})


async def fault(request: Request) -> Response:
    """Change knobs and leave the rest."""
    vars(STATE).update(await request.json())
    return JSONResponse({})


def recorded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Note the request; answer as was ordered for it, else with ``handler``."""

    async def answered(request: Request) -> Response:
        STATE.calls.append(
            {
                "method": request.method,
                "path": request.url.path,
                "query": dict(request.query_params),
                "authorization": request.headers.get("authorization"),
            }
        )
        if STATE.answers:
            ordered = STATE.answers.pop(0)
            body = ordered.get("body", "")
            content = body if isinstance(body, str) else json.dumps(body)
            return Response(content, ordered["status"], ordered.get("headers"), "application/json")
        try:
            return await handler(request)
        except Refused as refused:
            return refused.answer

    return answered


def _route(path: str, handler: Any, method: str = "GET") -> Route:
    return Route(path, recorded(handler), methods=[method])


APP = Starlette(
    routes=[
        _route(f"{PATH}/health", probe),
        _route(f"{PATH}/query", gone),
        *(_route(PATH + end, upload, "POST") for end in ("", "/", "/upload")),
        *(_route(PATH + end, read_list) for end in ("", "/")),
        _route(f"{PATH}/processing/{{name}}", status),
        _route(f"{PATH}/{{name}}", delete, "DELETE"),
        _route("/api/v1/pat/analysis/{name}", analysis),
        _route("/api/v1/auth/me", me),
        _route("/api/v1/auth/users", users),
        Route("/_double", change, methods=["PUT"]),
        Route("/_double", fault, methods=["PATCH"]),
        Route("/_double/uploads", seed, methods=["POST"]),
        Route("/_double", calls, methods=["GET"]),
    ]
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    uvicorn.run(APP, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
