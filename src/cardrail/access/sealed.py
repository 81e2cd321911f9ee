"""Secrets that we must be able to use again (a key to check signatures with, a key to sign with): sealed in the database.

AES-256-GCM with a service key of this installation; associated data says whose secret it is and which, so that no sealed value can be
put into another row. What can be kept as a hash (tokens, passwords) never comes here.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cardrail.kernel import Secret

_NONCE: Final = 12


class SecretSealer:
    """Seals and opens secrets with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, secret: Secret, owner: str, name: str) -> bytes:
        """Nonce and ciphertext of the owner's secret of this name."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret.reveal().encode(), _context(owner, name))

    def open(self, sealed: bytes, owner: str, name: str) -> Secret:
        """The secret. Raises cryptography's InvalidTag where it was sealed with another key, or for another owner or name."""
        return Secret(self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(owner, name)).decode())


def _context(owner: str, name: str) -> bytes:
    return f"{owner}\0{name}".encode()
