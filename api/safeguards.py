"""Puts the safeguards of a service together from its settings."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx

from api.guard import Safeguards
from serving.audit import AuditTrail, Checkpoint, MacKey
from serving.auth import GOOGLE, Certificates, FirebaseIdentity
from serving.care import HELD, Care
from serving.codes import RESEARCH_CODE, Codes
from serving.deletion import Registry, VaultHolder
from serving.keys import MasterKeys
from serving.rates import Rates
from serving.settings import Settings
from serving.state import audit_folder, audit_keys, store_file
from serving.store import SqliteStore, Vault

__all__ = ["build"]

_CERTIFICATE_SECONDS = 2
log = logging.getLogger("pat.audit")


def build(settings: Settings) -> Safeguards:
    """Open what guards the service; raises KeysUnusable, StoreUnavailable or Unreadable.

    A trail that cannot be written yet is no error here: the service is not ready until it can.
    """
    state, keys = Path(settings.state_folder), MasterKeys.read(Path(settings.master_keys_file))
    name, secret = next(iter(audit_keys(keys).items()))
    trail = AuditTrail(audit_folder(state), MacKey(name, secret), _tell)
    trail.start()
    client = httpx.Client(timeout=_CERTIFICATE_SECONDS)
    identity = FirebaseIdentity(
        settings.firebase_project, Certificates(client, settings.certificates_url or GOOGLE)
    )
    vault = Vault(SqliteStore(store_file(state)), keys)
    registry = Registry(vault, [VaultHolder(vault, purpose) for purpose in (*HELD, RESEARCH_CODE)])
    rates = Rates(
        {
            "address": settings.rate_address,
            "caller": settings.rate_caller,
            "tenant": settings.rate_tenant,
        }
    )
    return Safeguards(identity, trail, Care(vault), registry, rates, Codes(vault))


def _tell(reached: Checkpoint) -> None:
    """Say in the log how far the trail is; ship the log to where this machine cannot write."""
    log.info("checkpoint %s %d %s", reached.file, reached.seq, reached.mac)
