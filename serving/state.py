"""Where a service keeps what it keeps: its state folder or a Redis, and the keys that is under."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from serving.keys import KEY_BYTES, MasterKeys
from serving.redis_address import RedisAddress
from serving.settings import Settings, SettingsError
from serving.store import SqliteStore, Store, StoreUnavailable, Vault
from serving.telemetry import CacheTelemetry

if TYPE_CHECKING:
    from serving.fhir_push import FhirServer
    from serving.redis_store import RedisStore
    from serving.sealed_cache import SealedCache

__all__ = [
    "audit_folder",
    "audit_keys",
    "check_redis",
    "keys_file",
    "open_cache",
    "open_fhir_server",
    "open_keys",
    "open_store",
    "open_vault",
    "shared_cache",
    "shared_rates",
    "store_file",
]


def audit_folder(state: Path) -> Path:
    """Return the folder of the audit trail."""
    return state / "audit"


def store_file(state: Path) -> Path:
    """Return the file of the durable store."""
    return state / "store" / "pat.sqlite"


def keys_file(state: Path) -> Path:
    """Return the file of the wrapped keys, apart from what they open."""
    return state / "keys" / "pat.sqlite"


def open_vault(settings: Settings, keys: MasterKeys, store: Store | None = None) -> Vault:
    """Open the vault, on ``store`` if that is open.

    Raises StoreUnavailable, StoreUnfit, AddressUnusable or Unreadable.
    """
    return Vault(store or open_store(settings), keys, open_keys(settings))


def open_store(settings: Settings) -> Store:
    """Open the durable store; raises StoreUnavailable, StoreUnfit or AddressUnusable."""
    if settings.store_url:
        return _on_redis(settings, settings.store_url, settings.store_credentials_file)
    return SqliteStore(store_file(Path(settings.state_folder)))


def open_keys(settings: Settings) -> Store | None:
    """Open where the wrapped keys are: a file or a Redis of their own; None if beside what they open.

    Raises as ``open_store`` does.
    """
    if settings.keys_url:
        return _on_redis(settings, settings.keys_url, settings.keys_credentials_file)
    return None if settings.store_url else SqliteStore(keys_file(Path(settings.state_folder)))


def check_redis(settings: Settings) -> None:
    """Raise StoreUnfit or AddressUnusable for what must not be used; what does not answer may come later."""
    from serving.redis_store import StoreUnfit  # noqa: PLC0415  # only where the store is there

    for address in (shared_rates(settings), shared_cache(settings)):
        if address is not None:
            address.options()
    for url, credentials_file in (
        (settings.store_url, settings.store_credentials_file),
        (settings.keys_url, settings.keys_credentials_file),
    ):
        try:
            if url:
                _on_redis(settings, url, credentials_file).close()
        except StoreUnfit:
            raise
        except StoreUnavailable:
            continue


def _on_redis(settings: Settings, url: str, credentials_file: str) -> RedisStore:
    from serving.redis_store import RedisStore  # noqa: PLC0415  # as above

    return RedisStore(RedisAddress(url, credentials_file, settings.redis_ca_file))


def shared_rates(settings: Settings) -> RedisAddress | None:
    """Return where processes count together; None where each counts for itself."""
    if not settings.rates_url:
        return None
    return RedisAddress(settings.rates_url, settings.rates_credentials_file, settings.redis_ca_file)


def shared_cache(settings: Settings) -> RedisAddress | None:
    """Return where processes share a cache; None where each has its own, or none."""
    if not settings.cache_url:
        return None
    return RedisAddress(settings.cache_url, settings.cache_credentials_file, settings.redis_ca_file)


def open_cache(settings: Settings) -> SealedCache | None:
    """Open the cache; None where there is none. Raises KeysUnusable or AddressUnusable."""
    from serving.cache_keys import Keyring  # noqa: PLC0415  # the runner needs none of it
    from serving.memory_cache import MemoryCache  # noqa: PLC0415  # same
    from serving.redis_cache import RedisCache  # noqa: PLC0415  # same
    from serving.sealed_cache import SealedCache  # noqa: PLC0415  # same

    telemetry, address = CacheTelemetry(), shared_cache(settings)
    if address is not None:
        keys = MasterKeys.read(Path(settings.master_keys_file)).derived("cache")
        return SealedCache(RedisCache(address), Keyring(next(iter(keys.values()))), telemetry)
    if not settings.cache_bytes:
        return None
    memory = MemoryCache(settings.cache_bytes, telemetry)
    return SealedCache(memory, Keyring(secrets.token_bytes(KEY_BYTES)), telemetry)


def open_fhir_server(settings: Settings) -> FhirServer | None:
    """Return the FHIR server that takes results; None where there is none.

    Raises KeyUnusable, or SettingsError for certificates that cannot be read.
    """
    from serving import outbound, smart  # noqa: PLC0415  # only where the server is there
    from serving.fhir_push import FhirServer  # noqa: PLC0415  # same

    base, access = settings.fhir_server_url, None
    if not base:
        return None
    if settings.fhir_client_id:
        key = smart.ClientKey.read(
            Path(settings.fhir_key_file), settings.fhir_client_id, settings.fhir_key_id
        )
        scopes = settings.fhir_scopes or smart.SCOPES
        access = smart.BackendAccess(key, base.rstrip("/"), scopes, token_url=settings.fhir_token_url)
    try:
        client = outbound.client(settings.fhir_server_ca_file)
    except OSError:  # ssl.SSLError is one
        raise SettingsError("PAT_FHIR_SERVER_CA_FILE: expected certificates in a PEM file") from None
    return FhirServer(base, client, access, seconds=settings.fhir_server_seconds)


def audit_keys(keys: MasterKeys) -> dict[str, bytes]:
    """Return the keys of the audit trail by name, the current one first."""
    return keys.derived("audit")
