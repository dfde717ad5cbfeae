"""Measure, part by part, and write results, tables and plots.

    python -m benchmarks [--quick] [PART ...]

Parts: encoder1, encoder8, encoder32 (by the weeks in a batch), service, safeguards, tracing, fhir, cache,
cold, load, cohort and cohort_killed (with the extra ``cohort``), growth, preprocessing, instances; all of
them without a name. ``--quick`` takes a corner of each and writes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import (
    cache,
    cohort,
    cold,
    encoder,
    fhir,
    growth,
    instances,
    metrics,
    overload,
    report,
    resampling,
    results_file,
    safeguards,
    service,
    tracing,
)

Part = Callable[[bool], Any]


def _encoder(batch: int, quick: bool) -> Any:
    corner = encoder.Matrix(batch, sizes=("PAT-S",), threads=(1,), turns=2)
    return encoder.measure(corner if quick else encoder.Matrix(batch))


def _service(quick: bool) -> Any:
    corner = service.ServiceMatrix(size="PAT-S", turns=1, weeks=16)
    return service.measure(corner if quick else service.ServiceMatrix())


def _safeguards(quick: bool) -> Any:
    return safeguards.measure(20) if quick else safeguards.measure()


def _tracing(quick: bool) -> Any:
    return tracing.measure(tracing.Plan(seconds=1, turns=2)) if quick else tracing.measure()


def _fhir(quick: bool) -> Any:
    return fhir.measure(20) if quick else fhir.measure()


def _cache(quick: bool) -> Any:
    return cache.measure(10) if quick else cache.measure()


def _cold(quick: bool) -> Any:
    return cold.measure(1 if quick else cold.TIMES)


def _cohort(quick: bool) -> Any:
    return cohort.measure(60, 5) if quick else cohort.measure()


def _load(quick: bool) -> Any:
    small = overload.LoadStudy(alone=20, together=20, seconds=7.0, requests=200)
    return overload.measure(small if quick else overload.LoadStudy())


def _cohort_killed(quick: bool) -> Any:
    return cohort.measure_killed(60, 5) if quick else cohort.measure_killed()


def _growth(quick: bool) -> Any:
    return growth.measure((160,), 1) if quick else growth.measure()


def _instances(quick: bool) -> Any:
    return instances.measure(3) if quick else instances.measure()


def _preprocessing(quick: bool) -> Any:  # noqa: ARG001  # it is quick
    """Two programs that print their own tables."""
    tables = {}
    for name, program in (("resampling", resampling.main), ("metrics", metrics.main)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            program()
        print(printed.getvalue())
        tables[name] = printed.getvalue().strip().splitlines()
    return tables


PARTS: dict[str, Part] = {
    **{f"encoder{batch}": partial(_encoder, batch) for batch in encoder.BATCHES},
    "service": _service,
    "safeguards": _safeguards,
    "tracing": _tracing,
    "fhir": _fhir,
    "cache": _cache,
    "cold": _cold,
    "load": _load,
    "cohort": _cohort,
    "cohort_killed": _cohort_killed,
    "growth": _growth,
    "preprocessing": _preprocessing,
    "instances": _instances,
}


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all without a name")
    parser.add_argument("--quick", action="store_true", help="a corner of each, nothing written")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"unknown part {sorted(unknown)[0]}; expected some of {', '.join(PARTS)}")
    for name in arguments.parts or PARTS:
        print(f"\n{name}", flush=True)
        measured = PARTS[name](arguments.quick)
        if not arguments.quick:
            print(f"wrote {results_file.write(name, f'python -m benchmarks {name}', measured)}")
    if not arguments.quick:
        report.main()


if __name__ == "__main__":
    main()
