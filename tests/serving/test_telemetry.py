"""What Prometheus is told of batches and of who is let in."""

from prometheus_client import CollectorRegistry

from serving.telemetry import AdmissionTelemetry, BatchTelemetry, admission


def test_batches_are_counted_in_weeks_with_their_waits_and_times():
    registry = CollectorRegistry()
    telemetry = BatchTelemetry(registry)
    telemetry.queued(5)
    telemetry.started(5, [0.002, 0.2])
    telemetry.queued(0)
    telemetry.ended(0.05)
    value = registry.get_sample_value
    assert value("pat_batch_weeks_sum") == 5
    assert value("pat_batch_weeks_bucket", {"le": "8.0"}) == 1
    assert value("pat_batch_weeks_bucket", {"le": "4.0"}) == 0
    assert value("pat_batch_wait_seconds_count") == 2
    assert value("pat_batch_wait_seconds_bucket", {"le": "0.003"}) == 1
    assert value("pat_batch_seconds_sum") == 0.05
    assert value("pat_queue_weeks") == 0


def test_who_is_let_in_refused_and_who_left_is_counted():
    registry = CollectorRegistry()
    telemetry, value = AdmissionTelemetry(registry), registry.get_sample_value
    assert value("pat_refused_total", {"reason": "deadline"}) == 0
    telemetry.under_way(1)
    telemetry.under_way(1)
    telemetry.under_way(-1)
    telemetry.weeks(7)
    telemetry.refused("overload")
    telemetry.abandoned()
    assert value("pat_admitted_requests") == 1
    assert value("pat_admitted_weeks") == 7
    assert value("pat_refused_total", {"reason": "overload"}) == 1
    assert value("pat_abandoned_total") == 1


def test_a_process_tells_in_one_place():
    assert admission() is admission()
