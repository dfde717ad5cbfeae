"""The trail says when the service starts and stops, and what changed since it last started."""

import pytest

from serving.audit import AuditUnavailable
from serving.lifecycle import KEY, started, stopped
from serving.store import SqliteStore

pytestmark = pytest.mark.security
SECRET = b"s" * 32
FACTS = {"PAT_ENGINE": "auto", "PAT_RATE_CALLER": "120", KEY: "2026"}


class Trail:
    def __init__(self):
        self.events, self.broken = [], False

    def record_now(self, event):
        if self.broken:
            raise AuditUnavailable("disk full")
        self.events.append((event.verb, event.detail))


@pytest.fixture
def trail():
    return Trail()


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "pat.sqlite")


def test_a_first_start_and_one_like_it_are_starts(trail, store):
    started(trail, store, FACTS, SECRET)
    started(trail, store, dict(reversed(FACTS.items())), SECRET)
    stopped(trail)
    assert trail.events == [("start", ""), ("start", ""), ("stop", "")]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({**FACTS, "PAT_ENGINE": "torch"}, [("change_settings", "PAT_ENGINE")]),
        ({**FACTS, "PAT_NEW": "1"}, [("change_settings", "PAT_NEW")]),
        ({KEY: "2026"}, [("change_settings", "PAT_ENGINE PAT_RATE_CALLER")]),
        ({**FACTS, KEY: "2027"}, [("change_keys", "2027")]),
        ({**FACTS, "PAT_ENGINE": "x", KEY: "y"}, [("change_settings", "PAT_ENGINE"), ("change_keys", "y")]),
    ],
)
def test_what_changed_is_named_once(trail, store, facts, said):
    started(trail, store, FACTS, SECRET)
    started(trail, store, facts, SECRET)
    assert trail.events[2:] == said
    started(trail, store, facts, SECRET)
    assert trail.events[2:] == [*said, ("start", "")]


def test_a_change_that_could_not_be_recorded_is_said_by_the_next_start(trail, store):
    started(trail, store, FACTS, SECRET)
    trail.broken = True
    with pytest.raises(AuditUnavailable):
        started(trail, store, {**FACTS, "PAT_ENGINE": "torch"}, SECRET)
    trail.broken = False
    started(trail, store, {**FACTS, "PAT_ENGINE": "torch"}, SECRET)
    assert trail.events[-1] == ("change_settings", "PAT_ENGINE")


def test_the_store_holds_no_value_of_a_setting(trail, store, tmp_path):
    started(trail, store, {**FACTS, "PAT_STATE_FOLDER": "/srv/secret-place"}, SECRET)
    at_rest = b"".join(path.read_bytes() for path in tmp_path.glob("pat.sqlite*"))
    assert b"PAT_STATE_FOLDER" in at_rest
    assert b"secret-place" not in at_rest
