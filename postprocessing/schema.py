"""The published form of the Analysis: its JSON Schema, one file per version, in step with the code.

``python -m postprocessing.schema`` writes the file again after a change of analysis.py.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from postprocessing.analysis import SCHEMA, Analysis

__all__ = ["FILE", "analysis_schema", "generated"]

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


def _write() -> None:
    FILE.write_text(json.dumps(generated(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
