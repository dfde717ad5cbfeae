"""The published form of the Analysis: its JSON Schema, in step with the code, and stored documents read back.

``python -m postprocessing.schema`` writes the file again after a change of analysis.py.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from postprocessing.absence import Reason, absent
from postprocessing.analysis import SCHEMA, Activity, Analysis, Metric, Quality, RecordingSummary
from postprocessing.metrics import METRICS, codes_of
from preprocessing.units import Unit

__all__ = ["FILE", "UnknownSchema", "analysis_schema", "generated", "read_document"]

FILE = Path(__file__).with_name("pat-analysis-1.schema.json")


@cache
def analysis_schema() -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of ``pat-analysis/1``."""
    published: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return published


def generated() -> dict[str, Any]:
    """Make the schema from the code; a field with a default may be missing, as in older documents."""
    schema = Analysis.model_json_schema(mode="validation")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
    }
    return head | schema


class UnknownSchema(ValueError):  # noqa: N818  # it says what is the case
    """A document is of no version that this program reads."""


def read_document(text: str | bytes) -> Analysis:
    """Read an Analysis that any release wrote.

    Additions to ``pat-analysis/1`` have defaults; one of the first form, which had no activity, gets every
    number of it as absent. Raises UnknownSchema, or ValueError for what is no valid document of its version.
    """
    document = json.loads(text)
    named = document.get("schema") if isinstance(document, dict) else None
    if named != SCHEMA:
        found = repr(named[:40]) if isinstance(named, str) else "no name"
        raise UnknownSchema(f"expected a document of {SCHEMA}, found {found}; read it with its own release")
    if "activity" not in document:
        document["activity"] = _no_activity(document).model_dump(mode="json")
    return Analysis.model_validate_json(json.dumps(document))


def _no_activity(document: dict[str, Any]) -> Activity:
    recording = RecordingSummary.model_validate_json(json.dumps(document.get("recording")))
    quality = Quality.model_validate_json(json.dumps(document.get("quality")))
    why = absent(Reason.INSUFFICIENT_DATA, "The document was written before activity was part of it.")
    unit = Unit(recording.unit)
    missing = (Metric.missing(code, why, METRICS[code].unit_for(unit)) for code in codes_of("activity"))
    return Activity(valid_days=quality.valid_days, cut_points=None, metrics=tuple(missing))


def _write() -> None:
    FILE.write_text(json.dumps(generated(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
