"""Running the application under uvicorn: one process, one event loop, and an end that answers what is in flight."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from cardrail.api.app import create_app
from cardrail.api.parts import Installation
from cardrail.api.protocol import EdgeProtocol

GC_THRESHOLD: Final = 50_000
"""Allocations between collections: the default of 700 runs them in the middle of every few orders."""
KEEP_ALIVE_SECONDS: Final = 75
STOP_SECONDS: Final = 30
BACKLOG: Final = 2_048


class Server(uvicorn.Server):
    """uvicorn's server, which also says when it is ready and where it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], object] | None = None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready(self.url)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, and leave the rest to the caller: uvicorn's own raises it again, and then nobody closes the lane."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def url(self) -> str:
        """Where it listens, with the port that it really has."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(cardrail: Installation, host: str, port: int, ready: Callable[[str], object] | None = None) -> Server:
    """A server that is ready to run; port 0 takes a free one."""
    config = uvicorn.Config(
        create_app(cardrail),
        host=host,
        port=port,
        loop="uvloop",
        http=EdgeProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word counts about addresses is the gate's business
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return Server(config, ready)


def serve(cardrail: Installation, host: str, port: int, ready: Callable[[str], Any] | None = None) -> None:
    """Serve until a signal says to stop; ``ready(base_url)`` is called once requests are accepted. The lane is the caller's to start."""

    def tuned_and_ready(url: str) -> None:
        # What exists now lives as long as the process: later collections need not look at it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        if ready is not None:
            ready(url)

    make_server(cardrail, host, port, tuned_and_ready).run()
