"""What Prometheus is told of the weights, of weeks and of drift."""

import pytest
from prometheus_client import CollectorRegistry

from serving.model_telemetry import DriftTelemetry, InferenceTelemetry, ModelTelemetry


@pytest.fixture
def registry():
    return CollectorRegistry()


class DamagedError(ValueError):
    """Said of weights."""


def test_a_load_is_timed_and_a_failure_counted(registry):
    told, value = ModelTelemetry(registry), registry.get_sample_value
    with told.loading():
        pass
    with pytest.raises(DamagedError), told.loading():
        raise DamagedError
    assert value("pat_model_loads_total", {"outcome": "loaded"}) == 1
    assert value("pat_model_loads_total", {"outcome": "failed"}) == 1
    assert value("pat_model_load_seconds_count") == 1


def test_a_check_that_fails_is_counted_and_another_error_says_nothing_of_it(registry):
    told, value = ModelTelemetry(registry), registry.get_sample_value
    with told.checking("digest", DamagedError):
        pass
    with pytest.raises(DamagedError), told.checking("golden", DamagedError):
        raise DamagedError
    with pytest.raises(ConnectionError), told.checking("golden", DamagedError):
        raise ConnectionError
    assert value("pat_integrity_checks_total", {"kind": "digest", "outcome": "passed"}) == 1
    assert value("pat_integrity_checks_total", {"kind": "golden", "outcome": "failed"}) == 1
    assert value("pat_integrity_checks_total", {"kind": "golden", "outcome": "passed"}) == 0


def test_the_weights_are_named(registry):
    ModelTelemetry(registry).answers("pat-s:1", "0" * 64, "native", "fp32")
    named = {"tag": "pat-s:1", "sha256": "0" * 64, "engine": "native", "precision": "fp32"}
    assert registry.get_sample_value("pat_model_info", named) == 1


def test_a_share_is_told_in_steps(registry):
    told = InferenceTelemetry(registry)
    told.valid(0.98731)
    assert registry.get_sample_value("pat_input_valid_share_sum") == 1.0
    told.ended("encoded", 3)
    told.absent({"no_sleep_log": 2})
    assert registry.get_sample_value("pat_inferences_total", {"status": "encoded"}) == 3
    others = ("cached", "rejected", "unavailable")
    assert [registry.get_sample_value("pat_inferences_total", {"status": one}) for one in others] == [0, 0, 0]
    assert registry.get_sample_value("pat_absences_total", {"reason": "no_sleep_log"}) == 2


def test_drift_is_absent_until_there_is_some(registry):
    told, value = DriftTelemetry(registry), registry.get_sample_value
    assert value("pat_input_drift", {"statistic": "mean"}) is None
    told.drifted("input", {"mean": 0.5})
    told.drifted("output", {"sd": -1.5})
    told.holds(20)
    assert value("pat_input_drift", {"statistic": "mean"}) == 0.5
    assert value("pat_output_drift", {"statistic": "sd"}) == -1.5
    assert value("pat_drift_weeks") == 20
