"""Starship, either generation, as a supplier (specs/starship.md); or whoever speaks like it, another Cardrail too."""

from cardrail.sourcing.connectors.starship.connector import KIND

__all__ = ["KIND"]
