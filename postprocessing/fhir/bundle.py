"""Analysis -> FHIR R4 Bundle: every resource of one result, linked, checked and the same on every repeat."""

from __future__ import annotations

from collections.abc import Iterator

from postprocessing.analysis import Analysis, ModelProvenance
from postprocessing.fhir.check import MAX_ENTRIES, ConformanceError, check
from postprocessing.fhir.devices import AI, WEARABLE, ai_device, wearable
from postprocessing.fhir.frame import BundleOptions, Frame, Resource
from postprocessing.fhir.nights import night_key, night_observation
from postprocessing.fhir.observations import (
    metric_key,
    metric_observation,
    metrics_of,
    raw_key,
    raw_observation,
)
from postprocessing.fhir.outputs import (
    absent_prediction,
    absent_week,
    absent_weeks,
    attention,
    embedding,
    prediction_key,
    risk,
    week_key,
)
from postprocessing.fhir.quality import QUALITY, quality_observation
from postprocessing.fhir.report import REPORT, algorithms_provenance, model_provenance, report
from preprocessing.recording import Recording

__all__ = ["BundleTooLargeError", "bundle"]

_Keyed = tuple[str, Resource]


class BundleTooLargeError(ValueError):
    """A transaction would hold more entries than receivers take (AWS HealthLake: 160)."""


def bundle(analysis: Analysis, recording: Recording, options: BundleOptions) -> Resource:
    """Return the Bundle of ``analysis``, made from ``recording``, as a plain dict ready for ``json.dumps``.

    Equal codes within it are one object, so it is not to be changed in place.

    Raises BundleTooLargeError for a transaction above 150 entries, ValueError if ``recording`` is another
    one, and ConformanceError if what we built is not FHIR R4: a fault of ours, never emitted.
    """
    frame = Frame.of(analysis, recording, options)
    resources = _resources(frame, recording)
    if options.kind == "transaction" and len(resources) > MAX_ENTRIES:
        raise BundleTooLargeError(
            f"expected at most {MAX_ENTRIES} entries in a transaction, found {len(resources)}; "
            "send the recording in shorter parts or ask for a collection"
        )
    document = _document(frame, resources)
    if issues := check(document):
        raise ConformanceError(issues)
    return document


def _document(frame: Frame, resources: list[_Keyed]) -> Resource:
    return {
        "resourceType": "Bundle",
        "meta": frame.format,
        "identifier": frame.identifier("bundle")[0],
        "type": frame.options.kind,
        "timestamp": frame.issued,
        "entry": [_entry(frame, key, resource) for key, resource in resources],
    }


def _entry(frame: Frame, key: str, resource: Resource) -> Resource:
    entry = {"fullUrl": frame.url(key), "resource": resource}
    if frame.options.kind == "transaction":
        entry["request"] = {"method": "POST", "url": resource["resourceType"]}
    return entry


def _resources(frame: Frame, recording: Recording) -> list[_Keyed]:
    raw = [(raw_key(part), raw_observation(frame, part)) for part in frame.parts]
    computed = list(_computed(frame))
    model = list(_model_outputs(frame)) if frame.pat_ran else []
    observed = [key for key, made in (*computed, *model) if made["resourceType"] == "Observation"]
    summary = (REPORT, report(frame, observed))
    algorithms = ("provenance/algorithms", algorithms_provenance(frame, _keys([*computed, summary])))
    documents = [(WEARABLE, wearable(frame, recording)), *raw, *computed]
    if not model:
        return [*documents, summary, algorithms]
    card = _card(frame)
    authored = ("provenance/model", model_provenance(frame, _keys([*model, summary]), card))
    return [*documents, (AI, ai_device(frame, card)), *model, summary, algorithms, authored]


def _keys(made: list[_Keyed]) -> list[str]:
    return [key for key, _ in made]


def _card(frame: Frame) -> ModelProvenance:
    if frame.analysis.provenance.model is None:
        raise ValueError("expected the model's provenance beside its output, found none")
    return frame.analysis.provenance.model


def _computed(frame: Frame) -> Iterator[_Keyed]:
    """Yield what published algorithms computed, and what is absent: none of it is AI output."""
    yield QUALITY, quality_observation(frame)
    for metric in metrics_of(frame.analysis):
        yield metric_key(metric), metric_observation(frame, metric)
    for night in frame.analysis.sleep.nights:
        yield night_key(night), night_observation(frame, night)
    yield from _absences(frame)


def _absences(frame: Frame) -> Iterator[_Keyed]:
    analysis = frame.analysis
    if analysis.weeks_absent:
        yield "weeks/embedding", absent_weeks(frame, analysis.weeks_absent)
    for week in analysis.weeks:
        if week.absent:
            yield week_key(week, "embedding"), absent_week(frame, week, week.absent)
    reasons = {
        week.predictions_absent.reason: week.predictions_absent
        for week in analysis.weeks
        if week.predictions_absent
    }
    for reason, absence in reasons.items():
        yield f"weeks/prediction/{reason.value}", absent_prediction(frame, absence)


def _model_outputs(frame: Frame) -> Iterator[_Keyed]:
    for week in frame.analysis.weeks:
        if week.embedding is not None:
            yield week_key(week, "embedding"), embedding(frame, week, week.embedding)
        if (profile := attention(frame, week)) is not None:
            yield week_key(week, "attention"), profile
        for prediction in week.predictions:
            yield prediction_key(week, prediction), risk(frame, week, prediction)
