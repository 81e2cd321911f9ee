"""What the Starship sheet (specs/starship.md) leaves open or infers, as settings: an operator overrides them in the profile file."""

from __future__ import annotations

from typing import Literal

import msgspec


class StarshipProfile(msgspec.Struct, frozen=True):
    """Every choice of ours in this dialect."""

    access_seconds: int = 3_600
    """Life of an access token (1.3: documented loosely, 1 hour by a sibling)."""
    refresh_seconds: int = 7 * 86_400
    """Life of a refresh token (1.3: 7 days by a sibling)."""

    logins_per_minute: int = 10
    logins_per_minute_test: int = 30
    refreshes_per_minute: int = 20
    refreshes_per_minute_test: int = 30
    reads_per_minute: int = 300
    reads_per_minute_test: int = 600
    orders_per_minute: int = 60
    orders_per_minute_test: int = 120
    charges_per_minute: int = 120
    charges_per_minute_test: int = 300
    """Requests a minute and client, live and test (1.8: borrowed from a sibling). Log-ins are counted by user name and address, whatever
    their mode; what is neither a read nor an order counts as a charge."""

    signature_required: bool = False
    """Whether second-generation calls of every credential must be signed (1.4)."""
    signature_required_for: tuple[str, ...] = ()
    """Ids of the API keys for which alone they must be (1.4: a switch of the credential)."""
    signature_tolerance_seconds: int = 300
    """How far a signature's time may be off, in the past (1.4: documented) or the future (inferred)."""

    unauthorized_shape: Literal["A", "B"] = "A"
    """The shape of 401 and 403 on resources in the first generation (1.3 documents A, a sibling B)."""
    product_not_found_status: int = 400
    """For an unknown product or denomination in charges and orders (A15)."""

    inline_units_max: int = 5
    """First generation: an order of more units is answered PENDING without vouchers, and read afterwards (2.5)."""
    allow_partial: bool = True
    """Whether an order that stock covers in part is delivered in part, or refused (3.4: partial is documented)."""
    quantity_max: int = 1_000
    """Bulk ceiling of one order (2.4: per product and client); a partner's own limit per sku may lower it."""
    reference_max: int = 255
    """Characters of ``ref``, printable ASCII (2.5: a sibling's)."""

    mails: bool = True
    """Whether ``email`` of an order gets a link to its vouchers, where the installation has a mail server (3.4: voucher delivery)."""
    delivery_mode_words: dict[str, str] = msgspec.field(default_factory=lambda: {"ONLINE": "Digital"})
    """First generation: ``delivery_mode`` of a product by its stored value, which stands where there is no word (A14)."""
    delivery_type: str = "Email"
    """First generation: ``delivery_type`` of every product (2.1: the one word that is documented)."""
    delivery_time_words: dict[str, str] = msgspec.field(default_factory=lambda: {"REALTIME": "Instant", "DELAYED": "Delayed"})
    """First generation: ``delivery_time`` (2.1)."""
    delivery_type_words: dict[str, str] = msgspec.field(default_factory=lambda: {"code": "code", "link": "url", "topup": "code"})
    """Second generation: ``delivery_type`` by the product's kind (3.3: a URL kind surely exists)."""
    code_with_pin_products: tuple[str, ...] = ()
    """Second generation: codes of the products whose ``delivery_type`` is code_with_pin."""
    delivery_time_words_g2: dict[str, str] = msgspec.field(default_factory=lambda: {"REALTIME": "instant", "DELAYED": "delayed"})
    """Second generation: ``delivery_time`` (3.3: the sample prints lower case)."""
    validity: str = "{days} days"
    validity_unlimited: str = "No expiry"
    """``validity``, free text (2.1)."""
    uncategorised: str = "Other"
    """``category`` of a product that stands on no shelf."""
    worldwide_country_id: int = 0
    """``country_id`` of a product that redeems anywhere: one country per product is documented (2.1)."""
    sandbox_products: bool = True
    """Whether test credentials also see products that stand for test mode's reserved skus."""

    show_sub_status: bool = False
    """Whether orders have ``sub_status`` (A8: optional, off)."""
    show_enums: bool = False
    """Whether the other enums that the sheet names without a field are shown too (3.3): ``classification`` of products,
    ``recharge_status`` of orders for top-ups, ``inventory_status`` and ``link_type`` of vouchers."""
    reference_data_date: str = "2026-01-01T00:00:00Z"
    """``created_at`` and ``updated_at`` of countries and currencies: the tables are ISO's, not the operator's (2.10)."""
