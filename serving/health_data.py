"""The health data service: what it lists of the caller is pulled, and an analysis is written back.

It lists the data of whoever owns the token, so the caller's token is passed on. Pages are asked for until two
in a row are empty, for a short one is not the last; where whole uploads are listed, those beyond the store's
own page are reached by asking for narrower ranges. Days are widened on both sides, because some stores filter
by when a record arrived and others by when it was made, and serving.health_items keeps what was measured in
the period. docs/health-data-service.md says what is survived, and how.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from serving import outbound
from serving.health_errors import HealthDataError, UpstreamError, UserUnmapped
from serving.health_exchange import Answer, Deadline, Exchange, Token, pause_seconds
from serving.health_items import ANALYSIS_PROFILE, Sorted, Wanted
from serving.settings import Settings, SettingsError

__all__ = ["HealthData", "Pulled", "Result", "Written", "check", "metric_id"]

log = logging.getLogger("pat.health_data")
_PATH = "/api/v1/health-data/"
_UPLOAD_PATHS = (_PATH, f"{_PATH}upload")  # the second for revisions that do not know the first
_PAGE_ITEMS = 1000
_EMPTY_PAGES = 2  # in a row are the end
_INSTANT = timedelta(milliseconds=1)
_EARLIEST = timedelta(days=14)  # a series whose record was made when it began
_CLOCK_SKEW = timedelta(days=1)
_MOST_BYTES = 64_000_000  # of all pages of one request
_CONFIRMATIONS = 2
_UPLOADS = 2  # the second only where the first is known not to have been stored
_SOURCE = "pat_service"
_NAMESPACE = uuid.UUID("a0c42e0c-4f3f-5a7b-9d55-6c2d9c1a9d52")  # of the ids of analyses that are written back


def metric_id(user: str, document: Mapping[str, Any]) -> str:
    """Return the id under which an analysis of ``user`` is kept: the same for the same analysis."""
    written = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return str(uuid.uuid5(_NAMESPACE, f"{user}\n{written}"))


@dataclass(frozen=True)
class Pulled:
    """One document of all that can be analysed, and where it comes from."""

    document: bytes = field(repr=False)
    source: Mapping[str, Any]
    analyses: frozenset[str]  # metric_ids of analyses that are there already


@dataclass(frozen=True)
class Result:
    """An analysis on its way back: whose, since when it may be there already, and what is known to be."""

    user: str
    document: Mapping[str, Any] = field(repr=False)
    since: datetime
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Written:
    """What became of it: stored, already_stored, unconfirmed (accepted, but not listed) or failed."""

    metric_id: str
    status: str
    reason: str | None = None  # of a failure

    def document(self) -> dict[str, Any]:
        """Return the answer's words."""
        return vars(self)


@dataclass
class _Pull:
    """One pull on its way."""

    token: Token
    until: Deadline
    found: Sorted
    pages: int = 0
    bytes: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class _Range:
    begin: datetime
    end: datetime

    def query(self) -> dict[str, str]:
        """Both ends, with an offset: a store compares them with times that have one."""
        return {"start_date": self.begin.isoformat(), "end_date": self.end.isoformat()}


