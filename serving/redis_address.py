"""Where a Redis is and as whom the service comes: what the durable store and shared rates have in common.

An address holds no password, for addresses end up in logs; who comes stands in a file of its own.

Errors:

    AddressUnusable           the file of user and password must not be used as it is
"""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

__all__ = ["ENCRYPTED", "PLAIN", "AddressUnusable", "RedisAddress", "fault", "same_server"]

ENCRYPTED = ("rediss", "unix")  # what leaves the machine is encrypted
PLAIN = ("redis", *ENCRYPTED)
_PORT = 6379  # where an address names none
_EXAMPLES = {"rediss": "rediss://redis.internal:6390", "unix": "unix:///run/redis/redis.sock"}


class AddressUnusable(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """The file of user and password must not be used as it is."""


def fault(url: str, schemes: Collection[str]) -> str:
    """Say what is wrong with ``url`` without repeating it; empty if nothing is."""
    expected = " or ".join(_EXAMPLES[scheme] for scheme in ENCRYPTED)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"expected an address such as {expected}"
    if parts.scheme not in schemes:
        return f"expected an address such as {expected}; others are not encrypted, or not known"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return f"expected only an address such as {expected}; user and password have a file of their own"
    return "" if _leads_somewhere(parts, port) else f"expected an address such as {expected}"


def _leads_somewhere(parts: SplitResult, port: int | None) -> bool:
    if parts.scheme == "unix":
        return not parts.netloc and len(parts.path) > 1
    database = parts.path.removeprefix("/")
    return bool(parts.hostname) and port != 0 and (not database or database.isdecimal())


def same_server(one: str, other: str) -> bool:
    """Say whether two addresses lead to one server, in whatever database."""
    parts = [urlsplit(url) for url in (one, other)]
    servers = {(part.hostname, part.port or _PORT, "" if part.hostname else part.path) for part in parts}
    return len(servers) == 1


@dataclass(frozen=True, repr=False)
class RedisAddress:
    """One server; ``credentials_file`` holds ``user password``, ``ca_file`` who vouches for the server."""

    url: str
    credentials_file: str = ""
    ca_file: str = ""

    def options(self) -> dict[str, Any]:
        """Return what connections are made with beside the address; raises AddressUnusable."""
        plain = {"protocol": 2, "driver_info": None}  # no more is said on connecting than who comes
        return {**self._credentials(), **self._tls(), **plain}

    def _credentials(self) -> dict[str, str]:
        if not self.credentials_file:
            return {}
        path = Path(self.credentials_file)
        try:
            mode, words = path.stat().st_mode, path.read_text("utf-8").split()
        except (OSError, UnicodeDecodeError):
            raise AddressUnusable("the file of a Redis user and password cannot be read") from None
        if mode & 0o077:
            raise AddressUnusable("the file of a Redis user and password is open to others; chmod 400 it")
        if len(words) != 2:
            raise AddressUnusable("the file of a Redis user and password: expected one line, user password")
        return {"username": words[0], "password": words[1]}

    def _tls(self) -> dict[str, Any]:
        if not self.url.startswith("rediss:"):
            return {}
        return {
            "ssl_ca_certs": self.ca_file or None,  # None: those of the system
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
