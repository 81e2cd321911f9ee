"""What the sheet leaves open about the generic surface."""

from __future__ import annotations

import msgspec


class GenericProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of the generic surface (specs/foxreload.md, sections 1.1 and 2.1)."""

    requests_per_minute: int | None = 100
    """Per key. 1.1 says only that there is a limit; V1's number stands for it."""
