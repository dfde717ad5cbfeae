"""One guarded service for the suites that ask it for everything, and a count of what they asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.routes import PUBLIC
from serving.audit_check import checkpoints, events, verify
from serving.care import Care
from serving.keys import MasterKeys
from serving.settings import Settings
from serving.state import audit_folder, audit_keys, open_vault
from tests.doubles.health_data_process import running
from tests.e2e.conftest import home, week
from tests.e2e.guarded import NOBODY_S, guarded
from tests.e2e.server import Served
from tests.health_data.metrics import days

__all__ = ["home", "week"]

UNLIMITED = dict.fromkeys(
    ("PAT_RATE_ADDRESS", "PAT_RATE_FAILURE", "PAT_RATE_CALLER", "PAT_RATE_TENANT"), "1000000"
)


@dataclass
class Asked:
    """A guarded service, asked through one client that counts."""

    served: Served
    folder: Path
    sent: int = 0

    def __post_init__(self):
        self.client = self.served.client(event_hooks={"request": [self._count]})

    def _count(self, request: httpx.Request) -> None:
        self.sent += request.url.path not in PUBLIC

    def __call__(self, method, path, **options) -> httpx.Response:
        return self.client.request(method, path.replace("{id}", NOBODY_S), **options)

    @property
    def keys(self) -> MasterKeys:
        return MasterKeys.read(self.folder / "master.keys")

    @property
    def care(self) -> Care:
        return Care(open_vault(Settings(state_folder=str(self.folder / "state")), self.keys))

    def events(self):
        """Every event that was recorded, in order."""
        return [record["event"] for record in events(audit_folder(self.folder / "state"), {})]

    def report(self):
        """What a check of the trail finds."""
        told = checkpoints(self.served.log.read_text())
        return verify(audit_folder(self.folder / "state"), audit_keys(self.keys), told)


@pytest.fixture(scope="package")
def asked(home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    with (
        running() as double,
        guarded(home, folder, {**UNLIMITED, "PAT_HEALTH_DATA_URL": double.url}) as served,
    ):
        double.keep(*days())  # of everybody
        found = Asked(served, folder)
        with found.client:
            yield found


@pytest.fixture
def recorded(asked):
    """What was recorded since the test began."""
    before = len(asked.events())
    return lambda: [event for event in asked.events()[before:] if (event["actor"] or {}).get("address")]
