"""A real server on loopback, on a thread of its own, with a shop behind it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardrail.api import make_server
from cardrail.bootstrap import opened
from cardrail.config import Settings
from cardrail.vault import create_key_file
from tests.api.build import Served
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    """The settings of the server; a test that wants others has its own fixture of this name."""
    create_key_file(tmp_path / "master.keys")
    return Settings(database_url=db_url, data_dir=tmp_path, node="main")


@pytest.fixture
def server(settings: Settings) -> Iterator[Served]:
    """A shop with goods, a partner with money, and a server that sells to him."""
    with serving(settings) as served:
        yield served


@pytest.fixture(scope="module")
def still_server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of a module that change nothing: what is refused for its form reaches no database."""
    folder = tmp_path_factory.mktemp("still")
    shutil.copyfile(migrated_sqlite, folder / "cardrail.db")
    create_key_file(folder / "master.keys")
    with serving(Settings(database_url=f"sqlite:///{folder / 'cardrail.db'}", data_dir=folder, node="main")) as served:
        yield served


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    """The server of these settings, for as long as the block lasts."""
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
            assert ready.wait(PATIENCE_SECONDS), "the server did not start"
            yield served
        finally:
            served.close()
            running.should_exit = True
            thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
