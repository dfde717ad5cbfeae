"""promtool and amtool, as an operator calls them; skips where they are missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.shared import ROOT, missing

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
_PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "amtool": "prometheus-alertmanager"}


def program(name: str) -> str:
    """Where a program of Prometheus lies."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not on this machine (Debian: apt-get install {_PACKAGES.get(name, name)})")
    return str(found)


def run(name: str, *arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [program(name), *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, input=given, check=False, timeout=120
    )


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules(file: str) -> list[dict[str, Any]]:
    """The rules of a file in deploy/prometheus."""
    return [rule for group in read(PROMETHEUS / file)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules("alerts.yml")}


def recorded(file: str = "slo.yml") -> dict[str, str]:
    """Expressions by the name under which they are recorded."""
    return {rule["record"]: rule["expr"] for rule in rules(file)}


def records(expressions: list[str]) -> str:
    """A rule file that records each expression, so that promtool parses them."""
    made = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions)]
    return yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]})
