"""After a restore: nothing is bought before the journal has told what was bought since; that is asked about, not bought again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cardrail.kernel import PlainCode
from cardrail.orders import Order, release_restored, resolve_as_failed
from cardrail.orders.journal import journal_attempt
from cardrail.sourcing import Capabilities, Lookup
from cardrail.storage import Journal, JournalAttempt, JournalEntry, mark_restored, read_attempts
from tests.build import NODE
from tests.sourcing.build import Supplied, of, states
from tests.sourcing.fake import QUICK, Sold

BY_MATCH = replace(QUICK, lookup=Lookup.BY_MATCH, settle_seconds=0.0)
IDEMPOTENT = replace(QUICK, lookup=Lookup.NONE, is_idempotent=True)
KILLABLE = replace(QUICK, lookup=Lookup.NONE, can_invalidate=True)


def restored(shop: Supplied) -> None:
    with shop.db.transaction() as tx:
        mark_restored(tx, shop.clock.now(), shop.clock.now())


def release(shop: Supplied, *attempts: JournalAttempt) -> tuple[int, int]:
    report = release_restored(shop.db, shop.clock, shop.audit, [], node=NODE, actor="test", attempts=attempts)
    return report.attempts_restored, len(report.attempts_lost)


def line_of(shop: Supplied, order: Order, reference: str) -> JournalAttempt:
    """What the journal says of a purchase for this order, which the restored database does not know."""
    supplier = shop.suppliers["A"].id
    denomination = order.items[0].denomination_id
    at = 1_000_000
    return JournalAttempt(at, reference, order.id, 1, supplier, "A-CARD", denomination, 10_000, 2, "live", 19_000, 16_000, "INR")


def test_nothing_is_bought_before_the_release(shop: Supplied) -> None:
    fake = shop.supplier("A")
    placed = shop.order("CARD", 2)
    restored(shop)
    shop.visit(placed)
    assert (fake.asked, states(shop.stands(placed))[0]) == ([], "PROCESSING")
    release(shop)
    assert states(shop.finish(placed))[0] == "FULFILLED"


def test_what_was_bought_after_the_backup_is_found_and_not_bought_again(shop: Supplied) -> None:
    fake = shop.supplier("A")
    placed = shop.order("CARD", 2)
    restored(shop)
    reference = "att_01M7YKP000EN0VRZ0HNB1AA1V6"
    fake.sold.append(Sold("a-1", reference, "A-CARD", 2, [PlainCode("ONE"), PlainCode("TWO")]))
    assert release(shop, line_of(shop, placed, reference)) == (1, 0)
    done = shop.finish(placed)
    assert (states(done)[0], shop.shown(done), of(shop.attempts(done)), fake.asked) == (
        "FULFILLED",
        ["ONE", "TWO"],
        [("delivered", 2, 2)],
        [],
    )
    assert shop.findings() == []


def test_a_purchase_for_an_order_that_is_gone_is_told(shop: Supplied) -> None:
    shop.supplier("A")
    placed = shop.order("CARD", 2)
    lost = line_of(shop, placed, "att_01M7YKP000EN0VRZ0HNB1AA1V6")
    restored(shop)
    assert release(shop, msgspec.structs.replace(lost, order_id="ord_gone")) == (0, 1)


def test_each_purchase_is_in_the_journal_before_it_is_made(shop: Supplied, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "main.supply")
    object.__setattr__(shop.buying, "journal", journal)
    shop.supplier("A", "refuse")
    shop.supplier("B", cost="85.00")
    done = shop.bought("CARD", 2)
    journal.close()
    lines = list(read_attempts(sorted((tmp_path / "journal").iterdir()), 0))
    assert lines == [journal_attempt(one) for one in shop.attempts(done)]


@pytest.mark.parametrize("abilities", [IDEMPOTENT, KILLABLE], ids=["repeat", "invalidate"])
def test_while_frozen_nothing_is_asked_about_that_asking_would_buy_or_kill(shop: Supplied, abilities: Capabilities) -> None:
    fake = shop.supplier("A", "lost", abilities=abilities)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    restored(shop)
    shop.frozen.advance(seconds=1_000)
    shop.visit(placed)
    assert (len(fake.asked), [one.is_dead for one in fake.sold], of(shop.attempts(placed))) == (1, [False], [("unknown", 2, 0)])
    release(shop)
    shop.finish(placed)
    assert of(shop.attempts(placed))[0][0] == ("delivered" if abilities is IDEMPOTENT else "invalidated")


def test_codes_that_others_bought_since_the_release_are_not_revoked_by_another_release(shop: Supplied) -> None:
    shop.supplier("A")
    (known,) = shop.bought("CARD", 2).items[0].allocations
    restored(shop)
    lost = JournalEntry(1_000_000, "ord_gone", shop.partner.partner_id, "live", "INR", 19_000, [(known.lot_id, 2, 2)])
    released = [release_restored(shop.db, shop.clock, shop.audit, [lost], node=NODE, actor="test")]
    hers = shop.bought("CARD", 2)
    assert (hers.items[0].allocations[0].lot_id, hers.items[0].allocations[0].first_seq) == (known.lot_id, 2)
    released.append(release_restored(shop.db, shop.clock, shop.audit, [lost], node=NODE, actor="test"))
    assert [(len(one.lost_orders), one.codes_revoked, one.held) for one in released] == [(1, 0, [])] * 2
    assert (len(shop.shown(hers)), shop.findings()) == (2, [])


def test_what_is_found_by_match_only_is_not_taken_for_an_equal_order_made_since_the_backup(shop: Supplied) -> None:
    fake = shop.supplier("A", "dropped", abilities=BY_MATCH)
    placed = shop.order("CARD", 2)
    shop.visit(placed)
    restored(shop)
    reference = "att_01M7YKP000EN0VRZ0HNB1AA1V6"
    fake.sold.append(Sold("a-9", reference, "A-CARD", 2, [PlainCode("HERS-1"), PlainCode("HERS-2")]))
    assert release(shop, msgspec.structs.replace(line_of(shop, placed, reference), order_id="ord_gone")) == (0, 1)
    done = shop.finish(placed, visits=5)
    assert (states(done)[0], fake.looked, len(fake.asked), shop.findings()) == ("NEEDS_REVIEW", 0, 1, [])
    resolve_as_failed(shop.db, shop.clock, shop.audit, placed.id, because="never placed", actor="test")
    assert (states(shop.stands(placed))[0], of(shop.attempts(placed))[0][0], shop.findings()) == ("FAILED", "closed", [])
