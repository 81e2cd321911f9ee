"""Codes that arrive already sold: bought for an order item, or generated for a test order. Every code that leaves, leaves the vault.

The bound codes of one process, day, denomination, face value and supplier share a lot, and so a data key. Such a lot has no
slices: nobody else can be given its codes, unless they come back (``return_to_stock``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cardrail.kernel import Mode, PlainCode, from_micros, new_id
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.errors import DuplicateBoundCode
from cardrail.vault.fingerprint import Fingerprinter
from cardrail.vault.keys import FINGERPRINT_KEY, KEY_BYTES, MasterKeys, current_number, service_key
from cardrail.vault.model import Allocation, LotKind, LotState
from cardrail.vault.seal import plain_record, seal_many
from cardrail.vault.tables import NEVER


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
    """Seal codes into the day's lot of bound codes; the allocation is the caller's to write down.

    Raises DuplicateBoundCode when the vault has one of them already (sold or not), or one is there twice.
    """
    marks = Fingerprinter(service_key(tx, keyring, FINGERPRINT_KEY), brand_id)
    fingerprints = [marks.of(one.code or one.url or "") for one in codes]
    if len(set(fingerprints)) < len(fingerprints) or store.find_fingerprints(tx, fingerprints):
        raise DuplicateBoundCode(denomination_id=denomination_id, supplier=supplier)
    source = f"{node} {from_micros(now):%Y-%m-%d}" + (f" {supplier}" if supplier is not None else "")
    lot = store.find_bound_lot(
        tx, mode=mode, brand_id=brand_id, denomination_id=denomination_id, face_minor=face_minor, source=source
    )
    if lot is None:
        number = current_number(tx, keyring)
        data_key = os.urandom(KEY_BYTES)
        lot_id, first = new_id("lot"), 0
        store.insert_lot(
            tx,
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
                count=len(codes),
                wrapped_key=keyring.wrap(number, data_key),
                master_key=number,
                created_by=actor,
                created_at=now,
            ),
        )
    else:
        lot_id, wrapped_key, number = lot
        data_key = keyring.unwrap(number, wrapped_key)
        first = store.grow_lot(tx, lot_id, len(codes))
    sealed = seal_many(data_key, lot_id, denomination_id, first, [plain_record(*one.fields()) for one in codes])
    store.insert_codes(tx, lot_id, first, sealed=sealed, fingerprints=fingerprints, expires_at=[expires_at] * len(codes))
    return Allocation(lot_id, first, len(codes), expires_at, False, denomination_id)
