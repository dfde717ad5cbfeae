"""The entry listens, and ends before the runners, and the runners before the folder of their sockets."""

import contextlib
import importlib.metadata
import inspect
import socket

import circus.arbiter
import circus.sockets
import pytest
from bentoml._internal.utils import circus as bentoml_circus
from tornado import gen

from api.supervisor import ENTRY, LISTENING, Supervisor, install


def test_the_pinned_bentoml_is_the_one_this_was_written_for():
    from _bentoml_impl.server import serving

    assert importlib.metadata.version("bentoml") == "1.4.39"
    source = inspect.getsource(bentoml_circus)
    assert "arbiter_cls = ThreadedArbiter if threaded else Arbiter" in source
    assert "self.exit_stack.__exit__(None, None, None)" in source
    text = inspect.getsource(serving)
    assert f'name="{ENTRY}"' in text
    assert 'name=f"service_{svc.name}"' in text
    assert "arbiter.exit_stack.callback(shutil.rmtree, uds_path" in text
    assert serving.API_SERVER_NAME == LISTENING


def test_the_pinned_circus_is_the_one_this_was_written_for():
    stop = inspect.getsource(circus.arbiter.Arbiter.stop)
    assert "self._stopping = True" in stop
    assert "yield self._stop_watchers(close_output_streams=True)" in stop
    parameters = inspect.signature(circus.arbiter.Arbiter._stop_watchers).parameters
    assert list(parameters) == ["self", "close_output_streams", "watcher_iter_func"]
    assert "self.listen(self.backlog)" in inspect.getsource(circus.sockets.CircusSocket.bind_and_listen)


class Watcher:
    """Takes a moment to stop, and says what happened."""

    def __init__(self, name, happened):
        self.name, self._happened = name, happened

    @gen.coroutine
    def _stop(self, close_output_streams=False):
        self._happened.append(f"{self.name} told")
        yield gen.sleep(0.02)
        self._happened.append(f"{self.name} ended")


async def test_the_entry_ends_then_the_runners_then_their_folder_goes():
    happened = []
    watchers = [Watcher("service_PatRunner", happened), Watcher(ENTRY, happened)]
    arbiter = object.__new__(Supervisor)
    arbiter.exit_stack, arbiter._stopping = contextlib.ExitStack(), True
    arbiter.exit_stack.callback(happened.append, "folder")
    await arbiter._stop_watchers(watcher_iter_func=lambda reverse: watchers)
    assert happened == [
        *(f"{ENTRY} told", f"{ENTRY} ended"),
        *("service_PatRunner told", "service_PatRunner ended"),
        "folder",
    ]


async def test_a_restart_of_the_processes_leaves_the_folder():
    left = []
    arbiter = object.__new__(Supervisor)
    arbiter.exit_stack, arbiter._stopping = contextlib.ExitStack(), False
    arbiter.exit_stack.callback(left.append, "folder")
    await arbiter._stop_watchers(watcher_iter_func=lambda reverse: [])
    assert left == []


def test_only_the_entry_listens_at_its_own_time(monkeypatch):
    monkeypatch.setattr(circus.arbiter.Arbiter, "__init__", lambda self, *_, **__: None)
    entry, runner = (circus.sockets.CircusSocket(name, "127.0.0.1", 0) for name in (LISTENING, "PatRunner"))
    Supervisor([], sockets=[entry, runner])
    with entry, runner:
        for held in (entry, runner):
            held.bind_and_listen()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(entry.getsockname(), timeout=5)
        socket.create_connection(runner.getsockname(), timeout=5).close()


def test_bentoml_supervises_with_it(monkeypatch):
    monkeypatch.setattr(bentoml_circus, "Arbiter", bentoml_circus.Arbiter)
    install()
    assert bentoml_circus.Arbiter is Supervisor
