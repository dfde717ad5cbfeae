"""Starts the real Prometheus and Alertmanager with the files of deploy/, and hears what would be sent."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.tools import DEPLOY, PROMETHEUS, program, read
from tests.doubles.http_server import Double
from tests.e2e.server import free_port, stop

_SECONDS = 60


class Receiver(Double):
    """Takes what Alertmanager sends; a receiver's name is its path."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[str, dict[str, Any]]] = []

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if headers["Authorization"] != "Bearer of-the-tests":
            return 401, {}, b""
        self.got += [(path.strip("/"), alert) for alert in json.loads(body)["alerts"]]
        return 200, {}, b""

    def heard(self, receiver: str, alert: str, status: str = "firing") -> list[dict[str, Any]]:
        """The alerts of that name that came to ``receiver``."""
        named = [one for to, one in self.got if to == receiver and one["labels"]["alertname"] == alert]
        return [one for one in named if one["status"] == status]


@dataclass(frozen=True)
class Running:
    """A process that answers at ``url``."""

    url: str
    process: subprocess.Popen[bytes] = field(repr=False)

    def get(self, path: str, **parameters: str) -> Any:
        return httpx.get(self.url + path, params=parameters, timeout=10).json()


def until(ask: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: Receiver) -> Iterator[Running]:
    """The example of deploy/alertmanager with the test's receiver behind each name, and without patience."""
    token, config = folder / "token", read(DEPLOY / "alertmanager" / "alertmanager.yml")
    token.write_text("of-the-tests\n")
    for one in config["receivers"]:
        for hook in one.get("webhook_configs", []):
            hook["url"] = f"{receiver.origin}/{one['name']}"
            hook["http_config"]["authorization"]["credentials_file"] = str(token)
    for route in (config["route"], *config["route"]["routes"]):
        route.update(group_wait="1s", group_interval="1s")
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    flags = ["--cluster.listen-address=", f"--storage.path={folder / 'alertmanager'}"]
    with _started("prometheus-alertmanager", file, *flags) as running:
        yield running


@contextlib.contextmanager
def prometheus(folder: Path, target: str, alertmanager_url: str) -> Iterator[Running]:
    """The example of deploy/prometheus that asks ``target`` every two seconds, with its rules made hasty."""
    config = read(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    manager = {"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}
    config["alerting"]["alertmanagers"] = [manager]
    for name in config["rule_files"]:
        (folder / name).write_text(hasty((PROMETHEUS / name).read_text()))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    with _started(
        "prometheus", file, f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn"
    ) as running:
        yield running


def hasty(rules: str) -> str:
    """The same rules with windows of ten seconds and no more than five of patience."""
    rules = re.sub(r"\[\d+[smhd]\]", "[10s]", rules)
    return re.sub(r"(for: |offset )\d+[smhd]", lambda found: found[1] + "5s", rules)


@contextlib.contextmanager
def _started(name: str, config: Path, *flags: str) -> Iterator[Running]:
    url, log = f"http://127.0.0.1:{free_port()}", config.with_suffix(".log")
    command = [program(name), f"--config.file={config}", f"--web.listen-address={url[7:]}", *flags]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    try:
        assert until(lambda: _ready(url, process)), f"{name} is not ready:\n{log.read_text()[-2000:]}"
        yield Running(url, process)
    finally:
        stop(process)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError("it ended")
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
    return False
