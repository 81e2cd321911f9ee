"""Which generation of the protocol a call speaks: it is told by the credential that it presents (specs/starship.md, section 0.2)."""

from __future__ import annotations

from cardrail.api.compat import Call


def generation_of(call: Call) -> int:
    """2 for a call with a key, 1 for any other."""
    return 2 if b"x-api-key" in call.sent else 1
