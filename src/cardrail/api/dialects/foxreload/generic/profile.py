"""What the sheet leaves open about the generic surface."""

from __future__ import annotations

import msgspec

from cardrail.api.dialects.foxreload.wares import USUAL_FACES


class GenericProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of the generic surface (specs/foxreload.md, sections 1.1 and 2.1)."""

    requests_per_minute: int | None = 100
    """Per key. 1.1 says only that there is a limit; V1's number stands for it."""
    stock_steps: tuple[int, ...] = (1, 10, 50, 100, 500, 1_000)
    """2.1, GET /stock: "about how many units, as a range". The range runs from the step that is reached to the next; the last is open."""
    untold_units: int = 50
    """2.1, GET /stock: what a supplier of ours counts for who does not say how many units he has."""
    range_face_values: tuple[str, ...] = USUAL_FACES
    """The face values under which a denomination of ours that is a range is listed, in whole units; any allowed one can be ordered."""
    region_everywhere: str = "GLOBAL"
    """2.1: the region label of what redeems anywhere."""
    failure: str = "out_of_stock"
    """2.1: `error` of a failed order, and of a slot that stayed empty."""
    refused_slot: str = "refunded"
    """2.1: `error` of the slots of an order that was taken back after it was delivered."""
