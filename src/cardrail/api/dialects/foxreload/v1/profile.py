"""What the sheet leaves open about surface V1."""

from __future__ import annotations

from typing import Literal

import msgspec

from cardrail.api.dialects.foxreload.wares import USUAL_FACES


class V1Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of surface V1 (specs/foxreload.md, sections 1.2, 2.2 and 3.2)."""

    requests_per_minute: int | None = 100
    """Per key: the standard of 1.2; 1000 is its enterprise (``cardrail key create --requests-per-minute 1000`` for one key)."""
    currency: str | None = "USD"
    """The wallet of this surface, whose amounts the sheet calls ..._usd. None: each partner's own, whatever it is called then."""
    first_answer: Literal["reserved", "current"] = "reserved"
    """2.2, POST /v1/orders: 201 says ``reserved`` (documented) and the code is fetched; or the order is shown as it stands (inferred)."""
    fx_lock_minutes: int = 15
    """3.2. The price of an order of ours never changes, so the lock is longer than it says."""
    unique_reference: bool = False
    """2.2 does not say that ``reference`` names one order only: a cart of two skus is two orders here."""
    replacement_days: int = 60
    """2.2 and 7, A24: counted from the delivery, by this surface's own number whatever the native API's is."""
    webhook_codes: bool = False
    """Whether `order.delivered` carries the codes for every endpoint that is registered here, as the vendor's does (4.3); otherwise only
    for one that asks with ``include_codes``. They are opened and audited while sending, and kept nowhere."""
    code_type: str = "redeem_code"
    """4.3: ``type`` of what is delivered."""
    categories: dict[str, str] = msgspec.field(
        default_factory=lambda: {"code": "gift-card", "link": "gift-card", "topup": "recharge"}
    )
    """2.2: ``category`` in the catalog, by our kind of product."""
    category_by_slug: dict[str, str] = msgspec.field(default_factory=dict)
    """The same by the slug of our category, which goes first: {"esim": "esim", "games": "game-code"}."""
    untold_units: int = 50
    """2.2: ``stock`` is a number, also where a supplier of ours does not say how many units he has."""
    range_face_values: tuple[str, ...] = USUAL_FACES
    """The face values under which a denomination of ours that is a range is listed, in whole units; any allowed one can be ordered."""
    region_everywhere: str = "GLOBAL"
    """The region label of what redeems anywhere."""
    inventory_seconds: int = 60
    """2.2: how long a snapshot of the stock stands."""
