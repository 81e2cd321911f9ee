"""The generic surface, which the seed article describes for any supplier (specs/foxreload.md, sections 1.1 and 2.1)."""

from __future__ import annotations

from cardrail.api.compat import Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.bearer import BearerSurface
from cardrail.api.dialects.foxreload.errors import GENERIC
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile

__all__ = ["generic_surface"]


def generic_surface(desk: Desk, profile: GenericProfile) -> Surface:
    """The surface, ready to answer."""
    return BearerSurface(desk, "foxreload", (), GENERIC, profile.requests_per_minute)
