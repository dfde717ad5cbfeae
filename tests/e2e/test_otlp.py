"""The served process with a collector: its metrics once, as Prometheus has them, and its log lines."""

import itertools
import json
import re
import signal
import time

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.span_sink import span_sink
from tests.e2e.server import free_port, serve

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow]
MARKER = "canary4711"
MOVING = ("pat_process_cpu_seconds_total", "pat_process_resident_bytes")  # also while nobody asks
TWO_WORKERS = {"PAT_API_WORKERS": "2", "PAT_OTLP_METRICS_SECONDS": "1"}


@pytest.fixture(scope="module")
def sink():
    with span_sink() as server:
        yield server


@pytest.fixture(scope="module")
def address():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def served(home, sink, address):
    with serve(home, {**sink.settings(), **TWO_WORKERS, "PAT_METRICS_ADDRESS": address}) as running:
        yield running


def wait(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def last(sink):
    """The newest report, by series."""
    return {one.key: one for one in sink.reports()[-1]}


def scraped(address):
    """What Prometheus is told of ours, by series: a number, or the count and the sum of a histogram."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"http://{address}/metrics", timeout=30).text):
        for sample in family.samples:
            if not sample.name.startswith("pat_") or sample.name.endswith("_bucket"):
                continue
            histogram = family.type == "histogram"
            name = re.sub("_(sum|count)$", "", sample.name) if histogram else sample.name
            found.setdefault((name, frozenset(sample.labels.items())), set()).add(sample.value)
    return {key: values for key, values in found.items() if key[0] not in MOVING}


def numbers(report):
    made = {
        key: {one.value, float(sum(one.counts))} if one.kind == "histogram" else {one.value}
        for key, one in report.items()
    }
    return {key: values for key, values in made.items() if key[0] not in MOVING}


def asked(served, week, times=12):
    """Ask on new connections, so that both workers are met."""
    for _ in range(times):
        with served.client() as client:
            assert client.post("/analyze", json=week).status_code == 200


def test_two_workers_are_one_series_and_every_number_is_as_prometheus_has_it(served, sink, address, week):
    asked(served, week)
    assert wait(lambda: sink.reports() and numbers(last(sink)) == scraped(address)), (
        numbers(last(sink)),
        scraped(address),
    )
    report = last(sink)
    assert len(report) == len(sink.reports()[-1])  # no series twice
    requests = report["pat_http_requests_total", labels(route="/analyze", method="POST", status="200")]
    assert (requests.kind, requests.value) == ("sum", 12)
    assert ("pat_batch_weeks", frozenset()) in report  # which the runner counts
    assert len({one.instance for one in report.values()}) == 1


def labels(**named):
    return frozenset(named.items())


def test_reports_come_from_one_process_at_a_time(sink):
    wait(lambda: len(sink.reports()) > 4)
    told = [report[0].told for report in sink.reports()]
    assert told == sorted(told)
    assert min(later - one for one, later in itertools.pairwise(told)) > 0.5e9  # two would halve the second


def test_when_the_process_that_reports_is_killed_its_series_go_on(served, sink, week):
    before = last(sink)
    lock = str(served.home / "prometheus_multiproc_dir" / "otlp.lock")
    workers = psutil.Process(served.process.pid).children(recursive=True)
    [holder] = [worker for worker in workers if lock in {file.path for file in worker.open_files()}]
    many = len(sink.reports())
    holder.send_signal(signal.SIGKILL)
    assert wait(lambda: len(sink.reports()) > many + 2)
    wait(lambda: httpx.get(served.url + "/readyz").status_code == 200)
    asked(served, week, 2)
    key = ("pat_http_requests_total", labels(route="/analyze", method="POST", status="200"))
    assert wait(lambda: last(sink)[key].value == before[key].value + 2)
    after = last(sink)
    assert after[key].began == before[key].began
    assert after[key].instance == before[key].instance
    for key, one in before.items():
        if one.kind == "sum":
            assert after[key].value >= one.value, key


def test_the_lines_of_standard_output_arrive_with_their_traces_and_nothing_that_was_sent(served, sink, week):
    headers = {"X-PAT-Marker": MARKER, "User-Agent": MARKER, "tracestate": f"a={MARKER}"}
    with served.client() as client:
        for sent in (week, {**week, "unit": MARKER}, {**week, MARKER: 1}):
            client.post(f"/analyze?q={MARKER}", json=sent, headers=headers)
        assert client.get(f"/{MARKER}", headers=headers).status_code == 404
        assert client.post("/v1/recordings:analyze", content=MARKER, headers=headers).status_code == 422
    assert wait(lambda: any(line.attributes.get("path") == "/nowhere" for line in sink.lines()))
    wait(lambda: any(line.attributes.get("path") == "/v1/recordings:analyze" for line in sink.lines()))
    assert MARKER.encode() not in b"".join(sink.bodies)
    inference = sink.lines("pat.inference")[-1]
    assert (inference.body, inference.severity, inference.service) == (
        "inference",
        (9, "INFO"),
        "PatService",
    )
    assert inference.attributes["route"] == "/analyze"
    [door] = [span for span in sink.spans(inference.trace) if span.name == "POST /analyze"]
    assert inference.span in {span.id for span in sink.spans(inference.trace)}
    assert door.began < inference.written
    assert "PatRunner" in {line.service for line in sink.lines()}


def test_what_arrives_is_on_standard_output_as_well_and_said_once(served, sink):
    def said():
        kept = (json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in kept if line["logger"] == "pat.inference"]

    wait(lambda: len(said()) == len(sink.lines("pat.inference")))
    there = sorted((line["trace"], line["request"], line["ms"]) for line in said())
    arrived = [
        (line.trace, line.attributes["request"], line.attributes["ms"])
        for line in sink.lines("pat.inference")
    ]
    assert sorted(arrived) == there
    access = [line for line in sink.lines() if line.body == "request" and line.trace]
    assert len({(line.trace, line.attributes.get("request")) for line in access}) == len(access)


def test_only_the_signals_that_are_chosen_are_sent(home, week):
    with span_sink() as sink:
        chosen = {**sink.settings(), "PAT_OTLP_SIGNALS": "logs"}
        with serve(home, chosen) as served, served.client() as client:
            assert client.post("/analyze", json=week).status_code == 200
        assert set(sink.paths) == {"/v1/logs"}


def test_what_was_counted_and_said_last_is_sent_at_the_end(home, week):
    with span_sink() as sink:
        with serve(home, {**sink.settings(), "PAT_OTLP_METRICS_SECONDS": "3600"}) as served:
            asked(served, week, 3)
        key = ("pat_http_requests_total", labels(route="/analyze", method="POST", status="200"))
        assert last(sink)[key].value == 3
        said = [line for line in sink.lines() if line.attributes.get("path") == "/analyze"]
        assert len(said) == 3
        assert served.process.returncode == 0
