"""Write the example inputs, one synthetic person in every format that the readers know.

    python -m training.examples examples/

Nobody wore these recordings. The same command gives the same bytes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from preprocessing.readers import canonical_csv, canonical_json
from preprocessing.recording import Recording
from training.synthetic import recording

__all__ = ["awd", "cohort_csv", "main", "write"]

SEED = 16  # an ordinary person: work by day, 7 hours of sleep
DAYS = 8.25
START = datetime(2024, 5, 13, 16, 20)  # a Monday afternoon, no clock change within the days that follow
LOST = slice(4000, 4090)  # an hour and a half that the example device did not record
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write(folder: Path) -> list[Path]:
    """Write week.json, week.csv, week.awd and public-cohort.csv into ``folder``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    zoned = _with_loss(recording(SEED, days=DAYS, start=START, zone="Europe/Berlin"))
    on_the_wall = recording(SEED, days=DAYS, start=START)
    texts = {
        "week.json": canonical_json.dumps(zoned),
        "week.csv": canonical_csv.dumps(zoned),
        "week.awd": awd(on_the_wall),
        "public-cohort.csv": cohort_csv(on_the_wall),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _with_loss(made: Recording) -> Recording:
    values = made.values.copy()
    values[LOST] = np.nan
    return replace(made, values=values)


def awd(made: Recording) -> str:
    """AWD text of ``made`` in one-minute epochs; the format has no missing epochs, so they become zeros."""
    date = f"{made.start.day:02d}-{MONTHS[made.start.month - 1]}-{made.start.year}"
    header = ["SYNTHETIC DEMO", date, f"{made.start:%H:%M}", "4", "0", "SYNTH0001", "F"]
    return "".join(f"{line}\r\n" for line in [*header, *_whole(made)])


def cohort_csv(made: Recording) -> str:
    """Rows ``timestamp,date,activity`` of local clock times, as public cohorts publish them."""
    times = (made.start + timedelta(seconds=made.epoch_seconds * k) for k in range(made.epochs))
    rows = (
        f"{time:%Y-%m-%d %H:%M:%S},{time:%Y-%m-%d},{count}"
        for time, count in zip(times, _whole(made), strict=True)
    )
    return "\n".join(["timestamp,date,activity", *rows, ""])


def _whole(made: Recording) -> list[int]:
    counts: list[int] = np.nan_to_num(made.values).astype(np.int64).tolist()
    return counts


def main(arguments: list[str] | None = None) -> None:
    """Write the examples into the folder named on the command line."""
    folder = (arguments if arguments is not None else sys.argv[1:])[0]
    for path in write(Path(folder)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
