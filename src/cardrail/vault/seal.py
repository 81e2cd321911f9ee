"""Sealing and opening codes: AES-256-GCM under the lot's data key, bound to lot, denomination and seq.

A sealed record is one version byte, the nonce, and the ciphertext of a MessagePack array [code, pin, serial, url] without its empty
tail. Version 2 is a shared code: every seq opens the record of seq 0. The version is part of what is authenticated.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cardrail.kernel import CardrailError, PlainCode
from cardrail.vault.errors import CodeUnreadable
from cardrail.vault.keys import MasterKeys

NONCE_BYTES: Final = 12
LOTS_CACHED: Final = 4_096

_OWN: Final = b"\x01"
_SHARED: Final = b"\x02"
_TEST_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str | None]).decode


def plain_record(code: str | None, pin: str | None, serial: str | None, url: str | None) -> bytes:
    """What is encrypted of a code."""
    if url is not None:
        return _encode((code, pin, serial, url))
    if serial is not None:
        return _encode((code, pin, serial))
    return _encode((code, pin)) if pin is not None else _encode((code,))


def seal_many(
    data_key: bytes, lot_id: str, denomination_id: str, first_seq: int, records: Sequence[bytes], *, is_shared: bool = False
) -> list[bytes]:
    """The sealed records of neighbouring codes, from ``first_seq`` on."""
    encrypt = AESGCM(data_key).encrypt
    version = _SHARED if is_shared else _OWN
    prefix = version + _binding(lot_id, denomination_id)
    nonces = os.urandom(NONCE_BYTES * len(records))
    sealed = []
    for i, record in enumerate(records):
        nonce = nonces[i * NONCE_BYTES : (i + 1) * NONCE_BYTES]
        sealed.append(version + nonce + encrypt(nonce, record, prefix + (first_seq + i).to_bytes(8, "big")))
    return sealed


class CodeOpener:
    """Opens sealed codes; keeps the data keys of the lots that it opened last."""

    def __init__(self, keyring: MasterKeys, *, lots_max: int = LOTS_CACHED) -> None:
        self._keyring = keyring
        self._lots_max = lots_max
        self._lots: dict[tuple[str, str], tuple[Any, bytes]] = {}

    def open(
        self, lot_id: str, seq: int, denomination_id: str, wrapped_key: bytes, master_key: int, sealed: bytes
    ) -> PlainCode:  # once a code
        """The plain code. Raises CodeUnreadable, which says which and nothing of what; MissingMasterKey, WrongMasterKey."""
        lot = self._lots.get((lot_id, denomination_id))
        if lot is None:
            lot = self._remember(lot_id, denomination_id, wrapped_key, master_key)
        decrypt, binding = lot
        version = sealed[:1]
        place = seq if version == _OWN else 0
        try:
            record = decrypt(sealed[1 : NONCE_BYTES + 1], sealed[NONCE_BYTES + 1 :], version + binding + place.to_bytes(8, "big"))
            return PlainCode(*_decode(record))
        except (InvalidTag, ValueError, TypeError, OverflowError):
            # "from None": no part of the record may travel with the exception.
            raise CodeUnreadable(lot_id=lot_id, seq=seq) from None

    def _remember(self, lot_id: str, denomination_id: str, wrapped_key: bytes, master_key: int) -> tuple[Any, bytes]:
        try:
            data_key = self._keyring.unwrap(master_key, wrapped_key)
        except CardrailError as error:
            error.facts["lot_id"] = lot_id
            raise
        lot = (AESGCM(data_key).decrypt, _binding(lot_id, denomination_id))
        while len(self._lots) >= self._lots_max:
            self._lots.pop(next(iter(self._lots)), None)
        self._lots[(lot_id, denomination_id)] = lot
        return lot


def generate_test_codes(count: int, mark: str = "TEST") -> list[PlainCode]:
    """Codes for test orders: they look like codes, and redeem nowhere. ``mark`` is what they begin with."""
    codes = []
    for _ in range(count):
        number = secrets.randbits(60 + 34)
        letters = "".join([_TEST_ALPHABET[(number >> (5 * i)) & 31] for i in range(12)])
        pin = (number >> 60) % 10_000
        codes.append(PlainCode(f"{mark}-{letters[:4]}-{letters[4:8]}-{letters[8:]}", f"{pin:04d}", f"T{(number >> 60):011d}"))
    return codes


def _binding(lot_id: str, denomination_id: str) -> bytes:
    return f"{lot_id}\0{denomination_id}\0".encode()
