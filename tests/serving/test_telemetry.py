"""What Prometheus is told of batches."""

from prometheus_client import CollectorRegistry

from serving.telemetry import BatchTelemetry


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
