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
from urllib.parse import urlsplit

from serving import redis_address, scrape, web_address
from serving.cores import cores
from serving.retention import AUDIT_DAYS

__all__ = ["Precision", "Profile", "Settings", "SettingsError", "Signal"]

_PREFIX = "PAT_"
_EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
_GOOGLE = "https://securetoken.google.com/"  # who issues Firebase's ID tokens
_DEBUG, _TRUE = "BENTOML_DEBUG", ("true", "1", "yes", "on")
_MAY_BE_ZERO = ("cache_bytes", "drain_seconds")
_NOT_OURS = frozenset({"PAT_NO_SKIP", "PAT_SHARED", "PAT_TOOLS_CACHE"})  # read by the tests alone


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


class Signal(StrEnum):
    """What leaves for a collector, by the name of its door there."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True)
class Settings:
    """What an operator decides; the defaults serve the demonstration checkpoint on a laptop."""

    profile: Profile = Profile.DEVELOPMENT
    host: str = "127.0.0.1"
    port: int = 3000
    metrics_address: str = ""  # of a listener for Prometheus alone; empty: none
    otlp_endpoint: str = ""  # of a collector (OTLP over HTTP); empty: there is none, and no spans are made
    otlp_signals: str = ",".join(Signal)  # what is sent there
    otlp_metrics_seconds: int = 60  # from one report of metrics to the next
    otlp_sample: float = 1.0  # share of the traces that begin here
    otlp_ca_file: str = ""  # who vouches for the collector; empty: whom the system trusts
    otlp_headers_file: str = ""  # lines of name and value that the collector wants to see
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
    max_requests: int = field(default_factory=lambda: max(1, cores() - 1))  # under way, per API worker
    waiting_bytes: int = 128_000_000  # of bodies in memory at a time, per API worker
    deadline_seconds: int = 10  # within which a request must begin
    timeout_seconds: int = 60
    json_body_bytes: int = 2_000_000
    raw_body_bytes: int = 16_000_000
    embed_body_bytes: int = 10_321_920  # 256 weeks of float32
    job_body_bytes: int = 64_000_000
    jobs_bytes: int = 1_000_000_000  # kept of all jobs together, what came in and what came out
    body_seconds: int = 30  # for a whole body to arrive
    drain_seconds: int = 0  # answered on, unready, after the signal to stop
    tls_certificate_file: str = ""  # PEM, with the chain; empty: plain HTTP, on loopback
    tls_key_file: str = ""
    tls_client_ca_file: str = ""  # who signs the certificates that clients must have; empty: they need none
    firebase_project: str = ""  # whose ID tokens are accepted; empty: nobody is asked who they are
    certificates_url: str = ""  # instead of Google's, in the test profile
    firebase_credentials_file: str = ""  # a service account's, which may ask whether a sign-in was revoked
    oidc_issuer: str = ""  # whose access tokens of systems are accepted, for whom, verified with what
    oidc_audience: str = ""
    oidc_jwks_url: str = ""
    oidc_tenant_claim: str = "tenant"
    oidc_token_url: str = ""  # where systems get them (SMART Backend Services); empty: not told to clients
    master_keys_file: str = ""  # lines of name and key, readable by the owner alone
    state_folder: str = ""  # the audit trail and the durable store
    store_url: str = ""  # a Redis for the durable store; empty: a file in the state folder
    store_credentials_file: str = ""  # user and password there
    keys_url: str = ""  # another Redis, for the wrapped keys of that store; production needs it there
    keys_credentials_file: str = ""
    rates_url: str = ""  # a Redis for counts of requests; empty: each process counts for itself
    rates_credentials_file: str = ""
    cache_url: str = ""  # a Redis for what can be computed again; empty: memory of each process
    cache_credentials_file: str = ""
    cache_bytes: int = 32_000_000  # of that memory; 0: no cache, unless it is on a Redis
    cache_analysis_seconds: int = 3_600  # that an analysis is kept, and the embedding of a week
    cache_embedding_seconds: int = 86_400
    redis_ca_file: str = ""  # who vouches for them; empty: whom the system trusts
    audit_days: int = AUDIT_DAYS  # the trail and the reasons of emergencies are kept
    rate_address: int = 600  # requests a minute of one address, one caller, one tenant, per API worker
    rate_caller: int = 120
    rate_tenant: int = 1_200
    rate_failure: int = 30  # failed identifications a minute of one address
    rate_emergency: int = 10  # emergencies an hour of one caller
    fhir_server_url: str = ""  # where results are delivered; empty: nowhere
    fhir_server_ca_file: str = ""  # who vouches for it; empty: whom the system trusts
    fhir_server_seconds: int = 30  # for one try
    fhir_client_id: str = ""  # as whom the service asks for tokens there (SMART Backend Services)
    fhir_key_file: str = ""  # PEM, readable by the owner alone, and the name it is published under
    fhir_key_id: str = ""
    fhir_token_url: str = ""  # empty: as the server's own smart-configuration says
    fhir_scopes: str = ""  # empty: what deliveries need (serving/smart.py)
    health_data_url: str = ""  # of the health data service; empty: there is none
    health_data_ca_file: str = ""  # who vouches for it; empty: whom the system trusts
    health_data_users_file: str = ""  # JSON: subject to the UUID that it keeps the subject under
    health_data_seconds: int = 20  # for all that is asked of it in one request; as long again to write back
    health_data_late_days: int = 14  # after the period in which its uploads may still arrive
    health_data_pages: int = 60  # of 1,000 metrics, asked for in one request
    fhir_canonical_base: str = "https://pat-service.invalid/fhir"
    organization: str = "PAT Service (unconfigured organisation)"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read and check ``environ`` (default: the process's own)."""
        environ = os.environ if environ is None else environ
        given = _parse(environ, get_type_hints(cls))
        runners = max(1, given.get("runner_workers", cls.runner_workers))
        share = max(1, (cores() - 1) // max(1, given.get("api_workers", cls.api_workers)))
        settings = cls(**{"runner_threads": max(1, cores() // runners), "max_requests": share, **given})
        settings.check(environ)
        return settings

    @property
    def guarded(self) -> bool:
        """Whether callers are identified, decided about and recorded."""
        return bool(self.firebase_project)

    @property
    def keeps(self) -> bool:
        """Whether there is something to keep things in."""
        return bool(self.master_keys_file and (self.state_folder or self.store_url))

    @property
    def emulated(self) -> bool:
        """Whether the unsigned tokens of a Firebase emulator are believed: in the test profile alone."""
        return self.profile is Profile.TEST and bool(os.environ.get(_EMULATOR))

    @property
    def tls(self) -> bool:
        """Whether the service speaks TLS."""
        return bool(self.tls_certificate_file)

    @property
    def open_to_others(self) -> bool:
        """Whether other machines may be answered: those are identified, over TLS."""
        return self.tls and self.guarded

    @property
    def signals(self) -> frozenset[Signal]:
        """What is sent to a collector, if there is one; ValueError for what is no signal."""
        return frozenset(Signal(name.strip()) for name in self.otlp_signals.split(","))

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
        if self.profile is Profile.PRODUCTION and self.audit_days < AUDIT_DAYS:
            raise SettingsError(
                f"PAT_AUDIT_DAYS: production keeps the audit trail for {AUDIT_DAYS} days or more"
            )
        if self.guarded and not (self.master_keys_file and self.state_folder):
            raise SettingsError(
                "PAT_FIREBASE_PROJECT needs PAT_MASTER_KEYS_FILE and PAT_STATE_FOLDER as well"
            )
        self._check_issuer()
        self._check_redis()
        self._check_fhir_server()
        self._check_edges()
        self._check_health_data()
        self._check_collector()
        for name, value in vars(self).items():
            least = 0 if name in _MAY_BE_ZERO else 1
            if isinstance(value, int) and value < least:
                raise SettingsError(f"{_variable(name)}: expected a whole number of at least {least}")
        if self.max_batch_size == 1:
            raise SettingsError("PAT_MAX_BATCH_SIZE: expected at least 2, for BentoML batches no less")

    def _check_issuer(self) -> None:
        """Refuse an issuer of systems' tokens that is half named, is Google, or could be overheard."""
        given = (self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url)
        if any(given) and not all(given):
            raise SettingsError(
                "PAT_OIDC_ISSUER, PAT_OIDC_AUDIENCE and PAT_OIDC_JWKS_URL go together; set all"
            )
        if (self.oidc_issuer or self.firebase_credentials_file) and not self.firebase_project:
            raise SettingsError(
                "PAT_OIDC_ISSUER and PAT_FIREBASE_CREDENTIALS_FILE need PAT_FIREBASE_PROJECT as well"
            )
        if self.oidc_issuer.startswith(_GOOGLE):
            raise SettingsError("PAT_OIDC_ISSUER is Firebase's, whose tokens are accepted already; unset it")
        if self.oidc_token_url and not self.oidc_issuer:
            raise SettingsError("PAT_OIDC_TOKEN_URL needs PAT_OIDC_ISSUER, whose tokens are given there")
        schemes = ("https", "http") if self.profile is Profile.TEST else ("https",)
        told = ("oidc_token_url",) if self.oidc_token_url else ()
        for name in ("oidc_issuer", "oidc_jwks_url", *told) if self.oidc_issuer else ():
            if not _is_address(getattr(self, name), schemes):
                raise SettingsError(f"{_variable(name)}: expected an address that begins with https://")

    def _check_redis(self) -> None:
        """Refuse addresses that name a password, lead nowhere, or could be overheard in production."""
        schemes = redis_address.ENCRYPTED if self.profile is Profile.PRODUCTION else redis_address.PLAIN
        for name in ("store_url", "keys_url", "rates_url", "cache_url"):
            url = getattr(self, name)
            if url and (fault := redis_address.fault(url, schemes)):
                raise SettingsError(f"{_variable(name)}: {fault}")
        if self.keys_url and not self.store_url:
            raise SettingsError(
                "PAT_KEYS_URL needs PAT_STORE_URL; in files the wrapped keys are apart already"
            )
        if self.profile is Profile.PRODUCTION and self.store_url and not self.keys_url:
            raise SettingsError(
                "PAT_STORE_URL needs PAT_KEYS_URL in production: a copy of both opens what was deleted since"
            )
        if self.keys_url and redis_address.same_server(self.keys_url, self.store_url):
            raise SettingsError("PAT_KEYS_URL: expected another server than that of PAT_STORE_URL")
        self._check_cache()

    def _check_cache(self) -> None:
        """Refuse a cache that nothing seals, or on a server that keeps on a disk what it is given."""
        if not self.cache_url:
            if self.cache_credentials_file:
                raise SettingsError("PAT_CACHE_CREDENTIALS_FILE needs PAT_CACHE_URL as well")
            return
        if not self.master_keys_file:
            raise SettingsError("PAT_CACHE_URL needs PAT_MASTER_KEYS_FILE, whose keys seal what is there")
        for name in ("store_url", "keys_url"):
            url = getattr(self, name)
            if url and redis_address.same_server(self.cache_url, url):
                raise SettingsError(f"PAT_CACHE_URL: expected another server than that of {_variable(name)}")

    def _check_fhir_server(self) -> None:
        """Refuse a FHIR server that could be overheard, or that is not told who comes."""
        plain = self.profile is not Profile.PRODUCTION
        for name in ("fhir_server_url", "fhir_token_url"):
            url = getattr(self, name)
            if url and (fault := web_address.fault(url, plain=plain)):
                raise SettingsError(f"{_variable(name)}: {fault}")
        client = (self.fhir_client_id, self.fhir_key_file, self.fhir_key_id)
        if any((*client, self.fhir_token_url)) and not all((*client, self.fhir_server_url)):
            raise SettingsError(
                "PAT_FHIR_CLIENT_ID, PAT_FHIR_KEY_FILE, PAT_FHIR_KEY_ID and PAT_FHIR_SERVER_URL go together; "
                "set all"
            )
        if self.fhir_server_url and not self.guarded:
            raise SettingsError("PAT_FHIR_SERVER_URL needs PAT_FIREBASE_PROJECT as well")
        if self.fhir_server_url and not any(client) and not web_address.is_loopback(self.fhir_server_url):
            raise SettingsError(
                "PAT_FHIR_SERVER_URL leads to another machine, which must be told who comes; set "
                "PAT_FHIR_CLIENT_ID, PAT_FHIR_KEY_FILE and PAT_FHIR_KEY_ID"
            )

    def _check_health_data(self) -> None:
        """Refuse an address where a caller's token could be overheard, and more time than an answer has."""
        if not self.health_data_url:
            if self.health_data_ca_file or self.health_data_users_file:
                raise SettingsError(
                    "PAT_HEALTH_DATA_CA_FILE and PAT_HEALTH_DATA_USERS_FILE need PAT_HEALTH_DATA_URL as well"
                )
            return
        plain = self.profile is not Profile.PRODUCTION
        if fault := web_address.fault(self.health_data_url, plain=plain):
            raise SettingsError(f"PAT_HEALTH_DATA_URL: {fault}")
        if 2 * self.health_data_seconds >= self.timeout_seconds:
            raise SettingsError(
                "PAT_HEALTH_DATA_SECONDS: expected less than half of PAT_TIMEOUT_SECONDS, for an answer that "
                "is written back takes it twice"
            )

    def _check_collector(self) -> None:
        """Refuse a collector that could be overheard, and a share that is none."""
        if not self.otlp_endpoint and (self.otlp_ca_file or self.otlp_headers_file):
            raise SettingsError("PAT_OTLP_CA_FILE and PAT_OTLP_HEADERS_FILE need PAT_OTLP_ENDPOINT as well")
        if self.otlp_endpoint and (fault := web_address.fault(self.otlp_endpoint, plain=True)):
            raise SettingsError(f"PAT_OTLP_ENDPOINT: {fault}")
        try:
            self.signals  # noqa: B018  # read for what it raises
        except ValueError:
            raise SettingsError(
                f"PAT_OTLP_SIGNALS: expected some of {', '.join(Signal)}, with commas between them"
            ) from None
        if not 0 <= self.otlp_sample <= 1:
            raise SettingsError("PAT_OTLP_SAMPLE: expected a share from 0 to 1")

    def _check_edges(self) -> None:
        try:
            metrics = scrape.address_of(self.metrics_address) if self.metrics_address else None
        except ValueError as error:
            raise SettingsError(f"PAT_METRICS_ADDRESS: {error}") from None
        if metrics and metrics[1] == self.port:
            raise SettingsError("PAT_METRICS_ADDRESS: expected another port than PAT_PORT")
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

    def facts(self) -> dict[str, str]:
        """Return every setting by the name of its variable, as text."""
        return {_variable(name): str(value) for name, value in vars(self).items()}


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in schemes and bool(url.hostname)


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
        raise SettingsError(f"{name}: expected {_expected(kind)}") from None


def _expected(kind: type) -> str:
    numbers = {int: "a whole number", float: "a number"}
    return numbers.get(kind) or f"one of {', '.join(kind)}"  # type: ignore[arg-type]  # StrEnum
