"""What all resources of one Bundle share: the caller's options, reproducible ids, subject and clock."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

from postprocessing.analysis import Analysis
from postprocessing.fhir.codes import LOCAL_TERMS, RESULT_FORMAT, coding, local_system
from postprocessing.fhir.series import Part, parts
from postprocessing.fhir.times import date_time, period
from preprocessing.recording import Recording

__all__ = ["DEVELOPMENT_BASE", "BundleOptions", "BundleOptionsError", "Frame", "Resource", "digest"]

Resource = dict[str, Any]

DEVELOPMENT_BASE = "https://pat-service.invalid/fhir"  # RFC 2606: resolves nowhere; a deployment sets its own
_SUBJECT = re.compile(r"(https?://[^\s/?#]+(/[^\s/?#]+)*/)?(Patient|Group)/[A-Za-z0-9\-.]{1,64}")


class BundleOptionsError(ValueError):
    """A Bundle cannot be made with these options; ``where`` names the option, the message never its value."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True)
class BundleOptions:
    """What the caller and the deployment choose about a Bundle.

    ``issued`` (aware) is when the analysis was made available. ``subject`` is passed through as
    ``Patient/id``, ``Group/id`` or an absolute URL that ends in one; ``subject_identifier`` (system, value)
    as a logical reference. ``canonical_base`` is the deployment's own FHIR base URL: codes and identifiers
    hang on it.

    Raises BundleOptionsError.
    """

    issued: datetime
    kind: Literal["collection", "transaction"] = "collection"
    subject: str | None = None
    subject_identifier: tuple[str, str] | None = None
    canonical_base: str = DEVELOPMENT_BASE
    organization: str = "PAT Service"

    def __post_init__(self) -> None:
        if self.issued.tzinfo is None:
            raise BundleOptionsError(
                "issued", "expected an aware time, found one without offset; give the offset"
            )
        if self.subject is not None and not _SUBJECT.fullmatch(self.subject):
            raise BundleOptionsError(
                "subject", "expected Patient/id, Group/id or an absolute URL ending so; correct the reference"
            )
        if self.subject_identifier is not None and not _is_identifier(*self.subject_identifier):
            raise BundleOptionsError(
                "subject_identifier",
                "expected an absolute URI as system and a non-empty value; correct the identifier",
            )
        base = urlsplit(self.canonical_base)
        if base.scheme not in {"https", "http"} or not base.netloc or self.canonical_base.endswith("/"):
            raise BundleOptionsError(
                "canonical_base",
                "expected an absolute http(s) URL without trailing slash; correct the setting",
            )
        if not self.organization.strip():
            raise BundleOptionsError(
                "organization", "expected the name of the organisation; correct the setting"
            )


def _is_identifier(system: str, value: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", system) and value.strip())


def digest(analysis: Analysis, options: BundleOptions) -> str:
    """Name a result: input, options, versions and subject decide it; the time of issue does not."""
    made = analysis.provenance
    named_by = [
        made.input_sha256,
        dict(made.options),
        made.pipeline,
        made.model.model_dump(mode="json") if made.model else None,
        options.subject,
        options.subject_identifier,
    ]
    return hashlib.sha256(json.dumps(named_by, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Frame:
    """The analysis, the options and the parts of the raw series, with the ids derived from them."""

    analysis: Analysis
    options: BundleOptions
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, analysis: Analysis, recording: Recording, options: BundleOptions) -> Frame:
        """Frame the ``analysis`` of ``recording``; raises ValueError if it is of another one."""
        summary = analysis.recording
        if (summary.start, summary.epochs, summary.epoch_seconds) != (
            recording.start,
            recording.epochs,
            recording.epoch_seconds,
        ):
            raise ValueError("expected the recording that was analysed, found another start or length")
        return cls(analysis, options, tuple(parts(recording)))

    @cached_property
    def digest(self) -> str:
        """Name of this result."""
        return digest(self.analysis, self.options)

    @property
    def base(self) -> str:
        """The deployment's canonical FHIR base."""
        return self.options.canonical_base

    @property
    def zone(self) -> str | None:
        """Zone of the recording, None on a wall clock."""
        return self.analysis.recording.zone

    @property
    def pat_ran(self) -> bool:
        """Whether any week has an embedding, so that the Bundle holds AI output."""
        return any(week.embedding is not None for week in self.analysis.weeks)

    @cached_property
    def issued(self) -> str:
        """Time of issue as instant."""
        return date_time(self.options.issued)

    @cached_property
    def subject(self) -> Resource:
        """The ``subject`` element, or nothing if the caller named none."""
        reference: Resource = {"reference": self.options.subject} if self.options.subject else {}
        if self.options.subject_identifier:
            system, value = self.options.subject_identifier
            reference["identifier"] = {"system": system, "value": value}
        return {"subject": reference} if reference else {}

    @cached_property
    def format(self) -> Resource:
        """``meta`` that names the version of the result's form."""
        return {"tag": self.concept(RESULT_FORMAT)["coding"]}

    @cached_property
    def organization(self) -> Resource:
        """The organisation that runs the service, by display name."""
        return {"type": "Organization", "display": self.options.organization}

    @cached_property
    def whole(self) -> Resource:
        """Period of the whole recording."""
        return self.period(self.analysis.recording.start, self.analysis.recording.end)

    @cached_property
    def _namespace(self) -> uuid.UUID:
        return uuid.uuid5(uuid.NAMESPACE_URL, f"{self.base}/{self.digest}")

    def period(self, start: datetime, end: datetime) -> Resource:
        """Period on the recording's clock."""
        return period(start, end, self.zone)

    def url(self, key: str) -> str:
        """Return the ``urn:uuid:`` of the resource called ``key``; the same for the same result."""
        return f"urn:uuid:{uuid.uuid5(self._namespace, key)}"

    def reference(self, key: str) -> Resource:
        """Return a reference to the resource called ``key`` in the same Bundle."""
        return {"reference": self.url(key)}

    def identifier(self, key: str) -> list[Resource]:
        """Return the business identifier by which a receiver recognises a resource sent twice."""
        return [{"system": f"{self.base}/NamingSystem/result", "value": f"{self.digest[:32]}/{key}"}]

    def concept(self, code: str, text: str | None = None) -> Resource:
        """Return a CodeableConcept of our CodeSystem; ``text`` defaults to the display."""
        display = LOCAL_TERMS[code].display
        return self.said([coding(local_system(self.base), code, display)], text or display)

    def said(self, codings: list[Resource], text: str) -> Resource:
        """Return a CodeableConcept; one that was said before in this Bundle is the same object."""
        key = (text, *(part["code"] for part in codings))
        return self._concepts.setdefault(key, {"coding": codings, "text": text})

    @cached_property
    def _concepts(self) -> dict[tuple[str, ...], Resource]:
        return {}
