"""A vault on each database."""

from __future__ import annotations

import pytest

from cardrail.storage import Database
from tests.vault.build import Vault


@pytest.fixture
def vault(db: Database) -> Vault:
    return Vault(db)
