"""Ports that stay ours while nobody listens at them: one that was only closed is anybody's, another test's server or a connection's end."""

from __future__ import annotations

import socket


class KeptPort:
    """A port on loopback where connections are refused, until somebody listens there by ``socket.create_server``."""

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.number: int = self._kept.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.number}"

    def close(self) -> None:
        self._kept.close()
