"""``/openapi.json``: every door of the guard's table in OpenAPI 3.1, made from the models that doors read.

FastAPI describes the routes that it serves; what it cannot know (BentoML's doors, raw bodies, headers, who
may ask, how refusals look) is added here from operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse

from api.doors import PAGES
from api.headers import BOOLEANS
from api.openapi.operation import Operation
from api.openapi.operations import OPERATIONS, TAGS
from api.openapi.refusals import OF_ANYBODY, OF_BODIES, OF_CALLERS, outcome_content, problem_content
from api.openapi.schemas import Json, components
from api.outcomes import under_fhir
from api.routes import PUBLIC, ROUTES
from postprocessing.sleep_scored import Rescoring, RestRule, Threshold
from preprocessing.readers.hints import Format
from preprocessing.units import Device, SleepScorer, Unit, WearSite
from preprocessing.wear import WearMode
from serving.policy import POLICY, Verb

__all__ = ["HEADERS", "Description"]

_SOURCE = {"unit": tuple(Unit), "device": tuple(Device), "wear-site": tuple(WearSite)}
_RECORDING: Mapping[str, Sequence[str]] = {
    **_SOURCE,
    **dict.fromkeys(("zone", "epoch-seconds", "since", "until", "source-priority", "participant"), ()),
    **dict.fromkeys(("first-time", "sleep-log"), ()),
    **dict.fromkeys(("clinical", "profile", "intervals", "series"), BOOLEANS),
    "format": tuple(Format),
    "wear": tuple(WearMode),
    "stride-days": tuple("1234567"),
    "scorer": tuple(SleepScorer),
    "threshold": get_args(Threshold),
    "rescoring": get_args(Rescoring),
    "rest": get_args(RestRule),
}
_FHIR: Mapping[str, Sequence[str]] = {
    "subject": (),
    "return": ("collection", "transaction"),
    "deliver": BOOLEANS,
}
_WEEKS: Mapping[str, Sequence[str]] = {
    **_SOURCE,
    "minutes": (),
    **dict.fromkeys(("standardized", "profile", "tokens"), BOOLEANS),
}
HEADERS: Mapping[str, Mapping[str, Sequence[str]]] = {  # what X-PAT- headers may say; nothing: any text
    "/v1/recordings:analyze": {**_RECORDING, **_FHIR},
    "/v1/recordings:report": _RECORDING,
    "/v1/embed": _WEEKS,
}
_REQUIRED = {"standardized"}
_INFO = """A week of wearable movement in; an explainable, FHIR-native actigraphy analysis out.

Research and wellness information, not a diagnosis.

