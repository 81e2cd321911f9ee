"""What tests of webhooks ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cardrail.storage import Database
from tests.build import a_world
from tests.webhooks.build import Hooks, hooks_of
from tests.webhooks.receiver import Receiver, a_receiver


@pytest.fixture
def hooks(db: Database, tmp_path: Path) -> Hooks:
    """A shop whose endpoints may live on loopback."""
    return hooks_of(a_world(db, tmp_path), timeout_seconds=10.0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one
