"""Every route of every dialect, asked with a credential of the wrong scope and with none: nothing is open that nobody meant to open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from cardrail.api.compat import Route
from cardrail.api.desk import Desk
from cardrail.api.dialects import DIALECTS
from cardrail.kernel import Mode
from tests.compat.build import CompatShop
from tests.compat.finperks.client import http_date, sign

OPEN = {
    "oneclickdz /v3/ping",
    "starship /auth/login",
    "starship /auth/refresh",
    "starship /status",
}
"""What needs no credential."""
ANY_KEY = {
    "oneclickdz /v3/validate",
    "foxreload /api/access/me",
    "foxreload /api/api/access/me",
    "finperks /v1/ping",
    "starship /auth/logout",
}
"""What any credential may ask."""


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def asker() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, timeout=20) as client:
        yield client


def routes_of(shop: CompatShop, name: str) -> Iterator[tuple[str, Route]]:
    """Each route with its path below the dialect's root."""
    (dialect,) = [one for one in DIALECTS if one.name == name]
    desk = cast("Desk", SimpleNamespace(parts=shop.cardrail))
    for root, surface in dialect.build(desk, dialect.profile()):
        for route in surface.routes:
            yield root + route.path, route


def headers_of(name: str, part: dict[str, str], method: str, url: str) -> dict[str, str]:
    """A request of this credential, as its dialect has it."""
    if name == "finperks":
        date = http_date(datetime.now(UTC))
        made = sign(part["client_secret"], method, url, date, "", b"")
        return {"Date": date, "Authorization": f"FP1-HMAC-SHA256 KeyId={part['client_id']}, Signature={made}"}
    key = part["api_key"]
    names = {"X-Access-Token": key, "X-API-Key": key, "X-API-Secret": part.get("api_secret", "")}
    return names if name == "starship" else names | {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("name", sorted(one.name for one in DIALECTS))
def test_every_route_needs_its_scope(shop: CompatShop, asker: httpx2.Client, name: str) -> None:
    part = shop.credential(name, Mode.LIVE, "events:read", partner_id=shop.a_partner())
    answered: dict[str, Any] = {}
    for path, route in routes_of(shop, name):
        where = f"{name} {path}"
        assert route.is_public == (where in OPEN), where
        assert (route.scope is None and not route.is_public) == (where in ANY_KEY), where
        if route.is_public or route.scope is None:
            continue
        url = f"{shop.url}/compat/{name}{re.sub('{[a-z_]+}', '1', path)}"
        answered[f"{route.method} {path}"] = asker.request(
            route.method, url, headers=headers_of(name, part, route.method, url)
        ).status_code
    assert len(answered) > 5
    assert {where: status for where, status in answered.items() if status != 403} == {}


@pytest.mark.parametrize("name", sorted(one.name for one in DIALECTS))
def test_no_path_is_opened_by_the_credential_of_another_dialect(shop: CompatShop, asker: httpx2.Client, name: str) -> None:
    foreign = shop.native_key() if name == "oneclickdz" else shop.credential("oneclickdz")["api_key"]
    part = {"api_key": foreign, "api_secret": "", "client_id": foreign, "client_secret": foreign}
    url = f"{shop.url}/compat/{name}" + next(path for path, route in routes_of(shop, name) if route.scope == "catalog:read")
    assert asker.get(url, headers=headers_of(name, part, "GET", url)).status_code == 401
