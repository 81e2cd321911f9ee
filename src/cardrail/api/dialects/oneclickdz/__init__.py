"""OneClickDz Flexy API v3, gift cards (specs/oneclickdz.md). Its clients' base URL is /compat/oneclickdz; every path begins with /v3."""

from __future__ import annotations

from typing import Final

from cardrail.api.compat import Dialect
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.api.dialects.oneclickdz.surface import NAME, OneClickDz

__all__ = ["DIALECT"]

DIALECT: Final = Dialect(NAME, Profile, lambda desk, profile: [("", OneClickDz(desk, profile))])
