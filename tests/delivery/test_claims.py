"""Claim links: unclaimed until opened, shown to whom they are meant for, and to nobody for long."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cardrail.delivery import (
    ClaimEmpty,
    ClaimExpired,
    ClaimLocked,
    ClaimNotFound,
    ClaimRevoked,
    InvalidDelivery,
    LinkSigner,
    NothingToClaim,
    PinRequired,
    Wish,
    WrongPin,
    check_wish,
    find_claim,
    list_claims,
    renew_pin,
    revoke_claim,
)
from cardrail.kernel import new_id, to_micros
from cardrail.orders import OrderNotFound, invalidate_order
from cardrail.storage import metadata
from tests.build import NODE, POLICY
from tests.delivery.build import ClaimWorld


def hidden(world: ClaimWorld) -> Any:
    """The partner, who leaves the codes to the link."""
    return replace(world.partner, may_reveal=False)


def test_a_link_shows_the_orders_codes_and_is_claimed_by_that(world: ClaimWorld) -> None:
    order = world.order("TEA", 2, buyer=hidden(world))
    (made,) = world.claims(order)
    assert made.claim.state(to_micros(world.clock.now())) == "UNCLAIMED"
    shown = world.open(made.claim)
    assert len(set(shown)) == 2
    (kept,) = list_claims(world.db, world.partner, order.id)
    assert kept.state(to_micros(world.clock.now())) == "CLAIMED"
    assert world.open(made.claim) == shown
    assert world.count("events", type="claim.opened") == 1
    assert world.count("audit", action="code.revealed", actor=made.claim.id) == 2


def test_looking_at_a_link_spends_nothing(world: ClaimWorld) -> None:
    order = world.order("TEA", 1, buyer=hidden(world))
    (made,) = world.claims(order)
    for _ in range(3):
        find_claim(world.db, world.signer, world.signer.token(made.claim.id), 0)
    assert world.count("events", type="claim.opened") == 0
    invalidate_order(world.db, world.clock, world.audit, world.partner, order.id, POLICY, node=NODE, because="test")


def test_one_link_a_unit_shows_one_code_each(world: ClaimWorld) -> None:
    order = world.order("TEA", 3, buyer=hidden(world))
    made = world.claims(order, per="unit")
    shown = [world.open(one.claim) for one in made]
    assert [len(one) for one in shown] == [1, 1, 1]
    assert len({code for one in shown for code in one}) == 3


def test_a_unit_of_a_later_lot_is_found(world: ClaimWorld) -> None:
    world.order("TEA", 19, buyer=hidden(world))
    world.stock("TEA", ["LATER-1", "LATER-2"])
    order = world.order("TEA", 3, buyer=hidden(world))
    shown = [world.open(one.claim) for one in world.claims(order, per="unit")]
    assert sorted(shown[1:]) == [["LATER-1"], ["LATER-2"]]


def test_links_are_made_once(world: ClaimWorld) -> None:
    order = world.order("TEA", 2, buyer=hidden(world))
    first = world.claims(order, per="unit", protection="PROTECTED")
    again = world.claims(order, per="unit", protection="PROTECTED")
    assert [one.claim.id for one in again] == [one.claim.id for one in first]
    assert all(one.pin is not None for one in first)
    assert all(one.pin is None for one in again)


def test_a_protected_link_wants_its_pin_and_locks_after_five_wrong_ones(world: ClaimWorld) -> None:
    (made,) = world.claims(world.order("TEA", 1, buyer=hidden(world)), protection="PROTECTED")
    assert made.pin is not None
    pin = made.pin.reveal()
    wrong = "000000" if pin != "000000" else "111111"
    with pytest.raises(PinRequired):
        world.open(made.claim)
    for left in (4, 3, 2, 1):
        with pytest.raises(WrongPin) as refusal:
            world.open(made.claim, wrong)
        assert refusal.value.facts["left"] == left
    with pytest.raises(ClaimLocked):
        world.open(made.claim, wrong)
    with pytest.raises(ClaimLocked):
        world.open(made.claim, pin)
    world.frozen.advance(minutes=15)
    assert len(world.open(made.claim, pin)) == 1


def test_each_further_lock_is_twice_as_long(world: ClaimWorld) -> None:
    (made,) = world.claims(world.order("TEA", 1, buyer=hidden(world)), protection="PROTECTED", pin="4711")
    waits = []
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(WrongPin):
                world.open(made.claim, "0000")
        with pytest.raises(ClaimLocked) as refusal:
            world.open(made.claim, "0000")
        waits.append(int(str(refusal.value.facts["retry_after"])))
        world.frozen.advance(seconds=waits[-1])
    assert waits == [900, 1_800, 3_600]


def test_a_renewed_pin_lifts_the_lock(world: ClaimWorld) -> None:
    (made,) = world.claims(world.order("TEA", 1, buyer=hidden(world)), protection="PROTECTED", pin="4711")
    for _ in range(5):
        with pytest.raises((WrongPin, ClaimLocked)):
            world.open(made.claim, "0000")
    pin = renew_pin(world.db, world.clock, world.audit, world.signer, world.partner, made.claim.id)
    assert len(world.open(made.claim, pin.reveal())) == 1


def test_two_who_open_at_once_are_one_opening(world: ClaimWorld) -> None:
    (made,) = world.claims(world.order("TEA", 1, buyer=hidden(world)))
    shown: list[list[str]] = []
    threads = [threading.Thread(target=lambda: shown.append(world.open(made.claim))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(shown) == 4
    assert len({tuple(one) for one in shown}) == 1
    assert world.count("events", type="claim.opened") == 1


def test_an_expired_a_revoked_and_an_emptied_link_show_nothing(world: ClaimWorld) -> None:
    (late,) = world.claims(world.order("TEA", 1, buyer=hidden(world)), expires_days=1)
    (gone,) = world.claims(world.order("TEA", 1, buyer=hidden(world)))
    taken = world.order("TEA", 1, buyer=hidden(world))
    (empty,) = world.claims(taken)
    revoke_claim(world.db, world.clock, world.audit, world.partner, gone.claim.id)
    invalidate_order(world.db, world.clock, world.audit, world.partner, taken.id, POLICY, node=NODE, because="test")
    world.frozen.advance(days=1)
    for made, refusal in ((late, ClaimExpired), (gone, ClaimRevoked), (empty, ClaimEmpty)):
        with pytest.raises(refusal):
            world.open(made.claim)
    assert world.count("events", type="claim.opened") == 0


def test_another_partners_order_and_claim_are_unknown(world: ClaimWorld) -> None:
    order = world.order("TEA", 1, buyer=hidden(world))
    (made,) = world.claims(order)
    stranger = world.a_partner("INR", "10.00")
    with pytest.raises(OrderNotFound):
        list_claims(world.db, stranger, order.id)
    with pytest.raises(ClaimNotFound):
        revoke_claim(world.db, world.clock, world.audit, stranger, made.claim.id)


def test_an_order_whose_codes_still_arrive_has_no_links_yet(world: ClaimWorld) -> None:
    """Units are counted in the order of their lots: a code that came later could take another's place."""
    order = world.order("TEA", 2, buyer=hidden(world))
    with world.db.transaction() as tx:
        tx.execute(
            sa.update(metadata.tables["orders"]).values(state="PROCESSING").where(metadata.tables["orders"].c.id == order.id)
        )
    with pytest.raises(NothingToClaim):
        world.claims(order, per="unit")


