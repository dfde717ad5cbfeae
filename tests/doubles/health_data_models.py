"""The upload models of the health data service: what its schema lets through and what its rules refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, model_validator

__all__ = ["ACCEPTED_BY_D04", "HealthDataUpload", "HealthMetric", "MetricType", "rule_broken"]


class MetricType(StrEnum):
    HEART_RATE = "heart_rate"
    HEART_RATE_VARIABILITY = "heart_rate_variability"
    BLOOD_PRESSURE = "blood_pressure"
    BLOOD_OXYGEN = "blood_oxygen"
    RESPIRATORY_RATE = "respiratory_rate"
    SLEEP_ANALYSIS = "sleep_analysis"
    ACTIVITY_LEVEL = "activity_level"
    STRESS_INDICATORS = "stress_indicators"
    MOOD_ASSESSMENT = "mood_assessment"
    COGNITIVE_METRICS = "cognitive_metrics"
    ENVIRONMENTAL = "environmental"
    BODY_TEMPERATURE = "body_temperature"
    BLOOD_GLUCOSE = "blood_glucose"


class SleepStage(StrEnum):
    AWAKE = "awake"
    LIGHT = "light"
    DEEP = "deep"
    REM = "rem"


class MoodScale(StrEnum):
    VERY_LOW = "very_low"
    LOW = "low"
    NEUTRAL = "neutral"
    GOOD = "good"
    EXCELLENT = "excellent"


def _bounded(kind: type, low: float, high: float) -> Any:
    return Annotated[kind | None, Field(default=None, ge=low, le=high)]


class BiometricData(BaseModel):
    heart_rate: _bounded(float, 30, 300)
    blood_pressure_systolic: _bounded(int, 70, 250)
    blood_pressure_diastolic: _bounded(int, 40, 150)
    oxygen_saturation: _bounded(float, 70, 100)
    heart_rate_variability: _bounded(float, 0, 200)
    respiratory_rate: _bounded(float, 5, 60)
    body_temperature: _bounded(float, 35, 42)
    blood_glucose: _bounded(float, 50, 500)


class SleepData(BaseModel):
    total_sleep_minutes: Annotated[int, Field(gt=0)]
    sleep_efficiency: Annotated[float, Field(ge=0, le=1)]
    time_to_sleep_minutes: _bounded(int, 0, 180)
    wake_count: _bounded(int, 0, 50)
    sleep_stages: dict[SleepStage, int] | None = None
    sleep_start: datetime
    sleep_end: datetime

    @model_validator(mode="after")
    def _is_a_night(self) -> SleepData:
        minutes = (self.sleep_end - self.sleep_start).total_seconds() / 60
        if minutes <= 0 or abs(minutes - self.total_sleep_minutes) > 30:
            raise ValueError("times and total disagree")
        return self


class ActivityData(BaseModel):
    steps: _bounded(int, 0, 100_000)
    distance: _bounded(float, 0, 100)
    active_energy: _bounded(float, 0, 5000)
    exercise_minutes: _bounded(int, 0, 1440)
    flights_climbed: _bounded(int, 0, 500)
    vo2_max: _bounded(float, 10, 80)
    active_minutes: _bounded(int, 0, 1440)
    resting_heart_rate: _bounded(float, 30, 120)


class MentalHealthIndicator(BaseModel):
    mood_score: MoodScale | None = None
    stress_level: _bounded(float, 1, 10)
    anxiety_level: _bounded(float, 1, 10)
    energy_level: _bounded(float, 1, 10)
    focus_rating: _bounded(float, 1, 10)
    social_interaction_minutes: _bounded(int, 0, 1440)
    meditation_minutes: _bounded(int, 0, 480)
    notes: Annotated[str | None, Field(max_length=1000)] = None
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC))


class HealthMetric(BaseModel):
    metric_id: UUID = Field(default_factory=uuid4)
    metric_type: MetricType
    biometric_data: BiometricData | None = None
    sleep_data: SleepData | None = None
    activity_data: ActivityData | None = None
    mental_health_data: MentalHealthIndicator | None = None
    device_id: str | None = None
    raw_data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class HealthDataUpload(BaseModel):
    user_id: UUID
    metrics: Annotated[list[HealthMetric], Field(min_length=1, max_length=1000)]
    upload_source: str
    client_timestamp: datetime
    sync_token: str | None = None

    @model_validator(mode="after")
    def _has_each_once(self) -> HealthDataUpload:
        if len({metric.metric_id for metric in self.metrics}) != len(self.metrics):
            raise ValueError("metric_id twice")
        return self


ACCEPTED_BY_D04 = frozenset(
    {"heart_rate", "blood_pressure", "sleep_analysis", "activity_level", "mood_assessment"}
)
_BLOCKS = {
    **dict.fromkeys(("heart_rate", "heart_rate_variability", "blood_pressure"), "biometric_data"),
    "sleep_analysis": "sleep_data",
    "activity_level": "activity_data",
    **dict.fromkeys(("stress_indicators", "mood_assessment", "cognitive_metrics"), "mental_health_data"),
}


def rule_broken(metric: HealthMetric) -> bool:
    """Whether the block that the type wants is missing; an empty one will do."""
    block = _BLOCKS.get(metric.metric_type)
    return block is not None and getattr(metric, block) is None
