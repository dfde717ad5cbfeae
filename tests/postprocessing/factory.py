"""Builds Analyses by hand, so that documents are tested without computing them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from postprocessing.absence import Absence, Reason, absent
from postprocessing.analysis import (
    METRICS,
    Activity,
    Analysis,
    Basis,
    Metric,
    MetricCode,
    ModelProvenance,
    Night,
    Prediction,
    Provenance,
    Quality,
    RecordingSummary,
    Rhythm,
    Sleep,
    WeekResult,
)
from preprocessing.calendar import after, midnight, zone_of
from preprocessing.recording import Flag, Recording
from preprocessing.units import Device, Unit, WearSite

SLEEP = tuple(code for code, info in METRICS.items() if info.section == "sleep")
RHYTHM = tuple(code for code, info in METRICS.items() if info.section == "rhythm")
ACTIVITY = tuple(code for code, info in METRICS.items() if info.section == "activity")
NO_LOG = absent(Reason.NO_SLEEP_LOG)
ISSUED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """What the made-up result holds."""

    days: int = 7
    start: datetime = datetime(2026, 1, 5)
    zone: str | None = "Europe/Oslo"
    unit: Unit = Unit.ACTIWATCH_COUNTS
    epoch_seconds: int = 60
    pat: bool = True
    profile: bool = False
    predictions: tuple[Prediction, ...] = ()
    all_absent: Absence | None = None
    serial: str | None = "V123456"


PREDICTION = Prediction(
    head="depression-phq9-10",
    probability=0.2344,
    threshold=0.35,
    calibrated=True,
    evidence="Held-out test of a made-up cohort, n = 100, AUC 0.60 (0.49 to 0.71).",
    checkpoint="pat-s:demo",
)

UNCALIBRATED = PREDICTION.model_copy(update={"head": "uncalibrated-head", "calibrated": False})

CASES = {
    "week": Case(),
    "no_pat": Case(days=3, pat=False),
    "all_absent": Case(days=2, pat=False, all_absent=absent(Reason.TOO_MUCH_MISSING, "0 of 48 hours.")),
    "wall_clock": Case(zone=None, serial=None, profile=True),
    "month": Case(days=31, start=datetime(2026, 1, 1)),
    "spring": Case(days=14, start=datetime(2026, 3, 23), profile=True),
    "autumn": Case(days=7, start=datetime(2026, 10, 19, 12), zone="America/New_York", epoch_seconds=30),
    "profile": Case(profile=True),
    "prediction": Case(predictions=(PREDICTION, UNCALIBRATED)),
    "enmo": Case(unit=Unit.ENMO_MG, pat=False, zone="+05:30"),
    "mims": Case(unit=Unit.MIMS),
    "steps": Case(unit=Unit.STEPS, pat=False),
}


def recording(case: Case) -> Recording:
    """A smooth day curve with a gap, in the case's unit."""
    epochs = case.days * 86_400 // case.epoch_seconds
    minute = np.arange(epochs) * case.epoch_seconds / 60
    values = np.round(
        200 * (1 - np.cos(2 * np.pi * minute / 1440)), 0 if case.unit is not Unit.ENMO_MG else 5
    )
    values[100:160] = np.nan
    return Recording(
        start=case.start.replace(tzinfo=zone_of(case.zone) if case.zone else None),
        zone=case.zone,
        epoch_seconds=case.epoch_seconds,
        values=values,
        unit=case.unit,
        device=Device.ACTIWATCH,
        wear_site=WearSite.WRIST,
        source_format="awd",
        serial=case.serial,
        flags=frozenset() if case.zone else frozenset({Flag.TIMEZONE_UNKNOWN}),
    )


def analysis(case: Case) -> Analysis:
    """The Analysis of ``recording(case)`` with made-up numbers of many decimals."""
    made_from = recording(case)
    level = case.unit.ucum_per_minute
    nights = tuple(_night(made_from, case, day) for day in range(case.days - 1))
    return Analysis(
        recording=_summary(made_from),
        quality=_quality(made_from),
        sleep=Sleep(
            scorer="oakley-actiware",
            rest_period="main rest period (algorithmic; no diary)",
            valid_nights=sum(night.valid for night in nights),
            nights=nights,
            metrics=tuple(metric(code, case, level) for code in SLEEP),
        ),
        rhythm=Rhythm(metrics=tuple(metric(code, case, level) for code in RHYTHM)),
        activity=Activity(
            valid_days=case.days,
            cut_points=None,
            metrics=tuple(metric(code, case, METRICS[code].unit_for(case.unit)) for code in ACTIVITY),
        ),
        weeks=_weeks(made_from, case),
        weeks_absent=None
        if case.days >= 7
        else absent(Reason.INSUFFICIENT_DATA, f"The recording has {case.days} days."),
        provenance=Provenance(
            pipeline="pat-service/0.1.0",
            input_sha256="ab" * 32,
            options={"wear": "detect", "profile": case.profile},
            model=MODEL,
        ),
    )


