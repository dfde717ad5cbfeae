"""The load generator sends when it said, counts from when a request was due, and checks its doors first."""

import http.server
import json
import threading
import time

import numpy as np
import pytest

from benchmarks.load import Arrivals, Ask, Together, check, drive, percentile, recordings
from benchmarks.overload import simulated


class Answers(http.server.BaseHTTPRequestHandler):
    """Describes one door, answers it after a while, and refuses every other."""

    protocol_version = "HTTP/1.1"
    seconds = 0.0

    def do_GET(self):
        self._said(200, json.dumps({"paths": {"/work": {}, "/closed": {}}}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.seconds)
        self._said(200 if self.path == "/work" else 503, b"x")

    def _said(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


WORK, CLOSED = Ask("work", "/work", b"1"), Ask("closed", "/closed", b"1")


def test_arrivals_are_a_poisson_process_of_their_seed():
    plan = Arrivals("", [WORK, CLOSED], rate=100, seconds=100, seed=3)
    due = np.array([at for at, _ in plan.drawn()])
    gaps = np.diff(due)
    assert plan.drawn() == plan.drawn()
    assert plan.drawn() != Arrivals("", [WORK, CLOSED], 100, 100, seed=4).drawn()
    assert due.max() < 100
    assert np.mean(gaps) == pytest.approx(0.01, rel=0.05)
    assert np.std(gaps) == pytest.approx(0.01, rel=0.05)
    assert np.mean([which for _, which in plan.drawn()]) == pytest.approx(0.5, abs=0.03)


def test_a_few_at_a_time_ask_everything_equally_often():
    plan = Together("", [WORK, CLOSED], at_once=2, count=10)
    assert sorted(which for _, which in plan.drawn()) == [0] * 5 + [1] * 5


def test_what_was_sent_is_told_with_its_status_and_the_generator_s_own_cost(url):
    driven = drive(Arrivals(url, [WORK, CLOSED], rate=100, seconds=0.5))
    assert set(driven.statuses) == {200, 503}
    assert {one.retry_after for one in driven.of(503)} == {"7"}
    assert all(one.began >= one.due and one.latency >= one.ended - one.began for one in driven.sent)
    assert driven.cpu_seconds > 0
    assert driven.document()["requests"] == len(driven.sent) == sum(driven.statuses.values())


def test_arrivals_do_not_wait_for_each_other(url, monkeypatch):
    monkeypatch.setattr(Answers, "seconds", 0.3)
    driven = drive(Arrivals(url, [WORK], rate=100, seconds=0.2))
    assert len(driven.sent) > 5
    assert max(one.due for one in driven.sent) < min(one.ended for one in driven.sent)


def test_no_answer_is_told_as_such(url):
    closed = url.rsplit(":", 1)[0] + ":9"
    assert set(drive(Together(closed, [WORK], 1, 2)).statuses) == {0}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (Ask("", "/nowhere", b""), "describes no /nowhere"),
        (CLOSED, "closed: expected 200 without load, found 503"),
    ],
)
def test_nothing_is_measured_at_a_door_that_is_not_described_or_does_not_answer(url, ask, said):
    check(url, [WORK])
    with pytest.raises(RuntimeError, match=said):
        check(url, [WORK, ask])


def test_every_recording_is_a_whole_week_of_numbers():
    asks, origin = recordings()
    assert origin
    for ask in asks:
        assert len(json.loads(ask.body)["values"]) >= 7 * 1440
    assert len({ask.body for ask in asks}) == len(asks)


def test_a_simulated_queue_waits_as_theory_says():
    random = np.random.default_rng(1)
    due = np.cumsum(random.exponential(1.0, 200_000))
    alone = simulated(list(due[:100] * 1e6), [0.5], 1)
    assert alone == pytest.approx({"p50": 500, "p90": 500, "p99": 500}, rel=1e-6)
    loaded = simulated(list(due), list(random.exponential(0.5, 50_000)), 1)  # M/M/1: exponential, mean 1
    assert loaded["p50"] == pytest.approx(np.log(2) * 1e3, rel=0.05)
    assert loaded["p99"] == pytest.approx(np.log(100) * 1e3, rel=0.05)
    assert simulated([0.0, 0.0], [1.0], 2)["p99"] == pytest.approx(1e3)
    assert simulated([0.0, 0.0], [1.0], 1)["p50"] == pytest.approx(1.5e3)


def test_a_percentile_of_nothing_is_no_number():
    assert np.isnan(percentile([], 99))
