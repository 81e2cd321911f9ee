"""What the tests of sourcing ask for."""

from pathlib import Path

import pytest

from cardrail.storage import Database
from tests.sourcing.build import Supplied, supplied


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Supplied:
    """A shop that sells on demand, and has no supplier yet."""
    return supplied(db, tmp_path)
