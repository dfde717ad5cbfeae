"""The request that is being answered: what is noted of it, and what is counted when it ends."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from serving import request_telemetry
from serving.request_telemetry import RequestTelemetry
from serving.under_way import begun, current


@pytest.fixture
def value(monkeypatch):
    registry = CollectorRegistry()
    telemetry = RequestTelemetry(registry)
    monkeypatch.setattr(request_telemetry, "of_process", lambda: telemetry)
    return registry.get_sample_value


def counted(value, status, route="/analyze", method="POST"):
    return value("pat_http_requests_total", {"route": route, "method": method, "status": status})


async def nothing(_):
    """Take a message."""


async def test_a_request_is_counted_by_its_door_and_its_status(value):
    with begun("POST", "/analyze") as request:
        await request.noting(nothing)({"type": "http.response.start", "status": 200})
        await request.noting(nothing)({"type": "http.response.body"})
    assert counted(value, "200") == 1
    assert value("pat_http_request_seconds_count", {"route": "/analyze"}) == 1


async def test_a_method_that_somebody_made_up_is_other(value):
    with begun("CANARY4711", "/analyze") as request:
        request.status = 405
    assert counted(value, "405", method="other") == 1


@pytest.mark.parametrize(
    ("status", "times"), [(400, 1), (413, 1), (415, 1), (422, 1), (200, None), (503, None)]
)
def test_a_refused_input_is_counted_by_its_code_and_what_is_no_input_is_not(value, status, times):
    with begun("POST", "/analyze") as request:
        request.refusal, request.status = "unknown_unit", status
    assert value("pat_rejected_inputs_total", {"reason": "unknown_unit"}) == times


def test_a_sender_who_left_is_499_and_what_raised_500(value):
    with begun("POST", "/analyze"):
        pass
    with pytest.raises(KeyError), begun("POST", "/analyze"):
        raise KeyError
    assert (counted(value, "499"), counted(value, "500")) == (1, 1)


async def test_a_request_is_known_to_whatever_is_done_for_it_and_to_nothing_else(value):
    assert current() is None
    with begun("POST", "/analyze") as request:
        assert await asyncio.to_thread(current) is request
    assert current() is None
