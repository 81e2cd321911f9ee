"""Surface V1, the seed era's: bearer keys, idempotency, webhooks (specs/foxreload.md, sections 1.2 and 2.2)."""

from __future__ import annotations

from cardrail.api.compat import Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.bearer import BearerSurface
from cardrail.api.dialects.foxreload.errors import V1
from cardrail.api.dialects.foxreload.v1.profile import V1Profile

__all__ = ["v1_surface"]


def v1_surface(desk: Desk, profile: V1Profile) -> Surface:
    """The surface, ready to answer."""
    return BearerSurface(desk, "foxreload/v1", (), V1, profile.requests_per_minute)