class HealthData:
    """Asks one health data service."""

    def __init__(self, settings: Settings, exchange: Exchange, users: Mapping[str, str]) -> None:
        self._settings, self._exchange, self._users = settings, exchange, users

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the one of the settings, None where they name none; SettingsError as ``check``."""
        if not settings.health_data_url:
            return None
        try:
            client = outbound.client(settings.health_data_ca_file, settings.health_data_url)
        except OSError:  # ssl.SSLError is one
            raise SettingsError("PAT_HEALTH_DATA_CA_FILE: expected certificates in a PEM file") from None
        return cls(settings, Exchange(client, settings.raw_body_bytes), _users(settings))

    @property
    def degraded(self) -> bool:
        """Whether it failed again and again a moment ago."""
        return self._exchange.breaker.is_open

    def user_of(self, subject: str) -> str | None:
        """Return under which UUID the health data service keeps ``subject``, None if that is not known."""
        user = self._users.get(subject, subject)
        return user if _is_uuid(user) else None

    def writer(self, subject: str) -> str:
        """Return the UUID to write for ``subject``; raises UserUnmapped."""
        if (user := self.user_of(subject)) is None:
            raise UserUnmapped
        return user

    async def pull(self, wanted: Wanted, token: Token) -> Pulled:
        """Return what was measured in the period; raises the errors of ``serving.health_errors``."""
        pull = _Pull(token, Deadline.within(self._settings.health_data_seconds), Sorted(wanted))
        late = timedelta(days=self._settings.health_data_late_days + 1)
        await self._list(pull, _Range(_midnight(wanted.since) - _EARLIEST, _midnight(wanted.until) + late))
        source = pull.found.source(pull.pages, truncated=pull.truncated)
        document = await asyncio.to_thread(pull.found.document, source)
        return Pulled(document, source, frozenset(pull.found.analyses))

    async def _list(self, pull: _Pull, asked: _Range) -> None:
        """List a range; of whole uploads also what the store's own page cut off, by ever narrower ranges."""
        new = await self._pages(pull, asked)
        while new and pull.found.by_type:
            new = await self._older(pull, asked.begin)

    async def _older(self, pull: _Pull, begin: datetime) -> bool:
        """Ask up to the oldest upload shown, then up to just before it; whether either brought anything."""
        for gap in (timedelta(), _INSTANT):
            if (oldest := pull.found.oldest) is None:
                pull.truncated = True  # what an upload does not say when it came cannot be asked for
                return False
            if oldest - gap <= begin or await self._pages(pull, _Range(begin, oldest - gap)):
                return oldest - gap > begin
        return False

    async def _pages(self, pull: _Pull, asked: _Range) -> bool:
        """Take the pages of a range; whether they held anything new."""
        new, empty, offset = False, 0, 0
        while empty < _EMPTY_PAGES:
            if pull.pages >= self._settings.health_data_pages or pull.bytes >= _MOST_BYTES:
                pull.truncated = True
                break
            items = await self._page(pull, asked, offset)
            new |= await asyncio.to_thread(pull.found.take, items)
            empty = 0 if items else empty + 1
            offset += _PAGE_ITEMS
        return new

    async def _page(self, pull: _Pull, asked: _Range, offset: int) -> list[Any]:
        query = {**asked.query(), "limit": str(_PAGE_ITEMS), "offset": str(offset)}
        pull.pages += 1
        body = await self._exchange.read(_PATH, query, pull.token, pull.until)
        pull.bytes += len(body)
        return await asyncio.to_thread(_items, body)

    async def write_back(self, result: Result, token: Token) -> Written:
        """Upload an analysis unless it is there, and look whether it was stored; failures are its words."""
        name = metric_id(result.user, result.document)
        until = Deadline.within(self._settings.health_data_seconds)
        try:
            if name in result.known or await self._is_listed(name, result.since, token, until):
                return Written(name, "already_stored")
            return await self._write(name, result, token, until)
        except HealthDataError as error:
            return Written(name, "failed", error.code)

    async def _write(self, name: str, result: Result, token: Token, until: Deadline) -> Written:
        body, answer = _upload(name, result), Answer(0)
        recently = datetime.now(UTC) - _CLOCK_SKEW
        for tries in range(_UPLOADS):
            answer = await self._sent(body, token, until)
            if answer.ok:
                return await self._confirmed(name, recently, token, until)
            if not (answer.failed or answer.status == HTTPStatus.TOO_MANY_REQUESTS):
                break
            await asyncio.sleep(min(answer.retry_after or pause_seconds(tries), max(0, until.left)))
            if await self._is_listed(name, recently, token, until):  # what failed may have been stored
                return Written(name, "stored")
        return Written(name, "failed", answer.error().code)

    async def _sent(self, body: bytes, token: Token, until: Deadline) -> Answer:
        answer = Answer(0)
        for path in _UPLOAD_PATHS:
            answer = await self._exchange.write(path, body, token, until)
            if answer.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                break
        return answer

    async def _confirmed(self, name: str, since: datetime, token: Token, until: Deadline) -> Written:
        """Say ``stored`` only of what is listed: a save that failed is answered with 201 too."""
        for tries in range(_CONFIRMATIONS):
            if await self._is_listed(name, since, token, until):
                return Written(name, "stored")
            await asyncio.sleep(min(pause_seconds(tries), max(0, until.left)))
        log.warning("the health data service accepted an analysis and does not list it")
        return Written(name, "unconfirmed")

    async def _is_listed(self, name: str, since: datetime, token: Token, until: Deadline) -> bool:
        now = datetime.now(UTC)
        pull = _Pull(token, until, Sorted(Wanted(since.date(), now.date())))
        await self._list(pull, _Range(since.astimezone(UTC), now + _CLOCK_SKEW))
        return name in pull.found.analyses


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _items(body: bytes) -> list[Any]:
    """The items of a list answer; raises UpstreamError for what is none."""
    try:
        listed = json.loads(body, parse_constant=_no_number)["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise UpstreamError("no list of data")
    return listed


def _no_number(_: str) -> None:
    raise ValueError


def _upload(name: str, result: Result) -> bytes:
    now = datetime.now(UTC).isoformat()
    metric = {
        "metric_id": name,
        "metric_type": "activity_level",
        "activity_data": {},
        "raw_data": {"profile": ANALYSIS_PROFILE, "analysis": result.document},
        "created_at": now,
    }
    body = {"user_id": result.user, "upload_source": _SOURCE, "client_timestamp": now, "metrics": [metric]}
    return json.dumps(body).encode()


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def check(settings: Settings) -> None:
    """Read the files as the service will; raises SettingsError."""
    HealthData.of(settings)


def _users(settings: Settings) -> Mapping[str, str]:
    if not settings.health_data_users_file:
        return {}
    try:
        read = json.loads(Path(settings.health_data_users_file).read_bytes())
    except (OSError, ValueError):
        read = None
    if isinstance(read, dict) and all(isinstance(user, str) and _is_uuid(user) for user in read.values()):
        return read
    raise SettingsError("PAT_HEALTH_DATA_USERS_FILE: expected a JSON object of subjects and their UUIDs")
