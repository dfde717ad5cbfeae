"""What a process keeps things in: nothing without keys and a folder, and then the doors say what to set."""

import asyncio

import pytest

from api import keeping
from api.keeping import Background, NoStore, opened
from api.problems import problem_of
from serving.keys import new_line
from serving.settings import Settings


class Worker:
    def __init__(self):
        self.said = []

    def start(self):
        self.said.append("start")

    async def close(self):
        self.said.append("close")


@pytest.fixture
def settings(tmp_path):
    keys = tmp_path / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    return Settings(master_keys_file=str(keys), state_folder=str(tmp_path / "state"))


def test_a_service_with_keys_and_a_folder_keeps(settings):
    kept = opened(settings)
    at = kept.vault.subject("clinic", "anna")
    kept.vault.put(at, "care", "one", b"{}")
    assert kept.registry.find(at)["care"] == {"one": b"{}"}
    kept.close()


@pytest.mark.parametrize("missing", ["master_keys_file", "state_folder"])
def test_a_service_without_keeps_nothing(settings, missing):
    given = {"master_keys_file": settings.master_keys_file, "state_folder": settings.state_folder}
    assert opened(Settings(**{**given, missing: ""})) is None


def test_a_door_that_needs_a_store_says_what_to_set(monkeypatch):
    monkeypatch.setattr(keeping.bentoml, "get_current_service", lambda: type("S", (), {"keeping": None}))
    with pytest.raises(NoStore) as refused:
        keeping.keeping()
    answer = problem_of(refused.value)
    assert answer.status_code == 503
    assert b'"no_store"' in answer.body
    for said in (b"PAT_MASTER_KEYS_FILE", b"PAT_STATE_FOLDER", b"pat keys new"):
        assert said in answer.body


async def test_workers_begin_once_there_is_a_store_and_end(settings, monkeypatch):
    monkeypatch.setattr(keeping, "_LOOK_SECONDS", 0.01)
    there, worker = [], Worker()
    background = Background(lambda: there[0] if there else None, lambda kept: [worker])
    background.start()
    await asyncio.sleep(0.05)
    assert worker.said == []
    there.append(opened(settings))
    await asyncio.sleep(0.05)
    assert worker.said == ["start"]
    await background.close()
    assert worker.said == ["start", "close"]
    there[0].close()


async def test_a_store_that_never_comes_is_not_waited_for_at_the_end():
    background = Background(lambda: None, lambda kept: [Worker()])
    background.start()
    await background.close()
