"""Wire shapes of the native API: what comes in (``…In``, ``…Query``) and what goes out (``…Out``).

Decoding is strict: ``"2"`` and ``2.0`` are no integers, an unknown member is refused. The same classes make the OpenAPI description.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")

END = r"$(?!\n)"
"""The end of a text. Python's ``$`` alone would also let one line break follow; the description of the API shows ``$``."""
ANY_TEXT = r"^[^\x00]*" + END
"""Text that every database can keep."""

Amount = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?" + END,
        description="A plain decimal in the currency's major unit, with at most its digits.",
        examples=["490.00"],
    ),
]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}" + END, description="ISO 4217 code.", examples=["INR"])]
Sku = Annotated[
    str,
    Meta(pattern=r"^[!-~]{1,128}" + END, description="Names a denomination; lists of products show it.", examples=["TEST_OK"]),
]
Printable = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,126}[!-~])?" + END, description="1 to 128 printable ASCII characters.")]
MetadataKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}" + END)]
MetadataValue = Annotated[str, Meta(max_length=500, pattern=ANY_TEXT)]
FieldName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}" + END)]
FieldValue = Annotated[str, Meta(max_length=256, pattern=ANY_TEXT)]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}" + END, description="ISO 3166-1 alpha-2.", examples=["IN"])]
Moment = Annotated[
    str, Meta(description="RFC 3339, UTC.", examples=["2026-01-01T12:00:00.000000Z"], extra_json_schema={"format": "date-time"})
]
ModeName = Literal["live", "test"]
OrderStateName = Literal[
    "PLACED", "PROCESSING", "FULFILLED", "PARTIALLY_FULFILLED", "FAILED", "NEEDS_REVIEW", "CANCELLED", "INVALIDATED"
]
Quantity = Annotated[int, Meta(ge=1, le=1_000)]
LimitParameter = Annotated[int, Meta(ge=1, le=100, description="Entries of a page; 50 unless given.")]
CursorParameter = Annotated[str, Meta(min_length=1, max_length=400, description="`next_cursor` of the page before.")]
MomentParameter = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})" + END,
        description="RFC 3339.",
        examples=["2026-01-01T00:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


class _In(Struct, forbid_unknown_fields=True):
    """What comes in: a member that we do not know is a mistake, not something to pass over."""


class _Query(Struct, forbid_unknown_fields=True):
    """The parameters of a query."""


# --- money ------------------------------------------------------------------------------------------------------------


class MoneyIn(_In):
    """An amount as it is given."""

    amount: Amount
    currency: CurrencyCode


class MoneyOut(Struct):
    """An amount, with all the digits of its currency."""

    amount: Annotated[str, Meta(examples=["490.00"])]
    currency: CurrencyCode


# --- orders -----------------------------------------------------------------------------------------------------------


class OrderItemIn(_In, omit_defaults=True):
    """One line of an order."""

    sku: Sku
    quantity: Quantity
    face_value: MoneyIn | None = None
    """Needed where the sku is sold as a range."""
    fields: Annotated[dict[FieldName, FieldValue], Meta(max_length=20)] | None = None
    """Input that the product asks for: a player id, a phone number."""


class DeliveryIn(_In, omit_defaults=True):
    """Who gets the codes instead of you: claim links are made when the order is final, and sent where you say."""

    per: Literal["order", "unit"] = "order"
    """One link for the order, or one for each delivered unit."""
    protection: Literal["PRIVATE", "PROTECTED"] = "PRIVATE"
    """With PROTECTED a PIN is made, and shown to you in the answer that has the links."""
    expires_days: Annotated[int, Meta(ge=1, le=3_650)] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    telegram: Annotated[str, Meta(max_length=40)] | None = None
    """A chat's number, or a channel's name with its @."""
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Za-z]{2,8})?" + END)] | None = None
    recipient: Annotated[str, Meta(min_length=1, max_length=80)] | None = None
    """A name to greet by."""
    deliver_at: MomentParameter | None = None
    """Send then; at once unless given. The links work from the beginning."""
    include_codes: bool = False
    """Write the codes into the message too. Only if the operator allows it, and never beside a PIN."""


