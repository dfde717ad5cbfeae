"""What the canary test sends: markers in every field, header, claim and path, well formed and not."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from api.openapi import HEADERS
from api.requests import FhirRequest, Options
from api.routes import ROUTES
from postprocessing.fhir.operation import PARAMETERS
from serving.auth import Role
from tests.e2e.guarded import bearer
from tests.security.samples import FHIR, OF_A_SUBJECT, READY, RECORDING, Request, good
from tests.serving.signed import token
from tests.shared import ROOT

JSON = "application/json"
TOO_LARGE = 2_100_000
Sent = tuple[str, str, Request]  # method, path, options of httpx


def _random(prefix: str) -> str:
    return prefix + secrets.token_hex(10)


@dataclass(frozen=True)
class Markers:
    """``uid`` and ``tenant`` belong into the audit trail, ``secret`` and ``number`` nowhere."""

    secret: str = field(default_factory=lambda: _random("zq"))
    uid: str = field(default_factory=lambda: _random("uu"))
    tenant: str = field(default_factory=lambda: _random("tt"))
    number: float = field(default_factory=lambda: 900_000.5 + secrets.randbelow(99_999))

    def caller(self, role: Role = Role.CLINICIAN, **changes: object) -> dict[str, str]:
        """The header of a good token in which every claim that is not checked holds the secret."""
        claims = {
            "sub": self.uid,
            "tenant": self.tenant,
            "sid": self.secret,
            "roles": [role.value],
            **dict.fromkeys(
                ("display_name", "email", "phone_number", "picture", "nonce", self.secret), self.secret
            ),
            "firebase": {"sign_in_provider": "password", "identities": {"email": [self.secret]}},
        }
        return bearer(**{**claims, **changes})


def everything(at: Markers) -> Iterator[Sent]:
    """Every request of the canary test."""
    for route in ROUTES:
        for role in Role:
            yield _sent(route, _filled(route, at), at.caller(role))
        yield _sent(route, _filled(route, at), {})
        yield _sent(route, _filled(route, at), {**at.caller(), **_everywhere(at.secret)})
        for headers in _tokens(at):
            yield _sent(route, _filled(route, at), headers)
    yield from _documents(at)
    yield from _headers(at)
    yield from _files(at)
    yield from _bodies(at)
    yield from _paths(at)
    yield from _fhir(at)


def _sent(route: tuple[str, str], options: Request, headers: dict[str, str]) -> Sent:
    return (*route, {**options, "headers": {**options.get("headers", {}), **headers}})


def _filled(route: tuple[str, str], at: Markers) -> Request:
    """A good request with the markers wherever it may hold them."""
    options = dict(good(route, at.secret))
    if "json" in options:
        body = dict(options["json"])
        body |= {name: f"because of {at.secret}" for name in ("reason",) if name in body}
        body |= {name: at.secret for name in ("uid",) if name in body}
        body |= {"values": [at.number] * 4} if "values" in body else {}
        body |= {"weeks": [[at.number] * 18]} if "weeks" in body else {}
        if "valueSampledData" in body:
            body["valueSampledData"] = {**body["valueSampledData"], "data": f"{at.number} {at.number} E 1"}
        options["json"] = body
    if route[1] == "/v1/jobs":
        line = {**RECORDING, "values": [at.number] * 4, "id": at.secret, "subject": at.secret}
        options["content"] = json.dumps(line).encode()
    elif route[1] == "/v1/embed":
        options["content"] = np.full(18, at.number, "<f4").tobytes()
    elif "content" in options:
        options["content"] = json.dumps({**RECORDING, "values": [at.number] * 4}).encode()
    return options


def _everywhere(marker: str) -> dict[str, str]:
    names = (
        "User-Agent Referer Origin From Via Forwarded X-Forwarded-For X-Forwarded-Host X-Real-IP X-Request-Id"
    )
    names += (
        " X-Correlation-Id X-Bentoml-Request-Id Bentoml-Name B3 X-B3-TraceId X-Amzn-Trace-Id Accept-Language"
    )
    names += " If-None-Match If-Match Range Expect-CT Content-Language Content-Location Traceparent Prefer TE"
    said = dict.fromkeys(names.split(), marker)
    return {
        **said,
        "Cookie": f"session={marker}",
        "Tracestate": f"pat={marker}",
        "Baggage": f"subject={marker}",
        "Content-Disposition": f'attachment; filename="{marker}.awd"',
        f"X-{marker}": "1",
    }


def _tokens(at: Markers) -> Iterator[dict[str, str]]:
    """Tokens that are refused, with the markers in them."""
    yield at.caller(signed_by="another")
    yield at.caller(exp=1_600_000_000)
    yield at.caller(kid=at.secret)
    yield at.caller(roles=[at.secret])
    yield at.caller(roles=at.secret)
    yield at.caller(tenant=f"not a name {at.secret}")
    yield at.caller(sid={"is": at.secret})
    yield at.caller(aud=at.secret)
    yield at.caller(iss=at.secret)
    yield at.caller(firebase={"sign_in_provider": "anonymous", "is": at.secret})
    none = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": at.secret}).encode()).decode().rstrip("=")
    )
    yield {"Authorization": f"Bearer {none}.{token(sub=at.secret).split('.')[1]}."}
    yield {"Authorization": f"Bearer {at.secret}.{at.secret}.{at.secret}"}
    yield {"Authorization": f"Bearer {at.secret}"}
    yield {"Authorization": f"Basic {base64.b64encode(at.secret.encode()).decode()}"}
    yield {"Authorization": at.secret}
    yield {"Authorization": f"Bearer {at.secret * 500}"}


def _documents(at: Markers) -> Iterator[Sent]:
    """JSON with the marker in each field, as its name, in each shape."""
    samples = {
        "timestamps": ["2026-03-02T08:00:00Z", "2026-03-02T08:05:00Z"],
        "ends": ["2026-03-02T08:10:00Z", "2026-03-02T08:20:00Z"],
        "sources": ["watch", "phone"],
        "ids": [at.secret, f"{at.secret}-2"],
        "values": [at.number, at.number],
        "unit": "steps",
        "zone": "UTC",
        "epoch_seconds": 60,
    }
    yield _json("/analyze", samples, at)
    for wrong in (
        at.secret,
        [at.secret],
        {at.secret: at.secret},
        f"because {at.secret}\n",
        at.number,
        -at.number,
    ):
        for name in [f.alias or n for n, f in FhirRequest.model_fields.items()]:
            yield _json("/analyze_fhir", {**RECORDING, "subject": at.secret, name: wrong}, at)
        for name in Options.model_fields:
            yield _json("/analyze", {**RECORDING, "options": {name: wrong}}, at)
        for name in ("weeks", "standardized", "unit", "tokens"):
            yield _json("/embed", {"weeks": [[at.number] * 18], "standardized": True, name: wrong}, at)
        for _, path in OF_A_SUBJECT:
            for name in ("subject", "uid", "reason", "minutes"):
                body = {
                    "subject": at.secret,
                    "uid": at.secret,
                    "reason": f"because of {at.secret}",
                    name: wrong,
                }
                yield _json(path, body, at)
        for path in ("/analyze", "/explain", "/embed", "/v1/subjects:delete"):
            yield _json(path, {**RECORDING, at.secret: wrong}, at)
            yield _json(path, wrong, at)


def _json(path: str, body: object, at: Markers) -> Sent:
    role = Role.ADMIN if path.startswith("/v1/care") else Role.CLINICIAN
    role = Role.PATIENT if path.startswith("/v1/subjects") else role
    return "POST", path, {"json": body, "headers": at.caller(role)}


def _fhir(at: Markers) -> Iterator[Sent]:
    """FHIR with the marker in each parameter, as a key, and in what is handed to CDS Hooks."""
    observation = OF_A_SUBJECT["POST", "/fhir/$analyze"](at.secret)["json"]
    data = {"name": "observation", "resource": observation}
    for name in (*PARAMETERS, at.secret):
        for value in ("valueCode", "valueString", "valueBoolean", at.secret):
            given = {"resourceType": "Parameters", "parameter": [data, {"name": name, value: at.secret}]}
            yield "POST", "/fhir/$analyze", {"json": given, "headers": at.caller()}
    asked = [{"name": "return", "valueCode": "transaction"}, {"name": "deliver", "valueBoolean": True}]
    delivered = {"resourceType": "Parameters", "parameter": [data, *asked]}
    yield "POST", "/fhir/$analyze", {"json": delivered, "headers": at.caller(Role.SERVICE)}
    for name in observation:
        for wrong in (at.secret, [at.secret], {at.secret: at.secret}, at.number):
            body = {**observation, name: wrong}
            yield "POST", "/fhir/$analyze", {"json": body, "headers": at.caller()}
    headers = {**at.caller(Role.SERVICE), "Idempotency-Key": at.secret}
    for sent in (observation, {**observation, "id": "other"}, observation):
        yield "POST", "/fhir/$analyze", {"json": sent, "headers": headers}
    call = OF_A_SUBJECT["POST", "/cds-services/pat-activity"](at.secret)["json"]
    for held in (observation, {**observation, "status": at.secret}, at.secret, {"entry": [at.secret]}):
        body = {**call, "prefetch": {"activity": held}}
        yield "POST", "/cds-services/pat-activity", {"json": body, "headers": at.caller(Role.SERVICE)}
    for name in call:
        body = {**call, name: at.secret}
        yield "POST", "/cds-services/pat-activity", {"json": body, "headers": at.caller(Role.SERVICE)}
    for path in ("/fhir/Patient/{}", "/fhir/metadata?_format={}", "/fhir/CodeSystem/{}", "/cds-services/{}"):
        yield "GET", path.format(at.secret), {"headers": at.caller()}


def _headers(at: Markers) -> Iterator[Sent]:
    for path, known in HEADERS.items():
        for name in (*known, at.secret):
            headers = {**at.caller(), **FHIR, f"X-PAT-{name}": at.secret}
            yield "POST", path, {"content": json.dumps(RECORDING).encode(), "headers": headers}
    for name in ("Accept", "Content-Type", "Content-Encoding", "Accept-Encoding"):
        for path in ("/analyze", "/v1/recordings:analyze", "/v1/subjects:export"):
            headers = {**at.caller(), name: f"{JSON}; name={at.secret}"}
            yield "POST", path, {"content": json.dumps({"subject": at.secret}).encode(), "headers": headers}


def _files(at: Markers) -> Iterator[Sent]:
    """Every format, with the marker at its end, in its middle, and cut off after it."""
    marker = at.secret.encode()
    for file in sorted((ROOT / "examples" / "formats").iterdir()):
        content = file.read_bytes()
        half = len(content) // 2
        broken = (content + marker, content[:half] + marker + content[half:], content[:half] + marker)
        for sent in broken:
            yield "POST", "/v1/recordings:analyze", {"content": sent, "headers": at.caller()}
    named = (ROOT / "examples" / "week.awd").read_bytes().replace(b"SYNTHETIC DEMO", marker)
    for path in ("/v1/recordings:analyze", "/v1/recordings:report"):
        yield "POST", path, {"content": named, "headers": at.caller()}


def _bodies(at: Markers) -> Iterator[Sent]:
    """What is no good body: cut off, not JSON, too large, forms, wrongly encoded."""
    whole = json.dumps({**RECORDING, "subject": at.secret, "values": [at.number]}).encode()
    typed = {**at.caller(), "Content-Type": JSON}
    large = b'{"subject": "%s"}' % (at.secret.encode() * (TOO_LARGE // len(at.secret)))
    bad = (
        whole[:-5],
        whole.replace(b"[", b"[NaN, "),
        b"\xff" + whole,
        whole + whole,
        large,
        b"[" * 5000 + whole,
    )
    for path in ("/analyze", "/embed", "/v1/subjects:delete", "/v1/recordings:analyze", "/v1/emergencies"):
        for content in bad:
            yield "POST", path, {"content": content, "headers": typed}
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle"):
            yield "POST", path, {"content": whole, "headers": {**at.caller(), "Content-Type": kind}}
        yield "POST", path, {"content": whole, "headers": {**typed, "Content-Encoding": "gzip"}}
        for name in ("recording", "file", at.secret):
            form = {name: (f"{at.secret}.json", whole, JSON)}
            yield "POST", path, {"files": form, "headers": at.caller()}
    for name, value in READY.items():
        sent = {"content": b"x" * 71 + at.secret.encode(), "headers": {**at.caller(), **READY, name: value}}
        yield "POST", "/v1/embed", sent


def _paths(at: Markers) -> Iterator[Sent]:
    for path in ("/{}", "/v1/subjects/{}", "/analyze/{}", "/livez/{}", "/static_content/{}", "/v1/{}:delete"):
        for method in ("GET", "POST", "DELETE"):
            for headers in (at.caller(), {}):
                yield method, path.format(at.secret), {"headers": headers}
    for _, path in ROUTES:
        yield "POST", f"{path}?subject={at.secret}&{at.secret}=1", {"headers": at.caller(), "json": {}}
        yield "GET", f"{path}?subject={at.secret}", {"headers": {}}
