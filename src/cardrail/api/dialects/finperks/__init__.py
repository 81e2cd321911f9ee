"""Finperks v1 (specs/finperks.md): signed requests, one card an order, what may be undone and when.

Everything is below /v1; beside it there is nothing, said in the same envelope.
"""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Dialect, Surface
from cardrail.api.desk import Desk
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.dialects.finperks.routes import routes
from cardrail.api.dialects.finperks.surface import DIALECT_NAME, FinperksSurface

__all__ = ["DIALECT"]


def _build(desk: Desk, profile: FinperksProfile) -> list[tuple[str, Surface]]:
    return [("/v1", FinperksSurface(desk, profile, routes())), ("", FinperksSurface(desk, profile, ()))]


DIALECT: Final = Dialect(DIALECT_NAME, FinperksProfile, _build)
