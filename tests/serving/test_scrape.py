"""The listener for Prometheus: where it may be, and one for all workers."""

import httpx
import pytest
from prometheus_client import values

from serving.scrape import address_of, listen
from tests.e2e.server import free_port


@pytest.mark.parametrize("text", ["127.0.0.1:9464", "0.0.0.0:1", "[::1]:65535"])
def test_an_address_has_a_host_and_a_port(text):
    host, port = address_of(text)
    assert text.replace("[", "").replace("]", "") == f"{host}:{port}"


@pytest.mark.parametrize(
    "text", ["", "9464", ":9464", "localhost:9464", "127.0.0.1:", "127.0.0.1:65536", "::1"]
)
def test_anything_else_is_none(text):
    with pytest.raises(ValueError, match="expected an address and a port"):
        address_of(text)


def test_it_serves_until_it_is_ended_and_a_second_leaves_it_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    values.MultiProcessValue(lambda: 1)("counter", "pat_made", "pat_made_total", (), (), "A count").inc(3)
    address = f"127.0.0.1:{free_port()}"
    end, second = listen(address), listen(address)
    second()
    assert "pat_made_total 3.0" in httpx.get(f"http://{address}/metrics").text
    end()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{address}/metrics")


def test_without_an_address_there_is_none():
    listen("")()
