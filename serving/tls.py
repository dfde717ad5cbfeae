"""TLS of the entry: which files, which ciphers, and whether clients need a certificate.

TLS 1.2 with an AEAD cipher and forward secrecy, or 1.3; BentoML's own default is a cipher list without any.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from serving.settings import Settings, SettingsError

__all__ = ["CIPHERS", "check", "options"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OTHERS = 0o077


def options(settings: Settings) -> dict[str, Any]:
    """Return BentoML's options for TLS; none where the service speaks plain HTTP."""
    if not settings.tls:
        return {}
    clients: dict[str, Any] = {}
    if settings.tls_client_ca_file:
        clients = {"ca_certs": _absolute(settings.tls_client_ca_file), "cert_reqs": int(ssl.CERT_REQUIRED)}
    return {
        "enabled": True,
        "certfile": _absolute(settings.tls_certificate_file),
        "keyfile": _absolute(settings.tls_key_file),
        "ciphers": CIPHERS,
        **clients,
    }


def check(settings: Settings) -> None:
    """Load the files as the server will; SettingsError where that fails, or others may read the key."""
    if not settings.tls:
        return
    try:
        _load(settings)
        readable = Path(settings.tls_key_file).stat().st_mode & _OTHERS
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            "PAT_TLS_*: expected a certificate, its unencrypted key and, if given, the clients' CA as PEM "
            f"files; found one that cannot be used ({error.strerror or type(error).__name__})"
        ) from None
    if readable:
        raise SettingsError("PAT_TLS_KEY_FILE: expected a key that its owner alone may read; chmod 400 it")


def _load(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(CIPHERS)
    context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file, _no_password)
    if settings.tls_client_ca_file:
        context.load_verify_locations(settings.tls_client_ca_file)


def _no_password() -> str:
    return ""  # else the terminal is asked for one


def _absolute(file: str) -> str:
    return str(Path(file).absolute())
