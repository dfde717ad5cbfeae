"""Analyse a recording through BentoML's Python client: bentoml_sync.py [URL [FILE]].

ACCESS_TOKEN in the environment is sent along, for a service that identifies its callers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

WEEK = Path(__file__).resolve().parents[1] / "week.json"


def main(url: str = "http://127.0.0.1:3000", file: str = str(WEEK)) -> int:
    """Send the recording, print what was measured."""
    recording = json.loads(Path(file).read_text())
    token = os.environ.get("ACCESS_TOKEN", "")  # None would make the client look for a key of BentoCloud
    try:
        with bentoml.SyncHTTPClient(url, token=token, timeout=60) as client:
            analysis = client.analyze(recording)
    except BentoMLException as error:
        print(refusal(error), file=sys.stderr)
        return 1
    for metric in (*analysis["sleep"]["metrics"], *analysis["rhythm"]["metrics"]):
        print(metric["code"], said(metric))
    return 0


def said(metric: dict[str, Any]) -> str:
    """Return the value of a metric, or why there is none."""
    if metric["value"] is None:
        return f"absent: {metric['absent']['reason']}"
    return f"{metric['value']:.2f} {metric['unit']}"


def refusal(error: BentoMLException) -> str:
    """Return why the service refused: from its problem body, or what the client says of it."""
    try:
        problem = json.loads(error.message)
    except ValueError:  # the client could not begin: a token is missing, or the service is not ready
        return error.message
    places = ", ".join(place["where"] for place in problem.get("errors", [])) or problem.get("where", "")
    return f"{problem['status']} {problem['code']}: {problem['detail']} {places}".rstrip()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
