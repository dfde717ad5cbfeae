"""The main job end to end: serve, send an example week through the BentoML client, print and keep the answer.

Run it with `make demo`. It writes out/analysis.json, out/bundle.json and out/report.html and
stops the server it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out"
READY_WITHIN_SECONDS = 120


def main() -> int:
    """Serve, ask, print, keep, stop."""
    week = json.loads((ROOT / "examples" / "week.json").read_text())
    with server() as url, bentoml.SyncHTTPClient(url, timeout=60) as client:
        analysis: dict[str, Any] = client.analyze({**week, "options": {"profile": True}})
        bundle: dict[str, Any] = client.analyze_fhir({**week, "subject": "Patient/example"})
        report = httpx.post(f"{url}/v1/recordings:report", json=week, timeout=60).raise_for_status().text
    OUT.mkdir(exist_ok=True)
    (OUT / "analysis.json").write_text(json.dumps(analysis, indent=2) + "\n")
    (OUT / "report.html").write_text(report)
    (OUT / "bundle.json").write_text(json.dumps(bundle, indent=2) + "\n")
    print(summary(analysis))
    print(f"\nwrote out/analysis.json, out/bundle.json (FHIR R4, {len(bundle['entry'])} resources)")
    print("and out/report.html, the report with pictures: open it in a browser")
    return 0


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Start `bentoml serve` on a free loopback port, yield its address when ready, stop it at the end."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("bentoml")),
        "serve",
        "service:PatService",
        "--port",
        str(port),
    ]
    OUT.mkdir(exist_ok=True)
    with (OUT / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield wait_until_ready(process, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def free_port() -> int:
    """Ask the system for a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> str:
    """Return ``url`` once the service is ready; stop with the log's place when it never is."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(Exception), bentoml.SyncHTTPClient(url, timeout=5) as client:
            if client.is_ready():
                return url
        time.sleep(0.3)
    raise SystemExit("the server did not become ready; out/server.log says why")


def summary(analysis: dict[str, Any]) -> str:
    """Return a page a person can read: what was measured, what is absent and why, what made the numbers."""
    recording, quality = analysis["recording"], analysis["quality"]
    lines = [
        f"{recording['start']} to {recording['end']} ({recording['zone'] or 'wall clock'})",
        f"{recording['unit']}, worn {quality['wear_minutes'] / 60:.1f} h, {quality['valid_days']} valid days",
        "",
        f"Sleep ({analysis['sleep']['scorer']}; {analysis['sleep']['valid_nights']} valid nights, medians)",
        *map(_metric, analysis["sleep"]["metrics"]),
        "",
        "Rest-activity rhythm",
        *map(_metric, analysis["rhythm"]["metrics"]),
        "",
        "Activity (means over valid days)",
        *map(_metric, analysis["activity"]["metrics"]),
        "",
        "PAT",
        *map(_week, analysis["weeks"]),
        "",
        analysis["statement"],
    ]
    return "\n".join(lines)


def _metric(metric: dict[str, Any]) -> str:
    name = metric["code"].replace("_", " ")
    if metric["value"] is None:
        return f"  {name:<34} absent: {metric['absent']['reason']}"
    if metric["kind"] == "clock_time":
        minutes = round(metric["value"] * 60) % 1440
        return f"  {name:<34} {minutes // 60:02d}:{minutes % 60:02d} local time"
    return f"  {name:<34} {metric['value']:.4g} {'' if metric['unit'] == '1' else metric['unit']}".rstrip()


def _week(week: dict[str, Any]) -> str:
    if week["embedding"] is None:
        return f"  week from {week['start']}: absent: {week['absent']['reason']}"
    first = ", ".join(f"{value:.3f}" for value in week["embedding"][:3])
    return (
        f"  week from {week['start']}: {len(week['embedding'])} numbers ({first}, ...), {week['calibration']}"
    )


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    raise SystemExit(main())
