"""The HTTP face: PatRunner, the batching shell around pat_runner.runner, and PatService, the entry."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.utils.analytics import usage_stats
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from api import doors, otlp, paths, replacements, tracing
from api.cache_use import CacheHeader
from api.lanes import Lanes, tenant
from api.mounted import Mounted
from api.problems import ForeignErrors, answer, problem, problem_of
from api.remote_runner import UNAVAILABLE, RemoteRunner, RunnerLimits
from api.requests import FHIR_JSON, EmbedRequest, ExplainRequest, FhirRequest, RecordingRequest
from api.runner_door import RunnerDoor, RunnerSocket
from models import store
from models.checkpoint import Checkpoint, CheckpointError
from pat_runner import hop
from pat_runner.account import ModelCard
from pat_runner.engines import EngineError, EngineOptions, chosen
from pat_runner.gate import GoldenMismatch
from pat_runner.runner import Runner
from serving import drain, edges, garbage, hardening, health_data, logs, scrape, spans, tls
from serving.cores import cores
from serving.entrance import Entrance, EntranceRules
from serving.keys import MasterKeys, Unreadable
from serving.limits import BodyLimits, HeaderLimits, Pace
from serving.repeats import Repeats
from serving.revocation import CredentialsUnusable
from serving.settings import Settings
from serving.state import check_redis, open_cache, open_fhir_server
from serving.store import StoreUnavailable

SETTINGS = Settings.from_environment()  # BentoML's decorators need limits, workers and host at import
log = logging.getLogger("pat.service")
_DOORS = doors.doors(SETTINGS)
hardening.no_core_files()
hardening.untracked()
usage_stats.do_not_track.cache_clear()  # it was asked before this module was loaded
logs.protect()
spans.install({*_DOORS, *doors.WITHOUT_BODY})
tracing.install(SETTINGS)
replacements.install(SETTINGS)
tls.check(SETTINGS)
health_data.check(SETTINGS)

_ENGINE = EngineOptions(SETTINGS.engine, SETTINGS.precision.value, SETTINGS.runner_threads)
_ONE_THREAD = [  # numpy's libraries: the threads of this server are counted in Settings
    {"name": f"{library}_NUM_THREADS", "value": "1"} for library in ("OMP", "OPENBLAS", "MKL")
]

# uvicorn believes X-Forwarded-For of whoever asks from this machine; who is behind a proxy names the proxy.
_NO_PROXY = {"name": "FORWARDED_ALLOW_IPS", "value": "nobody"}

_MOUNTED = Mounted()
_RUNNER_SECONDS = 60  # for which the entry takes no connection while the runner has not tried its weights
_RUNNER_SHARE = 0.8  # of the time for an answer; what is left is to say that the runner does not answer
_SPARE_SECONDS = 5  # that BentoML waits beyond the time for an answer
_STORE_SECONDS = 5  # until a store that does not answer is tried again
_SAFEGUARDS: dict[str, Any] = {}  # api.protection.Safeguards of this process, once it has started
if SETTINGS.guarded:
    hardening.keep_memory_private()
if SETTINGS.guarded or SETTINGS.keeps:
    MasterKeys.read(Path(SETTINGS.master_keys_file))  # refuses to start with keys that must not be used
    check_redis(SETTINGS)  # same, with a store
    open_fhir_server(SETTINGS)  # same, with a key or with certificates


def _refusal(status: int, code: str, detail: str) -> ASGIApp:
    return problem(status, code, detail)


def _checkpoint() -> tuple[str, Checkpoint]:
    from serving.model_telemetry import models_of_process  # noqa: PLC0415  # asks at import where metrics go

    tag = store.resolve(SETTINGS.checkpoint)
    with models_of_process().checking("digest", CheckpointError):
        return tag, store.load(SETTINGS.checkpoint, SETTINGS.checkpoint_sha256 or None)


@bentoml.service(
    name="PatRunner",
    envs=_ONE_THREAD,
    workers=SETTINGS.runner_workers,
    threads=1,
    traffic={"timeout": SETTINGS.timeout_seconds},
    # The entry logs, counts and traces each request; of the hop, batches count (serving/telemetry.py).
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    monitoring={"enabled": False},  # it would write what it is given to a folder in plain text
)
class PatRunner:
    """Owns the weights; ready once they are loaded, warm, and reproduce their golden output."""

    def __init__(self) -> None:
        from serving.model_telemetry import models_of_process  # noqa: PLC0415  # asks at import where metrics go
        from serving.state_telemetry import Looks, ProcessTelemetry  # noqa: PLC0415  # same

        logs.protect()
        self._end_telemetry = otlp.begin(SETTINGS)
        self._looks = Looks([ProcessTelemetry("runner").look])
        self._looks.start()
        self._runner: Runner | None = None
        told = models_of_process()
        try:
            with told.loading():
                tag, checkpoint = _checkpoint()
                with told.checking("golden", GoldenMismatch):
                    self._runner = _proven(checkpoint)
            maker = self._runner.maker
            told.answers(tag, maker.sha256, maker.engine, maker.precision)
            log.info("runner ready with %s on %s, %s", tag, maker.engine, maker.precision)
            garbage.settle()
        except (CheckpointError, EngineError, GoldenMismatch) as error:
            log.error("runner not ready: %s", error)  # noqa: TRY400  # the cause names a file or tensor, a trace adds nothing

    def __is_ready__(self) -> bool:
        """Whether the pinned weights answer."""
        return self._runner is not None

    @bentoml.on_shutdown
    async def end(self) -> None:
        """End what runs beside the batches; telemetry that is left is sent, in time."""
        await asyncio.to_thread(self._looks.close)
        await asyncio.to_thread(self._end_telemetry)

    @bentoml.api(
        batchable=True,
        max_batch_size=SETTINGS.max_batch_size,
        max_latency_ms=SETTINGS.max_latency_ms,
    )
    def run(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Encode a batch of items (see pat_runner.hop); one outcome per item, nothing raises."""
        if self._runner is None:
            why = (
                "the runner has no weights, or no engine, that is proven; the operator's log names the cause"
            )
            return [{"rejected": UNAVAILABLE, "detail": why}] * len(items)
        outcomes = hop.run(self._runner, items)
        return [hop.encode_outcome(outcome, self._runner.maker) for outcome in outcomes]


