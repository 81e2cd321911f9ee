"""The operator's colour, and what can be read on it."""

from __future__ import annotations

from typing import Final

WHITE: Final = "#ffffff"
INK: Final = "#16181d"


def readable_on(colour: str) -> str:
    """White where that has a contrast of at least 4.5 with #rrggbb (WCAG 2.2, 1.4.3), else near black."""
    return WHITE if 1.05 / (luminance(colour) + 0.05) >= 4.5 else INK


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of #rrggbb, from 0 to 1."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
