"""One small file of our own for every format, with the hints that it needs.

    python -m tests.preprocessing.examples examples/formats

writes them; the tests of each reader make them, and compare them with what lies there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preprocessing.readers import Format, Hints
from preprocessing.readers.hints import NO_HINTS
from preprocessing.units import Unit
from tests.preprocessing import (
    test_actigraphy_series,
    test_actilife_csv,
    test_actiware,
    test_acttrust,
    test_agd,
    test_apple_export,
    test_biobank_timeseries,
    test_epoch_csv,
    test_fhir_json,
    test_fitbit,
    test_health_connect,
    test_healthkit_json,
    test_motionwatch,
    test_nhanes_counts,
    test_nhanes_mims,
    test_open_mhealth,
    test_tempatilumi,
)


@dataclass(frozen=True)
class Example:
    """A file of ``form`` that ``make`` makes and that ``hints`` let a reader read."""

    form: Format
    make: Callable[[], bytes]
    hints: Hints = NO_HINTS


def _two_hours_of_counts() -> bytes:
    counts = test_nhanes_counts.COUNTS[:120]
    return test_nhanes_counts.paxraw(test_nhanes_counts.minutes(counts, weekday=4))


def _two_hours_of_mims() -> bytes:
    return test_nhanes_mims.paxmin(test_nhanes_mims.minutes(test_nhanes_mims.MIMS[:120]))


FILES = {
    "actigraph.agd": Example(Format.AGD, test_agd.example),
    "actigraphy-series.json": Example(Format.ACTIGRAPHY_SERIES, test_actigraphy_series.example),
    "actilife.csv": Example(Format.ACTILIFE_CSV, test_actilife_csv.example),
    "actiware.csv": Example(Format.ACTIWARE, test_actiware.example),
    "acttrust.txt": Example(Format.ACTTRUST, test_acttrust.example),
    "apple-health-export.xml": Example(Format.APPLE_EXPORT, test_apple_export.example),
    "biobank-timeseries.csv": Example(Format.BIOBANK_TIMESERIES, test_biobank_timeseries.example),
    "epoch.csv": Example(Format.EPOCH_CSV, test_epoch_csv.example, Hints(unit=Unit.ACTIGRAPH_AXIS1_COUNTS)),
    "fhir.json": Example(Format.FHIR, test_fhir_json.example),
    "fitbit-steps.json": Example(
        Format.FITBIT_STEPS, test_fitbit.example, Hints(unit=Unit.STEPS, zone="Europe/Berlin")
    ),
    "health-connect.json": Example(Format.HEALTH_CONNECT, test_health_connect.example),
    "healthkit.json": Example(Format.HEALTHKIT_JSON, test_healthkit_json.example),
    "motionwatch.mtn": Example(Format.MOTIONWATCH, test_motionwatch.example),
    "nhanes-2003-06.xpt": Example(Format.NHANES_2003, _two_hours_of_counts),
    "nhanes-2011-14.xpt": Example(Format.NHANES_2011, _two_hours_of_mims, Hints(first_time="16:30:00")),
    "open-mhealth.json": Example(Format.OPEN_MHEALTH, test_open_mhealth.example),
    "tempatilumi.txt": Example(Format.TEMPATILUMI, test_tempatilumi.example),
}
WEEK_SIZED = {Format.CANONICAL_JSON, Format.CANONICAL_CSV, Format.AWD, Format.COHORT_CSV}


def main() -> None:
    """Write every example into the folder named on the command line."""
    for name, example in FILES.items():
        (Path(sys.argv[1]) / name).write_bytes(example.make())


if __name__ == "__main__":
    main()
