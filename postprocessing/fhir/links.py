"""How resources point at each other: references, their targets, and the rules of Bundle entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from postprocessing.fhir.r4 import REFERENCE, TARGETS, URN_UUID
from postprocessing.fhir.rules import Issue, Json, Node

__all__ = ["MAX_ENTRIES", "bundle_issues", "reference_issues"]

MAX_ENTRIES = 150  # of a transaction; AWS HealthLake takes 160 resources


def reference_issues(resource: Json, nodes: Sequence[Node]) -> Iterator[Issue]:
    """Yield references that are malformed, resolve nowhere or lead to a type that R4 does not allow there."""
    types = _types_by_url(resource)
    anchors = {f"#{node.value.get('id')}" for node in nodes if node.key == "contained"}
    for node in nodes:
        if node.kind != "Reference":
            continue
        if "reference" in node.value:
            yield from _reference(node, node.value["reference"], types, anchors)
        if "type" in node.value:
            yield from _target(node, node.value["type"])


def _types_by_url(resource: Json) -> dict[str, str]:
    found = {}
    for entry in _entries(resource):
        inner = entry.get("resource")
        if isinstance(inner, dict) and isinstance(entry.get("fullUrl"), str):
            found[entry["fullUrl"]] = str(inner.get("resourceType"))
    return found


def _entries(resource: Json) -> list[Json]:
    entries = resource.get("entry")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _reference(node: Node, reference: object, types: dict[str, str], anchors: set[str]) -> Iterator[Issue]:
    if not isinstance(reference, str):
        return  # the walk has said so
    path = f"{node.path}.reference"
    if reference in types:
        yield from _target(node, types[reference])
    elif reference.startswith("urn:"):
        ours = URN_UUID.fullmatch(reference)
        message = "expected a fullUrl of this Bundle" if ours else "expected urn:uuid: and a lower-case UUID"
        yield Issue("unresolved" if ours else "reference", path, message)
    elif reference.startswith("#"):
        if reference not in anchors:
            yield Issue("unresolved", path, "expected the id of a contained resource")
    elif match := REFERENCE.fullmatch(reference):
        yield from _target(node, match["type"])
    else:
        yield Issue("reference", path, "expected Type/id, an absolute URL, urn:uuid: or #id")


def _target(node: Node, kind: object) -> Iterator[Issue]:
    allowed = TARGETS.get(node.at)
    if allowed is not None and kind not in allowed:
        yield Issue("reference-target", node.path, f"expected a reference to {', '.join(sorted(allowed))}")


def bundle_issues(resource: Json) -> Iterator[Issue]:
    """Yield departures from the rules of Bundle entries; nothing for another resource."""
    if resource.get("resourceType") != "Bundle":
        return
    entries = _entries(resource)
    transaction = resource.get("type") == "transaction"
    if transaction and len(entries) > MAX_ENTRIES:
        yield Issue("too-many", "Bundle.entry", f"expected at most {MAX_ENTRIES} entries in a transaction")
    yield from _full_urls(entries)
    for index, entry in enumerate(entries):
        yield from _entry(f"Bundle.entry[{index}]", entry, transaction)


def _full_urls(entries: list[Json]) -> Iterator[Issue]:
    counts = Counter(str(entry.get("fullUrl")) for entry in entries)
    for index, entry in enumerate(entries):
        url, path = str(entry.get("fullUrl")), f"Bundle.entry[{index}].fullUrl"
        if counts[url] > 1:
            yield Issue("bdl-7", path, "expected a fullUrl that no other entry has")
        if not (URN_UUID.fullmatch(url) or url.startswith(("https://", "http://"))):
            yield Issue("full-url", path, "expected an absolute URL or urn:uuid: and a lower-case UUID")


def _entry(path: str, entry: Json, transaction: bool) -> Iterator[Issue]:
    resource, request = entry.get("resource"), entry.get("request")
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if kind is None:
        yield Issue("resource-type", f"{path}.resource", "expected a resource with its resourceType")
    if not transaction and "request" in entry:
        yield Issue("bdl-3", f"{path}.request", "expected no request outside a transaction")
    if transaction:
        yield from _request(f"{path}.request", request, kind)


def _request(path: str, request: object, kind: object) -> Iterator[Issue]:
    if not isinstance(request, dict):
        yield Issue("bdl-3", path, "expected a request in every entry of a transaction")
    elif request != {"method": "POST", "url": kind}:
        yield Issue("request", path, "expected a plain POST to the resource's type")