def _proven(checkpoint: Checkpoint) -> Runner:
    runner = Runner(checkpoint, _ENGINE)
    runner.prove()
    runner.warm(SETTINGS.max_batch_size)
    return runner


@bentoml.service(
    name="PatService",
    envs=[*_ONE_THREAD, _NO_PROXY],
    workers=SETTINGS.api_workers,
    traffic={"timeout": SETTINGS.timeout_seconds + _SPARE_SECONDS},  # never the first: ForeignErrors is
    http={"host": SETTINGS.host, "port": SETTINGS.port},
    ssl=tls.options(SETTINGS),
    monitoring={"enabled": False},
)
@bentoml.asgi_app(_MOUNTED, path="/")
class PatService:
    """The entry: reads, validates and standardises before the hop, clinical numbers and FHIR after it.

    The APIs declare plain objects: BentoML's client decodes by the declared schema and fails on an array that
    may be null, which absent numbers are. docs/api.md names the documents.
    """

    runner = bentoml.depends(PatRunner)

    def __init__(self) -> None:
        from api.caching import Caching  # noqa: PLC0415  # the runner, which loads this file too, needs none of it
        from api.looks import looks_of  # noqa: PLC0415  # same
        from api.observation import ObservedDesk, Observer  # noqa: PLC0415  # same
        from api.shelves import Shelves  # noqa: PLC0415  # same
        from postprocessing import fhir  # noqa: PLC0415  # same

        logs.protect()
        self._end_telemetry = otlp.begin_with_metrics(SETTINGS)
        model = _model()
        pinned = model.maker if isinstance(model, ModelCard) else None
        limits = RunnerLimits(
            SETTINGS.max_batch_size, SETTINGS.max_waiting_weeks, SETTINGS.runner_workers, _ahead()
        )
        self._socket = RunnerSocket(self.runner.to_async.url, _RUNNER_SHARE * SETTINGS.timeout_seconds)
        repeats = Repeats(Shelves(SETTINGS))
        self._cache = open_cache(SETTINGS)
        caching = Caching(SETTINGS, self._cache)
        runner = RemoteRunner(self._socket.run, pinned, limits, _told())
        observer = Observer(model, _mark_key())
        self.desk = ObservedDesk(SETTINGS, runner, model, repeats, caching, observer=observer)
        self.health_data = health_data.HealthData.of(SETTINGS)
        fhir.warm()
        _MOUNTED.rest  # noqa: B018  # built now, not under the first request
        self._kept: Any = None  # api.keeping.Keeping of a service that nothing safeguards
        self._background: Any = None
        self._end_metrics = scrape.listen(SETTINGS.metrics_address)
        drain.drains_for(SETTINGS.drain_seconds)
        self._safeguarded()
        self._looks = looks_of(self, SETTINGS)
        self._looks.start()
        garbage.settle()

    def __is_ready__(self) -> bool:
        """Whether this process knows the pinned weights, can record and reach its store, and goes on.

        BentoML asks the runner as well.
        """
        able = not SETTINGS.guarded or (self.safeguards is not None and self.safeguards.ready)
        return able and isinstance(self.desk.model, ModelCard) and not drain.draining()

    @property
    def safeguards(self) -> Any:
        """What guards this process; None before it has started, and where nothing does."""
        return _SAFEGUARDS.get("safeguards")

    @property
    def keeping(self) -> Any:
        """What this process keeps things in (api.keeping.Keeping); None while it has nothing for that."""
        return self._kept if self.safeguards is None else self.safeguards.keeping

    @bentoml.on_startup
    async def begin(self) -> None:
        """Wait for the runner; begin what is done beside the requests, where anything is kept."""
        from api.background import workers  # noqa: PLC0415  # the runner needs none of it
        from api.keeping import Background  # noqa: PLC0415  # same

        await self._socket.up(_RUNNER_SECONDS)
        if SETTINGS.guarded or SETTINGS.keeps:
            self._background = Background(lambda: self.keeping, lambda kept: workers(kept, self.desk))
            self._background.start()

    @bentoml.on_shutdown
    async def end(self) -> None:
        """End the workers, then the audit trail's file, so that the next process finds nothing to recover."""
        await asyncio.to_thread(self._looks.close)
        if self._background is not None:
            await self._background.close()
        for kept in (self._kept, self.safeguards):
            if kept is not None:
                await asyncio.to_thread(kept.close)
        await self._socket.close()
        if self._cache is not None:
            await self._cache.close()
        await asyncio.to_thread(self._end_metrics)
        await asyncio.to_thread(self._end_telemetry)

    def _safeguarded(self) -> None:
        from api import keeping, safeguards  # noqa: PLC0415  # the runner needs none of it

        if not SETTINGS.guarded:
            log.info("profile %s: no authentication, loopback only", SETTINGS.profile)
        try:
            if SETTINGS.guarded:
                _SAFEGUARDS["safeguards"] = safeguards.build(SETTINGS, self._cache)
            else:
                self._kept = keeping.opened(SETTINGS, self._cache)
        except (CredentialsUnusable, StoreUnavailable, Unreadable) as error:
            log.error("nothing is safeguarded or kept: %s", error)  # noqa: TRY400  # the cause is said, a trace adds nothing
            if isinstance(error, StoreUnavailable):
                self._later(self._safeguarded)

    @staticmethod
    def _later(work: Callable[[], None]) -> None:
        """Do ``work`` after a while, in a thread that keeps nobody from stopping."""
        timer = threading.Timer(_STORE_SECONDS, work)
        timer.daemon = True
        timer.start()

    @bentoml.api
    async def analyze(self, recording: RecordingRequest, /) -> dict[str, Any]:
        """Analyse one recording: sleep, rhythm, PAT embedding, and the reason for everything absent."""
        analysis: dict[str, Any] = await self._answered(self._analyze(recording))
        return analysis

    @bentoml.api
    async def analyze_fhir(self, recording: FhirRequest, /) -> dict[str, Any]:
        """Analyse one recording and answer with a FHIR R4 Bundle."""
        bundle: dict[str, Any] = await self._answered(self._bundle(recording))
        return bundle

    @bentoml.api
    async def embed(self, request: EmbedRequest, /) -> dict[str, Any]:
        """Encode weeks, standardised by the caller or raw."""
        embedded: dict[str, Any] = await self._answered(self._embed(request))
        return embedded

    @bentoml.api
    async def explain(self, recording: ExplainRequest, /) -> dict[str, Any]:
        """Show where in each week of the recording PAT's last layer looked."""
        explanation: dict[str, Any] = await self._answered(self._explain(recording))
        return explanation

    @staticmethod
    async def _answered(work: Awaitable[Any]) -> Any:
        """Await ``work``; BentoML passes the Response it ends in, problem or not, to the client untouched."""
        return await answer(work)

    async def _analyze(self, request: RecordingRequest) -> Response:
        recording = await asyncio.to_thread(request.recording)
        finished = await self.desk.finished(recording, request.options.chosen(recording))
        return Response(finished.json, media_type="application/json")

    async def _bundle(self, request: FhirRequest) -> Response:
        recording = await asyncio.to_thread(request.recording)
        bundle = await self.desk.bundle(recording, request.options.chosen(recording), request.wish())
        return JSONResponse(bundle, media_type=FHIR_JSON)

    async def _embed(self, request: EmbedRequest) -> Response:
        order = await asyncio.to_thread(request.order)
        return JSONResponse((await self.desk.embed(order)).document())

    async def _explain(self, request: ExplainRequest) -> Response:
        recording = await asyncio.to_thread(request.recording)
        explanation = await self.desk.explain(recording, request.options.chosen(recording))
        return Response(explanation.model_dump_json(), media_type="application/json")


