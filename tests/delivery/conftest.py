"""A shop whose orders are claimed by link; and one that is served, as the tests of the API have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.storage import Database
from cardrail.vault import Keyring, create_key_file
from tests.api.conftest import server
from tests.delivery.build import ClaimWorld

__all__ = ["server", "world"]


@pytest.fixture
def world(db: Database, tmp_path: Path) -> ClaimWorld:
    """A shop with codes, on either database."""
    create_key_file(tmp_path / "master.keys")
    return ClaimWorld(db, Keyring.from_file(tmp_path / "master.keys"))
