from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.storage import Database
from cardrail.vault import Keyring, create_key_file
from tests.delivery.build import ClaimWorld


@pytest.fixture
def world(db: Database, tmp_path: Path) -> ClaimWorld:
    """A shop with codes, on either database."""
    create_key_file(tmp_path / "master.keys")
    return ClaimWorld(db, Keyring.from_file(tmp_path / "master.keys"))
