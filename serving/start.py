"""`pat serve`: puts the environment in order and becomes `bentoml serve`.

The service checks its settings again when it is loaded; here they are refused before anything starts.
Temporary files lie in memory, in a folder that belongs to this start: it holds a lock for as long as one of
the processes lives, by which the next start tells what a killed one left behind and removes it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from serving import hardening, tls
from serving.settings import Settings

__all__ = ["MEMORY", "command", "environment", "scratch", "serve"]

MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108  # in memory; each start has a folder of its own in it, mode 0700
_PREFIX = "pat-serve-"
_LOCK = "lock"
_BENTOML_OWN = ("BENTOML_HOST", "BENTOML_PORT")  # which `bentoml serve` prefers to what the service says
_PRIVATE = 0o077


def serve(given: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Start the service with the settings ``given`` beside those of ``environ``; returns only by an error."""
    made = environment(given, environ)
    settings = Settings.from_environment(made)
    tls.check(settings)
    os.umask(_PRIVATE)
    hardening.no_core_files()
    if MEMORY.is_dir():
        made["TMPDIR"] = str(scratch(MEMORY))
    line = command(settings)
    os.execve(line[0], line, made)  # noqa: S606  # nosec B606  # signals are to reach the service itself


def environment(given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` with the settings ``given``; files and folders by their absolute path."""
    made = {**environ, **given, "BENTOML_DO_NOT_TRACK": "True"}
    paths = {
        name: str(Path(value).absolute())
        for name, value in made.items()
        if value and name.startswith("PAT_") and name.endswith(("_FILE", "_FOLDER"))
    }
    return {name: value for name, value in {**made, **paths}.items() if name not in _BENTOML_OWN}


def command(settings: Settings) -> list[str]:
    """Return the command line of the service."""
    found = importlib.util.find_spec("service")
    if found is None or found.origin is None:
        raise FileNotFoundError("expected service.py beside the pat command; install pat-service again")
    where = ["--host", settings.host, "--port", str(settings.port)]
    folder = str(Path(found.origin).parent)
    return [sys.executable, "-m", "bentoml", "serve", "service:PatService", *where, "--working-dir", folder]


def scratch(memory: Path) -> Path:
    """Make this start's own folder in ``memory``, and remove those whose processes have all ended."""
    import fcntl  # noqa: PLC0415  # not on every platform

    for left in memory.glob(f"{_PREFIX}*"):
        if left.lstat().st_uid == os.getuid():
            _remove_if_ended(left)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
    lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)  # held by the program this process becomes
    return made


def _remove_if_ended(folder: Path) -> None:
    import fcntl  # noqa: PLC0415  # same

    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # just being made
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
