"""The example for Alertmanager: who hears of what, and what is held back."""

import datetime as dt
import re

import httpx
import pytest

from tests.deploy.processes import Receiver, alertmanager, until
from tests.deploy.tools import DEPLOY, alerts, read, run

FILE = DEPLOY / "alertmanager" / "alertmanager.yml"


def test_alertmanager_takes_the_example():
    done = run("amtool", "check-config", FILE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alert", "receiver"),
    [
        ("PatAuditWriteFailure", "pager"),
        ("PatServiceDown", "pager"),
        ("PatApiSlow", "tickets"),
        ("PatBreakGlass", "privacy"),
        ("PatModelChanged", "nobody"),
    ],
)
def test_an_alert_goes_to_whom_it_concerns(alert, receiver):
    labels = [f"alertname={alert}", f"severity={alerts()[alert]['labels']['severity']}"]
    done = run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={FILE}",
        f"--verify.receivers={receiver}",
        *labels,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_of_another_receiver_is_found():
    labels = ["alertname=PatServiceDown", "severity=critical"]
    done = run(
        "amtool", "config", "routes", "test", f"--config.file={FILE}", "--verify.receivers=nobody", *labels
    )
    assert done.returncode == 1


def test_every_alert_that_is_named_is_there():
    assert set(re.findall(r"\bPat[A-Z]\w*", FILE.read_text())) <= set(alerts())


def test_no_secret_and_no_address_of_anybody_is_in_the_example():
    for receiver in read(FILE)["receivers"]:
        for hook in receiver.get("webhook_configs", []):
            assert re.fullmatch(r"https://\w+\.example/alerts", hook["url"])
            assert hook["http_config"]["authorization"].keys() == {"credentials_file"}


@pytest.fixture(scope="module")
def receiver():
    made = Receiver()
    with made.running():
        yield made


@pytest.fixture(scope="module")
def manager(tmp_path_factory, receiver):
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), receiver) as running:
        yield running


def send(manager, *firing):
    """Let alerts fire: name and labels."""
    now = dt.datetime.now(dt.UTC).isoformat()
    made = [
        {
            "labels": {
                "alertname": name,
                "severity": alerts()[name]["labels"]["severity"],
                "job": "pat-service",
                **labels,
            },
            "startsAt": now,
        }
        for name, labels in firing
    ]
    httpx.post(f"{manager.url}/api/v2/alerts", json=made).raise_for_status()


def held_back(manager):
    """What is inhibited, once everything is known that was sent."""
    found = manager.get("/api/v2/alerts", inhibited="true", active="false")
    return {(one["labels"]["alertname"], one["labels"].get("instance", "")) for one in found}


def test_of_an_instance_that_is_away_nothing_else_is_told(manager, receiver):
    send(
        manager,
        ("PatServiceDown", {"instance": "a:9464"}),
        ("PatStoreDown", {"instance": "a:9464", "dependency": "store"}),
        ("PatStoreDown", {"instance": "b:9464", "dependency": "store"}),
        ("PatErrorBudgetFast", {}),
        ("PatErrorBudgetSlow", {}),
        ("PatCircuitOpen", {"instance": "b:9464", "dependency": "store"}),
        ("PatCircuitOpen", {"instance": "b:9464", "dependency": "rates"}),
    )
    assert until(lambda: receiver.heard("pager", "PatErrorBudgetFast"))
    assert until(lambda: receiver.heard("tickets", "PatCircuitOpen"))
    assert held_back(manager) == {
        ("PatStoreDown", "a:9464"),
        ("PatErrorBudgetSlow", ""),
        ("PatCircuitOpen", "b:9464"),
    }
    assert [one["labels"]["instance"] for one in receiver.heard("pager", "PatStoreDown")] == ["b:9464"]
    assert [one["labels"]["dependency"] for one in receiver.heard("tickets", "PatCircuitOpen")] == ["rates"]


def test_what_is_only_shown_is_sent_to_nobody(manager, receiver):
    send(manager, ("PatModelChanged", {"tag": "pat-m:two"}), ("PatBreakGlass", {"instance": "c:9464"}))
    assert until(lambda: receiver.heard("privacy", "PatBreakGlass"))
    assert not [one for _, one in receiver.got if one["labels"]["alertname"] == "PatModelChanged"]
