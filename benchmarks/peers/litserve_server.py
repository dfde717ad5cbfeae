"""Our engine behind LitServe, with its batching: one worker that owns the engine.

    PYTHON litserve_server.py FOLDER THREADS PORT

For an environment that holds this project's packages and litserve. LitServe takes JSON; float32 travels in it
as base64.
"""

import base64
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.checkpoint import load
from pat_runner.engines import EngineOptions, Want, engine


class Embedding(litserve.LitAPI):
    """One week a request, up to eight a batch."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(max_batch_size=8, batch_timeout=0.005)
        self.folder, self.threads = folder, threads

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe passes it
        """Load the engine in the worker."""
        self.engine = engine(load(self.folder), EngineOptions(threads=self.threads))

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads the annotation as a type to parse
        """Read one week."""
        if "base64" in request:
            return np.frombuffer(base64.b64decode(request["base64"]), "<f4")
        return np.array(request["weeks"][0], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Stack weeks."""
        return np.stack(inputs)

    def predict(self, weeks: np.ndarray) -> np.ndarray:
        """Embed a batch."""
        return self.engine.run(weeks, Want()).pooled

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """Part a batch."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Say one embedding."""
        return {"embedding": output.tolist()}


def main() -> None:
    """Serve on a loopback port."""
    folder, threads, port = sys.argv[1:]
    server = litserve.LitServer(
        Embedding(Path(folder), int(threads)), accelerator="cpu", workers_per_device=1
    )
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
