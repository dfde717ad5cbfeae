"""A process that accepts one Bundle and delivers it, and kills itself (SIGKILL) at a step that it is told.

    python -m tests.serving.outbox_process FOLDER URL NAME STEP

Steps are the writes of the durable store, what is recorded, and what the FHIR server is asked, each before
and after it is done. It prints each step, the name of the delivery once that is accepted, and "delivered".
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from serving import fhir_push, outbound
from serving.courier import Courier, Route
from serving.leases import Leases
from serving.outbox import Outbox, Parcel, State
from serving.store import SqliteStore
from serving.telemetry import DeliveryTelemetry
from tests.doubles.bundles import transaction
from tests.serving.test_outbox import opened


class Steps:
    """Counts what is done, and ends the process at ``last``."""

    def __init__(self, last: int) -> None:
        self._last, self._at = last, 0

    def step(self, label: str) -> None:
        self._at += 1
        print("step", label, flush=True)
        if self._at == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, at: Any, method: str, label: Any) -> None:
        """Let ``at.method`` be two steps."""
        real = getattr(at, method)

        def counted(*arguments: Any, **named: Any) -> Any:
            self.step(f"before {label(*arguments)}")
            done = real(*arguments, **named)
            self.step(f"after {label(*arguments)}")
            return done

        setattr(at, method, counted)


class Trail:
    def record_now(self, event: Any) -> None:
        pass


def main(folder: Path, url: str, name: str, last: int) -> None:
    steps, vault = Steps(last), opened(folder)
    leases = Leases(SqliteStore(folder / "leases.sqlite"))
    outbox = Outbox(vault)
    for method in ("put", "delete"):
        steps.around(vault._store, method, lambda room, *_, method=method: f"{method} {room}")
    trail = Trail()
    steps.around(trail, "record_now", lambda event: f"record {event.reason}")
    ask = outbound.ask

    async def counted(client: Any, request: Any, most: int) -> Any:
        steps.step(f"before {request.method}")
        answer = await ask(client, request, most)
        steps.step(f"after {request.method}")
        return answer

    fhir_push.outbound.ask = counted  # type: ignore[assignment]
    accepted = outbox.accept(Parcel(transaction(name), vault.subject("clinic", name), "user-7", 2))
    print("accepted", accepted, flush=True)
    server = fhir_push.FhirServer(url, outbound.client())
    courier = Courier(
        Route(outbox, server, trail, leases, poll_seconds=0.05), DeliveryTelemetry(CollectorRegistry())
    )
    courier.start()
    while next(outbox.tickets(State.WAITING), None) is not None:
        time.sleep(0.01)
    asyncio.run(courier.close())
    print("delivered", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