class OrderIn(_In, omit_defaults=True):
    """An order to be placed."""

    items: Annotated[list[OrderItemIn], Meta(min_length=1, max_length=100)]
    reference: Printable | None = None
    """Your own name for the order, unique for ever; binds it like an Idempotency-Key."""
    currency: CurrencyCode | None = None
    """The wallet that pays; your own currency unless given."""
    partial: Literal["allow", "refuse"] = "allow"
    """What to do when there is less than was asked for: deliver and charge what there is, or nothing."""
    quote_id: Annotated[str, Meta(pattern=r"^[!-~]{1,64}" + END)] | None = None
    max_price: MoneyIn | None = None
    """Refuse the order if its total is above this."""
    payment: Literal["now", "later"] = "now"
    """With `later` the price is fixed and nothing else happens until `POST /v1/orders/{id}/pay`."""
    processing_mode: Literal["sync", "async"] | None = None
    """With `async` the answer does not wait for codes that must be bought first; what is in stock is in it anyway."""
    customer_id: Printable | None = None
    country: Country | None = None
    client_partner: Printable | None = None
    """Who sells it on, where you are an intermediary."""
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=50)] | None = None
    delivery: DeliveryIn | None = None
    """Deliver to the recipient; then no answer to this order shows codes."""


class CodeOut(Struct):
    """One code, in the clear."""

    code: str | None
    pin: str | None
    serial: str | None
    url: str | None
    expires_at: Moment | None


class OrderItemOut(Struct):
    """One line as it stands. `codes` is null where they are not revealed in this answer."""

    line: int
    sku: str
    name: str
    state: OrderStateName
    quantity: int
    delivered: int
    face_value: MoneyOut
    unit_price: MoneyOut
    unit_fee: MoneyOut
    tax: MoneyOut
    """On the whole line."""
    total: MoneyOut
    charged: MoneyOut
    fx_rate: str | None
    """Wallet units for one unit of face value, margin included; null where both are one currency."""
    fields: dict[str, str] | None
    refunded_units: list[int]
    """Which of its units were paid back, by the position of their code; a rebate on the whole order names none."""
    codes: list[CodeOut] | None


class ClaimOut(Struct):
    """One claim link."""

    id: str
    order_id: str
    line: int | None
    """Null: the whole order."""
    unit: int | None
    """1, 2, 3 … of the line; null: all of it."""
    state: Literal["UNCLAIMED", "CLAIMED", "EXPIRED", "REVOKED"]
    protection: Literal["PRIVATE", "PROTECTED"]
    url: str
    pin: str | None
    """In the answer that made it; null ever after."""
    created_at: Moment
    expires_at: Moment | None
    claimed_at: Moment | None


class OrderOut(Struct):
    """An order as it stands."""

    id: Annotated[str, Meta(examples=["ord_01K0ABCDEFGHJKMNPQRSTVWXYZ"])]
    state: OrderStateName
    mode: ModeName
    reference: str | None
    currency: str
    total: MoneyOut
    charged: MoneyOut
    refunded: MoneyOut
    customer_id: str | None
    quote_id: str | None
    pay_until: Moment | None
    metadata: dict[str, str]
    country: str | None
    client_partner: str | None
    created_at: Moment
    updated_at: Moment
    items: list[OrderItemOut]
    claims: list[ClaimOut] | UnsetType = UNSET
    """The links, in the answer to an order with `delivery` that is final in it."""


class HistoryStepOut(Struct):
    """One step of an order's history."""

    type: Annotated[str, Meta(examples=["order.fulfilled"])]
    from_state: str | None
    to_state: str | None
    reason: str | None
    actor: str
    at: Moment


class OrderWithHistoryOut(OrderOut, kw_only=True):
    """An order as it stands, and how it came to that."""

    history: list[HistoryStepOut]


class InvalidateIn(_In):
    """Why an order is to be taken back."""

    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=ANY_TEXT)] = "taken back by the partner"


class OrderQuery(_Query):
    """What a list of orders is narrowed to."""

    state: OrderStateName | None = None
    reference: Printable | None = None
    customer_id: Printable | None = None
    since: MomentParameter | None = None
    until: MomentParameter | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


# --- catalog ----------------------------------------------------------------------------------------------------------


class BrandOut(Struct):
    """Whose cards they are."""

    id: str
    slug: str
    name: str


class CategoryOut(Struct):
    """A shelf, and the shelves on it."""

    id: str
    slug: str
    name: str
    names: dict[str, str]
    children: list[CategoryOut]


