"""Codes that a supplier delivered when nobody was waiting for them any more: they become stock, and the next buyer gets them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cardrail.kernel import Mode, PlainCode, new_id
from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.fingerprint import Fingerprinter
from cardrail.vault.keys import FINGERPRINT_KEY, KEY_BYTES, MasterKeys, current_number, service_key
from cardrail.vault.model import LotKind, LotState
from cardrail.vault.seal import plain_record, seal_many
from cardrail.vault.tables import NEVER


def split_known_codes(
    tx: Tx, keyring: MasterKeys, brand_id: str, codes: Sequence[PlainCode]
) -> tuple[list[PlainCode], list[PlainCode]]:
    """(new ones, ones that the vault has already or that are there twice). What a supplier sold us twice is not sold again."""
    marks = Fingerprinter(service_key(tx, keyring, FINGERPRINT_KEY), brand_id)
    fingerprints = [marks.of(one.code or one.url or "") for one in codes]
    seen = set(store.find_fingerprints(tx, fingerprints))
    new: list[PlainCode] = []
    known: list[PlainCode] = []
    for one, mark in zip(codes, fingerprints, strict=True):
        (known if mark in seen else new).append(one)
        seen.add(mark)
    return new, known


def stock_late_codes(
    tx: Tx,
    keyring: MasterKeys,
    *,
    mode: Mode,
    brand_id: str,
    denomination_id: str,
    face_minor: int,
    codes: Sequence[PlainCode],
    supplier: str,
    source: str,
    cost_minor: int,
    cost_currency: str,
    now: int,
    actor: str,
    expires_at: int = NEVER,
) -> store.Lot:
    """A lot of their own, on sale at once. The caller has sorted out what the vault knows already, and books the cost."""
    marks = Fingerprinter(service_key(tx, keyring, FINGERPRINT_KEY), brand_id)
    fingerprints = [marks.of(one.code or one.url or "") for one in codes]
    number = current_number(tx, keyring)
    data_key = os.urandom(KEY_BYTES)
    lot = store.Lot(
        id=new_id("lot"),
        kind=LotKind.STOCK,
        state=LotState.OPEN,
        mode=mode,
        brand_id=brand_id,
        denomination_id=denomination_id,
        face_minor=face_minor,
        supplier=supplier,
        source=source,
        cost_currency=cost_currency if cost_minor else None,
        cost_minor=cost_minor,
        count=len(codes),
        wrapped_key=keyring.wrap(number, data_key),
        master_key=number,
        created_by=actor,
        created_at=now,
    )
    store.insert_lot(tx, lot)
    sealed = seal_many(data_key, lot.id, denomination_id, 0, [plain_record(*one.fields()) for one in codes])
    store.insert_codes(tx, lot.id, 0, sealed=sealed, fingerprints=fingerprints, expires_at=[expires_at] * len(codes))
    is_frozen = store.goes_on_sale_frozen(tx, mode)
    place = (new_id("slc"), lot.id, denomination_id, face_minor, mode.value)
    store.insert_slices(tx, [(*place, expires_at, 0, len(codes), False, is_frozen)])
    return lot
