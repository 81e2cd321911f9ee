"""A served shop for the dialects' tests: one server a module, over HTTP on loopback, on both databases."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardrail.api import make_server
from cardrail.bootstrap import opened
from cardrail.config import Settings
from cardrail.vault import create_key_file
from tests.compat.build import CompatShop
from tests.postgres import Postgres
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop_backend(request: pytest.FixtureRequest) -> str:
    """The shop's database. A module whose tests are about the wire and not about storage overrides it with one that returns "sqlite"."""
    return str(request.param)


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """Settings of the server beyond the usual; a module that wants some has its own fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def shop(
    shop_backend: str,
    shop_settings: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[CompatShop]:
    """A shop with goods and a partner with money, served; each dialect's credentials are made when they are asked for."""
    folder: Path = tmp_path_factory.mktemp("shop")
    create_key_file(folder / "master.keys")
    server: Postgres | None = None
    if shop_backend == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "cardrail.db")
        url = f"sqlite:///{folder / 'cardrail.db'}"
    else:
        server = request.getfixturevalue("postgres")
        assert server is not None
        url = server.lend(request.getfixturevalue("migrated_postgres"))
    try:
        yield from _served(Settings(database_url=url, data_dir=folder, node="main", **shop_settings))
    finally:
        if server is not None:
            server.give_back(url)


def _served(settings: Settings) -> Iterator[CompatShop]:
    with opened(settings) as cardrail:
        ready = threading.Event()
        urls: list[str] = []

        def is_ready(url: str) -> None:
            urls.append(url)
            ready.set()

        shop = CompatShop(cardrail)
        running = make_server(cardrail, "127.0.0.1", 0, is_ready)
        cardrail.start()
        thread = threading.Thread(target=running.run, name="compat-server")
        thread.start()
        try:
            assert ready.wait(PATIENCE_SECONDS), "the server did not start"
            shop.url = urls[0]
            yield shop
        finally:
            running.should_exit = True
            thread.join(PATIENCE_SECONDS)
