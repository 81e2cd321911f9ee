"""Quotes hold for 15 minutes, and once."""

from __future__ import annotations

import pytest

from cardrail.catalog import (
    InvalidFaceValue,
    Quote,
    QuoteExpired,
    QuoteNotFound,
    QuoteRequest,
    QuoteUsed,
    UnknownSku,
    get_quote,
    load_quotes,
    make_quote,
    set_rate,
    use_quotes,
)
from cardrail.kernel import FrozenClock, Mode, OrderId, PartnerId, QuoteId, new_id, to_micros
from cardrail.storage import Database
from tests.catalog.build import AUDIT, GIFT_CARDS, TOPUPS, bring_in, snapshot_of

PARTNER = PartnerId("par_1")
LINES = [QuoteRequest("EGCGBEPON001", 2), QuoteRequest("EGCGBUBER001", 1, 12300)]


def quote(db: Database, lines: list[QuoteRequest] = LINES, clock: FrozenClock | None = None, currency: str = "INR") -> Quote:
    return make_quote(
        db,
        clock or FrozenClock(),
        snapshot_of(db),
        partner_id=PARTNER,
        price_list_id=None,
        mode=Mode.LIVE,
        currency=currency,
        lines=lines,
    )


@pytest.fixture
def made(db: Database) -> Quote:
    bring_in(db, GIFT_CARDS)
    return quote(db)


def test_a_quote_says_what_its_total_is_made_of(made: Quote) -> None:
    # 2 x 56.05 + 117.77; off face value 2 x 2.95 and 5.23
    assert made.total_minor == 11210 + 11777
    assert [(line.discount_minor, line.fee_minor, line.tax_minor, line.total_minor) for line in made.lines] == [
        (590, 0, 0, 11210),
        (523, 0, 0, 11777),
    ]


def test_a_quote_is_read_back_as_it_was_made(db: Database, made: Quote) -> None:
    with db.transaction() as tx:
        assert load_quotes(tx, [made.id]) == {made.id: made}
    with db.read() as tx:
        assert get_quote(tx, made.id) == made
        assert get_quote(tx, QuoteId(new_id("quo"))) is None


def test_a_quote_keeps_its_price_when_the_rate_moves(db: Database) -> None:
    clock = FrozenClock()
    bring_in(db, TOPUPS)
    set_rate(db, clock, AUDIT, actor="cli", base="EUR", quote="BDT", rate_e10=1_412_500_000_000)
    made = quote(db, [QuoteRequest("robi-1658", 3)], currency="BDT")
    set_rate(db, clock, AUDIT, actor="cli", base="EUR", quote="BDT", rate_e10=2_000_000_000_000)
    with db.transaction() as tx:
        kept = load_quotes(tx, [made.id])[made.id]
    assert kept.total_minor == 3 * 15573  # 1.05 x 1.05 x 141.25 = 155.728125
    assert quote(db, [QuoteRequest("robi-1658", 3)], currency="BDT").total_minor == 3 * 22050


def test_a_quote_is_used_once(db: Database, made: Quote) -> None:
    first, second = OrderId(new_id("ord")), OrderId(new_id("ord"))
    with db.transaction() as tx:
        use_quotes(tx, [(made.id, first)])
    with pytest.raises(QuoteUsed), db.transaction() as tx:
        use_quotes(tx, [(made.id, second)])
    with db.transaction() as tx:
        assert load_quotes(tx, [made.id])[made.id].order_id == first


def test_a_quote_ends_after_15_minutes(made: Quote) -> None:
    end = to_micros(made.created_at) + 15 * 60 * 1_000_000
    assert Quote.checked(made, PARTNER, Mode.LIVE, end - 1) is made
    with pytest.raises(QuoteExpired):
        Quote.checked(made, PARTNER, Mode.LIVE, end)


@pytest.mark.parametrize(("partner", "mode"), [("par_2", Mode.LIVE), ("par_1", Mode.TEST)])
def test_a_quote_is_unknown_to_others(made: Quote, partner: str, mode: Mode) -> None:
    with pytest.raises(QuoteNotFound):
        Quote.checked(made, partner, mode, to_micros(made.created_at))


def test_a_used_quote_is_refused(made: Quote) -> None:
    with pytest.raises(QuoteUsed):
        Quote.checked(made.used_by(OrderId("ord_1")), PARTNER, Mode.LIVE, to_micros(made.created_at))


@pytest.mark.parametrize(
    ("asked", "is_covered"),
    [
        ([("EGCGBEPON001", 2, None), ("EGCGBUBER001", 1, 12300)], True),
        ([("EGCGBEPON001", 2, 5900), ("EGCGBUBER001", 1, 12300)], True),
        ([("EGCGBEPON001", 3, None), ("EGCGBUBER001", 1, 12300)], False),
        ([("EGCGBEPON001", 2, None), ("EGCGBUBER001", 1, 12400)], False),
        ([("EGCGBUBER001", 1, 12300), ("EGCGBEPON001", 2, None)], False),
        ([("EGCGBEPON001", 2, None)], False),
    ],
)
def test_a_quote_covers_the_order_that_was_quoted(
    made: Quote, asked: list[tuple[str, int, int | None]], is_covered: bool
) -> None:
    assert made.covers(asked) is is_covered


def test_what_is_not_sold_is_not_quoted(db: Database, made: Quote) -> None:
    for line, error in ((QuoteRequest("NOTHING", 1), UnknownSku), (QuoteRequest("EGCGBUBER001", 1, 5), InvalidFaceValue)):
        with pytest.raises(error):
            quote(db, [line])
