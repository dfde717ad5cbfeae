"""Whom the tests ask for, and what they take from an answer."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]
DOOR = "/v1/subjects:analyze"
ANNA = "7d1c0a52-3f0e-4c8b-9a4e-0b6f2f1e9c11"  # a subject that is a UUID upstream as well
FIREBASE_UID = "firebase" * 3 + "uids"  # 28 letters, as Firebase makes them
SECONDS = 6
PAGES = 40


def numbers(analysis: JSON) -> JSON:
    """All that was computed, and the digest of what it was computed from."""
    kept = {name: analysis[name] for name in ("sleep", "rhythm", "activity", "weeks", "weeks_absent")}
    return {**kept, "input_sha256": analysis["provenance"]["input_sha256"]}


def found(answer: Any) -> JSON:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]
