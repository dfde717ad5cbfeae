"""Analyses that hypothesis makes up: every metric there or not, every reason, every outcome of a week."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import (
    Analysis,
    Basis,
    Interval,
    Metric,
    Night,
    Prediction,
    Quality,
    Sleep,
    WeekResult,
)
from postprocessing.fhir import BundleOptions
from postprocessing.metrics import METRICS, MetricCode
from preprocessing.calendar import after, midnight, zone_of
from preprocessing.recording import Flag, Recording
from preprocessing.units import Device, Unit, WearSite
from tests.postprocessing.factory import (
    ACTIVITY,
    ISSUED,
    MODEL,
    RHYTHM,
    SLEEP,
    Case,
    analysis,
)

__all__ = ["Made", "made"]

ZONES = [None, "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "+05:30"]
ZONES += ["-03:30", "+14:00", "Pacific/Apia", "Africa/Monrovia", "Africa/Casablanca"]
STARTS = [datetime(2026, 1, 5), datetime(2026, 3, 23), datetime(2026, 10, 19, 17, 43, 12)]
STARTS += [datetime(1950, 1, 5, 0, 0, 1), datetime(2024, 2, 28, 23, 59), datetime(2026, 4, 1, 3, 30)]
SUBJECTS: list[dict[str, Any]] = [
    {},
    {"subject": "Patient/123"},
    {"subject": "Group/a.b-C"},
    {"subject": "https://ehr.example.org/fhir/Patient/" + "a" * 64},
    {"subject_identifier": ("urn:oid:1.2.3", "a b")},
    {"subject": "Patient/1", "subject_identifier": ("https://x.example.org/ids", "<&>\"'")},
]
WORDS = ["V1", "", " 12 ", "<script>alert(1)</script>", "å ß 漢", "a & b", "x" * 300, 'q"q']
VALUES = [0.0, -0.0, 1e-9, 0.1 + 0.2, 7.5, 59.999999, 1e6 / 3, 123456789.987654321, 1e17, -2.25]


@dataclass(frozen=True)
class Made:
    """One made-up analysis, its recording and what the caller wants."""

    analysis: Analysis
    recording: Recording
    options: BundleOptions


@st.composite
def made(draw: st.DrawFn) -> Made:
    """Draw the structure; the many numbers come from a generator with a drawn seed."""
    chance = random.Random(draw(st.integers(0, 2**32 - 1)))
    recording = _recording(draw)
    case = Case(
        days=max(1, recording.epochs * recording.epoch_seconds // 86_400),
        start=recording.start.replace(tzinfo=None),
        zone=recording.zone,
        unit=recording.unit,
        epoch_seconds=recording.epoch_seconds,
    )
    weeks = tuple(_week(draw, recording, number) for number in range(draw(st.integers(0, 3))))
    base = analysis(case)
    source = base.model_copy(
        update={
            "recording": base.recording.model_copy(
                update={
                    "start": recording.start,
                    "end": recording.end,
                    "epochs": recording.epochs,
                    "device": recording.device,
                    "wear_site": recording.wear_site,
                }
            ),
            "quality": _quality(draw, base.quality),
            "sleep": _sleep(draw, chance, recording),
            "rhythm": base.rhythm.model_copy(
                update={
                    "metrics": _metrics(chance, RHYTHM, recording.unit),
                    "flags": tuple(draw(st.lists(st.sampled_from(WORDS), max_size=2))),
                }
            ),
            "activity": base.activity.model_copy(
                update={
                    "metrics": _metrics(chance, ACTIVITY, recording.unit),
                    "cut_points": draw(st.sampled_from([None, "Troiano 2008"])),
                }
            ),
            "weeks": weeks,
            "weeks_absent": None if weeks else _absence(chance),
            "provenance": _provenance(draw, base),
        }
    )
    return Made(Analysis.model_validate(source.model_dump()), recording, _options(draw))


def _recording(draw: st.DrawFn) -> Recording:
    zone = draw(st.sampled_from(ZONES))
    start = draw(st.sampled_from(STARTS))
    unit = draw(st.sampled_from(list(Unit)))
    values = np.resize([0.0, math.nan, 1.0, 12345.678912, 7.5, 0.00004], draw(st.integers(1, 400)))
    return Recording(
        start=start.replace(tzinfo=zone_of(zone) if zone else None),
        zone=zone,
        epoch_seconds=draw(st.sampled_from([1, 15, 30, 60, 900, 3600])),
        values=values,
        unit=unit,
        device=draw(st.sampled_from(list(Device))),
        wear_site=draw(st.sampled_from(list(WearSite))),
        serial=draw(st.sampled_from([None, *WORDS])),
        flags=frozenset() if zone else frozenset({Flag.TIMEZONE_UNKNOWN}),
    )


def _absence(chance: random.Random) -> Absence:
    return absent(chance.choice(list(Reason)), chance.choice(["", "It has 12 of 20 <hours> & more."]))


def _metrics(chance: random.Random, codes: tuple[MetricCode, ...], unit: Unit) -> tuple[Metric, ...]:
    """All of ``codes`` or a few, each with a value or a reason."""
    some = [code for code in codes if chance.random() < chance.choice([0.3, 0.9, 1.1])]
    return tuple(_metric(chance, code, METRICS[code].unit_for(unit)) for code in some)


def _metric(chance: random.Random, code: MetricCode, unit: str) -> Metric:
    if chance.random() < 0.3:
        return Metric.missing(code, _absence(chance), unit)
    clock = METRICS[code].kind == "clock_time"
    value = chance.choice([0.0, 23.9999999, 12.5, chance.uniform(0, 24)]) if clock else chance.choice(VALUES)
    basis = Basis(
        chance.choice(["a published algorithm (Author 1990)", "<b>&"]),
        chance.choice([{}, {"wake_above": 40.0, "rule": "none", "on": True}]),
        chance.choice([None, 10_020]),
        chance.choice([None, 0.04, 10_020.0]),
    )
    found = Metric.known(code, min(value, 23.9999999) if clock else value, basis, unit)
    if chance.random() < 0.3:
        bounds = Interval(
            low=value * 0.9, high=value * 1.1 % 24 if clock else value * 1.1, level=0.95, resamples=2000,
            units=7, method="bootstrap over nights, seed 0",
        )  # fmt: skip
        return found.model_copy(update={"interval": bounds})
    return found


def _sleep(draw: st.DrawFn, chance: random.Random, recording: Recording) -> Sleep:
    nights = tuple(_night(draw, chance, recording, day) for day in range(draw(st.integers(0, 4))))
    return Sleep(
        scorer=draw(st.sampled_from([None, "oakley-actiware"])),
        rest_period=draw(st.sampled_from([None, "main rest period (algorithmic; no diary)"])),
        valid_nights=sum(night.valid for night in nights),
        nights=nights,
        metrics=_metrics(chance, SLEEP, recording.unit),
        absent=None if nights else _absence(chance),
    )


def _night(draw: st.DrawFn, chance: random.Random, recording: Recording, day: int) -> Night:
    kind = draw(st.sampled_from(["valid", "poor", "no rest", "nap"]))
    rest = kind != "no rest"
    start = after(recording.start, timedelta(days=day, hours=22, minutes=7))
    return Night(
        night_of=(recording.start + timedelta(days=day)).date(),
        start=start if rest else None,
        end=after(start, timedelta(hours=8)) if rest else None,
        onset=after(start, timedelta(seconds=30)) if rest and draw(st.booleans()) else None,
        offset=after(start, timedelta(hours=7)) if rest and draw(st.booleans()) else None,
        valid=kind in {"valid", "nap"},
        nap=kind == "nap",
        rest_period=draw(st.sampled_from([None, "sleep log"])),
        absent=None if kind in {"valid", "nap"} else _absence(chance),
        metrics=_metrics(chance, SLEEP, recording.unit),
    )


def _week(draw: st.DrawFn, recording: Recording, number: int) -> WeekResult:
    chance = random.Random(number)
    first = (recording.start + timedelta(days=7 * number)).date()
    start, end = (midnight(day, recording.zone) for day in (first, first + timedelta(days=7)))
    encoded, shown = draw(st.booleans()), draw(st.booleans())
    calibration = draw(st.sampled_from(["reference_cohort", "per_recording"]))
    heads = range(draw(st.integers(0, 3)) if encoded else 0)
    predictions = tuple(_prediction(draw, head, calibration == "reference_cohort") for head in heads)
    attention = np.random.default_rng(number).dirichlet(np.ones(560)) if encoded and shown else None
    return WeekResult(
        start=start,
        end=end,
        dst_transition=draw(st.sampled_from([None, "spring", "autumn"])),
        dropped_repeated_minutes=draw(st.sampled_from([0, 60])),
        missing_fraction=draw(st.floats(0, 1)),
        calibration=calibration,
        embedding=tuple(chance.uniform(-9, 9) for _ in range(96)) if encoded else None,
        patch_minutes=None if attention is None else 18,
        attention_received=None if attention is None else tuple(attention.tolist()),
        predictions=predictions,
        predictions_absent=None if predictions else _absence(random.Random(draw(st.integers(0, 99)))),
        absent=None if encoded else _absence(random.Random(draw(st.integers(0, 99)))),
    )


def _prediction(draw: st.DrawFn, head: int, may_be_calibrated: bool) -> Prediction:
    return Prediction(
        head=f"head-{head}",
        probability=draw(st.floats(0, 1)),
        threshold=draw(st.floats(0, 1)),
        calibrated=may_be_calibrated and draw(st.booleans()),
        evidence=draw(st.sampled_from(["", "n = 100, AUC 0.60 (0.49 to 0.71) & <more>."])),
        checkpoint="pat-s:demo",
    )


def _quality(draw: st.DrawFn, base: Quality) -> Quality:
    flags = tuple(draw(st.lists(st.sampled_from([*Flag, *WORDS]), max_size=3)))
    return base.model_copy(update={"flags": tuple(map(str, flags)), "wear_minutes": draw(st.floats(0, 9e5))})


def _provenance(draw: st.DrawFn, base: Analysis) -> Any:
    tag = draw(st.sampled_from(["pat-s:demo", "untagged", "a:b:c"]))
    cohort = draw(st.sampled_from([None, "synthetic-demo"]))
    model = MODEL.model_copy(update={"checkpoint": tag, "scaling_cohort": cohort})
    digest = f"{draw(st.integers(0, 2**64)):064x}"
    return base.provenance.model_copy(update={"model": model, "input_sha256": digest})


def _options(draw: st.DrawFn) -> BundleOptions:
    return BundleOptions(
        issued=ISSUED + timedelta(microseconds=draw(st.integers(0, 10**12))),
        canonical_base=draw(st.sampled_from(["https://pat.example.org/fhir", "http://a.b/c/d"])),
        organization=draw(st.sampled_from(["PAT Service", "<Ward> & Sons"])),
        **draw(st.sampled_from(SUBJECTS)),
    )
