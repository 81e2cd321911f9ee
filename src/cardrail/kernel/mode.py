"""Live or test: part of every account, slice, order, reference and event, so that the two never meet (DESIGN.md, section 12)."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """Which of two worlds that share a catalog and nothing else."""

    LIVE = "live"
    """Real money, real codes."""
    TEST = "test"
    """Play money, generated codes, simulated suppliers."""
