"""The one way out for telemetry: where it leads, what is bounded, what is lost and counted."""

import threading
import time
from dataclasses import replace

import pytest

from serving.otlp import Collector, HeadersUnusable, Outbound, Room, Sender, ended_in_time, headers_of
from serving.settings import Settings, SettingsError, Signal
from tests.certificates import Authority
from tests.doubles.span_sink import span_sink

AT = "http://127.0.0.1:4318"


def way(sink, lost, encode=b"".join, **room):
    return Outbound(Sender(Collector(sink.url), Signal.LOGS), encode, lost, Room(**room))


def wait(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("given", ["/", "/v1/traces", "/v1/traces/", ""])
@pytest.mark.parametrize("signal", Signal)
def test_the_address_is_that_of_the_collector_or_of_its_door_for_spans(given, signal):
    at = Collector(f"https://collector.example{given}")
    assert at.url(signal) == f"https://collector.example/v1/{signal}"


def test_what_is_put_in_arrives_in_batches_each_once(sink, lost):
    out = way(sink, lost, batch=2)
    for one in (b"a", b"b", b"c"):
        out.put(one)
    out.close()
    assert sorted(b"".join(sink.taken("logs"))) == sorted(b"abc")
    assert max(map(len, sink.bodies)) <= 2
    assert lost.spans == 0


def test_what_is_put_in_is_sent_before_the_end_as_well(sink, lost):
    out = way(sink, lost, seconds=0.05)
    out.put(b"a")
    wait(lambda: sink.taken("logs") == [b"a"])
    out.close()


def test_what_cannot_be_written_down_is_counted_and_holds_up_nothing_behind_it(sink, lost):
    def encode(batch):
        if b"bad" in batch:
            raise ValueError
        return b"".join(batch)

    out = way(sink, lost, encode, batch=1)
    out.put(b"bad")
    out.put(b"good")
    out.close()
    assert (sink.bodies, lost.spans) == ([b"good"], 1)


def test_what_comes_after_the_end_is_counted(sink, lost):
    out = way(sink, lost)
    out.close()
    out.put(b"late")
    assert (sink.bodies, lost.spans) == ([], 1)


def test_ends_are_done_at_once_and_one_that_hangs_is_left_alone(monkeypatch):
    monkeypatch.setattr("serving.otlp._END_SECONDS", 0.3)
    met, never = threading.Barrier(2, timeout=30), threading.Event()
    done = []

    def end():
        met.wait()  # for each other
        done.append(1)

    ended_in_time([end, end, never.wait])
    never.set()
    wait(lambda: done == [1, 1])


@pytest.mark.security
def test_a_collector_is_believed_by_the_certificates_that_are_named_alone(lost, tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    with span_sink(ours.pair("collector", "127.0.0.1")) as sink:
        for authority in (others, ours):
            at = Collector(sink.url, ca_file=str(authority.file))
            out = Outbound(Sender(at, Signal.LOGS), b"".join, lost)
            out.put(b"a")
            out.close()
        Sender(Collector(sink.url), Signal.LOGS).sent(b"to whom the system trusts")
    assert (sink.bodies, lost.spans) == ([b"a"], 1)


@pytest.mark.parametrize(
    ("given", "signals"),
    [("traces,metrics,logs", set(Signal)), ("logs", {Signal.LOGS}), (" traces , logs", {"traces", "logs"})],
)
def test_signals_are_chosen_by_name(given, signals):
    settings = Settings.from_environment({"PAT_OTLP_ENDPOINT": AT, "PAT_OTLP_SIGNALS": given})
    assert settings.signals == signals
    assert {one for one in Signal if Collector.of(settings, one)} == signals


@pytest.mark.parametrize("given", ["", "none", "traces;logs", "traces,", "Traces"])
def test_what_is_no_signal_is_refused(given):
    with pytest.raises(SettingsError, match="PAT_OTLP_SIGNALS: expected some of traces, metrics, logs"):
        Settings.from_environment({"PAT_OTLP_ENDPOINT": AT, "PAT_OTLP_SIGNALS": given})


def test_all_signals_are_sent_unless_some_are_chosen():
    assert Settings().signals == set(Signal)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("Authorization: abc", 0o644, "owner alone"),
        ("no colon", 0o400, "Name: value"),
        ("Authorization:", 0o400, "Name: value"),
        ("é: abc", 0o400, "readable text"),
        (None, 0, "readable text"),
    ],
)
def test_headers_that_must_not_be_used_are_refused(tmp_path, text, mode, message):
    file = tmp_path / "headers"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(HeadersUnusable, match=message):
        headers_of(file)


def test_without_an_endpoint_there_is_no_collector_and_with_one_its_certificates_are_read(tmp_path):
    assert Collector.of(Settings(), Signal.TRACES) is None
    assert Collector.of(Settings(otlp_endpoint="https://collector.example"), Signal.TRACES).sample == 1.0
    missing = Settings(otlp_endpoint="https://collector.example", otlp_ca_file=str(tmp_path / "none.pem"))
    for chosen in ("traces,metrics,logs", "metrics"):
        with pytest.raises(SettingsError, match="PAT_OTLP_CA_FILE"):  # before anything starts
            Collector.of(replace(missing, otlp_signals=chosen), Signal.TRACES)