class CategoryRefOut(Struct):
    """The shelf that a product stands on."""

    id: str
    slug: str
    name: str


class FaceRangeOut(Struct):
    """The face values of a sku that is sold as a range."""

    minimum: MoneyOut
    maximum: MoneyOut
    step: MoneyOut


class DenominationOut(Struct):
    """What can be ordered: at one face value, or at any of a range."""

    sku: str
    type: Literal["fixed", "range"]
    face_value: MoneyOut | None
    range: FaceRangeOut | None


class InputFieldOut(Struct):
    """Input that an order for the product must or may carry."""

    name: str
    label: str
    required: bool
    pattern: str | None


class TranslationOut(Struct):
    """A product's texts in one language."""

    name: str | None
    description: str | None
    instructions: str | None
    terms: str | None


class ProductOut(Struct):
    """A product with what can be ordered of it. A retired one (a tombstone) has no denominations."""

    id: str
    code: str
    name: str
    brand: BrandOut
    category: CategoryRefOut | None
    kind: str
    classification: str
    delivery_mode: str
    currency: str
    countries: list[str]
    image_url: str | None
    barcode: Literal["QR", "CODE128", "EAN13"] | None
    """What the code is shown as where it is scanned when it is redeemed."""
    validity_days: int | None
    fields: list[InputFieldOut]
    translations: dict[str, TranslationOut]
    denominations: list[DenominationOut]
    created_at: Moment
    updated_at: Moment
    retired_at: Moment | None


class ProductQuery(_Query):
    """What a list of products is narrowed to."""

    brand: Annotated[str, Meta(min_length=1, max_length=100, description="Slug or id.")] | None = None
    category: Annotated[str, Meta(min_length=1, max_length=100, description="Slug or id; shelves below it count too.")] | None = (
        None
    )
    country: Country | None = None
    currency: CurrencyCode | None = None
    kind: Literal["code", "link", "topup"] | None = None
    q: (
        Annotated[str, Meta(min_length=1, max_length=100, description="Words that all occur in name, brand, code or sku.")] | None
    ) = None
    updated_since: MomentParameter | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class CatalogOut(Struct):
    """The whole shop window: shelves, brands, and a page of products."""

    version: int
    """Moves with each change of the catalog."""
    categories: list[CategoryOut]
    brands: list[BrandOut]
    products: ListOut[ProductOut]


class StockQuery(_Query):
    """Which face value, where the sku is sold as a range."""

    face_value: Amount | None = None


class StockOut(Struct):
    """What could be delivered at this moment."""

    sku: str
    face_value: MoneyOut
    available: int
    """Units in stock. A test key always sees 1,000, because test codes are made; of `TEST_OUT_OF_STOCK` 0."""
    in_stock: bool


class PriceQuery(_Query):
    """What is to be priced."""

    face_value: Amount | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000)] = 1
    currency: CurrencyCode | None = None


class PriceOut(Struct):
    """What you pay today, and what it is made of."""

    sku: str
    quantity: int
    face_value: MoneyOut
    unit_gross: MoneyOut
    unit_discount: MoneyOut
    """Gross minus price; negative where the price is above face value."""
    unit_price: MoneyOut
    unit_fee: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    fx_rate: str | None


class QuoteItemIn(_In, omit_defaults=True):
    """One line to be quoted."""

    sku: Sku
    quantity: Quantity
    face_value: MoneyIn | None = None


class QuoteIn(_In, omit_defaults=True):
    """Lines whose total is to be fixed for 15 minutes."""

    items: Annotated[list[QuoteItemIn], Meta(min_length=1, max_length=100)]
    currency: CurrencyCode | None = None


class QuoteLineOut(PriceOut):
    """One quoted line."""


class QuoteOut(Struct):
    """A total that holds until `expires_at`, for one order."""

    id: str
    currency: str
    total: MoneyOut
    items: list[PriceOut]
    created_at: Moment
    expires_at: Moment
    order_id: str | None


# --- claims -----------------------------------------------------------------------------------------------------------


