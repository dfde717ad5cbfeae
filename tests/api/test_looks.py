"""What the entry looks at for Prometheus now and then."""

from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from api import looks
from serving.job_shelf import STATES
from serving.job_state import Progress, State
from serving.state_telemetry import StateTelemetry
from serving.store import SqliteStore

ASKED = ("get", "names", "all")


class Counting:
    """A store that remembers what it was asked."""

    def __init__(self, store):
        self.asked, self._store = [], store

    def __getattr__(self, name):
        self.asked += [name] if name in ASKED else []
        return getattr(self._store, name)


def told_of(keeping):
    registry = CollectorRegistry()
    looks._jobs(lambda: keeping, StateTelemetry(registry))()
    return {state: registry.get_sample_value("pat_jobs", {"state": state}) for state in looks._SEEN}


def test_jobs_are_counted_by_state_in_one_reading_and_a_damaged_one_hides_no_other(tmp_path):
    store = Counting(SqliteStore(tmp_path / "pat.sqlite"))
    for number, state in enumerate([State.RUNNING] * 20 + [State.DONE] * 3 + [State.RECEIVING]):
        store.put(STATES, str(number), Progress(state, created=0.0, size=1).text())
    store.put(STATES, "damaged", b"{")
    found = told_of(SimpleNamespace(store=store))
    assert {state: many for state, many in found.items() if many} == {"running": 20, "done": 3}
    assert store.asked == ["all"]


def test_where_nothing_is_kept_there_are_none():
    assert set(told_of(None).values()) == {0}
