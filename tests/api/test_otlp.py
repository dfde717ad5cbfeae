"""What leaves a process: nothing without a collector, metrics of the entry alone, all of it ended in time."""

import logging
import threading
import time

import pytest
from prometheus_client import values

from api import otlp
from serving.logs import protect
from serving.settings import Settings
from tests.doubles.span_sink import span_sink


@pytest.fixture(autouse=True)
def protected():
    """Our logger with its handler, which is taken away again."""
    logger = logging.getLogger("pat")
    before = (logger.handlers[:], logger.level, logger.propagate)
    protect()
    yield logger
    logger.handlers[:], logger.level, logger.propagate = before
    logging.captureWarnings(False)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A folder in which a process counted something."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    name = "pat_break_glass"
    values.MultiProcessValue(lambda: 1)("counter", name, f"{name}_total", (), (), "Emergencies").inc(3)
    return tmp_path


@pytest.fixture
def sink():
    with span_sink() as server:
        yield server


def settings(sink, signals="metrics,logs"):
    return Settings(otlp_endpoint=sink.url, otlp_signals=signals)


@pytest.mark.parametrize("begin", [otlp.begin, otlp.begin_with_metrics])
def test_without_a_collector_nothing_is_begun(begin, counted, protected):
    before, threads = protected.handlers[:], set(threading.enumerate())
    end = begin(Settings())
    assert protected.handlers == before
    assert set(threading.enumerate()) <= threads
    end()
    assert list(counted.glob("*.lock")) == []


def test_the_entry_reports_metrics_and_the_runner_does_not(sink, counted):
    end = otlp.begin(settings(sink))
    logging.getLogger("pat.service").info("said")
    end()
    assert sink.paths == ["/v1/logs"]
    end = otlp.begin_with_metrics(settings(sink, "metrics"))
    end()
    [made] = sink.reports()[-1]
    assert (made.name, made.value) == ("pat_break_glass_total", 3)


def test_where_nothing_is_counted_for_all_nothing_is_reported(sink, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    otlp.begin_with_metrics(settings(sink, "metrics"))()
    assert sink.paths == []


def test_a_collector_that_hangs_holds_up_the_end_once_not_for_each_signal(sink, counted):
    sink.seconds = 3600
    ends = otlp.begin_with_metrics(settings(sink))
    logging.getLogger("pat.service").info("said")
    began = time.monotonic()
    ends()
    assert time.monotonic() - began < 25
