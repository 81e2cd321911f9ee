"""Two real catalogs to begin with: gift cards of India, and top-ups of a mobile operator in Bangladesh."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_NAMES: Final = ("catalog-in.csv", "topups-bd.csv")


def demo_catalogs() -> list[Traversable]:
    """The sheets, ready to be imported: ``sheet.read_bytes()``."""
    return [files(__name__).joinpath(name) for name in _NAMES]
