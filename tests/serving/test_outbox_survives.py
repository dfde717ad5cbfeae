"""kill -9 at every step between accepted and delivered: the FHIR server has the Bundle once, not twice."""

import itertools
import subprocess
import sys
import time

import pytest

from serving.leases import Leases
from serving.outbox import Outbox, State
from serving.store import SqliteStore
from tests.serving.test_courier import Records, courier, ended, until
from tests.serving.test_fhir_push import reports
from tests.serving.test_outbox import opened
from tests.shared import ROOT

pytestmark = pytest.mark.fhir
NEVER = 10**6
KILLED = -9
WITHIN = (  # of the fast test; the slow one takes every step
    "before put outbox",
    "after put outbox",
    "before POST",
    "after POST",
    "after put outbox-delivered",
    "after delete outbox",
)


def run(folder, url, name, step):
    """Run the process until it is killed at ``step``; return its exit status and what it said."""
    command = [sys.executable, "-m", "tests.serving.outbox_process", str(folder), url, name, str(step)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture(scope="module")
def steps(real, tmp_path_factory):
    """The steps of a process that nobody kills, as far as the end of its delivery."""
    code, said = run(tmp_path_factory.mktemp("whole"), real, "whole", NEVER)
    assert (code, said[-1], len(reports(real, "whole"))) == (0, "delivered", 1)
    return [line.removeprefix("step ") for line in said if line.startswith("step ")]


def killed_and_restarted(folder, url, name, step):
    """Kill at ``step``, start again as if later, wait until nothing waits; return whether it was accepted."""
    code, said = run(folder, url, name, step)
    assert code == KILLED
    accepted = [line.split()[1] for line in said if line.startswith("accepted")]

    def later():
        return time.time() + 120

    outbox = Outbox(opened(folder), later)
    leases = Leases(SqliteStore(folder / "leases.sqlite"), clock=later)
    with courier(url, outbox, Records(), leases):
        until(lambda: not any(outbox.bundle(ticket) for ticket in outbox.tickets(State.WAITING)))
        for delivery in accepted:
            ended(outbox, delivery)
    return bool(accepted)


def check(folder, real, name, step):
    accepted = killed_and_restarted(folder, real, name, step)
    found = len(reports(real, name))
    assert found == 1 if accepted else found <= 1


def test_the_steps_are_those_between_accepted_and_delivered(steps):
    assert [label for label, _ in itertools.groupby(steps) if label in WITHIN] == list(WITHIN)
    assert steps.index("before record sending") < steps.index("before POST")
    assert steps.index("after put outbox-waiting") < steps.index("before put outbox")


@pytest.mark.parametrize("label", WITHIN)
def test_a_process_that_is_killed_in_the_midst_loses_nothing_and_repeats_nothing(
    tmp_path, real, steps, label
):
    check(tmp_path, real, label.replace(" ", "-"), steps.index(label) + 1)


@pytest.mark.slow
def test_no_step_is_one_at_which_a_kill_loses_or_repeats_anything(tmp_path, real, steps):
    assert len(steps) > 20
    for step, label in enumerate(steps, 1):
        folder = tmp_path / str(step)
        folder.mkdir()
        check(folder, real, f"step-{step}-{label.replace(' ', '-')}", step)
