"""Where another service is: an address over TLS, or on this machine; never with a password in it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["fault", "is_loopback"]


def is_loopback(url: str) -> bool:
    """Say whether ``url`` leads to this machine by its number, or by the name localhost."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fault(url: str, *, plain: bool) -> str:
    """Say what is wrong with ``url`` without repeating it; ``plain`` allows http to this machine."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "expected an address such as https://fhir.example/r4"
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        return "expected only an address such as https://fhir.example/r4"
    if parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(url)):
        return ""
    return "expected an address that begins with https://" + (", or http:// to 127.0.0.1" if plain else "")
