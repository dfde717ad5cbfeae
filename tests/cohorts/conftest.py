"""The demonstration weights in the store of the test run."""

import pytest

import cli
from tests.e2e.server import DEMO


@pytest.fixture(scope="session", autouse=True)
def demonstration_weights():
    assert cli.main(["weights", "import", str(DEMO)]) == 0
