"""What our code tells Prometheus, asked of the classes that do, and what a PromQL expression asks for."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from tests.shared import ROOT

TARGETS = {"job", "instance"}  # the labels that Prometheus adds
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_NAME = re.compile(r"(?:\bjob:|\b)pat_[\w:]+")


@dataclass(frozen=True)
class Metric:
    """One metric: how it is called in the code, what is asked for, and what tells its series apart."""

    name: str
    kind: str
    labels: frozenset[str]
    buckets: tuple[float, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """The names that can be asked for."""
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.kind])


@functools.cache
def exported() -> dict[str, Metric]:
    """Every metric of ours by the name of each of its series."""
    return {
        series: metric
        for registry in registries()
        for metric in _metrics(registry)
        for series in metric.series
    }


@functools.cache
def registries() -> tuple[CollectorRegistry, ...]:
    """A registry for every class of ours that takes one."""
    return tuple(made for kind in _classes() if (made := _registered(kind)) is not None)


def _classes() -> Iterator[type]:
    for path in sorted([*(ROOT / "serving").glob("*.py"), *(ROOT / "api").glob("*.py")]):
        if "CollectorRegistry" in path.read_text():
            module = importlib.import_module(f"{path.parent.name}.{path.stem}")
            yield from (
                one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__
            )


def _registered(kind: type) -> CollectorRegistry | None:
    parameters = inspect.signature(kind).parameters if inspect.isclass(kind) else {}
    if "registry" not in parameters:
        return None
    registry = CollectorRegistry()
    needed = {name: "entry" for name, one in parameters.items() if one.default is inspect.Parameter.empty}
    kind(**needed, registry=registry)
    return registry


def _metrics(registry: CollectorRegistry) -> Iterator[Metric]:
    for one in set(registry._names_to_collectors.values()):
        bounds = tuple(float(bound) for bound in getattr(one, "_kwargs", {}).get("buckets", ()))
        yield Metric(one._name, one._type, frozenset(one._labelnames), bounds)


def names(expression: str) -> set[str]:
    """The metrics, and the recorded series, that an expression asks for."""
    outside_quotes = re.sub(r'"[^"]*"', '""', expression)
    return set(_NAME.findall(outside_quotes))


def strange_labels(expression: str) -> list[tuple[str, str, str]]:
    """Each (series, label, value) that an expression selects by and the code does not give."""
    return [use for use in _label_uses(expression) if use[0] in exported() and _strange(*use)]


def _strange(name: str, label: str, value: str) -> bool:
    metric = exported()[name]
    if label == "le":
        return float(value) not in metric.buckets
    return label not in metric.labels | TARGETS


def _label_uses(expression: str) -> Iterator[tuple[str, str, str]]:
    for name, selector in re.findall(r"\b(pat_\w+)\{([^}]*)\}", expression):
        yield from ((name, *found) for found in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', selector))
