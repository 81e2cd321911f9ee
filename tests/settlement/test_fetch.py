"""A supplier's statement over its protocol: what the hub that sells says equals what the hub that buys has in its books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cardrail.access import SecretSealer
from cardrail.kernel import FrozenClock, Money, to_micros
from cardrail.ledger import Purpose, platform_balances, verify_ledger
from cardrail.settlement import (
    MatchKind,
    Resolution,
    StatementImported,
    fetch_statement,
    fetch_yesterday,
    list_differences,
    list_supplier_statements,
    reconciled_orders,
    resolve_difference,
    run_matching,
)
from cardrail.sourcing import SUPPLY_VERSION, Connectors, NotSupported, StatementLine, put_mapping, put_product
from cardrail.storage import Database, bump_version
from cardrail.vault import create_key_file
from tests.alerts.build import Watched
from tests.build import NODE
from tests.compat.conftest import shop as hub  # noqa: F401  # the served installation, under the name that it has here
from tests.sourcing.build import Supplied, supplied
from tests.sourcing.fake import QUICK, ScriptedSupplier
from tests.sourcing.stages import (  # noqa: F401  # fixtures
    Stage,
    every,
    inr,
    shop_backend,
    shop_settings,
    the_acme,
    the_later_hub,
    the_lines,
    the_stage,
)

TOLD = ("oneclickdz", "foxreload_v1", "foxreload_public", "starship", "rest")


def matched(shop: Supplied, name: str, since: datetime, until: datetime) -> dict[str, int]:
    """Fetch and match; how many of each kind there are."""
    taken = fetch_statement(shop.db, shop.clock, shop.audit, shop.connectors, name, since, until, actor="test")
    done = run_matching(shop.db, shop.clock, shop.audit, taken.statement.id, actor="test")
    return {kind: count for kind, count in done.counts.items() if count}


# --- hub against hub --------------------------------------------------------------------------------------------------


@pytest.fixture
def buyer(stage: Stage, migrated_sqlite: Path, tmp_path: Path) -> Iterator[Supplied]:
    """A hub that buys its cards over the stage's connector."""
    (tmp_path / "buyer.db").write_bytes(migrated_sqlite.read_bytes())
    db = Database(f"sqlite:///{tmp_path / 'buyer.db'}")
    clock = FrozenClock(datetime.now(UTC))
    shop = Supplied(db, create_key_file(tmp_path / "master.keys"), clock, connectors=Connectors(SecretSealer(b"s" * 32)))
    shop.supplier("upstream")
    shop.connectors.put(shop.suppliers["upstream"], stage.connector)
    offer, now = shop.catalog.current().offer("CARD"), to_micros(clock.now())
    assert offer is not None
    (tea,) = [one for one in stage.connector.catalog() if one.sku == stage.sku("tea")]
    with db.transaction() as tx:
        put_product(tx, shop.suppliers["upstream"].id, tea, "INR", now)
        put_mapping(tx, offer.denomination_id, shop.suppliers["upstream"].id, tea.sku, is_enabled=True, mapped_by="test", at=now)
        bump_version(tx, SUPPLY_VERSION)
    shop.route("pinned", supplier="upstream")
    yield shop
    db.close()


@every(*TOLD)
def test_the_seller_s_statement_equals_the_buyer_s_books_but_for_what_was_planted(buyer: Supplied, stage: Stage) -> None:
    since = buyer.clock.now() - timedelta(seconds=1)
    until = since + timedelta(hours=2)
    orders = [buyer.bought(quantity=quantity) for quantity in (1, 3)]
    assert [one.state.value for one in orders] == ["FULFILLED", "FULFILLED"]
    assert matched(buyer, "upstream", since, until) == {"equal": 2}
    with buyer.db.read() as tx:
        assert reconciled_orders(tx, [one.id for one in orders]) == {one.id for one in orders}
    request, outcome = stage.place()  # behind our books' back
    planted = stage.delivered(request, outcome)
    assert matched(buyer, "upstream", since, until) == {"equal": 2, "only_theirs": 1}
    with buyer.db.read() as tx:
        (found,) = list_differences(tx)
    assert (found.key, found.kind, found.gap_minor) == (planted.supplier_order_id, "only_theirs", 9_500)


# --- what a statement may say -----------------------------------------------------------------------------------------


