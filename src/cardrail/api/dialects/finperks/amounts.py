"""Amounts as the vendor writes them: decimal texts with at least one digit after the point (specs/finperks.md, section 3.2)."""

from __future__ import annotations

from functools import lru_cache

from cardrail.api.compat import decimal_text


@lru_cache(maxsize=8_192)
def amount_text(minor: int, code: str) -> str:
    """The shortest form that keeps one fractional digit: "25.0", "19.95", "0.5"."""
    whole, _, fraction = decimal_text(minor, code).partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"
