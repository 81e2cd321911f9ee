"""What OneClickDz's pages leave open: the section [oneclickdz] of the profile file. Each member names its section of the sheet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Upness = Literal["up", "down"]

OPERATORS = ("mobilis", "ooredoo", "djezzy", "mobilisFixedPlans")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our choices where the sheet infers, or the vendor's pages disagree."""

    # --- who asks, and how often -------------------------------------------------------------------------------------

    requests_per_minute_sandbox: Count = 60
    """1.8: figures of a client that quotes them. 0: no limit."""
    requests_per_minute_production: Count = 120
    """1.8. 0: no limit."""
    bad_keys_before_block: Count = 5
    """1.7, 6.7: the vendor's page says 5, a report from the field 20. 0: never block an address for this."""
    block_seconds: Annotated[int, Meta(ge=1)] = 900
    """1.7: fifteen minutes."""
    read_only_code: str = "ERR_AUTH"
    """6.15: what a READ-ONLY key gets where it may not write, with status 403."""
    not_allowed_address_code: str = "IP_NOT_ALLOWED"
    """1.7: a name from the field; the status 403 is documented."""
    disabled_code: str = "API_DISABLED"
    """1.7: what a suspended partner gets, with 403."""

    # --- how things are said -----------------------------------------------------------------------------------------

    has_request_id: bool = True
    """1.4, 6.11: whether successes carry ``requestId`` (never on validate)."""
    order_has_meta: bool = True
    """2.8: checkOrder's examples have only success and data; meta and requestId are permitted."""
    enveloped_unknown_routes: bool = False
    """1.5: the vendor's router answers unknown paths bare, outside its envelope. True: NOT_FOUND in the envelope."""
    has_cors: bool = True
    """1.3: access-control-allow-origin on every answer, and preflights."""
    duplicate_code: str = "DUPLICATED_REF"
    """1.7: one live capture spells it DUPLICATED-REF."""
    no_stock_code: str = "ERR_STOCK"
    """6.3: the word is lost in every stored copy of the page."""
    no_stock_status: int = 400
    """6.3."""
    no_balance_code: str = "INSUFFICIENT_BALANCE"
    """6.5: or NO_BALANCE."""
    operators: dict[Literal["mobilis", "ooredoo", "djezzy", "mobilisFixedPlans"], Upness] = {}
    """2.1: what ping says of mobile operators; "down" where it is not told, because we sell no airtime."""

    # --- the catalog -------------------------------------------------------------------------------------------------

    other_category: str = "Other"
    """2.5: the title over products that stand on no shelf of ours."""
    shows_retired: bool = True
    """2.5: products that are no longer sold stay in the catalog with ``enabled: false``; false: they are left out."""
    range_types_max: Annotated[int, Meta(ge=1, le=1_000)] = 100
    """2.6 knows types with a fixed price only. A product of ours with a range of face values shows this many of them at most."""
    sandbox_stock: Count = 1_000
    """2.6: the quantity that a SANDBOX key sees of everything."""
    on_demand_stock: Count = 100
    """2.6: the quantity shown of what is bought from suppliers when ordered, and no supplier told how many he has."""

    # --- orders ------------------------------------------------------------------------------------------------------

    quantity_max: Annotated[int, Meta(ge=1, le=1_000)] = 1_000
    """2.7: no upper bound is stated; beyond ours, ERR_VALIDATION."""
    ref_length_max: Annotated[int, Meta(ge=1, le=128)] = 100
    """6.4."""
    refuses_repeated_ref: bool = True
    """6.4: the same ``ref`` again is DUPLICATED_REF. False: an identical order gets the first one's id."""

    # --- money -------------------------------------------------------------------------------------------------------

    balance_counts_credit: bool = True
    """2.3: whether a credit limit is part of the balance, so that a client that checks it first can use it."""
    increment: str = "INCREMENT"
    """2.4: the word in ``operation`` where money comes in."""
    decrement: str = "DECREMENT"
    """2.4."""

    # --- the sandbox (4) ---------------------------------------------------------------------------------------------

    sandbox_is_free: bool = True
    """Whether sandbox orders cost nothing and show price 0. False: they are paid from the test wallet."""
    sandbox_balance: Count = 100_000
    """What balance answers a SANDBOX key, in whole units of the currency, while the sandbox is free."""
    sandbox_handling_seconds: Annotated[int, Meta(ge=0, le=60)] = 0
    """For how long a sandbox order shows HANDLING, so that a client exercises its polling."""
    sandbox_card: str = "SANDBOX-CARD-{n}"
    """The value of an order's n-th card."""
    sandbox_serial: str = "SANDBOX-{n}"
    """The serial of an order's n-th card."""
