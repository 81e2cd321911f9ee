"""What a process that serves no API shows of itself, which is a worker: `/healthz`, `/readyz` and `/metrics`, as a server has them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from cardrail.api.meters import CONTENT_TYPE, Meters
from cardrail.api.parts import Installation
from cardrail.kernel import Unavailable
from cardrail.storage.migrations import current_revision, newest_revision

REQUEST_SECONDS: Final = 10.0
_JSON: Final = "application/json"


class Watch:
    """A small server of its own thread. It answers monitoring, a few times a minute, and shows neither orders nor partners."""

    def __init__(self, parts: Installation, host: str, port: int) -> None:
        """Listen; nobody is answered before ``start``. Raises OSError where the address cannot be had."""
        self._parts, self._meters, self._lock = parts, Meters(parts), threading.Lock()
        watch = self

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS
            server_version, sys_version = "cardrail", ""

            def do_GET(self) -> None:
                status, kind, body = watch.answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: each scrape would be a line."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, name="watch", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more; only after ``start``."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/healthz":
            return 200, _JSON, b'{"status":"ok"}'
        if path == "/readyz":
            is_ready = self._is_ready()
            return (200, _JSON, b'{"status":"ok"}') if is_ready else (503, _JSON, b'{"status":"unavailable"}')
        if path == "/metrics":
            with self._lock:  # one at a time looks into the database
                self._meters.look_now()
                return 200, CONTENT_TYPE, self._meters.text()
        return 404, _JSON, b'{"status":"not found"}'

    def _is_ready(self) -> bool:
        try:
            return current_revision(self._parts.db) == newest_revision()
        except Unavailable:
            return False
