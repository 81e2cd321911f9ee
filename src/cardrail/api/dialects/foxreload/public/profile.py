"""What the sheet leaves open about the public surface."""

from __future__ import annotations

import msgspec


class PublicProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of the public surface."""