class ClaimsIn(_In, omit_defaults=True):
    """Which links to make."""

    per: Literal["order", "unit"] = "order"
    """One link for the order, or one for each delivered unit."""
    protection: Literal["PRIVATE", "PROTECTED"] = "PRIVATE"
    """Who has a private link may open it; a protected one needs a PIN too."""
    pin: Annotated[str, Meta(pattern=r"^[0-9]{4,12}" + END)] | None = None
    """Your own PIN for all of them; made up unless given."""
    expires_days: Annotated[int, Meta(ge=1, le=3_650)] | None = None
    language: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Za-z]{2,8})?" + END)] | None = None
    """The recipient's, where known; his browser's otherwise."""
    recipient: Annotated[str, Meta(min_length=1, max_length=80)] | None = None
    """A name to greet him by."""


class ClaimPinOut(Struct):
    """A new PIN."""

    claim_id: str
    pin: str


# --- messages ---------------------------------------------------------------------------------------------------------


class MessageOut(Struct):
    """One message to a recipient."""

    id: str
    order_id: str
    channel: Literal["email", "telegram"]
    address: str | None
    """Null once the recipient's data was erased."""
    language: str
    state: Literal["waiting", "sent", "failed", "bounced", "cancelled"]
    tries: int
    error: str | None
    """Of the last try, in words."""
    due_at: Moment
    sent_at: Moment | None
    created_at: Moment


class ResendIn(_In, omit_defaults=True):
    """Where to send it this time."""

    address: Annotated[str, Meta(min_length=1, max_length=254)] | None = None
    """Another address of the same channel, where the first was mistyped."""


# --- money and access -------------------------------------------------------------------------------------------------


class BalanceQuery(_Query):
    """At which moment; now unless given."""

    at: MomentParameter | None = None


class BalanceOut(Struct):
    """One wallet."""

    currency: str
    available: MoneyOut
    """What an order may spend, credit limit included."""
    balance: MoneyOut
    """Posted: credits minus debits."""
    held: MoneyOut
    credit_limit: MoneyOut


class BalancesOut(Struct):
    """The wallets of the key's mode."""

    mode: ModeName
    at: Moment
    data: list[BalanceOut]


class TransactionQuery(_Query):
    """What a list of transactions is narrowed to."""

    currency: CurrencyCode | None = None
    order_id: Annotated[str, Meta(pattern=r"^[!-~]{1,64}" + END)] | None = None
    since: MomentParameter | None = None
    until: MomentParameter | None = None
    cursor: CursorParameter | None = None
    limit: LimitParameter = 50


class TransactionOut(Struct):
    """One movement of a wallet."""

    id: str
    direction: Literal["debit", "credit"]
    amount: MoneyOut
    purpose: Annotated[str, Meta(examples=["sale"])]
    phase: Annotated[str, Meta(examples=["posted"])]
    order_id: str | None
    reference: str | None
    reverses: str | None
    balance_after: MoneyOut | None
    created_at: Moment


class MeOut(Struct):
    """Who you are to us."""

    partner_id: str
    name: str
    currency: str
    mode: ModeName
    key_id: str
    key_name: str
    scopes: list[str]
    networks: list[str] | None
    expires_at: Moment | None
    limits: dict[str, Any] | None
    """Limits on orders, where the operator set any."""


class SandboxBalanceIn(_In):
    """What the test wallet is to hold."""

    balance: MoneyIn


class TokenIn(_In, omit_defaults=True):
    """What a short-lived token is to be good for."""

    scopes: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=32)] | None = None
    """A subset of the key's own; all of them unless given."""
    expires_in: Annotated[int, Meta(ge=60, le=3_600)] = 900
    """Seconds."""


class TokenOut(Struct):
    """A short-lived token, to be sent as `Authorization: Bearer …`."""

    token: str
    token_type: Literal["Bearer"]
    expires_in: int


# --- all of them ------------------------------------------------------------------------------------------------------


class ListOut(Struct, Generic[T]):
    """A page of a list. `next_cursor` is null at its end."""

    data: list[T]
    next_cursor: str | None


class ProblemOut(Struct):
    """Why a request was refused (RFC 9457). Facts of the case may be further members."""

    type: Annotated[str, Meta(examples=["/docs/errors#out_of_stock"])]
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(examples=["out_of_stock"])]
    retryable: bool
    """Whether the same request, unchanged, may succeed later."""
    charged: Literal[False] | None
    """False: nothing was charged. Null: unknown; ask again with the same key."""
    request_id: str
    pointer: str | UnsetType = UNSET
    """Where in the body the mistake is, as far as it can be said."""


class HealthOut(Struct):
    """Whether the server is there."""

    status: Literal["ok"]
