"""One door of each fault, as CI asks; `make chaos` asks all of them and writes docs/chaos-results.md."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

import pytest

from tests.chaos.ends import ENDS
from tests.chaos.faults import FAULTS, WELL
from tests.chaos.matrix import matrix
from tests.chaos.world import Kind, world
from tests.shared import ROOT, missing

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow, pytest.mark.timeout(300)]
ON_A_SMALL_DISK = {"disk full", "temporary folder full"}


@contextlib.contextmanager
def folder():
    """A folder with a short path, as sockets need."""
    with tempfile.TemporaryDirectory(prefix="pc-", dir="/tmp", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def on_redis(home):
    with folder() as place, world(home, place) as running:
        yield running


@pytest.fixture(scope="module")
def on_files(home):
    with folder() as place, world(home, place, Kind.FILES) as running:
        yield running


@pytest.fixture(scope="module")
def with_a_cache(home):
    with folder() as place, world(home, place, Kind.CACHE) as running:
        yield running


@pytest.fixture(scope="module")
def with_a_clock(home):
    with folder() as place, world(home, place, Kind.CLOCK) as running:
        yield running


WORLDS = dict(zip(Kind, ("on_redis", "on_files", "with_a_cache", "with_a_clock"), strict=True))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_door_answers_as_the_catalogue_says_while_something_fails_and_as_before_afterwards(fault, request):
    if fault.name in ON_A_SMALL_DISK and os.getuid():
        missing("only root may mount a small disk")
    running = request.getfixturevalue(WORLDS[fault.kind])
    [row] = matrix(running, fault, [fault.telling])
    assert row.holds, row


@pytest.mark.parametrize("name", sorted(ENDS), ids=lambda name: name.replace(" ", "-").replace(",", ""))
def test_what_a_service_starts_with_and_how_it_stops_costs_no_wrong_answer(name, home):
    with folder() as place:
        rows = ENDS[name](home, place)
    assert [row for row in rows if not row.holds] == []


def test_every_fault_names_a_door_of_the_matrix_and_expects_something_of_doors_that_are_there():
    assert len(FAULTS) + len(ENDS) >= 15
    for fault in FAULTS:
        assert fault.telling in WELL
        assert fault.expected.keys() == WELL.keys()


def test_the_table_of_the_documentation_names_faults_that_are_tested():
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.partition("## What fails, and what then")[2].partition("\n## ")[0]
    named = set(
        re.findall(r"`([^`]+)`", "".join(line.split("|")[-2] for line in table.splitlines() if "|" in line))
    )
    tested = {fault.name for fault in FAULTS} | set(ENDS)
    assert tested <= named
    for name in named - tested:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), name
