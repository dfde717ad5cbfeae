"""What the numbers rest on, as one Observation: how long the device recorded and was worn."""

from __future__ import annotations

from postprocessing.fhir.codes import PHYSICAL_ACTIVITY, coding
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.observations import clock_note, derived, notes, observation, quantity
from postprocessing.html.words import flag_words, wear_rule_words

__all__ = ["QUALITY", "quality_observation"]

QUALITY = "quality"  # key
_DECIMALS = 2
_SHARE_DECIMALS = 1


def quality_observation(frame: Frame) -> Resource:
    """Return wear, gaps and valid days of the whole recording, and what else a reader must know of it."""
    quality = frame.analysis.quality
    minutes = {
        "wear-time": quality.wear_minutes,
        "non-wear-time": quality.nonwear_minutes,
        "not-recorded-time": quality.not_recorded_minutes,
    }
    times = [
        {"code": frame.concept(code), "valueQuantity": quantity(time, "min", _DECIMALS)}
        for code, time in minutes.items()
    ]
    days = {"code": frame.concept("valid-days"), "valueQuantity": quantity(float(quality.valid_days), "d", 0)}
    body = {
        "code": frame.concept("recording-quality"),
        "effectivePeriod": frame.whole,
        "method": {"text": f"Wear rule {wear_rule_words(quality.wear_rule)}"},
        **derived(frame),
        **notes(*map(flag_words, quality.flags), clock_note(frame)),
        "component": [*times, _share(frame, quality.wear_minutes, sum(minutes.values())), days],
    }
    return observation(frame, QUALITY, "activity", body)


def _share(frame: Frame, worn: float, whole: float) -> Resource:
    concept = frame.concept("wear-share")
    standard = coding(PHYSICAL_ACTIVITY, "DeviceActivePercentage", "Device Active Percentage")
    return {
        "code": {**concept, "coding": [standard, *concept["coding"]]},
        "valueQuantity": quantity(100 * worn / whole if whole else 0.0, "%", _SHARE_DECIMALS),
    }
