"""What the tests of replacements ask for."""

from pathlib import Path

import pytest

from cardrail.storage import Database
from tests.replacements.build import Claims, claims


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Claims:
    """A shop that sells from stock and on demand, and takes claims."""
    return claims(db, tmp_path)
