"""One FHIR server for all suites that deliver to it."""

import pytest

from tests.fhir_tools import fhir_server


@pytest.fixture(scope="session")
def real():
    """The base address of the real FHIR server of the tests."""
    with fhir_server() as base:
        yield base
