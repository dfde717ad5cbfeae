"""The requests that ``/openapi.json`` gives as examples, and whether an answer is as it documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import jsonschema

from api.app import build
from api.openapi import Description

Json = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """One request, and how its operation is documented."""

    method: str
    path: str
    accept: str
    operation: Json = field(repr=False)
    document: Json = field(repr=False)
    kind: str = ""
    body: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.kind} -> {self.accept}"

    @property
    def status(self) -> int:
        """What it is answered with, by callers who may."""
        good = min(status for status in self.operation["responses"] if status.startswith("2"))
        return int(self.operation.get("x-pat-example-status", good))

    @property
    def open_status(self) -> int:
        """What it is answered with where nobody is asked who they are."""
        return int(self.operation.get("x-pat-open-status", self.status))

    def sent(self, client: httpx.Client, **headers: str) -> httpx.Response:
        """Send it as it stands."""
        given = {"Accept": self.accept, **({"Content-Type": self.kind} if self.kind else {})}
        given |= {**self._given("header"), **headers}
        path = self.path
        for name, value in self._given("path").items():
            path = path.replace(f"{{{name}}}", str(value))
        query = self._given("query")
        return client.request(self.method, path, params=query, content=self.body, headers=given)

    def _given(self, place: str) -> Json:
        known = [at for at in self.operation.get("parameters", ()) if at["in"] == place]
        return {at["name"]: value for at in known for value in examples(at, self.document)[:1]}

    def check(self, answer: httpx.Response) -> None:
        """Assert that the answer is one of those that the operation documents."""
        documented = self.operation["responses"][str(answer.status_code)].get("content")
        if documented is None:
            assert not answer.content
            return
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in documented
        assert answer.status_code >= 400 or kind == self.accept
        if kind.endswith("json"):
            conform(answer.json(), documented[kind]["schema"], self.document)


def conform(found: object, schema: Json, document: Json) -> None:
    """Assert that ``found`` is as a schema of the document says."""
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(found)


def examples(at: Json, document: Json) -> list[Any]:
    """The examples of a parameter or of a media type, wherever they stand."""
    if "example" in at:
        return [at["example"]]
    if "examples" in at:
        return [one["value"] for one in at["examples"].values()]
    schema = at.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("examples", []))


def described() -> list[Example]:
    """Every example of the document, once for each media type in which its operation answers."""
    document = Description(build()).document
    return [
        example
        for path, at in document["paths"].items()
        for method, operation in at.items()
        for example in _of(method.upper(), path, operation, document)
    ]


def _of(method: str, path: str, operation: Json, document: Json) -> Iterator[Example]:
    answers = min(operation["responses"].items())[1].get("content") or {"*/*": {}}
    for accept in answers:
        bodies = operation.get("requestBody", {}).get("content")
        if bodies is None:
            yield Example(method, path, accept, operation, document)
        for kind, at in (bodies or {}).items():
            for value in examples(at, document):
                body = value if isinstance(value, str) else json.dumps(value)
                yield Example(method, path, accept, operation, document, kind, body.encode())
