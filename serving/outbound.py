"""Asking other services over HTTP: encrypted, no further than told, and reading no more than was asked for.

No redirect is followed, no proxy and no password of the environment is used, and an answer is read up to a
limit. What an answer says is for its reader alone: never for a log.

Errors:

    AnswerUnusable            the answer is longer than is read, or encoded though it was not to be
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

__all__ = ["Answer", "AnswerUnusable", "ask", "client", "is_certificate_fault"]

_CONNECT_SECONDS = 5
_LONGEST_WAIT = 3_600.0  # of what a Retry-After may ask for


class AnswerUnusable(RuntimeError):  # noqa: N818  # it says what is the case, as KeyError does
    """The answer, of this ``status``, cannot be read for what was ``found``."""

    def __init__(self, status: int, found: str) -> None:
        super().__init__(f"expected an answer that can be read, found {found}")
        self.status, self.found = status, found


@dataclass(frozen=True, repr=False)
class Answer:
    """What was answered, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def retry_after_seconds(self) -> float:
        """How long the service asks to be left alone, an hour at most; 0 if it does not."""
        said = self.headers.get("retry-after", "").strip()
        if said.isdecimal():
            return min(float(said[:9]), _LONGEST_WAIT)
        try:
            until = parsedate_to_datetime(said)
        except ValueError:
            return 0.0
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(max(0.0, (until - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)


def client(ca_file: str = "", base_url: str = "") -> httpx.AsyncClient:
    """Return a client that trusts whom ``ca_file`` vouches for; without one, whom the system trusts.

    Raises OSError for certificates that cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.AsyncClient(
        base_url=base_url,
        verify=context,
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "pat-service"},
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),  # the caller's deadline holds for the rest
    )


async def ask(at: httpx.AsyncClient, request: httpx.Request, most_bytes: int) -> Answer:
    """Send ``request`` and read the answer; raises httpx.HTTPError or AnswerUnusable."""
    try:
        answer = await at.send(request, stream=True)
    except (
        AttributeError
    ) as error:  # on uvloop anyio finds no socket where a connection was reset as it was made
        raise httpx.ConnectError("the connection was reset") from error
    try:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise AnswerUnusable(answer.status_code, "a content encoding that was not asked for")
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > most_bytes:
                raise AnswerUnusable(answer.status_code, f"an answer of more than {most_bytes:,} bytes")
    finally:
        await answer.aclose()
    return Answer(answer.status_code, answer.headers, bytes(body))


def is_certificate_fault(error: BaseException) -> bool:
    """Say whether ``error`` comes of a certificate that is not trusted."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
