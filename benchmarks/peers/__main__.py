"""Make the environments of peers under .venv-peers: Keras by itself, the others on top of this one.

python -m benchmarks.peers
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from benchmarks.encoder import PEERS

ALONE = {"keras": ["tensorflow-cpu==2.21.0", "safetensors==0.8.0"]}
ON_TOP = {"torch": ["onnxscript==0.7.2"], "litserve": ["litserve==0.2.19"]}


def main() -> None:
    """Make what is not there yet."""
    for name, packages in (ALONE | ON_TOP).items():
        folder = PEERS / name
        if folder.exists():
            print(f"{folder} is there; remove it to make it anew")
            continue
        venv.create(folder, with_pip=True)
        python = str(folder / "bin" / "python")
        install = [python, "-m", "pip", "install", "-q"]
        if name in ON_TOP:
            _see_ours(python)
            install += ["-c", "constraints.txt"]
        subprocess.run([*install, *packages], check=True)
        print(f"made {folder} with {', '.join(packages)}")


def _see_ours(python: str) -> None:
    """Let the environment find this one's packages after its own."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    Path(found.stdout.strip(), "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")


if __name__ == "__main__":
    sys.exit(main())