def test_an_order_without_a_delivered_code_has_nothing_to_claim(world: ClaimWorld) -> None:
    unpaid = world.order("TEA", 1, pay_later=True)
    with pytest.raises(NothingToClaim):
        world.claims(unpaid)


@given(st.text(max_size=60))
def test_a_token_that_we_did_not_make_leads_nowhere(token: str) -> None:
    assert LinkSigner(b"l" * 32).claim_of(token) is None


def test_a_token_is_only_its_own_claims() -> None:
    signer, claim = LinkSigner(b"l" * 32), new_id("clm")
    token = signer.token(claim)
    assert signer.claim_of(token) == claim
    assert LinkSigner(b"m" * 32).claim_of(token) is None
    assert signer.claim_of(new_id("clm")[-26:] + token[26:]) is None


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("per", {"per": "box"}),
        ("protection", {"protection": "OPEN"}),
        ("pin", {"pin": "1234"}),
        ("pin", {"pin": "12", "protection": "PROTECTED"}),
        ("expires_days", {"expires_days": 0}),
        ("email", {"email": "a@b\nBcc: c@d"}),
        ("email", {"email": "nobody"}),
        ("email", {"email": "=?utf-8?q?x=0D=0ABcc=3A_y?=@b.example"}),
        ("email", {"email": "a@b..example"}),
        ("telegram", {"telegram": "12; DROP"}),
        ("recipient", {"recipient": "Ann\x00"}),
        ("recipient", {"recipient": "Ann,\n\nyour card was blocked: https://thief.example"}),
        ("include_codes", {"include_codes": True, "protection": "PROTECTED"}),
    ],
)
def test_a_wish_that_cannot_be_is_refused_by_its_member(field: str, wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidDelivery) as refusal:
        check_wish(Wish(**wish))
    assert refusal.value.facts["field"] == field
