"""What the vendor leaves open, in one place: each member is a choice that an operator can change (specs/finperks.md, sections 0 and 7)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

SignedLine = Literal["host_port", "method", "path", "query", "date", "idempotency_key", "body_digest"]
Method = Literal["code", "url"]


class FinperksProfile(Struct, frozen=True):
    """Defaults are the sheet's recommended choices."""

    # --- signing (sections 1.2, 3.3, 7.4 to 7.6) ---

    signed_lines: tuple[SignedLine, ...] = ("host_port", "method", "path", "query", "date", "idempotency_key", "body_digest")
    """The parts of the request that are signed, in their order (1.2: inferred from a sibling API)."""
    signed_separator: str = "\n"
    """What stands between them (1.2)."""
    clock_skew_seconds: int = 900
    """How far the Date header may be from now, either way (3.3)."""
    public_host: str = ""
    """The host that clients call, as they write it, with its port if it is not 443: where a proxy sends another Host to us (1.2)."""
    public_root: str = ""
    """The path that clients call before /orders, for example "/v1": where a proxy changes paths (7.6)."""
    live_hosts: tuple[str, ...] = ()
    """Host names that live credentials use (1.1). With these or the sandbox's set, any other Host is refused."""
    sandbox_hosts: tuple[str, ...] = ()
    """Host names that sandbox credentials use (1.1)."""

    # --- the envelope (sections 1.3, 7.1) ---

    envelope_aliases: bool = True
    """Whether errors also say ``class`` and ``code`` (7.1: the names in the vendor's JSON are not known)."""

    # --- limits (sections 1.5, 1.6) ---

    requests_per_minute: int = 600
    """Of one credential; 0 is no limit (1.6: numbers are not known)."""
    idempotency_key_max: int = 255
    """Characters of an Idempotency-Key (1.5)."""

    # --- orders (sections 2.1, 3.1, 7.12 to 7.16) ---

    sync_seconds: float = 25.0
    """How long a synchronous order is waited for before the answer is 500; the order stays and answers to its key (7.13)."""
    async_shows_state: bool = False
    """Whether the 202 of an asynchronous order shows how it stands already. The vendor's shows ``processing`` (3.1)."""
    failed_state: str = "failed"
    """The literal for an order without a card (3.1)."""
    invalidated_state: str = "invalidated"
    refunded_state: str = "refunded"
    out_of_stock_code: str = "product_not_available"
    """The POST table has no row for a product that is sold out (1.4); documented for retail orders."""
    client_partner_required: bool = False
    """Whether every order must name an approved client partner (section 6.2: indirect sale)."""
    delivery_methods: dict[str, tuple[Method, ...]] = field(default_factory=lambda: {"code": ("code",), "link": ("url",)})
    """Kind of product → ``delivery_method`` types that it can be ordered with; a kind that is not named is not sold here (2.6)."""
    mails: bool = True
    """Whether products can be ordered with delivery by ``email`` too, where the installation has a mail server (7.13: the vendor mails)."""
    url_type: str = "redemption"
    """``urls[].type`` of a link at which a code is redeemed (2.1: only ``card_pdf`` is documented)."""

    # --- taking back (sections 2.3, 7.20) ---

    invalidate_minutes: int = 15
    """How long after it was placed an order may be invalidated, if the installation does not allow less (7.20)."""
    invalidate_revealed_in_sandbox: bool = True
    """Whether sandbox orders whose code was seen may be invalidated: test codes are worth nothing."""

    # --- what else is not documented ---

    language: str = "en"
    """Of the products' texts, where they are there in several (2.6)."""
    ping_body: dict[str, str] = field(default_factory=lambda: {"status": "ok"})
    """What GET /ping says (2.0: only that there is one is known)."""
