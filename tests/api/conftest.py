"""A real server on loopback, on a thread of its own, with a shop behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardrail.api import make_server
from cardrail.bootstrap import opened
from cardrail.config import Settings
from cardrail.vault import create_key_file
from tests.api.build import Served


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    """The settings of the server; a test that wants others has its own fixture of this name."""
    create_key_file(tmp_path / "master.keys")
    return Settings(database_url=db_url, data_dir=tmp_path, node="main")


@pytest.fixture
def server(settings: Settings) -> Iterator[Served]:
    """A shop with goods, a partner with money, and a server that sells to him."""
    with opened(settings) as cardrail:
        served = Served(cardrail)
        ready = threading.Event()

        def is_ready(url: str) -> None:
            served.at(url)
            ready.set()

        running = make_server(cardrail, "127.0.0.1", 0, is_ready)
        cardrail.start()
        thread = threading.Thread(target=running.run, name="test-server")
        thread.start()
        try:
            assert ready.wait(20), "the server did not start"
            yield served
        finally:
            served.close()
            running.should_exit = True
            thread.join(30)
        assert not thread.is_alive()
