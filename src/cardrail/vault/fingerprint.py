"""Fingerprints: a keyed hash over the brand and the normalised code. It finds duplicates and opens nothing."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

FINGERPRINT_BYTES: Final = 16

_SEPARATORS: Final = " -._\t"
_DROP_ASCII: Final = str.maketrans("", "", _SEPARATORS)


class Fingerprinter:
    """Fingerprints of one brand's codes."""

    def __init__(self, key: bytes, brand_id: str) -> None:
        self._base = hashlib.blake2b(f"{brand_id}\0".encode(), key=key, digest_size=FINGERPRINT_BYTES)

    def of(self, text: str) -> bytes:
        """The fingerprint of a code, or of a redemption URL where there is no code."""
        state = self._base.copy()
        state.update(normalise(text).encode())
        return state.digest()


def normalise(text: str) -> str:
    """The code as its issuer would compare it: NFKC, blanks and separators gone, upper case unless it mixes cases."""
    if text.isascii():
        kept = text.translate(_DROP_ASCII)
    else:
        folded = unicodedata.normalize("NFKC", text)
        kept = "".join([c for c in folded if c not in _SEPARATORS and unicodedata.category(c) not in {"Zs", "Pd", "Cf"}])
    upper = kept.upper()
    return upper if kept in (upper, kept.lower()) else kept
