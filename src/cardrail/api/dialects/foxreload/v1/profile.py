"""What the sheet leaves open about surface V1."""

from __future__ import annotations

import msgspec


class V1Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of surface V1 (specs/foxreload.md, sections 1.2 and 2.2)."""

    requests_per_minute: int | None = 100
    """Per key: the standard of 1.2; 1000 is its enterprise."""
