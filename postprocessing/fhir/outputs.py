"""PAT's output as FHIR: embedding, attention and predictions, labelled as AI, or why there are none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np

from postprocessing.absence import Absence
from postprocessing.analysis import Prediction, WeekResult
from postprocessing.fhir.codes import AIAST, LOCAL_TERMS
from postprocessing.fhir.devices import AI
from postprocessing.fhir.frame import Frame, Resource
from postprocessing.fhir.observations import (
    clock_note,
    data_absent,
    derived,
    notes,
    observation,
    quantity,
    raw_keys,
)
from postprocessing.fhir.series import sampled_data, tokens

__all__ = [
    "ATTENTION_DECIMALS",
    "DATA_ABSENT",
    "PERCENT_DECIMALS",
    "SCORE_DECIMALS",
    "absent_prediction",
    "absent_week",
    "absent_weeks",
    "attention",
    "embedding",
    "float32_bytes",
    "prediction_key",
    "risk",
    "week_key",
]

DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ATTENTION_DECIMALS = 6
PERCENT_DECIMALS = 1
SCORE_DECIMALS = 3
_FOR_REVIEW = "For clinical review; not a diagnosis."


def week_key(week: WeekResult, what: str) -> str:
    """Return the key of one output of a week, which its first day names."""
    return f"week/{week.start.date().isoformat()}/{what}"


def float32_bytes(values: Sequence[float]) -> bytes:
    """Pack ``values`` (n,) as little-endian float32."""
    return np.asarray(values, dtype="<f4").tobytes()


def embedding(frame: Frame, week: WeekResult, values: tuple[float, ...]) -> Resource:
    """Return the embedding (96,) of ``week`` as a DocumentReference with its bytes inside."""
    key = week_key(week, "embedding")
    return {
        "resourceType": "DocumentReference",
        "meta": {"security": [AIAST]},
        "identifier": frame.identifier(key),
        "status": "current",
        "docStatus": "preliminary",
        "type": frame.concept("embedding"),
        **frame.subject,
        "date": frame.issued,
        "author": [frame.reference(AI)],
        "custodian": frame.organization,
        "description": _description(week, len(values)),
        "content": [{"attachment": _attachment(float32_bytes(values), len(values))}],
        "context": {
            "period": frame.period(week.start, week.end),
            "related": [frame.reference(raw) for raw in raw_keys(frame)],
        },
    }


def _description(week: WeekResult, size: int) -> str:
    scaled = {
        "reference_cohort": "standardised by the checkpoint's reference cohort",
        "per_recording": "standardised by itself, as the checkpoint's cohort used another device",
    }[week.calibration]
    missing = f"{week.missing_fraction:.1%} of the week's minutes missing"
    return (
        f"{size} float32 numbers, little-endian; input {scaled}; {missing}. For research, not for diagnosis."
    )


def _attachment(content: bytes, size: int) -> Resource:
    digest = hashlib.sha1(content, usedforsecurity=False).digest()  # R4: Attachment.hash is SHA-1
    return {
        "contentType": "application/octet-stream",
        "data": base64.b64encode(content).decode("ascii"),
        "size": len(content),
        "hash": base64.b64encode(digest).decode("ascii"),
        "title": f"embedding-f32le-{size}",
    }


def prediction_key(week: WeekResult, prediction: Prediction) -> str:
    """Return the key of a prediction's RiskAssessment."""
    return week_key(week, f"risk/{prediction.head}")


def risk(frame: Frame, week: WeekResult, prediction: Prediction) -> Resource:
    """Return a head's output for ``week``: a RiskAssessment, or an Observation if it is no probability."""
    key = prediction_key(week, prediction)
    if not prediction.calibrated:
        return _score(frame, key, week, prediction)
    return {
        "resourceType": "RiskAssessment",
        "meta": {"security": [AIAST]},
        "identifier": frame.identifier(key),
        "status": "preliminary",
        "method": frame.concept("pat-head", f"{prediction.head} ({prediction.checkpoint})"),
        **(frame.subject or _unknown_subject()),
        "occurrencePeriod": frame.period(week.start, week.end),
        "performer": frame.reference(AI),
        "basis": _basis(frame, week),
        "prediction": [
            {
                "outcome": {"text": prediction.head},
                "probabilityDecimal": round(100 * prediction.probability, PERCENT_DECIMALS),
                "rationale": f"Calibrated probability. {_evidence(prediction)}",
            }
        ],
        "note": [{"text": _FOR_REVIEW}],
    }


def _unknown_subject() -> Resource:
    return {
        "subject": {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}
    }  # R4 demands the element


def _basis(frame: Frame, week: WeekResult) -> list[Resource]:
    return [frame.reference(key) for key in (week_key(week, "embedding"), *raw_keys(frame))]


def _evidence(prediction: Prediction) -> str:
    return f"Threshold {prediction.threshold:g}. {prediction.evidence}".strip()


def _score(frame: Frame, key: str, week: WeekResult, prediction: Prediction) -> Resource:
    body = {
        "meta": {"security": [AIAST]},
        "code": frame.concept("prediction", f"{prediction.head}: uncalibrated score, not a probability"),
        "effectivePeriod": frame.period(week.start, week.end),
        "valueQuantity": quantity(prediction.probability, "1", SCORE_DECIMALS),
        "method": frame.concept("pat-head", f"{prediction.head} ({prediction.checkpoint})"),
        **derived(frame),
        **notes(_evidence(prediction), _FOR_REVIEW, clock_note(frame)),
    }
    return observation(frame, key, "activity", body)


def attention(frame: Frame, week: WeekResult) -> Resource | None:
    """Return the attention each patch of ``week`` receives as a series, or None if it was not asked for."""
    if week.attention_received is None or week.patch_minutes is None:
        return None
    data = " ".join(tokens(week.attention_received, ATTENTION_DECIMALS))
    body = {
        "meta": {"security": [AIAST]},
        "code": frame.concept("attention"),
        "effectivePeriod": frame.period(week.start, week.end),
        "valueSampledData": sampled_data(data, "1", week.patch_minutes * 60_000),
        **derived(frame),
        **notes(LOCAL_TERMS["attention"].definition, _grid_note(week), clock_note(frame)),
    }
    return observation(frame, week_key(week, "attention"), "activity", body)


def _grid_note(week: WeekResult) -> str | None:
    if week.dst_transition is None:
        return None
    return f"Sampled on wall-clock minutes; the week contains the {week.dst_transition} clock change."


def absent_week(frame: Frame, week: WeekResult, absence: Absence) -> Resource:
    """Return the statement that PAT gave nothing for ``week``, and why."""
    period = frame.period(week.start, week.end)
    return _missing(frame, week_key(week, "embedding"), "embedding", (period, absence))


def absent_weeks(frame: Frame, absence: Absence) -> Resource:
    """Return the statement that the recording has no week for PAT, and why."""
    return _missing(frame, "weeks/embedding", "embedding", (frame.whole, absence))


def absent_prediction(frame: Frame, absence: Absence) -> Resource:
    """Return the statement that no head predicts anything for this recording, and why."""
    return _missing(frame, f"weeks/prediction/{absence.reason.value}", "prediction", (frame.whole, absence))


def _missing(frame: Frame, key: str, code: str, when_and_why: tuple[Resource, Absence]) -> Resource:
    period, absence = when_and_why
    body = {
        "code": frame.concept(code),
        "effectivePeriod": period,
        **data_absent(frame, absence),
        **derived(frame),
        **notes(clock_note(frame)),
    }
    return observation(frame, key, "activity", body)
