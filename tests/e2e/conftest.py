"""One served process for the suites that only ask questions."""

from __future__ import annotations

import json

import pytest

from tests.e2e.server import home_with_demo_weights, serve
from tests.shared import ROOT


@pytest.fixture(scope="session")
def home():
    with home_with_demo_weights() as path:
        yield path


@pytest.fixture(scope="session")
def served(home):
    with serve(home, {"PAT_MAX_REQUESTS": "16"}) as running:  # nobody is to be refused
        yield running


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client


@pytest.fixture
def week():
    """The example week, as a caller sends it."""
    return json.loads((ROOT / "examples" / "week.json").read_text())
