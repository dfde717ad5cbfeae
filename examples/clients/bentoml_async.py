"""Ask two things at once through BentoML's asynchronous client: bentoml_async.py [URL [FILE]].

ACCESS_TOKEN in the environment is sent along, for a service that identifies its callers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException

WEEK = Path(__file__).resolve().parents[1] / "week.json"


async def main(recording: dict[str, Any], url: str) -> int:
    """Send the recording twice, print the embedding of each week and where the network looked."""
    token = os.environ.get("ACCESS_TOKEN", "")  # None would make the client look for a key of BentoCloud
    try:
        async with bentoml.AsyncHTTPClient(url, token=token, timeout=60) as client:
            analysis, explanation = await asyncio.gather(client.analyze(recording), client.explain(recording))
    except BentoMLException as error:
        print(refusal(error), file=sys.stderr)
        return 1
    for week in analysis["weeks"]:
        numbers = week["embedding"]
        print("week", week["start"], numbers[:3] if numbers else f"absent: {week['absent']['reason']}")
    for week in explanation["weeks"]:
        received = week["attention_received"]
        if received:
            print("week", week["start"], "looked most at part", received.index(max(received)))
    return 0


def refusal(error: BentoMLException) -> str:
    """Return why the service refused: from its problem body, or what the client says of it."""
    try:
        problem = json.loads(error.message)
    except ValueError:  # the client could not begin: a token is missing, or the service is not ready
        return error.message
    return f"{problem['status']} {problem['code']}: {problem['detail']}"


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    sent = json.loads(Path(given.get(2, WEEK)).read_text())
    raise SystemExit(asyncio.run(main(sent, given.get(1, "http://127.0.0.1:3000"))))
