"""The desk, observed: what is counted and written down of an inference, however it ends."""

import asyncio
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from api.access import acting
from api.caching import Caching
from api.desk import Desk
from api.observation import ObservedDesk, Observer
from api.weeks import EmbedOrder
from pat_runner.account import AnalyzeOptions
from pat_runner.engines import Want
from pat_runner.pipeline import RunnerUnavailable
from preprocessing.scaling import Scaling
from preprocessing.units import Device, Unit, WearSite
from serving import model_telemetry
from serving.cache_keys import Keyring
from serving.logs import ValueFreeFormatter
from serving.memory_cache import MemoryCache
from serving.sealed_cache import SealedCache
from serving.settings import Settings
from serving.telemetry import CacheTelemetry
from serving.under_way import begun
from tests.doubles.runners import CountingRunner
from tests.pat_runner.test_pipeline import card, recording

KEY = b"k" * 32


@pytest.fixture
def told(monkeypatch):
    """What is counted, by kind; observers made now count here."""

    class Told(dict):
        def ended(self, status, weeks):
            self[status] = self.get(status, 0) + weeks

        def absent(self, reasons):
            self["absent"] = dict(reasons)

        def valid(self, share):
            self.setdefault("valid", []).append(share)

        def __getattr__(self, name):
            return lambda *said: self.setdefault(name, []).append(said)

    made = Told()
    monkeypatch.setattr("api.observation.inferences_of_process", lambda: made)
    monkeypatch.setattr("api.observation.DriftTelemetry", lambda: made)
    return made


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "pat.inference")
    monkey = logging.getLogger("pat")
    before, monkey.propagate = monkey.propagate, True
    yield lambda: [json.loads(ValueFreeFormatter().format(made)) for made in caplog.records]
    monkey.propagate = before


def desk(runner=None, key=KEY, model=None, caching=None):
    model = model or card()
    caching = caching or Caching(Settings())
    observer = Observer(model, key)
    return ObservedDesk(Settings(), runner or CountingRunner(), model, caching=caching, observer=observer)


@pytest.fixture
def caching():
    telemetry = CacheTelemetry(CollectorRegistry())
    cache = SealedCache(MemoryCache(10_000_000, telemetry), Keyring(KEY), telemetry)
    return Caching(Settings(), cache)


def rows(*means):
    """One standardised week for each, of which the runner knows no more."""
    return EmbedOrder([np.full(18, mean, np.float32) for mean in means], standardized=True, want=Want())


async def test_an_observed_desk_answers_as_a_desk_does(told):
    plain = await Desk(Settings(), CountingRunner(), card()).analyze(recording(), AnalyzeOptions())
    assert await desk().analyze(recording(), AnalyzeOptions()) == plain


async def test_an_analysis_is_counted_in_weeks_and_by_the_reasons_for_what_is_absent(told):
    await desk().analyze(recording(), AnalyzeOptions())
    assert told["encoded"] == 2
    assert len(told["valid"]) == 2
    assert told["absent"]["no_sleep_log"] == 1


async def test_its_line_has_versions_counts_and_fingerprints_and_no_value(told, lines):
    given = recording()
    analysis = await desk().analyze(given, AnalyzeOptions())
    [line] = lines()
    assert (line["verb"], line["outcome"], line["weeks"], line["encoded"]) == ("analyze", "done", 2, 2)
    assert (line["checkpoint"], line["engine"], line["precision"]) == ("pat-s:1", "onnxruntime", "fp32")
    assert analysis.provenance.input_sha256 not in json.dumps(line)  # it would be a name of the recording
    assert len(line["input"]) == len(line["output"]) == 32
    assert line["missing_share"] in {round(step * 0.05, 2) for step in range(21)}


async def test_fingerprints_are_the_same_for_the_same_and_other_for_each_tenant_and_key(told, lines):
    class Access:
        records, model = 0, ""

        def __init__(self, tenant):
            self.caller = type("Caller", (), {"tenant": tenant})

    for at, tenant, given in (
        (desk(), "a", recording()),
        (desk(), "a", recording()),
        (desk(), "b", recording()),
        (desk(key=b"l" * 32), "a", recording()),
        (desk(), "a", recording(minutes=16 * 1440)),
    ):
        with acting(Access(tenant)):
            await at.analyze(given, AnalyzeOptions())
    first, *others = [line["input"] for line in lines()]
    assert [other == first for other in others] == [True, False, False, False]