def _ahead() -> int:
    """Return the calls next in line: one where something beside the runners' cores can carry it."""
    computing = SETTINGS.runner_workers * SETTINGS.runner_threads
    return int(chosen(SETTINGS.engine) == "torch" or computing < cores())


def _mark_key() -> bytes:
    """Return the key of the marks in the log of inferences; none where the service has no keys."""
    if not SETTINGS.master_keys_file:
        return b""
    return next(iter(MasterKeys.read(Path(SETTINGS.master_keys_file)).derived("inference").values()))


def _model() -> ModelCard | CheckpointError:
    try:
        tag, checkpoint = _checkpoint()
        return ModelCard.of(tag, checkpoint, _ENGINE)
    except CheckpointError as error:
        log.error("no model: %s", error)  # noqa: TRY400  # the cause names a file or tensor, a trace adds nothing
        return error


def _guards() -> list[tuple[Any, dict[str, Any]]]:
    """Return the middleware that asks who calls, where that is asked."""
    if not SETTINGS.guarded:
        return []
    from api.guard import Guard  # noqa: PLC0415  # nothing of it is loaded where it is not needed

    return [(Guard, {"at": _SAFEGUARDS})]


def _told() -> Any:
    from serving.telemetry import admission  # noqa: PLC0415  # asks at import where metrics go

    return admission()


