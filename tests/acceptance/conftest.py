"""A shop for each test, on each database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.server import Place


@pytest.fixture
def place(db_url: str, tmp_path: Path) -> Place:
    """A fresh installation with a partner and a sku, no stock and no server yet."""
    return Place(tmp_path, db_url)