def metric(code: MetricCode, case: Case, level: str) -> Metric:
    """A metric with a value of many decimals, or the case's absence."""
    if case.all_absent:
        return Metric.missing(code, case.all_absent, level)
    if code is MetricCode.SLEEP_ONSET_LATENCY:
        return Metric.missing(code, NO_LOG, level)
    place = list(METRICS).index(code)
    value = {"count": 12.5, "clock_time": 3.0 + place / 7}.get(METRICS[code].kind, 10 + place / 7)
    basis = Basis(
        "a published algorithm (Author 1990)", {"wake_above": 40.0, "rescoring": "none"}, 10_020, 10_020.0
    )
    return Metric.known(code, value, basis, level)


MODEL = ModelProvenance(
    checkpoint="pat-s:demo",
    sha256="cd" * 32,
    architecture="PAT-S",
    source="pretrained by this project on synthetic weeks",
    licence="Apache-2.0",
    scaling_sha256="ef" * 32,
    scaling_cohort="synthetic-demo",
    engine="onnxruntime",
)


def _summary(made_from: Recording) -> RecordingSummary:
    return RecordingSummary(
        source_format=made_from.source_format,
        start=made_from.start,
        end=made_from.end,
        zone=made_from.zone,
        epoch_seconds=made_from.epoch_seconds,
        epochs=made_from.epochs,
        unit=made_from.unit,
        device=made_from.device,
        wear_site=made_from.wear_site,
    )


def _quality(made_from: Recording) -> Quality:
    return Quality(
        wear_rule="as_recorded",
        wear_minutes=made_from.minutes_of(made_from.recorded),
        nonwear_minutes=0.0,
        not_recorded_minutes=made_from.minutes_of(~made_from.recorded),
        valid_days=0,
        unsorted_samples=0,
        duplicate_samples=0,
        conflicting_samples=0,
        inserted_epochs=0,
        flags=tuple(sorted(made_from.flags)),
    )


def _night(made_from: Recording, case: Case, day: int) -> Night:
    night_of = (made_from.start + timedelta(days=day)).date()
    why = case.all_absent or (
        absent(Reason.TOO_MUCH_MISSING, "12% of the rest interval is unscored.") if day == 1 else None
    )
    level = case.unit.ucum_per_minute
    metrics = tuple(Metric.missing(code, why, level) if why else metric(code, case, level) for code in SLEEP)
    if why and day != 1:
        return Night(
            night_of=night_of,
            start=None,
            end=None,
            onset=None,
            offset=None,
            valid=False,
            absent=why,
            metrics=metrics,
        )
    start = after(made_from.start, timedelta(days=day, hours=22))
    return Night(
        night_of=night_of,
        start=start,
        end=after(start, timedelta(hours=8)),
        onset=after(start, timedelta(minutes=12)),
        offset=after(start, timedelta(hours=7, minutes=55)),
        valid=why is None,
        absent=why,
        metrics=metrics,
    )


def _weeks(made_from: Recording, case: Case) -> tuple[WeekResult, ...]:
    return tuple(_week(made_from, case, number) for number in range(case.days // 7))


def _week(made_from: Recording, case: Case, number: int) -> WeekResult:
    first = (made_from.start + timedelta(days=7 * number)).date()
    values = np.random.default_rng(number).normal(size=(2, 560))
    received = np.exp(values[1]) / np.exp(values[1]).sum()
    start, end = (midnight(day, made_from.zone) for day in (first, first + timedelta(days=7)))
    return WeekResult(
        start=start,
        end=end,
        dst_transition="spring" if start.utcoffset() != end.utcoffset() else None,
        dropped_repeated_minutes=0,
        missing_fraction=0.0123,
        calibration="reference_cohort" if case.predictions else "per_recording",
        embedding=tuple(values[0, :96].tolist()) if case.pat else None,
        patch_minutes=18 if case.pat and case.profile else None,
        attention_received=tuple(received.tolist()) if case.pat and case.profile else None,
        predictions=case.predictions if case.pat else (),
        predictions_absent=None if case.pat and case.predictions else absent(Reason.NO_HEAD),
        absent=None
        if case.pat
        else absent(Reason.TOO_MUCH_MISSING, "40% of the week's minutes are missing."),
    )
