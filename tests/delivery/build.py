"""A shop whose orders are claimed by link."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cardrail.delivery import Claim, LinkSigner, NewClaim, Wish, make_claims, open_claim
from cardrail.orders import Order, open_codes
from cardrail.storage import metadata
from tests.build import World


class ClaimWorld(World):
    """The World, with links."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.signer = LinkSigner(b"l" * 32)
        self.stock("TEA", 20)

    def claims(self, order: Order, **wish: Any) -> list[NewClaim]:
        return make_claims(self.db, self.clock, self.audit, self.signer, self.partner, order.id, Wish(**wish))

    def open(self, claim: Claim, pin: str | None = None) -> list[str]:
        """The codes that the link shows."""
        token = self.signer.token(claim.id)
        _, order = open_claim(self.db, self.clock, self.audit, self.signer, token, pin, origin="203.0.113.9")
        return [str(code.code) for item in order.items for code, _ in open_codes(self.opener, item)]

    def count(self, table: str, **where: Any) -> int:
        source = metadata.tables[table]
        query = sa.select(sa.func.count()).select_from(source)
        for name, value in where.items():
            query = query.where(source.c[name] == value)
        with self.db.read() as tx:
            return int(tx.execute(query).scalar_one())
