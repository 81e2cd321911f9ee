"""Support's question: somebody has a code in hand; is it ours, and what happened to it?"""

from __future__ import annotations

from dataclasses import dataclass

from cardrail.storage import Tx
from cardrail.vault import store
from cardrail.vault.fingerprint import Fingerprinter
from cardrail.vault.keys import FINGERPRINT_KEY, MasterKeys
from cardrail.vault.model import CodeState, LotKind, code_state
from cardrail.vault.store import CodeException, Lot


@dataclass(frozen=True, slots=True)
class FoundCode:
    """Where a code lies and how it stands; the code itself is not in it."""

    lot: Lot
    seq: int
    expires_at: int
    state: CodeState
    """Sold codes are DELIVERED here: whether their order is final, orders know."""
    exceptions: tuple[CodeException, ...]


def find_code(tx: Tx, keyring: MasterKeys, code: str) -> list[FoundCode]:
    """The codes that read like this one, of any brand: usually one or none. Nothing is opened."""
    stored = store.load_service_key(tx, FINGERPRINT_KEY)
    if stored is None:
        return []
    key = keyring.unwrap(stored[1], stored[0])
    marks = [Fingerprinter(key, brand_id).of(code) for brand_id in store.brand_ids(tx)]
    return [inspect_code(tx, lot_id, seq) for lot_id, seq in store.find_fingerprints(tx, marks).values()]


def inspect_code(tx: Tx, lot_id: str, seq: int) -> FoundCode:
    """How a code stands. Raises LotNotFound, CodeNotFound."""
    lot = store.load_lot(tx, lot_id)
    code = store.require_code(tx, lot_id, seq)
    facts = store.read_exceptions(tx, [(lot_id, seq, 1)]).get((lot_id, seq), [])
    slices = store.load_lot_slices(tx, lot_id)
    is_unsold = lot.kind is LotKind.SHARED or any(one.head <= seq < one.tail for one in slices)
    state = code_state({one.kind for one in facts}, is_unsold=is_unsold)
    return FoundCode(lot, seq, code.expires_at, state, tuple(facts))
