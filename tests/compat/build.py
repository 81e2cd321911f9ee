"""The shop that the dialects' tests talk to. Its catalog has what dialects differ over: a price that does not divide, ranges, top-ups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cardrail.access import ALL_SCOPES, create_credential, create_key
from cardrail.bootstrap import Cardrail
from cardrail.catalog import import_catalog
from cardrail.kernel import Mode, Money, PartnerId
from cardrail.ledger import By, balances, credit
from cardrail.storage import metadata
from tests.build import HEADER, NODE, World

SHEET = (
    HEADER
    + b"""\
GAME,Game card,Game shop,Gaming,code,IN,INR,fixed,500|1000,,,4
WALLETCARD,Wallet card,Pay shop,Gaming,code,IN,INR,range,,50,5000,2.5
SOLDOUT,Sold-out card,Game shop,Gaming,code,IN,INR,fixed,200,,,1
"""
)
"""Beside the World's own: TEA (100.00 less 5 %), SHOES (100 to 1,000 less 3.5 %), BOOKS (33.33 less 3.5 %). SOLDOUT has no stock."""


@dataclass
class CompatShop:
    """A served installation, and short words for what the tests of a dialect do with it."""

    cardrail: Cardrail
    url: str = ""
    made: dict[Any, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cardrail = self.cardrail
        self.world = World(cardrail.db, cardrail.keyring, cardrail.clock)
        self.world.audit = cardrail.audit
        self.world.catalog = cardrail.catalog
        import_catalog(cardrail.db, cardrail.clock, cardrail.audit, SHEET, actor="test")
        cardrail.catalog.refresh()
        self.partner_id = self.world.partner.partner_id
        for sku in ("TEA", "BOOKS"):
            self.world.stock(sku, 400)
        self.world.stock("SHOES", 100, face="250")
        self.world.stock("WALLETCARD", 100, face="100")

    def credential(
        self, dialect: str, mode: Mode = Mode.LIVE, *scopes: str, partner_id: PartnerId | None = None, **options: Any
    ) -> dict[str, str]:
        """A credential of the dialect, by the dialect's own names; the same one for the same question. All scopes unless some are named.

        No rate limit unless ``requests_per_minute=None`` is given. A partner and mode have two at most: name another partner for more.
        """
        options = {"requests_per_minute": 0} | options
        question = (dialect, mode, scopes, partner_id, tuple(sorted(options.items())))
        if question not in self.made:
            part = self.cardrail
            issued = create_credential(
                part.db,
                part.clock,
                part.audit,
                part.sealer,
                partner_id or self.partner_id,
                mode,
                dialect,
                name="test",
                scopes=scopes or ALL_SCOPES,
                actor="test",
                **options,
            )
            self.made[question] = {"key_id": issued.key.id} | {name: one.reveal() for name, one in issued.fields.items()}
        return self.made[question]

    def native_key(self, mode: Mode = Mode.LIVE, *, partner_id: PartnerId | None = None) -> str:
        """A key of the native API, of the same partner or another."""
        question = ("native", mode, partner_id)
        if question not in self.made:
            part = self.cardrail
            _, token = create_key(
                part.db, part.clock, part.audit, partner_id or self.partner_id, mode, name="test", scopes=ALL_SCOPES, actor="test"
            )
            self.made[question] = {"token": token.reveal()}
        return self.made[question]["token"]

    def a_partner(self, balance: str | None = "1000.00", currency: str = "INR") -> PartnerId:
        """Another partner, with this much money in both modes; None: with none."""
        return self.world.a_partner(currency, balance).partner_id

    def credit(self, amount: str, currency: str, partner_id: PartnerId | None = None, mode: Mode = Mode.LIVE) -> None:
        """Money for a wallet."""
        with self.cardrail.db.transaction() as tx:
            by = By(self.cardrail.clock.now(), "test", self.cardrail.audit, NODE)
            credit(tx, by, partner_id or self.partner_id, Money.parse(amount, currency), mode)

    def balance(self, partner_id: PartnerId | None = None, mode: Mode = Mode.LIVE, currency: str = "INR") -> int:
        """What the wallet can spend, in minor units."""
        with self.cardrail.db.read() as tx:
            found = balances(tx, partner_id or self.partner_id, mode)
        return next((one.available_minor for one in found if one.currency == currency), 0)

    def rows(self) -> dict[str, int]:
        """How many rows each table has: what a refusal must not change (sequences and audit heads move by themselves)."""
        with self.cardrail.db.read() as tx:
            return {
                table.name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
