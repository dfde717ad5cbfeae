"""A FHIR server that answers as it is told, for what the real one of the tests never says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.doubles.authorization_server import AuthorizationServer
from tests.doubles.http_server import Double, as_json

Told = tuple[int, dict[str, str], bytes]
KIND = "application/fhir+json"


def outcome(status: int, *codes: str, **headers: str) -> Told:
    issues = [{"severity": "error", "code": code, "diagnostics": "text-of-the-server"} for code in codes]
    status, own, body = as_json(status, {"resourceType": "OperationOutcome", "issue": issues}, KIND)
    return status, {**own, **headers}, body


class FhirEndpoint(Double):
    """Keeps what it is sent; ``told`` are answers to give instead, the next first, by method."""

    def __init__(self, authorization: AuthorizationServer | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._authorization = authorization
        self.kept: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.told: dict[str, list[Told | Callable[[], Told]]] = {"GET": [], "POST": []}

    @property
    def url(self) -> str:
        return f"{self.origin}/fhir"

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Told:
        if path.endswith("/.well-known/smart-configuration") and self._authorization is not None:
            return self._authorization.answer(method, path, headers, body)
        self.asked.append((method, path))
        if self._authorization is not None and not self._authorization.takes(headers.get("Authorization")):
            return outcome(401, "login")
        if self.told[method]:
            told = self.told[method].pop(0)
            return told() if callable(told) else told
        return self._search(path) if method == "GET" else self._keep(json.loads(body))

    def _search(self, path: str) -> Told:
        at = urlsplit(path)
        system, _, value = parse_qs(at.query)["identifier"][0].partition("|")
        found = [
            {"resource": entry["resource"]}
            for bundle in self.kept
            for entry in bundle["entry"]
            if entry["resource"]["resourceType"] == at.path.rpartition("/")[2]
            and {"system": system, "value": value} in entry["resource"].get("identifier", [])
        ]
        return as_json(200, {"resourceType": "Bundle", "type": "searchset", "entry": found}, KIND)

    def _keep(self, bundle: dict[str, Any]) -> Told:
        self.kept.append(bundle)
        entries = [{"response": {"status": "201 Created"}} for _ in bundle["entry"]]
        return as_json(
            200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}, KIND
        )
