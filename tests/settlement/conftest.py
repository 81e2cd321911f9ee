"""A world that begins on a tenth of January."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.kernel import FrozenClock
from cardrail.storage import Database
from cardrail.vault import create_key_file
from tests.build import World
from tests.settlement.build import START, Ledgers


@pytest.fixture
def ledgers(db: Database, tmp_path: Path) -> Ledgers:
    """A shop, its partner with INR 1,000,000.00, and words for what moves money."""
    return Ledgers(World(db, create_key_file(tmp_path / "master.keys"), FrozenClock(START)))
