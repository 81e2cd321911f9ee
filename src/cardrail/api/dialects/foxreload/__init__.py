"""FoxReload: three surfaces over the same orders, told apart by their roots (specs/foxreload.md, section 0).

The generic one at the root, the seed era's below /v1, the public one, which is today's, below /api.
"""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Dialect, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.foxreload.generic import generic_surface
from cardrail.api.dialects.foxreload.profile import FoxreloadProfile
from cardrail.api.dialects.foxreload.public import public_surface
from cardrail.api.dialects.foxreload.v1 import v1_surface

__all__ = ["DIALECT"]


def _build(desk: Desk, profile: FoxreloadProfile) -> list[tuple[str, Surface]]:
    """Each surface below its prefix; and once more for clients that put the prefix before each path, and have it in their base URL too."""
    v1, public = v1_surface(desk, profile.v1), public_surface(desk, profile.public)
    return [
        ("", generic_surface(desk, profile.generic)),
        ("/v1", v1),
        ("/v1/v1", v1),
        ("/api", public),
        ("/api/api", public),
    ]


DIALECT: Final = Dialect("foxreload", FoxreloadProfile, _build)
