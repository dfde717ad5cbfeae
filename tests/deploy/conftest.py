"""One set of secrets for the tests of deploy/."""

import pytest

from tests.deploy.parts import secrets_in


@pytest.fixture(scope="session")
def secrets(tmp_path_factory):
    return secrets_in(tmp_path_factory.mktemp("deployed"))