class Telling(ScriptedSupplier):
    """A supplier in memory that has a statement."""

    def __init__(self, inner: ScriptedSupplier, lines: list[StatementLine]) -> None:
        super().__init__(inner.name, inner.capabilities, inner.unit_cost)
        self.told = lines

    def statement(self, since: datetime, until: datetime) -> Sequence[StatementLine]:
        return [one for one in self.told if since <= one.at < until]


@pytest.fixture
def backend() -> str:
    """How purchases and lines are matched is tested on both databases elsewhere."""
    return "sqlite"


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Supplied:
    return supplied(db, tmp_path)


def telling(shop: Supplied, lines: list[StatementLine]) -> Telling:
    """A supplier that sells CARD and tells these lines."""
    made = Telling(shop.supplier("A", abilities=replace(QUICK, has_statement=True)), lines)
    shop.connectors.put(shop.suppliers["A"], made)
    return made


def charged(at: datetime, text: str, order_id: str | None, kind: str = "order") -> StatementLine:
    return StatementLine(at, inr(text), order_id, kind=kind)


def test_movements_of_one_order_are_one_purchase_and_deposits_are_none(shop: Supplied) -> None:
    now = shop.clock.now()
    supplier = telling(shop, [])
    shop.bought(quantity=2)
    refused = shop.order("CARD", 1)
    supplier.script.append("accept")
    shop.visit(refused)
    supplier.sold[1].is_dead = True
    supplier.told += [
        charged(now, "200", "a-1"),
        charged(now, "-40", "a-1", "refund"),  # 160.00 is what two cost
        charged(now, "-500", None, "topup"),
        charged(now, "7", None, "other"),
    ]
    assert matched(shop, "A", now - timedelta(hours=1), now + timedelta(hours=1)) == {
        "equal": 1,
        "only_ours": 1,
        "only_theirs": 1,
    }
    with shop.db.read() as tx:
        kinds = {one.kind: one.key for one in list_differences(tx)}
    assert kinds == {"only_ours": "a-2", "only_theirs": "line-4"}


def test_two_orders_under_one_reference_are_both_seen_where_some_lines_name_the_reference_alone(shop: Supplied) -> None:
    now = shop.clock.now()
    supplier = telling(shop, [])
    shop.bought()
    shop.bought()
    twice, once = [one.reference for one in supplier.sold]
    supplier.told += [
        replace(charged(now, "80", "a-1"), reference=twice),
        replace(charged(now, "80", "a-9"), reference=twice),
        replace(charged(now, "100", "a-2"), reference=once),
        replace(charged(now, "-20", None, "refund"), reference=once),
    ]
    assert matched(shop, "A", now - timedelta(hours=1), now + timedelta(hours=1)) == {"equal": 1, "amount": 1}
    with shop.db.read() as tx:
        (found,) = list_differences(tx)
    assert (found.key, found.gap_minor) == (twice, 8_000)


def test_an_order_that_they_note_a_moment_after_midnight_belongs_to_the_day_on_which_we_asked(shop: Supplied) -> None:
    day = shop.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    shop.frozen.advance(seconds=(day - shop.clock.now()).total_seconds() - 1)
    telling(shop, [charged(day + timedelta(seconds=1), "80", "a-1"), charged(day + timedelta(minutes=5), "80", "b-9")])
    shop.bought()
    assert matched(shop, "A", day - timedelta(days=1), day) == {"equal": 1}
    assert matched(shop, "A", day, day + timedelta(days=1)) == {"equal": 1, "only_theirs": 1}


def test_a_statement_that_says_nothing_is_compared_too_and_taken_once(shop: Supplied) -> None:
    telling(shop, [])
    shop.bought()
    now = shop.clock.now()
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    assert matched(shop, "A", since, until) == {"only_ours": 1}
    with pytest.raises(StatementImported):
        matched(shop, "A", since, until)
    shop.supplier("B")
    with pytest.raises(NotSupported):
        matched(shop, "B", since, until)


