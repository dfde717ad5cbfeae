"""The published forms of the documents: JSON Schemas, in step with the code, and stored documents read back.

``python -m postprocessing.schema`` writes the files again after a change of analysis.py or deidentified.py.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from postprocessing.absence import Reason, absent
from postprocessing.analysis import SCHEMA, Activity, Analysis, Metric, Quality, RecordingSummary
from postprocessing.deidentified import SCHEMA as DEIDENTIFIED
from postprocessing.deidentified import DeidentifiedAnalysis
from postprocessing.metrics import METRICS, codes_of
from preprocessing.units import Unit

__all__ = [
    "DEIDENTIFIED_FILE",
    "FILE",
    "UnknownSchema",
    "analysis_schema",
    "deidentified_schema",
    "generated",
    "generated_deidentified",
    "read_deidentified",
    "read_document",
]

FILE = Path(__file__).with_name("pat-analysis-1.schema.json")
DEIDENTIFIED_FILE = FILE.with_name("pat-deidentified-1.schema.json")


@cache
def analysis_schema() -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of ``pat-analysis/1``."""
    published: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return published


@cache
def deidentified_schema() -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of ``pat-deidentified/1``."""
    published: dict[str, Any] = json.loads(DEIDENTIFIED_FILE.read_text(encoding="utf-8"))
    return published


def generated() -> dict[str, Any]:
    """Make the schema from the code; a field with a default may be missing, as in older documents."""
    return _head(SCHEMA) | Analysis.model_json_schema(mode="validation")


def generated_deidentified() -> dict[str, Any]:
    """Make the schema of the de-identified document from the code."""
    return _head(DEIDENTIFIED) | DeidentifiedAnalysis.model_json_schema(mode="validation")


def _head(name: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{name.replace('/', ':')}",
    }


class UnknownSchema(ValueError):  # noqa: N818  # it says what is the case
    """A document is of no version that this program reads."""


def read_document(text: str | bytes) -> Analysis:
    """Read an Analysis that any release wrote.

    Additions to ``pat-analysis/1`` have defaults; one of the first form, which had no activity, gets every
    number of it as absent. Raises UnknownSchema, or ValueError for what is no valid document of its version.
    """
    document = _named(text, SCHEMA)
    if "activity" not in document:
        document["activity"] = _no_activity(document).model_dump(mode="json")
    return Analysis.model_validate_json(json.dumps(document))


def read_deidentified(text: str | bytes) -> DeidentifiedAnalysis:
    """Read a de-identified document; raises as ``read_document`` does."""
    return DeidentifiedAnalysis.model_validate_json(json.dumps(_named(text, DEIDENTIFIED)))


def _named(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the document that ``text`` holds; raises UnknownSchema unless it calls itself ``name``."""
    document = json.loads(text)
    named = document.get("schema") if isinstance(document, dict) else None
    if named != name:
        found = repr(named[:40]) if isinstance(named, str) else "no name"
        raise UnknownSchema(f"expected a document of {name}, found {found}; read it with its own release")
    return dict(document)


def _no_activity(document: dict[str, Any]) -> Activity:
    recording = RecordingSummary.model_validate_json(json.dumps(document.get("recording")))
    quality = Quality.model_validate_json(json.dumps(document.get("quality")))
    why = absent(Reason.INSUFFICIENT_DATA, "The document was written before activity was part of it.")
    unit = Unit(recording.unit)
    missing = (Metric.missing(code, why, METRICS[code].unit_for(unit)) for code in codes_of("activity"))
    return Activity(valid_days=quality.valid_days, cut_points=None, metrics=tuple(missing))


def _write() -> None:
    for file, schema in ((FILE, generated()), (DEIDENTIFIED_FILE, generated_deidentified())):
        file.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
