"""The line between a buyer and a supplier: it passes requests on, and disturbs the next purchase as it is told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

Buys = Callable[[str, str], bool]
"""Whether a request (method, path) is the one that buys."""

NOT_PASSED_ON = frozenset({"connection", "content-length", "transfer-encoding", "accept-encoding"})


class Line:
    """``words``: what happens to each purchase: lost, html, wall (403), fault, half, slow (each after it has acted), busy (before)."""

    def __init__(self, target: str, buys: Buys) -> None:
        self.words: deque[str] = deque()
        self.bought = 0
        self.waits = threading.Event()
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                is_purchase = buys(self.command, self.path.partition("?")[0])
                word = line.words.popleft() if is_purchase and line.words else ""
                if word == "busy":
                    self._says(429, b'{"error": "too many"}', {"retry-after": "7"})
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
                answer = httpx2.request(self.command, target + self.path, content=body or None, headers=headers, trust_env=False)
                line.bought += is_purchase and answer.is_success
                if word == "lost":
                    self.close_connection = True
                elif word == "html":
                    self._says(200, b"<html><body>Please wait</body></html>", {"content-type": "text/html"})
                elif word == "wall":
                    self._says(403, b"<html><body>Access denied</body></html>", {"content-type": "text/html"})
                elif word == "fault":
                    self._says(500, b'{"error": "oops", "code": "oops"}', {})
                elif word == "half":
                    self.close_connection = True
                    self._says(answer.status_code, answer.content[: len(answer.content) // 2], {}, len(answer.content))
                elif word == "slow":
                    line.waits.wait(10)
                    self.close_connection = True
                else:
                    self._says(answer.status_code, answer.content, {})

            do_POST = do_GET
            do_PUT = do_GET

            def _says(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body) if length is None else length)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.waits.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
