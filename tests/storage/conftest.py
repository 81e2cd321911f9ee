"""What tests of backups and copies ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.build import World, a_world
from tests.storage.restoring import Restorer

from cardrail.storage import Database


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    """A shop with a catalog, a partner with money, and no stock."""
    return a_world(db, tmp_path)


@pytest.fixture
def restore(tmp_path: Path) -> Iterator[Restorer]:
    """Restores a backup into a database of its own."""
    restorer = Restorer(tmp_path)
    yield restorer
    restorer.close()


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a second, empty database of the same kind goes."""
    yield from _url_of(backend, tmp_path, request)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a second, empty database goes, of either kind."""
    yield from _url_of(request.param, tmp_path, request)


def _url_of(backend: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'second' / 'cardrail.db'}"
        return
    server = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)
