"""Codes that arrive already sold: bought for an order item, or generated for a test order. Every code that leaves, leaves the vault.

The bound codes of one process, day, denomination, face value and supplier share a lot, and so a data key. Such a lot has no
slices: nobody else can be given its codes, unless they come back (``return_to_stock``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cardrail.kernel import Mode, PlainCode, from_micros, new_id
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.errors import DuplicateBoundCode
from cardrail.vault.fingerprint import Fingerprinter
from cardrail.vault.keys import FINGERPRINT_KEY, KEY_BYTES, MasterKeys, current_number, service_key
from cardrail.vault.model import Allocation, LotKind, LotState
from cardrail.vault.seal import plain_record, seal_many
from cardrail.vault.tables import NEVER


@dataclass(slots=True)
class _Lot:
    """A lot of bound codes that this transaction has locked, with what is not written yet."""

    id: str
    data_key: bytes
    denomination_id: str
    first: int
    """The first seq that is not written."""
    records: list[bytes] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)
    expiries: list[int] = field(default_factory=list)


class BoundCodes:
    """The codes that one transaction binds, for any number of items; ``write`` writes them."""

    def __init__(self, tx: Tx, keyring: MasterKeys, *, node: str, actor: str) -> None:
        self._tx = tx
        self._keyring = keyring
        self._node = node
        self._actor = actor
        self._key: bytes | None = None
        self._marks: dict[str, Fingerprinter] = {}
        self._asked: set[bytes] = set()
        self._stored: set[bytes] = set()
        """Of what was asked about, what the vault has, or will have once this is written."""
        self._lots: dict[tuple[str, str, int, str, str], _Lot] = {}

    def look_for(self, codes: Iterable[tuple[str, PlainCode]]) -> None:
        """Ask about all these codes, each with its brand, at once."""
        self._ask([self._mark(brand_id, one) for brand_id, one in codes])

    def split_known(self, brand_id: str, codes: Sequence[PlainCode]) -> tuple[list[PlainCode], list[PlainCode]]:
        """(new ones, ones that the vault has already or that are there twice). What a supplier sold us twice is not sold again."""
        marks = [self._mark(brand_id, one) for one in codes]
        self._ask(marks)
        seen: set[bytes] = set()
        new: list[PlainCode] = []
        known: list[PlainCode] = []
        for one, mark in zip(codes, marks, strict=True):
            (known if mark in seen or mark in self._stored else new).append(one)
            seen.add(mark)
        return new, known

    def remember(self, brand_id: str, codes: Iterable[PlainCode]) -> None:
        """Somebody else has stored these in this transaction."""
        marks = [self._mark(brand_id, one) for one in codes]
        self._asked.update(marks)
        self._stored.update(marks)

    def append(
        self,
        *,
        mode: Mode,
        brand_id: str,
        denomination_id: str,
        face_minor: int,
        codes: Sequence[PlainCode],
        now: int,
        supplier: str | None = None,
        expires_at: int = NEVER,
    ) -> Allocation:
        """Bind codes to the day's lot; the allocation is the caller's to write down.

        Raises DuplicateBoundCode when the vault has one of them already (sold or not), or one is there twice.
        """
        marks = [self._mark(brand_id, one) for one in codes]
        self._ask(marks)
        if len(set(marks)) < len(marks) or not self._stored.isdisjoint(marks):
            raise DuplicateBoundCode(denomination_id=denomination_id, supplier=supplier)
        source = f"{self._node} {from_micros(now):%Y-%m-%d}" + (f" {supplier}" if supplier is not None else "")
        key = (mode.value, denomination_id, face_minor, brand_id, source)
        lot = self._lots.get(key)
        if lot is None:
            lot = self._lots[key] = self._lot(mode, brand_id, denomination_id, face_minor, source, supplier, now)
        first = lot.first + len(lot.records)
        lot.records += [plain_record(*one.fields()) for one in codes]
        lot.fingerprints += marks
        lot.expiries += [expires_at] * len(codes)
        self._stored.update(marks)
        return Allocation(lot.id, first, len(codes), expires_at, False, denomination_id)

    def write(self) -> None:
        """Seal and write what was appended."""
        for lot in self._lots.values():
            if not lot.records:
                continue
            store.grow_lot(self._tx, lot.id, len(lot.records))
            sealed = seal_many(lot.data_key, lot.id, lot.denomination_id, lot.first, lot.records)
            store.insert_codes(self._tx, lot.id, lot.first, sealed=sealed, fingerprints=lot.fingerprints, expires_at=lot.expiries)
            lot.first += len(lot.records)
            lot.records, lot.fingerprints, lot.expiries = [], [], []

    def _mark(self, brand_id: str, one: PlainCode) -> bytes:
        marks = self._marks.get(brand_id)
        if marks is None:
            if self._key is None:
                self._key = service_key(self._tx, self._keyring, FINGERPRINT_KEY)
            marks = self._marks[brand_id] = Fingerprinter(self._key, brand_id)
        return marks.of(one.code or one.url or "")

    def _ask(self, marks: Iterable[bytes]) -> None:
        unknown = list(set(marks) - self._asked)
        if unknown:
            self._stored.update(store.find_fingerprints(self._tx, unknown))
            self._asked.update(unknown)

    def _lot(
        self, mode: Mode, brand_id: str, denomination_id: str, face_minor: int, source: str, supplier: str | None, now: int
    ) -> _Lot:
        """The day's lot, locked: who else binds codes to it waits, so that its next seqs are ours."""
        found = store.lock_bound_lot(
            self._tx, mode=mode, brand_id=brand_id, denomination_id=denomination_id, face_minor=face_minor, source=source
        )
        if found is not None:
            lot_id, wrapped_key, number, count = found
            return _Lot(lot_id, self._keyring.unwrap(number, wrapped_key), denomination_id, count)
        number = current_number(self._tx, self._keyring)
        data_key = os.urandom(KEY_BYTES)
        lot_id = new_id("lot")
        store.insert_lot(
            self._tx,
            store.Lot(
                id=lot_id,
                kind=LotKind.BOUND,
                state=LotState.OPEN,
                mode=mode,
                brand_id=brand_id,
                denomination_id=denomination_id,
                face_minor=face_minor,
                supplier=supplier,
                source=source,
                cost_currency=None,
                cost_minor=0,
                count=0,
                wrapped_key=self._keyring.wrap(number, data_key),
                master_key=number,
                created_by=self._actor,
                created_at=now,
            ),
        )
        return _Lot(lot_id, data_key, denomination_id, 0)


def append_bound_codes(
    tx: Tx,
    keyring: MasterKeys,
    *,
    mode: Mode,
    brand_id: str,
    denomination_id: str,
    face_minor: int,
    codes: Sequence[PlainCode],
    now: int,
    actor: str,
    node: str = "main",
    supplier: str | None = None,
    expires_at: int = NEVER,
) -> Allocation:
    """Seal codes into the day's lot of bound codes, and write them; the allocation is the caller's to write down.

    Raises DuplicateBoundCode when the vault has one of them already (sold or not), or one is there twice.
    """
    bound = BoundCodes(tx, keyring, node=node, actor=actor)
    allocation = bound.append(
        mode=mode,
        brand_id=brand_id,
        denomination_id=denomination_id,
        face_minor=face_minor,
        codes=codes,
        now=now,
        supplier=supplier,
        expires_at=expires_at,
    )
    bound.write()
    return allocation
