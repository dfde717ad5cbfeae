"""Metrics on their way to a collector: what leaves, what stays, and that one process tells for all."""

import logging
import os
import subprocess
import sys
import time
import uuid

import pytest
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from serving import otlp_metrics
from serving.otlp import Collector
from serving.otlp_metrics import ALLOWED, Place, Told, encoded
from tests.deploy.exported import exported
from tests.e2e.server import free_port
from tests.serving.test_otlp import wait
from tests.shared import ROOT

TOLD = Told("an-instance", 5, 9)
COUNTS = """
from serving.request_telemetry import of_process
from serving.telemetry import BatchTelemetry
of_process().ended("/analyze", "POST", 200, 0.05)
of_process().ended("/analyze", "POST", 200, 2.0)
told = BatchTelemetry()
told.queued(3)
told.started(2, [0.001, 99.0])
"""


MORE = """
of_process().ended("/explain", "POST", 200, 0.05)
"""


def counted(folder, counts=COUNTS):
    """Let a process count something and end."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", counts], env=env, cwd=ROOT, check=True, timeout=120)


def family(name, kind, *samples):
    made = Metric(name, "what it is", kind)
    for suffix, labels, value in samples:
        made.add_sample(name + suffix, labels, value)
    return made


def begun(sink, folder, lost, seconds=3600):
    return otlp_metrics.begin(Collector(sink.url), folder, seconds, lost)


def test_the_list_is_what_the_code_declares():
    declared = {
        next(iter(metric.series)): metric.labels for metric in exported().values() if metric.kind == "counter"
    }
    declared |= {metric.name: metric.labels for metric in exported().values() if metric.kind != "counter"}
    assert dict(ALLOWED) == declared
    forbidden = {"subject", "patient", "caller", "uid", "tenant", "address", "token", "key"}
    assert not forbidden & {label for labels in ALLOWED.values() for label in labels}


def test_what_two_processes_counted_is_one_series_as_prometheus_has_it(tmp_path, sink, lost):
    counted(tmp_path)
    counted(tmp_path)
    begun(sink, tmp_path, lost)()
    report = sink.reports()[-1]
    assert len({one.key for one in report}) == len(report)
    found = {(one.name, *one.labels.values()): one for one in report}
    requests = found["pat_http_requests_total", "POST", "/analyze", "200"]
    assert (requests.kind, requests.value) == ("sum", 4)
    assert requests.labels == {"method": "POST", "route": "/analyze", "status": "200"}
    assert 0 < requests.began < requests.told
    queue = found["pat_queue_weeks",]
    assert (queue.kind, queue.value, queue.began) == ("gauge", 6, 0)
    seconds = found["pat_http_request_seconds", "/analyze"]
    assert (seconds.kind, sum(seconds.counts)) == ("histogram", 4)
    assert seconds.value == pytest.approx(4.1)
    assert lost.spans == 0
    for one in report:
        assert one.value == value_of(tmp_path, one)


def value_of(folder, one):
    """The same number, as Prometheus is told it."""
    name = f"{one.name}_sum" if one.kind == "histogram" else one.name
    [value] = [
        sample.value
        for family in MultiProcessCollector(None, str(folder)).collect()
        for sample in family.samples
        if sample.name == name and sample.labels == one.labels
    ]
    return value


def test_of_a_histogram_each_bucket_has_its_own_and_a_bound_belongs_to_the_bucket_below(tmp_path, sink, lost):
    counted(tmp_path)
    begun(sink, tmp_path, lost)()
    [waits] = [one for one in sink.reports()[-1] if one.name == "pat_batch_wait_seconds"]
    assert waits.bounds[0] == 0.001
    assert len(waits.counts) == len(waits.bounds) + 1
    assert (waits.counts[0], waits.counts[-1], sum(waits.counts)) == (1, 1, 2)


@pytest.mark.security
@pytest.mark.parametrize(
    "made",
    [
        family("pat_break_glass", "counter", ("_total", {"subject": "canary"}, 1)),
        family("pat_refused", "counter", ("_total", {"reason": "quota", "caller": "canary"}, 1)),
        family("pat_refused", "counter", ("_total", {}, 1)),
        family("pat_refused", "counter", ("_total", {"reason": "a canary"}, 1)),
        family("pat_refused", "counter", ("_total", {"reason": "canary" * 30}, 1)),
        family("pat_queue_weeks", "gauge", ("", {"pid": "7"}, 1)),
        family("pat_canary", "counter", ("_total", {}, 1)),
        family("pat_canary", "histogram", ("_bucket", {"le": "+Inf"}, 1), ("_sum", {}, 1), ("_count", {}, 1)),
    ],
)
def test_what_is_on_no_list_stays_and_is_counted(made):
    body, refused = encoded([made], TOLD)
    assert refused == 1
    assert b"canary" not in body
    assert made.name.encode() not in body


def test_what_is_on_the_list_leaves_beside_what_is_not():
    made = family(
        "pat_refused", "counter", ("_total", {"reason": "quota"}, 2), ("_total", {"reason": "a b"}, 3)
    )
    body, refused = encoded([made], TOLD)
    assert (b"quota" in body, b"a b" in body, refused) == (True, False, 1)


def test_metrics_that_are_not_ours_stay():
    made = family("bentoml_service_request", "counter", ("_total", {"endpoint": "canary"}, 1))
    body, refused = encoded([made], TOLD)
    assert b"canary" not in body
    assert refused == 0  # they were never meant to leave


def test_what_stays_is_said_once(tmp_path, sink, lost, caplog, monkeypatch):
    monkeypatch.setattr(otlp_metrics, "ALLOWED", {})
    monkeypatch.setattr(logging.getLogger("pat"), "propagate", True)
    counted(tmp_path, COUNTS + MORE)
    end = begun(sink, tmp_path, lost, 0.05)
    wait(lambda: len(sink.reports()) > 3)
    end()
    records = {id(record): record for record in caplog.records if record.name == "pat.metrics"}
    said = [record.getMessage() for record in records.values()]
    assert said.count("8 series are on no list of what may leave, and stay") == 1  # others are of elsewhere
    assert not any(sink.reports())


def test_of_two_processes_one_reports_and_when_it_ends_the_other_goes_on_with_its_series(
    tmp_path, sink, lost
):
    counted(tmp_path)
    first = begun(sink, tmp_path, lost)
    wait(lambda: len(sink.reports()) == 1)
    second = begun(sink, tmp_path, lost, 0.05)
    time.sleep(0.5)
    assert len(sink.reports()) == 1
    first()
    wait(lambda: len(sink.reports()) > 3)
    second()
    reports = sink.reports()
    assert len({one.instance for report in reports for one in report}) == 1
    assert len({one.began for report in reports for one in report if one.began}) == 1
    told = [report[0].told for report in reports]
    assert told == sorted(set(told))


def test_a_process_that_is_killed_leaves_its_place(tmp_path):
    hold = (
        "import pathlib, sys; from serving.otlp_metrics import Place\n"
        "place = Place(pathlib.Path(sys.argv[1]))\n"
        "print(place.held(), place.instance, flush=True); sys.stdin.read()"
    )
    command, pipe = [sys.executable, "-c", hold, str(tmp_path)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as other:
        held, instance = other.stdout.readline().split()
        place = Place(tmp_path)
        assert (held, place.held()) == ("True", False)
        other.kill()
    assert place.held()
    assert place.instance == instance == str(uuid.UUID(instance))
    place.give_back()


@pytest.mark.parametrize("text", ["", "nonsense", "é" * 90, f"{uuid.UUID(int=1)}"])
def test_a_file_that_says_nothing_of_use_is_begun_anew(tmp_path, text):
    (tmp_path / "otlp.lock").write_text(text)
    place = Place(tmp_path)
    assert place.held()
    place.give_back()
    again = Place(tmp_path)
    assert again.held()
    assert (again.instance, again.since) == (place.instance, place.since)
    assert abs(time.time_ns() - again.since) < 600 * 10**9
    again.give_back()


@pytest.mark.parametrize("status", [307, 400, 503])
def test_a_report_that_the_collector_does_not_take_is_counted_and_the_next_has_all(
    tmp_path, sink, lost, status
):
    counted(tmp_path)
    sink.status = status
    end = begun(sink, tmp_path, lost, 0.05)
    wait(lambda: lost.spans > 1)
    sink.status = 200
    wait(sink.reports)
    end()
    assert any(one.name == "pat_http_requests_total" and one.value == 2 for one in sink.reports()[0])


def test_a_collector_that_is_down_or_hangs_is_given_up_at_the_end(tmp_path, sink, lost):
    counted(tmp_path)
    sink.seconds = 3600
    hung = begun(sink, tmp_path, lost)
    began = time.monotonic()
    hung()
    assert time.monotonic() - began < 25
    down = otlp_metrics.begin(Collector(f"http://127.0.0.1:{free_port()}"), tmp_path, 3600, lost)
    down()
    assert lost.spans >= 3