Where callers are identified, every operation that is not open wants `Authorization: Bearer` with a Firebase
ID token of a person or an access token of a system. Refusals are problem bodies (RFC 9457) with a stable
`code`.
"""
_SCHEMES: Json = {
    "firebase": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A Firebase ID token of a person.",
    },
    "system": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of a system, of its OpenID Connect issuer.",
    },
}
_FOREIGN = ("HTTPValidationError", "ValidationError")  # which ForeignErrors rewrites


class Description:
    """The document of an application, made when it is first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def answer(self) -> JSONResponse:
        """Answer ``GET /openapi.json``."""
        return JSONResponse(self.document)

    @cached_property
    def document(self) -> Json:
        """The document."""
        made = get_openapi(title="PAT Service", version=version("pat-service"), routes=self._app.routes)
        described, made["paths"] = made.get("paths", {}), {}
        for (method, path), verb in _routes():
            found = described.get(path, {}).get(method.lower(), {})
            made["paths"].setdefault(path, {})[method.lower()] = _operation((method, path), verb, found)
        schemas = made.setdefault("components", {}).setdefault("schemas", {}) | components()
        made["components"]["schemas"] = {name: at for name, at in schemas.items() if name not in _FOREIGN}
        made["components"]["securitySchemes"] = _SCHEMES
        made["info"] |= {"description": _INFO, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
        used = {name for at in made["paths"].values() for one in at.values() for name in one.get("tags", ())}
        made["tags"] = [{"name": name, "description": TAGS[name]} for name in TAGS if name in used]
        return {**made, "security": [{name: []} for name in _SCHEMES]}


def _routes() -> Iterator[tuple[tuple[str, str], Verb | None]]:
    """Yield every operation with its verb; what is open to everybody has none."""
    yield from ROUTES.items()
    for path in sorted(PUBLIC - PAGES):
        yield ("GET", path), None


def _operation(route: tuple[str, str], verb: Verb | None, found: Json) -> Json:
    """Describe one operation; ``found`` is what FastAPI knows of it."""
    told, path = OPERATIONS.get(route), route[1]
    made: Json = {**found, "operationId": _name(route)}
    if told is not None:
        made |= {"tags": [told.tag], "summary": told.summary, "description": told.description}
        made |= {"requestBody": body} if (body := _body(told, found)) else {}
        made |= {"x-pat-example-status": told.example_status} if told.example_status else {}
        made |= {"x-pat-open-status": told.open_status} if told.open_status else {}
    if parameters := _parameters(told, path, found):
        made["parameters"] = parameters
    made["description"] = f"{made.get('description', '')}\n\n{_who(verb)}"
    refusals = [*OF_ANYBODY, *(OF_CALLERS if verb else ()), *(OF_BODIES if "requestBody" in made else ())]
    refusals += told.also if told else ()
    said = told.refused if told and told.refused else outcome_content if under_fhir(path) else problem_content
    made["responses"] = {**_good(told, found), **_refused(said, refusals)}
    open_to_all: Json = {"security": []}
    return made | ({"x-pat-verb": verb.value} if verb else open_to_all)


def _name(route: tuple[str, str]) -> str:
    """Name an operation by its method and path: analyze, get_v1_status."""
    method = "" if route[0] == "POST" else f"{route[0]}_"
    return method.lower() + re.sub(r"[^a-z0-9]+", "_", route[1].lower()).strip("_")


def _who(verb: Verb | None) -> str:
    if verb is None:
        return "Open to everybody."
    may = ", ".join(f"{role} ({scope})" for role, scope in POLICY[verb].items())
    return f"Where callers are identified, for: {may}."


def _body(told: Operation, found: Json) -> Json:
    """Return the body that an operation takes, with its examples; nothing if it takes none."""
    known = {kind: {"schema": schema} for kind, schema in told.body.items()}
    content: Json = known or found.get("requestBody", {}).get("content", {})
    made = {
        kind: {**at, **({"example": told.examples[kind]} if kind in told.examples else {})}
        for kind, at in content.items()
    }
    return {"required": True, "content": made} if made else {}


def _parameters(told: Operation | None, path: str, found: Json) -> list[Json]:
    example = told.headers if told else {}
    headers = [_header(name, known, example) for name, known in HEADERS.get(path, {}).items()]
    own = [*(told.parameters if told else ()), *headers]
    names = {at["name"] for at in own}
    return [*(at for at in found.get("parameters", ()) if at["name"] not in names), *own]


def _header(name: str, known: Sequence[str], example: Mapping[str, str]) -> Json:
    schema: Json = {"type": "string", **({"enum": list(known)} if known else {})}
    return {
        "name": f"X-PAT-{name.title()}",
        "in": "header",
        "schema": schema,
        **({"required": True} if name in _REQUIRED else {}),
        **({"example": example[name]} if name in example else {}),
    }


def _good(told: Operation | None, found: Json) -> Json:
    """Return how the operation answers where it does not refuse."""
    known = {status: at for status, at in found.get("responses", {}).items() if status < "400"}
    if told is None:
        return known
    known.pop("200", None)  # FastAPI says so of every route that says nothing else
    answers = {told.status: told.answers, **told.more}
    return {**known, **{str(status): _answer(HTTPStatus(status), of) for status, of in answers.items()}}


def _answer(status: HTTPStatus, answers: Mapping[str, Json]) -> Json:
    content = {kind: {"schema": schema} for kind, schema in answers.items()}
    said = "The answer." if status is HTTPStatus.OK else f"{status.phrase}."
    return {"description": said, **({"content": content} if content else {})}


def _refused(said: Callable[[HTTPStatus], Json], statuses: Iterable[HTTPStatus]) -> Json:
    return {
        str(int(code)): {"description": f"{code.phrase}.", "content": content}
        for code in statuses
        if (content := said(code))
    }
