"""A sealed code opens in its own place, with its own key, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.kernel import Mode, PlainCode
from cardrail.vault import (
    BoundCodes,
    CodeOpener,
    CodeUnreadable,
    DuplicateBoundCode,
    Keyring,
    WrongMasterKey,
    append_bound_codes,
    generate_test_codes,
)
from cardrail.vault.seal import plain_record, seal_many
from tests.vault.build import BRAND, DENOMINATION, FACE, Vault, a_key

SECRET = "SECRET-1234-CODE"
KEYRING = Keyring({1: a_key()})
DATA_KEY = a_key(5)
WRAPPED = KEYRING.wrap(1, DATA_KEY)


def sealed_at(seq: int, lot: str = "lot_A", denomination: str = "den_A") -> bytes:
    return seal_many(DATA_KEY, lot, denomination, seq, [plain_record(SECRET, "1234", None, None)])[0]


texts = st.none() | st.text(min_size=1, max_size=40)


@given(texts, texts, texts, texts)
def test_every_field_comes_back(code: str | None, pin: str | None, serial: str | None, url: str | None) -> None:
    (sealed,) = seal_many(DATA_KEY, "lot_A", "den_A", 7, [plain_record(code, pin, serial, url)])
    assert CodeOpener(KEYRING).open("lot_A", 7, "den_A", WRAPPED, 1, sealed).fields() == (code, pin, serial, url)


@pytest.mark.parametrize(
    ("lot", "seq", "denomination"),
    [
        ("lot_A", 4, "den_A"),  # a neighbour's row
        ("lot_B", 3, "den_A"),  # another lot
        ("lot_A", 3, "den_B"),  # sold as something else
    ],
)
def test_a_sealed_code_does_not_open_in_another_row(lot: str, seq: int, denomination: str) -> None:
    with pytest.raises(CodeUnreadable):
        CodeOpener(KEYRING).open(lot, seq, denomination, WRAPPED, 1, sealed_at(3))


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_changed_byte_is_noticed(place: int) -> None:
    sealed = bytearray(sealed_at(3))
    sealed[place % len(sealed)] ^= 1
    with pytest.raises(CodeUnreadable):
        CodeOpener(KEYRING).open("lot_A", 3, "den_A", WRAPPED, 1, bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x03" + bytes(60)])
def test_rubbish_is_unreadable_and_no_other_error(sealed: bytes) -> None:
    with pytest.raises(CodeUnreadable):
        CodeOpener(KEYRING).open("lot_A", 3, "den_A", WRAPPED, 1, sealed)


def test_a_failure_names_the_place_and_carries_nothing_of_the_code() -> None:
    with pytest.raises(CodeUnreadable) as caught:
        CodeOpener(KEYRING).open("lot_A", 4, "den_A", WRAPPED, 1, sealed_at(3))
    assert caught.value.facts == {"lot_id": "lot_A", "seq": 4}
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_another_master_key_is_called_wrong() -> None:
    with pytest.raises(WrongMasterKey):
        CodeOpener(Keyring({1: a_key(9)})).open("lot_A", 3, "den_A", WRAPPED, 1, sealed_at(3))


def test_the_same_code_is_sealed_differently_each_time() -> None:
    assert sealed_at(3) != sealed_at(3)


def test_the_opener_keeps_a_bounded_number_of_lots() -> None:
    opener = CodeOpener(KEYRING, lots_max=3)
    for n in range(10):
        opener.open(f"lot_{n}", 0, "den_A", WRAPPED, 1, sealed_at(0, f"lot_{n}"))
    assert len(opener._lots) == 3


def test_moving_ciphertext_between_rows_of_the_database_fails(vault: Vault) -> None:
    vault.lot("AAAA-1111\nBBBB-2222\n")
    with vault.db.transaction() as tx:
        tx.exec_driver_sql("UPDATE codes SET sealed = (SELECT sealed FROM codes WHERE seq = 1) WHERE seq = 0")
    with pytest.raises(CodeUnreadable):
        vault.open(vault.take(1))


# --- codes that arrive sold ---------------------------------------------------------------------------------------------


def bound(vault: Vault, codes: list[PlainCode], node: str = "main") -> list[str | None]:
    with vault.db.transaction() as tx:
        allocation = append_bound_codes(
            tx,
            vault.keyring,
            mode=Mode.TEST,
            brand_id=BRAND,
            denomination_id=DENOMINATION,
            face_minor=FACE,
            codes=codes,
            now=vault.now,
            actor="test",
            node=node,
        )
    return [one.code for one in vault.open([allocation])]


def test_codes_of_many_items_are_bound_at_once(vault: Vault) -> None:
    first, second = generate_test_codes(3), generate_test_codes(2)
    facts: dict[str, Any] = {
        "mode": Mode.TEST,
        "brand_id": BRAND,
        "denomination_id": DENOMINATION,
        "face_minor": FACE,
        "now": vault.now,
    }
    with vault.db.transaction() as tx:
        together = BoundCodes(tx, vault.keyring, node="main", actor="test")
        ranges = [together.append(codes=codes, **facts) for codes in (first, second)]
        assert together.split_known(BRAND, [*second, *generate_test_codes(1)])[1] == second
        with pytest.raises(DuplicateBoundCode):
            together.append(codes=first[:1], **facts)
        together.write()
        ranges.append(together.append(codes=generate_test_codes(1), **facts))
        together.write()
    assert [(one.first_seq, one.count) for one in ranges] == [(0, 3), (3, 2), (5, 1)]
    assert [one.code for one in vault.open(ranges)][:5] == [one.code for one in (*first, *second)]
    with vault.db.read() as tx:
        assert tx.exec_driver_sql("SELECT count FROM lots").scalars().all() == [6]


def test_bound_codes_of_a_day_share_a_lot_and_open(vault: Vault) -> None:
    first, second = generate_test_codes(3), generate_test_codes(2)
    assert bound(vault, first) == [one.code for one in first]
    assert bound(vault, second) == [one.code for one in second]
    with vault.db.read() as tx:
        assert tx.exec_driver_sql("SELECT count FROM lots").scalars().all() == [5]


def test_another_day_or_node_is_another_lot(vault: Vault) -> None:
    bound(vault, generate_test_codes(1))
    bound(vault, generate_test_codes(1), node="second")
    vault.clock.advance(days=1)
    bound(vault, generate_test_codes(1))
    with vault.db.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM lots").scalar() == 3


def test_bound_codes_are_not_for_sale(vault: Vault) -> None:
    bound(vault, generate_test_codes(3))
    assert vault.available() == 0


def test_a_code_that_a_supplier_delivers_twice_is_refused(vault: Vault) -> None:
    codes = generate_test_codes(1)
    bound(vault, codes)
    with pytest.raises(DuplicateBoundCode):
        bound(vault, codes)


def test_generated_codes_look_like_codes_and_differ() -> None:
    codes = generate_test_codes(200)
    assert len({one.code for one in codes}) == 200
    assert all(str(one.code).startswith("TEST-") and len(str(one.code)) == 19 for one in codes)
    assert all(one.pin and one.serial for one in codes)
