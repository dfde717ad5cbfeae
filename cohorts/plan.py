"""The plan of a run: what is done with which recordings, cut into parts whose names follow from both.

Whatever decides the bytes of the output stands in the manifest; what does not (how many processes, on what)
does not. So two runs of one plan write the same files, and a run goes on only where the plan is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cohorts.recordings import Input, Item, coded
from pat_runner.account import PIPELINE, AnalyzeOptions, ModelCard
from preprocessing.readers.hints import Hints

__all__ = ["SCHEMA", "Choices", "Part", "Plan", "manifest", "plan_of", "text_of"]

SCHEMA = "pat-cohort-run/1"
_LIBRARIES = ("numpy", "scipy", "pyarrow")  # whose versions may move a digit of the output
_NOT_CHOSEN = ("sleep_log", "profile", "series")  # no table holds them


@dataclass(frozen=True)
class Choices:
    """What a caller may choose; ``hints`` are those of ``hint_texts``, ``codes`` is a table of codes."""

    options: AnalyzeOptions
    hints: Hints
    hint_texts: Mapping[str, str]
    per_file: int  # recordings whose rows share a file
    codes: Path | None = None


@dataclass(frozen=True)
class Part:
    """The recordings from ``start`` up to ``stop`` of the input, and the name of what is written of them."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """A whole run; ``items`` carry the names that are written."""

    source: Input
    items: tuple[Item, ...]
    choices: Choices
    model: ModelCard
    parts: tuple[Part, ...]
    output: Path


def plan_of(source: Input, choices: Choices, model: ModelCard, output: Path) -> Plan:
    """Cut ``source`` into parts; raises CohortRunRefused where the table of codes does not fit."""
    items = source.items if choices.codes is None else coded(source.items, choices.codes)
    said = text_of(_said(choices, model))
    starts = range(0, len(items), choices.per_file)
    parts = tuple(_part(number, start, items, choices, said) for number, start in enumerate(starts))
    return Plan(source, items, choices, model, parts, output)


def _part(number: int, start: int, items: tuple[Item, ...], choices: Choices, said: str) -> Part:
    stop = min(start + choices.per_file, len(items))
    name = f"{number:05d}-{_digest(said, items[start:stop])[:16]}"
    return Part(name, start, stop)


def _digest(said: str, items: Iterable[Item]) -> str:
    return hashlib.sha256(text_of([said, *([item.id, item.digest] for item in items)]).encode()).hexdigest()


def text_of(value: Any) -> str:
    """Return JSON of ``value``, the same text for the same value."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def manifest(plan: Plan) -> dict[str, Any]:
    """Return what decides the output; it names no recording."""
    return {
        **_said(plan.choices, plan.model),
        "input": {
            "kind": plan.source.kind,
            "recordings": len(plan.items),
            "sha256": _digest("", plan.items),
        },
        "ids": "codes" if plan.choices.codes else "names",
        "parts": [part.name for part in plan.parts],
    }


def _engine_library(model: ModelCard) -> tuple[str, ...]:
    """The package of the encoder's engine, where it is not our own."""
    return () if model.engine == "native" else (model.engine,)


def _said(choices: Choices, model: ModelCard) -> dict[str, Any]:
    options = {name: value for name, value in asdict(choices.options).items() if name not in _NOT_CHOSEN}
    return {
        "schema": SCHEMA,
        "pipeline": PIPELINE,
        "versions": {name: version(name) for name in (*_LIBRARIES, *_engine_library(model))},
        "model": model.provenance().model_dump(mode="json"),
        "options": options,
        "hints": dict(choices.hint_texts),
        "per_file": choices.per_file,
    }
