"""Runs the real Firebase emulator; ``python -m tests.firebase_tools`` installs it, once per machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.server import free_port, stop
from tests.shared import missing

PROJECT = "demo-pat"  # a name with which the tools never speak to the real Firebase
_PACKAGE = "firebase-tools@15"
_INSTALL_SECONDS, _START_SECONDS = 600, 180
_OWNER = {"Authorization": "Bearer owner"}


@dataclass(frozen=True)
class Session:
    """Who signed in; ``refresh`` is what new tokens are had for."""

    uid: str
    token: str
    refresh: str


@dataclass(frozen=True)
class Emulator:
    """A running emulator of Firebase Authentication."""

    host: str  # as FIREBASE_AUTH_EMULATOR_HOST wants it
    process: subprocess.Popen[bytes]

    def sign_up(self, email: str) -> Session:
        said = self._post("identitytoolkit.googleapis.com/v1/accounts:signUp?key=x", _person(email))
        return Session(said["localId"], said["idToken"], said["refreshToken"])

    def sign_in(self, email: str) -> Session:
        path = "identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=x"
        said = self._post(path, _person(email))
        return Session(said["localId"], said["idToken"], said["refreshToken"])

    def refresh(self, session: Session) -> Session:
        asked = {"grant_type": "refresh_token", "refresh_token": session.refresh}
        said = self._post("securetoken.googleapis.com/v1/token?key=x", asked)
        return Session(session.uid, said["id_token"], said["refresh_token"])

    def anonymous(self) -> Session:
        path = "identitytoolkit.googleapis.com/v1/accounts:signUp?key=x"
        said = self._post(path, {"returnSecureToken": True})
        return Session(said["localId"], said["idToken"], said["refreshToken"])

    def update(self, session: Session, **changes: object) -> None:
        """Change an account as an administrator of the project does."""
        path = f"identitytoolkit.googleapis.com/v1/projects/{PROJECT}/accounts:update"
        self._post(path, {"localId": session.uid, **changes}, _OWNER)

    def claim(self, session: Session, **claims: object) -> None:
        self.update(session, customAttributes=json.dumps(claims))

    def wipe(self) -> None:
        url = f"http://{self.host}/emulator/v1/projects/{PROJECT}/accounts"
        httpx.delete(url, headers=_OWNER, timeout=30).raise_for_status()

    def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        answer = httpx.post(f"http://{self.host}/{path}", json=body, headers=headers, timeout=30)
        return answer.raise_for_status().json()


def _person(email: str) -> dict[str, object]:
    return {"email": email, "password": email, "returnSecureToken": True}


@contextmanager
def firebase_emulator() -> Iterator[Emulator]:
    """Start the emulator on free ports of the loopback interface; skip where it cannot be had."""
    tools = installed()
    folder = Path(tempfile.mkdtemp(prefix="pat-firebase-"))
    port, log = free_port(), folder / "emulator.log"
    (folder / "firebase.json").write_text(json.dumps({"emulators": _emulators(port)}))
    command = [str(tools), "emulators:start", "--only", "auth", "--project", PROJECT]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "CI": "1"},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/", log)
        yield Emulator(f"127.0.0.1:{port}", process)
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _emulators(port: int) -> dict[str, object]:
    """All that the tools open, on ports that are free."""
    others = {name: {"host": "127.0.0.1", "port": free_port()} for name in ("hub", "logging")}
    auth = {"host": "127.0.0.1", "port": port}
    return {"auth": auth, "ui": {"enabled": False}, "singleProjectMode": True, **others}


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError(f"the emulator did not start:\n{log.read_text()[-2000:]}")


def installed() -> Path:
    """Return the program ``firebase``; the first call on a machine needs the npm registry."""
    if _node_major() < 20 or shutil.which("npm") is None:
        missing("the Firebase emulator runs on Node 20 or newer with npm")
    default = Path(tempfile.gettempdir()) / f"pat-tools-{os.getuid()}"
    cache = Path(os.environ.get("PAT_TOOLS_CACHE", default))
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = cache / "firebase-tools"
    if not target.exists():
        _install(target)
    return target / "node_modules" / ".bin" / "firebase"


def _node_major() -> int:
    if shutil.which("node") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=30)
    return int(said.stdout.strip().removeprefix("v").split(".")[0])


def _install(target: Path) -> None:
    staging = Path(tempfile.mkdtemp(dir=target.parent)) / target.name
    staging.mkdir()
    (staging / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", _PACKAGE]
    run = subprocess.run(
        command, cwd=staging, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if run.returncode:
        shutil.rmtree(staging.parent)
        missing(f"npm could not install {_PACKAGE}: {run.stderr[-300:]}")
    try:
        staging.rename(target)
    except OSError:  # another test process was first
        if not target.exists():
            raise
    shutil.rmtree(staging.parent)


if __name__ == "__main__":
    print(installed())
