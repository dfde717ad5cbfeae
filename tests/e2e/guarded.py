"""Starts the real service with identity on: keys, a trail, and a certificate endpoint of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from serving.keys import new_line
from tests.e2e.server import Served, serve
from tests.serving.signed import PROJECT, certificate_endpoint, token

NOBODY_S = "A" * 22  # an id that the server never made


@contextlib.contextmanager
def guarded(
    home: Path, folder: Path, settings: Mapping[str, str] | None = None, **more: Any
) -> Iterator[Served]:
    """Serve with identity; ``folder`` holds the keys and the state."""
    keys = folder / "master.keys"
    if not keys.exists():
        keys.write_text(new_line("one"))
        keys.chmod(0o400)
    with certificate_endpoint() as endpoint:
        given = {
            "PAT_FIREBASE_PROJECT": PROJECT,
            "PAT_CERTIFICATES_URL": endpoint.url,
            "PAT_MASTER_KEYS_FILE": str(keys),
            "PAT_STATE_FOLDER": str(folder / "state"),
            "PAT_RATE_ADDRESS": "100000",
            "PAT_RATE_FAILURE": "100000",
            **(settings or {}),
        }
        with serve(home, given, **more) as served:
            yield served


def bearer(**changes: object) -> dict[str, str]:
    """The header of a caller whose claims are changed so."""
    return {"Authorization": f"Bearer {token(**changes)}"}


def asked(
    served: Served, path: str, body: object = None, method: str = "POST", **headers: str
) -> httpx.Response:
    with served.client() as client:
        return client.request(method, path.replace("{id}", NOBODY_S), json=body, headers=headers)
