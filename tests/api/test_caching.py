"""What decides a cached value: every field of a recording, every option, the weights, the code."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from api import caching, code_digest
from api.caching import Analysed, analysis_digest, week_digest
from pat_runner.account import AnalyzeOptions, ModelCard
from pat_runner.engines import Want
from pat_runner.runner import Encoded, Rejected
from pat_runner.sleep_log import entries
from preprocessing.recording import Flag, Recording, Tidying, ZoneChange
from preprocessing.units import Device, SleepScorer, Unit, WearSite
from preprocessing.wear import WearMode

START = datetime(2026, 3, 2, 18, 30, tzinfo=ZoneInfo("Europe/Berlin"))
VALUES = np.arange(3_000, dtype=np.float64)
RECORDING = Recording(START, "Europe/Berlin", 60, VALUES, Unit.ACTIWATCH_COUNTS)
CARD = ModelCard("pat:1", "a" * 64, "PAT-S", 18, "source", "MIT", None, "native", "fp32")
CHANGED = {
    "start": START + timedelta(minutes=1),
    "zone": "Europe/Paris",
    "epoch_seconds": 30,
    "values": np.where(VALUES == 1_500, 1, VALUES),
    "unit": next(unit for unit in Unit if unit is not Unit.ACTIWATCH_COUNTS),
    "device": next(iter(set(Device) - {Device.UNKNOWN})),
    "wear_site": WearSite.WRIST,
    "wear": np.ones(3_000, bool),
    "source_format": "csv",
    "serial": "1234",
    "markers": 1,
    "flags": frozenset({Flag.NO_MOVEMENT}),
    "tidying": Tidying(gaps=1),
    "source": np.zeros(3_000, np.int8),
    "sources": ("watch",),
    "travel": (ZoneChange(START, "Europe/Paris"),),
}
LOG = [("2026-03-02T23:00", "2026-03-03T07:00")]
CHOSEN = {
    "wear": WearMode.AS_RECORDED,
    "profile": True,
    "scorer": next(iter(SleepScorer)),
    "threshold": "low",
    "rescoring": "webster",
    "rest": "tudor-locke",
    "sleep_log": entries(LOG, "Europe/Berlin"),
    "clinical": False,
    "stride_days": 1,
    "intervals": True,
    "series": True,
}


def digest(recording=RECORDING, options=None, card=CARD, code="code"):
    return analysis_digest(Analysed(recording, options or AnalyzeOptions(), card), code)


def test_the_same_is_the_same():
    copy = replace(RECORDING, values=VALUES.copy(), flags=frozenset())
    assert digest() == digest(copy, AnalyzeOptions())


@pytest.mark.parametrize("name", [each.name for each in fields(Recording)])
def test_every_field_of_a_recording_decides(name):
    assert digest(replace(RECORDING, **{name: CHANGED[name]})) != digest()


@pytest.mark.parametrize("name", [each.name for each in fields(AnalyzeOptions)])
def test_every_option_decides(name):
    assert digest(options=replace(AnalyzeOptions(), **{name: CHOSEN[name]})) != digest()


@pytest.mark.parametrize(
    "change",
    [{"sha256": "b" * 64}, {"engine": "torch"}, {"precision": "bf16"}, {"checkpoint": "pat:2"}],
    ids=str,
)
def test_whatever_is_printed_of_the_model_decides(change):
    assert digest(card=replace(CARD, **change)) != digest()


def test_other_code_decides():
    assert digest(code="other") != digest()


def test_the_order_of_flags_does_not_decide():
    one, other = (replace(RECORDING, flags=frozenset(order)) for order in (list(Flag), list(Flag)[::-1]))
    assert digest(one) == digest(other)


def test_the_last_digit_of_a_value_decides():
    near = VALUES.copy()
    near[7] = np.nextafter(near[7], 8)
    assert np.float32(near[7]) == np.float32(VALUES[7])
    assert digest(replace(RECORDING, values=near)) != digest()


@pytest.mark.parametrize(
    ("week", "want", "card"),
    [
        (np.ones(10_080, np.float32), Want(), CARD),
        (np.zeros(1_260, np.float32), Want(), CARD),
        (np.zeros(10_080, np.float32), Want(profile=True), CARD),
        (np.zeros(10_080, np.float32), Want(), replace(CARD, sha256="b" * 64)),
        (np.zeros(10_080, np.float32), Want(), replace(CARD, engine="torch")),
        (np.zeros(10_080, np.float32), Want(), replace(CARD, precision="bf16")),
    ],
    ids=["values", "length", "profile", "weights", "engine", "precision"],
)
def test_whatever_decides_an_embedding_changes_its_digest(week, want, card):
    assert week_digest(week, want, card) != week_digest(np.zeros(10_080, np.float32), Want(), CARD)


def test_the_code_around_pat_does_not_decide_an_embedding(monkeypatch):
    week = np.zeros(10_080, np.float32)
    before = week_digest(week, Want(), CARD)
    monkeypatch.setattr(code_digest, "pipeline", lambda: "other")
    assert week_digest(week, Want(), replace(CARD, source="other", checkpoint="pat:2")) == before
    assert len({code_digest.engines(), code_digest.pipeline()}) == 2


def test_other_sources_have_another_digest(tmp_path):
    (tmp_path / "engine.py").write_text("one")
    (tmp_path / "notes.md").write_text("one")
    before = code_digest._digest([tmp_path])
    (tmp_path / "notes.md").write_text("two")
    assert code_digest._digest([tmp_path]) == before
    (tmp_path / "engine.py").write_text("two")
    assert code_digest._digest([tmp_path]) != before


@pytest.mark.parametrize(
    "profile", [None, np.linspace(0, 1, 560, dtype=np.float32)], ids=["alone", "profile"]
)
def test_an_embedding_comes_back_bit_for_bit(profile):
    pooled = np.random.default_rng(1).normal(size=96).astype(np.float32)
    found = caching._outcome(caching._kept(Encoded(pooled, profile)))
    assert found.pooled.tobytes() == pooled.tobytes()
    assert found.pooled.dtype == np.float32
    assert (found.profile is None) == (profile is None)
    assert profile is None or found.profile.tobytes() == profile.tobytes()


def test_why_a_week_was_not_encoded_is_not_kept():
    assert caching._kept(Rejected("not_finite", "expected finite values")) is None
