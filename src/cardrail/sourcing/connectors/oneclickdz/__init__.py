"""OneClickDz Flexy API v3, gift cards, as a supplier (specs/oneclickdz.md); or whoever speaks like it, another Cardrail too."""

from cardrail.sourcing.connectors.oneclickdz.connector import KIND

__all__ = ["KIND"]
