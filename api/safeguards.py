"""Puts the safeguards of a service together from its settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import httpx

from api.keeping import Keeping, registry
from api.protection import Safeguards
from serving import lifecycle
from serving.audit import AuditTrail, AuditUnavailable
from serving.audit_file import Checkpoint, MacKey
from serving.auth import BearerIdentity, Role, Verifier
from serving.care import Care
from serving.codes import Codes
from serving.firebase_tokens import GOOGLE, Certificates, EmulatorTokens, FirebaseTokens
from serving.keys import MasterKeys
from serving.outbox import Outbox
from serving.rates import Rates
from serving.revocation import Revocation, firebase_accounts
from serving.sealed_cache import SealedCache
from serving.settings import Settings
from serving.shared_rates import SharedWindows
from serving.signing_keys import SigningKeys
from serving.state import audit_folder, audit_keys, open_store, open_vault, shared_rates
from serving.store import Store, StoreUnavailable
from serving.sweeper import AuditFiles, Chore, Expired, Sweeper
from serving.system_tokens import Issuer, SystemTokens, read_jwks
from serving.telemetry import SafeguardTelemetry, admission

__all__ = ["build"]

_CERTIFICATE_SECONDS = 2
_OF_SYSTEMS = frozenset({Role.SERVICE})
log = logging.getLogger("pat.audit")


def build(settings: Settings, cache: SealedCache | None = None) -> Safeguards:
    """Open what guards the service; ``cache`` hears of deletions.

    Raises KeysUnusable, CredentialsUnusable, StoreUnavailable or Unreadable.
    A trail that cannot be written yet is no error here: the service is not ready until it can.
    """
    state, keys = Path(settings.state_folder), MasterKeys.read(Path(settings.master_keys_file))
    store = open_store(settings)  # first: while it does not answer, nothing else has begun
    vault = open_vault(settings, keys, store)
    identity = _identity(settings)
    name, secret = next(iter(audit_keys(keys).items()))
    folder = audit_folder(state)
    trail = AuditTrail(folder, MacKey(name, secret), _tell)
    trail.start()
    _announce(trail, store, settings.facts() | {lifecycle.KEY: keys.current}, secret)
    keeping = Keeping(store, vault, trail, registry(vault, cache))
    chores: list[Chore] = [
        AuditFiles(trail, folder, settings.audit_days),
        *map(Expired, vault.stores),
        Outbox(vault),
    ]
    sweeper = Sweeper(trail, chores)
    sweeper.start()
    return Safeguards(
        identity,
        trail,
        Care(vault, settings.audit_days),
        registry=keeping.registry,
        audit_folder=folder,
        sweeper=sweeper,
        stores=vault.stores,
        codes=Codes(vault),
        keeping=keeping,
        rates=_rates(settings, keys),
        telemetry=SafeguardTelemetry(),
        admission=admission(),
    )


def _rates(settings: Settings, keys: MasterKeys) -> Rates:
    """Return what counts requests, together with other processes where they have a place for it."""
    most = {
        "address": settings.rate_address,
        "caller": settings.rate_caller,
        "tenant": settings.rate_tenant,
        "failure": settings.rate_failure,
        "emergency": settings.rate_emergency,
    }
    if (address := shared_rates(settings)) is None:
        return Rates(most)
    return Rates(most, SharedWindows(address, next(iter(keys.derived("rates").values()))))


def _identity(settings: Settings) -> BearerIdentity:
    """Return who verifies tokens: of people by Firebase, of systems by their issuer, where there is one."""
    client, project = httpx.Client(timeout=_CERTIFICATE_SECONDS), settings.firebase_project
    certificates = Certificates(client, settings.certificates_url or GOOGLE)
    kind = EmulatorTokens if settings.emulated else FirebaseTokens
    allowed = frozenset(Role) - (_OF_SYSTEMS if settings.oidc_issuer else frozenset())
    verifiers: list[Verifier] = [kind(project, certificates, allowed=allowed)]
    if settings.oidc_issuer:
        issuer = Issuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_tenant_claim)
        verifiers.append(SystemTokens(issuer, SigningKeys(client, settings.oidc_jwks_url, read_jwks)))
    if not (settings.firebase_credentials_file or settings.emulated):
        return BearerIdentity(verifiers)
    accounts = firebase_accounts(project, settings.firebase_credentials_file)
    return BearerIdentity(verifiers, standing=Revocation(accounts))


def _announce(trail: AuditTrail, store: Store, facts: Mapping[str, str], secret: bytes) -> None:
    """Record the start; where nothing can be recorded nothing is answered either.

    Raises StoreUnavailable, and ends the trail for the next attempt.
    """
    try:
        lifecycle.started(trail, store, facts, secret)
    except AuditUnavailable as error:
        log.warning("the start is not recorded: %s", error)
    except StoreUnavailable:
        trail.close()
        raise


def _tell(reached: Checkpoint) -> None:
    """Say in the log how far the trail is; ship the log to where this machine cannot write."""
    log.info("checkpoint %s %d %s", reached.file, reached.seq, reached.mac)