def _entrance() -> EntranceRules:
    """Return who is let in before a body is read, and how many at a time."""
    lanes = Lanes(SETTINGS)
    seconds, held = SETTINGS.deadline_seconds, SETTINGS.waiting_bytes
    return EntranceRules(lanes.of, tenant, problem_of, _told, seconds, held)


def _guard(service: Any, *guards: tuple[Any, dict[str, Any]]) -> None:
    """Put middleware before ``service``, the outermost first."""
    for middleware, options in guards:
        service.add_asgi_middleware(middleware, **options)


_REFUSE = {"refuse": _refusal}
_BODIES = {
    "doors": _DOORS,
    "default": doors.raw(SETTINGS),
    "pace": Pace(SETTINGS.body_seconds),
    "door_of": paths.door_of,
}

_guard(PatRunner, (RunnerDoor, {**_REFUSE, "most_bytes": hop.most_bytes(SETTINGS.max_batch_size)}))
_guard(
    PatService,
    (paths.AskedPaths, {}),
    (edges.AnswerHeaders, {"headers": edges.HEADERS_OVER_TLS if SETTINGS.tls else edges.HEADERS}),
    (ForeignErrors, {"seconds": SETTINGS.timeout_seconds}),
    (edges.TlsOnly if SETTINGS.open_to_others else edges.LoopbackOnly, _REFUSE),
    (HeaderLimits, _REFUSE),
    *_guards(),
    (CacheHeader, {}),
    (Entrance, {"rules": _entrance()}),
    (BodyLimits, {**_BODIES, **_REFUSE}),
)
