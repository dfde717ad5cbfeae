"""Bundles as they left when the form of the result was last changed on purpose.

    python -m tests.postprocessing.fhir_goldens

writes them anew. A change within a major version only adds; one that removes or changes raises RESULT_FORMAT.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from postprocessing.analysis import Analysis, Interval
from postprocessing.fhir import BundleOptions, bundle, code_system
from postprocessing.metrics import MetricCode
from tests.postprocessing.factory import CASES, ISSUED, PREDICTION, UNCALIBRATED, Case, analysis, recording

__all__ = ["FOLDER", "goldens"]

FOLDER = Path(__file__).parent / "data" / "fhir"
BASE = "https://pat.example.org/fhir"
FULL = Case(epoch_seconds=900, profile=True, predictions=(PREDICTION, UNCALIBRATED))
BARE = replace(CASES["all_absent"], epoch_seconds=900, zone=None, serial=None)


def goldens() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file name and the document of each golden."""
    options = BundleOptions(issued=ISSUED, subject="Patient/123", canonical_base=BASE)
    yield "full.json", bundle(_with_interval(analysis(FULL)), recording(FULL), options)
    yield (
        "bare.json",
        bundle(analysis(BARE), recording(BARE), replace(options, kind="transaction", subject=None)),
    )
    yield "code-system.json", code_system(BASE)


def _with_interval(source: Analysis) -> Analysis:
    bounds = Interval(
        low=9.5, high=12, level=0.95, resamples=2000, units=5, method="bootstrap over nights, seed 0"
    )
    metrics = tuple(
        metric.model_copy(update={"interval": bounds})
        if metric.code is MetricCode.TOTAL_SLEEP_TIME
        else metric
        for metric in source.sleep.metrics
    )
    return source.model_copy(update={"sleep": source.sleep.model_copy(update={"metrics": metrics})})


def main() -> None:
    """Write the goldens."""
    FOLDER.mkdir(exist_ok=True)
    for name, document in goldens():
        (FOLDER / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
