"""The supervisor lets go of the runner's socket last: what that relies on of the pinned BentoML."""

import inspect

import pytest
from bentoml._internal.utils import circus
from circus.arbiter import Arbiter

from api import supervisor


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    for name in ("start", "stop"):
        monkeypatch.setattr(circus.Arbiter, name, getattr(circus.Arbiter, name))


class Ended:
    def exception(self):
        return None


def test_bentoml_s_own_supervisor_begins_and_ends_as_it_was_when_this_was_written():
    source = inspect.getsource(circus)
    assert "self.exit_stack.__exit__(None, None, None)\n        return super().stop()" in source
    assert "self.exit_stack.__enter__()\n        fut = super().start(cb)" in source


def test_what_belongs_to_the_whole_goes_once_all_processes_have_ended(monkeypatch):
    supervisor.install()
    made, said = circus.Arbiter([], endpoint="tcp://127.0.0.1:0", pubsub_endpoint="tcp://127.0.0.1:0"), []
    made.exit_stack.callback(said.append, "folder removed")

    def run(self, cb):
        said.append("told to end")
        self.stop()
        said.append("all have ended")
        return Ended()

    monkeypatch.setattr(Arbiter, "start", run)
    monkeypatch.setattr(circus.Arbiter, "stop", lambda self: None)
    made.start()
    assert said == ["told to end", "all have ended", "folder removed"]


def test_a_supervisor_that_fails_to_start_says_so(monkeypatch):
    supervisor.install()
    made = circus.Arbiter([], endpoint="tcp://127.0.0.1:0", pubsub_endpoint="tcp://127.0.0.1:0")

    class Failed:
        def exception(self):
            return OSError("no port")

    monkeypatch.setattr(Arbiter, "start", lambda *_: Failed())
    with pytest.raises(OSError, match="no port"):
        made.start()
