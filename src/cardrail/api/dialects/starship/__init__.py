"""Starship, both generations: JWT log-in, or key and secret with an optional signature (specs/starship.md, section 0.2)."""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Dialect, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.starship.profile import StarshipProfile
from cardrail.api.dialects.starship.surface import NAME, StarshipSurface

__all__ = ["DIALECT"]


def _build(desk: Desk, profile: StarshipProfile) -> list[tuple[str, Surface]]:
    return [("", StarshipSurface(desk, profile))]


DIALECT: Final = Dialect(NAME, StarshipProfile, _build)
