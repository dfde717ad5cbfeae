"""Runs the FHIR R4 validator and test server of the reference material, installed once per machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.shared import missing, shared

_START_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """One line of the validator's report."""

    file: str
    severity: str
    location: str
    message: str


def validate(files: Sequence[Path]) -> list[Finding]:
    """Validate ``files`` in one run and return everything found, warnings included."""
    tool = _installed("fhir-validator")
    command = ["node", "validate.mjs", "--codes", "codes.json", "--json", "--warn", *map(str, files)]
    with (
        tempfile.TemporaryFile() as output
    ):  # a file, because node drops what a full pipe has not taken at exit
        run = subprocess.run(
            command, cwd=tool, stdout=output, stderr=subprocess.PIPE, timeout=240, check=False
        )
        output.seek(0)
        if run.returncode not in (0, 1):
            raise RuntimeError(f"the validator ended with {run.returncode}: {run.stderr[-2000:]!r}")
        reports = json.load(output)
    if len(reports) != len(files):
        raise RuntimeError(f"expected {len(files)} reports, found {len(reports)}")
    return [
        Finding(Path(report["file"]).name, issue["severity"], issue["location"], issue["message"])
        for report in reports
        for issue in report["issues"]
    ]


@contextmanager
def fhir_server() -> Iterator[str]:
    """Start the FHIR test server on a free port of the loopback interface; yield its base URL."""
    tool = _installed("fhir-server")
    port = _free_port()
    process = subprocess.Popen(["node", "server.mjs", str(port)], cwd=tool, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}/fhir/R4"
    try:
        _wait(process, f"{base}/metadata")
        yield base
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the FHIR server ended with {process.returncode}")
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the FHIR server was not ready in {_START_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _installed(name: str) -> Path:
    """Return a private copy of a tool with its packages."""
    return installed(shared(f"tools/{name}"))


def installed(source: Path) -> Path:
    """Return a private copy of a folder with its npm packages; the first call needs the npm registry."""
    name = source.name
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            missing(f"{program} is not on this machine; install Node 20 or newer")
    target = _cache() / name
    if not target.exists():
        _install(source, target)
    return target


def _cache() -> Path:
    default = Path(tempfile.gettempdir()) / f"pat-tools-{os.getuid()}"
    folder = Path(os.environ.get("PAT_TOOLS_CACHE", default))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _install(source: Path, target: Path) -> None:
    staging = Path(tempfile.mkdtemp(dir=target.parent)) / target.name
    shutil.copytree(source, staging, copy_function=shutil.copyfile)
    staging.chmod(0o755)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    run = subprocess.run(command, cwd=staging, capture_output=True, text=True, timeout=240, check=False)
    if run.returncode:
        shutil.rmtree(staging.parent)
        missing(f"npm could not install {target.name}: {run.stderr[-300:]}")
    try:
        staging.rename(target)
    except OSError:  # another test process was first
        if not target.exists():
            raise
    shutil.rmtree(staging.parent)
