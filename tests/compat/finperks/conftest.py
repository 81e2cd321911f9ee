"""A served shop and clients for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import Open, client_of
from tests.compat.finperks.client import FinperksClient


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A sync order that nobody finishes is waited for only a moment; a host is mapped."""
    profile = tmp_path_factory.mktemp("profile") / "profiles.toml"
    profile.write_text("[finperks]\nsync_seconds = 0.1\n")
    return {"dialect_profiles": profile, "dialect_hosts": "api.fin.example=finperks", "body_bytes_max": 20_000}


@pytest.fixture
def open_client(shop: CompatShop) -> Iterator[Open]:
    """Makes clients of the shop; they are closed after the test."""
    made: list[FinperksClient] = []

    def make(*facts: Any, **options: Any) -> FinperksClient:
        made.append(client_of(shop, *facts, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def live(open_client: Open) -> FinperksClient:
    return open_client()


@pytest.fixture
def sandbox(open_client: Open) -> FinperksClient:
    return open_client(Mode.TEST)
