"""The model behind plain FastAPI, as one would write it in an afternoon: one process, one thread computes.

    python -m benchmarks.peers.fastapi_server NAME FOLDER THREADS PORT

NAME is a contender (benchmarks.contenders). No limits, no batching, no checks.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

from benchmarks.contenders import CONTENDERS


def app(name: str, folder: Path, threads: int) -> FastAPI:
    """Build the application."""
    encode = CONTENDERS[name](folder, threads)
    computing = ThreadPoolExecutor(1)
    made = FastAPI()

    async def embedded(weeks: np.ndarray) -> np.ndarray:
        return await asyncio.get_running_loop().run_in_executor(computing, encode, weeks)

    @made.post("/raw")
    async def raw(request: Request) -> Response:
        weeks = np.frombuffer(await request.body(), "<f4").reshape(-1, 10_080).copy()
        return Response((await embedded(weeks)).tobytes(), media_type="application/octet-stream")

    @made.post("/json")
    async def listed(request: Request) -> dict[str, list[list[float]]]:
        weeks = np.array((await request.json())["weeks"], np.float32)
        return {"embeddings": (await embedded(weeks)).tolist()}

    return made


def main() -> None:
    """Serve on a loopback port."""
    name, folder, threads, port = sys.argv[1:]
    uvicorn.run(app(name, Path(folder), int(threads)), port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
