"""The hop between the two processes without BentoML's layers: its own door into the same dispatcher.

BentoML's route of a batchable method costs some milliseconds of both processes per call: a model of the
arguments, their schema, a context, a response made of chunks. ``RunnerSocket`` posts a frame
(pat_runner/hop.py) to the runner's socket; ``RunnerDoor``, in front of the runner's own routes, hands it to
the dispatcher that BentoML made for the method. What both rely on of the pinned version is written down in
tests/api/test_runner_door.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from http import HTTPStatus
from typing import Any

import aiohttp
import bentoml
from bentoml._internal.utils.uri import uri_to_path
from bentoml.exceptions import ServiceUnavailable
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dispatch import dispatcher
from pat_runner import hop
from pat_runner.pipeline import RunnerUnavailable
from serving import departure
from serving.admission import Overloaded
from serving.limits import Refuse

__all__ = ["FRAME", "RunnerDoor", "RunnerSocket"]

PATH = "/run"
FRAME = "application/vnd.pat.weeks"
Document = dict[str, Any]


class RunnerDoor:
    """Middleware before the runner: frames of weeks up to ``most_bytes``, probes, and nothing else."""

    def __init__(self, app: ASGIApp, refuse: Refuse, most_bytes: int) -> None:
        self._app, self._refuse, self._most = app, refuse, most_bytes
        self._thread = ThreadPoolExecutor(1, "runner")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a frame; let probes through."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        await (await self._answer(scope, receive))(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        if scope["path"] != PATH or dict(scope["headers"]).get(b"content-type") != FRAME.encode():
            return self._refuse(415, "content_type", "expected a frame of weeks")
        if (frame := await self._body(receive)) is None:
            return self._refuse(413, "too_large", f"expected at most {self._most} bytes")
        try:
            items = hop.unpack(frame)
        except ValueError:
            return self._refuse(400, "unparsable", "expected a frame of weeks")
        try:
            documents = await self._batched(items)
        except ServiceUnavailable:
            return self._refuse(503, "overloaded", "the call waited too long")
        return Response(json.dumps(documents), media_type="application/json")

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the body, None if it is too large or its sender has left."""
        parts: list[bytes] = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if message["type"] != "http.request" or sum(map(len, parts)) > self._most:
                return None
            if not message.get("more_body"):
                return b"".join(parts)

    @cached_property
    def _batched(self) -> Callable[[list[Document]], Awaitable[list[Document] | None]]:
        return dispatcher()(self._computed)

    async def _computed(self, calls: Sequence[list[Document]]) -> list[list[Document]]:
        """Compute one batch in the runner's thread; return each call's part of it."""
        runner: Any = bentoml.get_current_service()
        items = [item for call in calls for item in call]
        loop = asyncio.get_running_loop()
        answers = iter(await loop.run_in_executor(self._thread, runner.run.local, items))
        return [[next(answers) for _ in call] for call in calls]


class RunnerSocket:
    """The other end: BentoML says where the runner listens."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._presence = departure.Presence(uri_to_path(url)) if url.startswith("file:") else None

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        local = self._url.startswith("file:")
        return aiohttp.ClientSession(
            "http://runner" if local else self._url.replace("tcp:", "http:", 1),
            connector=aiohttp.UnixConnector(uri_to_path(self._url)) if local else None,
            headers={"Content-Type": FRAME},
            timeout=aiohttp.ClientTimeout(self._seconds),
        )

    async def run(self, items: list[Document]) -> list[Document]:
        """Return the runner's answers; raises Overloaded, RunnerUnavailable or aiohttp's ClientError."""
        try:
            async with self._session.post(PATH, data=hop.pack(items)) as answer:
                body = await answer.read()
        except TimeoutError as error:
            raise RunnerUnavailable("the runner did not answer in time") from error
        if answer.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            raise Overloaded
        if answer.status != HTTPStatus.OK:
            raise RunnerUnavailable(f"the runner refuses a call ({answer.status})")
        documents: list[Document] = json.loads(body)
        return documents

    async def close(self) -> None:
        """End the connections."""
        if "_session" in vars(self):
            await self._session.close()
        if self._presence is not None:
            self._presence.end()
