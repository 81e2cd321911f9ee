"""What the tests of orders ask for."""

from pathlib import Path

import pytest

from cardrail.storage import Database
from tests.build import World, a_world


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    """A shop with a catalog, a partner with money, and no stock."""
    return a_world(db, tmp_path)
