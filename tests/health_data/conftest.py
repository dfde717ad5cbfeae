"""One service, one double of the health data service, and a proxy between them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.doubles.health_data_process import running
from tests.e2e.conftest import home, served
from tests.e2e.server import serve
from tests.faults import fault_proxy
from tests.health_data.asking import ANNA, DOOR, JSON, PAGES, SECONDS, numbers
from tests.health_data.metrics import (
    PERIOD,
)
from tests.serving.signed import token

__all__ = ["home", "served"]


@pytest.fixture(scope="package")
def double():
    with running() as one:
        yield one


@pytest.fixture(scope="package")
def proxy(double):
    with fault_proxy(double.url) as one:
        yield one


@pytest.fixture(scope="package")
def service(home, proxy, tmp_path_factory):
    users = tmp_path_factory.mktemp("users") / "users.json"
    users.write_text(json.dumps({"anna": ANNA}))
    settings = {
        "PAT_HEALTH_DATA_URL": proxy.url,
        "PAT_HEALTH_DATA_USERS_FILE": str(users),
        "PAT_HEALTH_DATA_SECONDS": str(SECONDS),
        "PAT_HEALTH_DATA_PAGES": str(PAGES),
    }
    with serve(home, settings) as running_service:
        yield running_service


@pytest.fixture(scope="package")
def direct(service):
    """The numbers of a recording that is sent to the service itself."""
    found: dict[str, JSON] = {}

    def asked(sent: JSON) -> JSON:
        name = json.dumps(sent)
        if name not in found:
            with service.client() as client:
                answer = client.post("/analyze", json=sent)
            assert answer.status_code == 200, answer.text
            found[name] = numbers(answer.json())
        return found[name]

    return asked


@pytest.fixture
def ask(service):
    """Ask for the subject's analysis, as its patient."""

    def asked(uid: str = ANNA, accept: str = "application/json", **changes: Any) -> Any:
        body = {"subject": ANNA, **PERIOD, **changes}
        headers = {"Authorization": f"Bearer {token(sub=uid)}", "Accept": accept}
        with service.client() as client:
            answer = client.post(DOOR, json=body, headers=headers)
        assert answer.status_code != 500, service.log.read_text()[-6000:]
        assert "secret-text" not in answer.text
        return answer

    return asked
