"""The shop that the tests of the API talk to, and short words for what they ask it."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import sqlalchemy as sa

from cardrail.access import ALL_SCOPES, create_key
from cardrail.api.gate import FRESH_SECONDS
from cardrail.bootstrap import Cardrail
from cardrail.kernel import Mode, PartnerId
from cardrail.storage import metadata
from tests.build import World
from tests.waiting import PATIENCE_SECONDS


class Served:
    """A served installation: its shop, its partner's keys, and a client for each."""

    def __init__(self, cardrail: Cardrail) -> None:
        self.cardrail = cardrail
        self.world = World(cardrail.db, cardrail.keyring, cardrail.clock)
        self.world.audit = cardrail.audit
        self.world.stock("TEA", 50)
        self.partner_id = self.world.partner.partner_id
        self.key = self.a_key()
        self.test_key = self.a_key(mode=Mode.TEST)
        self._clients: list[httpx2.Client] = []

    def at(self, url: str) -> None:
        """Where it is served."""
        self.url = url
        self.live = self.client(self.key)
        self.test = self.client(self.test_key)
        self.nobody = self.client(None)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def client(self, key: str | None) -> httpx2.Client:
        """A client that sends this key with each request."""
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        made = httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)
        self._clients.append(made)
        return made

    def a_key(
        self,
        *scopes: str,
        mode: Mode = Mode.LIVE,
        partner_id: PartnerId | None = None,
        **options: Any,
    ) -> str:
        """A new key's token, with all scopes unless some are named."""
        _, token = create_key(
            self.cardrail.db,
            self.cardrail.clock,
            self.cardrail.audit,
            partner_id or self.partner_id,
            mode,
            name="test",
            scopes=scopes or ALL_SCOPES,
            actor="test",
            **options,
        )
        return token.reveal()

    def settle(self) -> None:
        """Wait until the server looks again whether keys or catalog changed."""
        time.sleep(FRESH_SECONDS + 0.05)

    def stranger(self) -> httpx2.Client:
        """A client of another partner, who has money too."""
        buyer = self.world.a_partner("INR", "1000.00")
        return self.client(self.a_key(partner_id=buyer.partner_id))

    def order(self, sku: str = "TEA", quantity: int = 1, **facts: Any) -> dict[str, Any]:
        """An order that must be placed by the live key."""
        response = self.live.post("/v1/orders", json={"items": [{"sku": sku, "quantity": quantity}], **facts})
        assert response.status_code == 201, response.text
        placed: dict[str, Any] = response.json()
        return placed

    def rows(self) -> dict[str, int]:
        """How many rows each table has: what a refusal must not change."""
        with self.cardrail.db.read() as tx:
            return {
                table.name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }


def assert_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is this problem, whole and well-formed."""
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["status"] == status
    assert problem["charged"] is False
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem
