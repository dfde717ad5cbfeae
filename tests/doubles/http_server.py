"""A real HTTP server in a thread, for doubles that answer as they are told."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from tests.certificates import Pair


class Double(http.server.ThreadingHTTPServer):
    """Serves ``answer(method, path, headers, body)`` -> (status, headers, body)."""

    daemon_threads = True

    def __init__(self, pair: Pair | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._scheme = "http" if pair is None else "https"
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def origin(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    def handle_error(self, *_: object) -> None:
        """A client that breaks off, or does not trust us, is no news."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Double
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, headers, answer = self.server.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _do  # noqa: N815  # as http.server looks for them

    def log_message(self, *_: object) -> None:
        pass


def as_json(
    status: int, document: object, kind: str = "application/json"
) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": kind}, json.dumps(document).encode()