async def test_without_a_key_there_are_none(told, lines):
    await desk(key=b"").analyze(recording(), AnalyzeOptions())
    [line] = lines()
    assert (line["input"], line["output"]) == (None, None)


async def test_a_recording_without_weeks_is_none_of_the_models(told, lines):
    await desk().analyze(recording(minutes=1440), AnalyzeOptions())
    [line] = lines()
    assert (line["weeks"], line["reasons"], line["output"]) == (0, ["insufficient_data"], None)
    assert "encoded" not in told or told["encoded"] == 0


async def test_a_runner_that_is_away_is_counted_and_the_error_goes_on(told, lines):
    class Away:
        async def run(self, weeks, want):
            raise RunnerUnavailable("the runner did not answer in time")

    with pytest.raises(RunnerUnavailable):
        await desk(Away()).analyze(recording(), AnalyzeOptions())
    [line] = lines()
    assert (line["outcome"], told["unavailable"]) == ("RunnerUnavailable", 2)


async def test_embeddings_of_rows_are_counted_with_those_that_were_rejected(told, lines):
    rows = [np.zeros(18, np.float32), np.full(18, np.nan, np.float32)]
    await desk().embed(EmbedOrder(rows, standardized=True, want=Want()))
    assert (told["encoded"], told["rejected"]) == (1, 1)
    [line] = lines()
    assert (line["verb"], line["weeks"], line["encoded"]) == ("embed", 2, 1)
    assert line["reasons"] == ["not_finite"]


async def test_an_embedding_that_was_there_is_cached_and_not_encoded_again(told, caching):
    at = desk(caching=caching)
    await at.embed(rows(1, 2))
    assert (told["encoded"], told["cached"]) == (2, 0)
    await at.embed(rows(2, 3, np.nan))
    assert (told["encoded"], told["cached"], told["rejected"]) == (3, 1, 1)


async def test_an_analysis_made_anew_is_of_cached_weeks_and_the_same_again_is_counted_nowhere(told, caching):
    at = desk(caching=caching)
    for options in (AnalyzeOptions(), AnalyzeOptions(clinical=False), AnalyzeOptions(clinical=False)):
        await at.analyze(recording(), options)
    assert (told["encoded"], told["cached"]) == (2, 2)


async def test_who_waits_for_an_equal_request_has_cached_weeks(told, caching):
    at = desk(caching=caching)
    await asyncio.gather(*(at.embed(rows(1, 2)) for _ in range(5)))
    assert (told["encoded"], told["cached"]) == (2, 8)


async def test_what_the_runner_rejects_is_neither_encoded_nor_cached(told, caching):
    at = desk(CountingRunner(reject={0}), caching=caching)
    await at.embed(rows(1, 2))
    assert (told["encoded"], told["cached"], told["rejected"]) == (1, 0, 1)


async def test_weeks_of_the_cohorts_device_are_watched_for_drift_and_no_others(told):
    weeks = np.random.default_rng(1).poisson(80, size=(120, 10_080)).astype(np.float32)
    scaling = Scaling.fit(
        weeks, unit=Unit.ACTIWATCH_COUNTS, device=Device.ACTIWATCH, wear_site=WearSite.WRIST, cohort="test"
    )
    known = desk(model=card(scaling))
    await known.analyze(recording(), AnalyzeOptions())
    assert told["holds"][-1] == (2,)
    other = replace(recording(), device=Device.SYNTHETIC_DEMO)
    await known.analyze(other, AnalyzeOptions())
    assert told["holds"][-1] == (2,)
    raw = EmbedOrder(list(weeks[:3]), False, Want(), "actiwatch_counts", "actiwatch", "wrist")
    await known.embed(raw)
    assert told["holds"][-1] == (5,)


async def test_what_the_cache_said_is_in_the_line(told, lines):
    with begun("POST", "/analyze"):
        await desk().analyze(recording(), AnalyzeOptions())
    assert lines()[0]["cache"] == "bypass"


def test_the_telemetry_of_a_process_is_one():
    assert model_telemetry.inferences_of_process() is model_telemetry.inferences_of_process()