def test_a_difference_is_booked_against_the_account_that_the_purchase_is_on(shop: Supplied) -> None:
    now = shop.clock.now()
    telling(shop, [charged(now, "90", "a-1")])
    shop.bought()
    assert matched(shop, "A", now - timedelta(hours=1), now + timedelta(hours=1)) == {"amount": 1}
    with shop.db.read() as tx:
        (found,) = list_differences(tx, kind=MatchKind.AMOUNT.value)
    resolve_difference(shop.db, shop.clock, shop.audit, found.id, Resolution.WRITE_OFF, node=NODE, actor="test")
    with shop.db.read() as tx:
        balances = {(one.purpose, one.owner): one.balance_minor for one in platform_balances(tx)}
        assert not list(verify_ledger(tx))
    assert balances[Purpose.SUPPLIER, shop.suppliers["A"].id] == -9_000
    assert not [owner for purpose, owner in balances if purpose is Purpose.SUPPLIER and owner == "A"]


def test_yesterday_is_fetched_of_every_supplier_that_can_tell(shop: Supplied) -> None:
    telling(shop, [charged(shop.clock.now(), "80", "a-1")])
    shop.supplier("B")
    shop.bought()
    shop.frozen.advance(days=1)
    fetched = [fetch_yesterday(shop.db, shop.clock, shop.audit, shop.connectors) for _ in range(2)]
    assert fetched == [1, 0]
    with shop.db.read() as tx:
        assert list_differences(tx) == []


def night(shop: Supplied, **time: float) -> int:
    shop.frozen.advance(**time)
    return fetch_yesterday(shop.db, shop.clock, shop.audit, shop.connectors)


def test_what_differs_at_night_alerts_until_it_is_resolved(shop: Supplied) -> None:
    watched = Watched(shop, "supplier.statement_differs=mailto:books@shop.example")
    supplier = telling(shop, [charged(shop.clock.now(), "85", "a-1"), charged(shop.clock.now(), "7", "a-9")])
    shop.bought()
    assert night(shop, days=1) == 1
    (subject,) = watched.watch()
    assert "Statements of A differ from our purchases: 2 differences wait (amount 1, only_theirs 1), 0 lines" in subject
    with shop.db.read() as tx:
        first, second = list_differences(tx, state="open")
    resolve_difference(shop.db, shop.clock, shop.audit, first.id, Resolution.WRITE_OFF, node=NODE, actor="test")
    supplier.told = [charged(shop.clock.now(), "3", "a-8")]
    assert night(shop, days=1) == 1
    assert (watched.watch(), watched.states(), watched.alerts()[0].count) == ([], ["notified"], 2)
    assert watched.alerts()[0].facts["differences"] == 2
    with shop.db.read() as tx:
        left = list_differences(tx, state="open")
    assert second.id in {one.id for one in left}
    for one in left:
        resolve_difference(shop.db, shop.clock, shop.audit, one.id, Resolution.WRITE_OFF, node=NODE, actor="test")
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def test_lines_that_cannot_be_read_alert_until_a_statement_is_whole(shop: Supplied) -> None:
    watched = Watched(shop, "supplier.statement_differs=mailto:books@shop.example")
    supplier = telling(shop, [StatementLine(shop.clock.now(), Money.parse("9", "USD"), "a-1")])
    assert night(shop, days=1) == 1
    (subject,) = watched.watch()
    assert "0 differences wait (none), 1 lines could not be taken" in subject
    supplier.told = []
    assert night(shop, days=1) == 1
    assert (watched.watch(), watched.states()) == ([], ["cleared"])


def test_nights_that_were_missed_are_made_up_for_and_what_was_not_matched_is(
    shop: Supplied, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling(shop, [charged(shop.clock.now(), "80", "a-1")])
    shop.bought()
    assert night(shop, days=3) == 3
    with monkeypatch.context() as patched:  # a process that dies between the two
        patched.setattr("cardrail.settlement.fetch.run_matching", lambda *_args, **_facts: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            night(shop, days=1)
    assert night(shop, hours=1) == 1
    with shop.db.read() as tx:
        assert [one.state for one in list_supplier_statements(tx)] == ["matched"] * 4
        assert list_differences(tx) == []
    assert night(shop, days=30) == 7


def test_another_currency_is_a_bad_line(shop: Supplied) -> None:
    now = shop.clock.now()
    telling(shop, [StatementLine(now, Money.parse("9", "USD"), "a-1"), charged(now, "80", "a-2")])
    taken = fetch_statement(
        shop.db,
        shop.clock,
        shop.audit,
        shop.connectors,
        "A",
        now - timedelta(hours=1),
        now + timedelta(hours=1),
        refuse_bad=False,
        actor="test",
    )
    assert (taken.statement.lines, taken.statement.refused, taken.bad[0].column) == (1, 1, "currency")
