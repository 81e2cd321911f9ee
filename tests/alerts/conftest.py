"""What tests of alerts ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.storage import Database
from tests.alerts.build import Watched
from tests.build import World, a_world


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return a_world(db, tmp_path)


@pytest.fixture
def watched(world: World) -> Watched:
    """A shop whose operator gets every alert by e-mail, at any hour, and no reminders."""
    return Watched(world)
