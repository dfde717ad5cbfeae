"""Settings: the one place that reads the environment, checked before anything starts.

    SettingsError        a variable is unknown, malformed or forbidden in this profile

Every variable begins with ``PAT_`` and has a heading in docs/settings.md.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_type_hints

from serving.cores import cores

__all__ = ["Precision", "Profile", "Settings", "SettingsError"]

_PREFIX = "PAT_"
_EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
_DEBUG, _TRUE = "BENTOML_DEBUG", ("true", "1", "yes", "on")
_NOT_OURS = frozenset(
    {"PAT_NO_SKIP", "PAT_SHARED", "PAT_TOOLS_CACHE"}
)  # read by the tests, never by the service


class SettingsError(ValueError):
    """The environment asks for something the service must not start with."""


class Profile(StrEnum):
    """What must be set: production needs identity, keys and a trail; test may name a certificate endpoint."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Precision(StrEnum):
    """What the network's attention is computed in; bf16 is for processors and GPUs that have it."""

    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True)
class Settings:
    """What an operator decides; the defaults serve the demonstration checkpoint on a laptop."""

    profile: Profile = Profile.DEVELOPMENT
    host: str = "127.0.0.1"
    port: int = 3000
    checkpoint: str = "pat-s-demo:latest"  # tag in the BentoML model store
    checkpoint_sha256: str = ""  # pins the content as well; empty trusts the tag's own digest
    engine: str = "auto"
    precision: Precision = Precision.FP32
    api_workers: int = 1
    runner_workers: int = 1
    runner_threads: int = field(default_factory=cores)  # unless given: the cores, shared among the runners
    max_batch_size: int = field(default_factory=lambda: max(8, 2 * cores()))
    max_latency_ms: int = 30_000  # BentoML sheds what it expects to be slower; it does not wait this long
    max_waiting_weeks: int = 256  # weeks admitted to the runner at a time, per API worker
    timeout_seconds: int = 60
    json_body_bytes: int = 2_000_000
    raw_body_bytes: int = 16_000_000
    embed_body_bytes: int = 10_321_920  # 256 weeks of float32
    body_seconds: int = 30  # for a whole body to arrive
    tls_certificate_file: str = ""  # PEM, with the chain; empty: plain HTTP, on loopback
    tls_key_file: str = ""
    tls_client_ca_file: str = ""  # who signs the certificates that clients must have; empty: they need none
    firebase_project: str = ""  # whose ID tokens are accepted; empty: nobody is asked who they are
    certificates_url: str = ""  # instead of Google's, in the test profile
    master_keys_file: str = ""  # lines of name and key, readable by the owner alone
    state_folder: str = ""  # the audit trail and the durable store
    rate_address: int = 600  # requests a minute of one address, one caller, one tenant, per API worker
    rate_caller: int = 120
    rate_tenant: int = 1_200
    fhir_canonical_base: str = "https://pat-service.invalid/fhir"
    organization: str = "PAT Service (unconfigured organisation)"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read and check ``environ`` (default: the process's own)."""
        environ = os.environ if environ is None else environ
        given = _parse(environ, get_type_hints(cls))
        runners = max(1, given.get("runner_workers", cls.runner_workers))
        settings = cls(**{"runner_threads": max(1, cores() // runners), **given})
        settings.check(environ)
        return settings

    @property
    def guarded(self) -> bool:
        """Whether callers are identified, decided about and recorded."""
        return bool(self.firebase_project)

    @property
    def tls(self) -> bool:
        """Whether the service speaks TLS."""
        return bool(self.tls_certificate_file)

    @property
    def open_to_others(self) -> bool:
        """Whether other machines may be answered: those are identified, over TLS."""
        return self.tls and self.guarded

    def check(self, environ: Mapping[str, str]) -> None:
        """Refuse what must not start; called by ``from_environment``."""
        if self.profile is not Profile.TEST and environ.get(_EMULATOR):
            raise SettingsError(f"{_EMULATOR} is set outside the test profile; unset it")
        if self.profile is not Profile.TEST and self.certificates_url:
            raise SettingsError("PAT_CERTIFICATES_URL is set outside the test profile; unset it")
        if self.profile is Profile.PRODUCTION and environ.get(_DEBUG, "").lower() in _TRUE:
            raise SettingsError(f"{_DEBUG} is on in production, where it logs what it is sent; unset it")
        if self.profile is Profile.PRODUCTION and not self.firebase_project:
            raise SettingsError("PAT_PROFILE=production needs PAT_FIREBASE_PROJECT, whose tokens it accepts")
        if self.guarded and not (self.master_keys_file and self.state_folder):
            raise SettingsError(
                "PAT_FIREBASE_PROJECT needs PAT_MASTER_KEYS_FILE and PAT_STATE_FOLDER as well"
            )
        self._check_edges()
        for name, value in vars(self).items():
            if isinstance(value, int) and value < 1:
                raise SettingsError(f"{_variable(name)}: expected a whole number of at least 1")
        if self.max_batch_size == 1:
            raise SettingsError("PAT_MAX_BATCH_SIZE: expected at least 2, for BentoML batches no less")

    def _check_edges(self) -> None:
        if self.tls != bool(self.tls_key_file) or (self.tls_client_ca_file and not self.tls):
            raise SettingsError(
                "PAT_TLS_CERTIFICATE_FILE and PAT_TLS_KEY_FILE need each other, PAT_TLS_CLIENT_CA_FILE both"
            )
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise SettingsError("PAT_HOST: expected an address, such as 127.0.0.1") from None
        if not loopback and not self.open_to_others:
            raise SettingsError(
                "PAT_HOST must be 127.0.0.1 or ::1 unless callers are identified (PAT_FIREBASE_PROJECT) and "
                "come over TLS (PAT_TLS_CERTIFICATE_FILE); or put a proxy with TLS in front of it"
            )


def _variable(name: str) -> str:
    return _PREFIX + name.upper()


def _parse(environ: Mapping[str, str], types: Mapping[str, type]) -> dict[str, Any]:
    known = {_variable(name): name for name in types}
    given = {name for name in environ if name.startswith(_PREFIX)} - _NOT_OURS
    if unknown := sorted(given - known.keys()):
        raise SettingsError(f"unknown setting {unknown[0]}; docs/settings.md lists the known ones")
    return {known[name]: _value(name, environ[name], types[known[name]]) for name in sorted(given)}


def _value(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else f"one of {', '.join(kind)}"  # type: ignore[arg-type]  # StrEnum
        raise SettingsError(f"{name}: expected {expected}") from None
