"""What goes over the wire (specs/finperks.md, section 2). Unknown members are passed over; what the sheet says about types is strict."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from cardrail.api.wire import END, Country, CurrencyCode

TEXT: Final = r"^[^\x00-\x1f\x7f]{1,255}" + END
Text = Annotated[str, Meta(pattern=TEXT)]
"""An id that the caller chose."""
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*" + END)]
Detail = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*" + END)]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^\x00-\x20@]{1,64}@[^\x00-\x20@]{1,189}" + END)]
DecimalAmount = Annotated[str, Meta(pattern=r"^[0-9]{1,13}(\.[0-9]{1,9})?" + END)]
"""No sign, no exponent, no thousands mark (section 3.2)."""

# --- orders -----------------------------------------------------------------------------------------------------------


class PlainCustomerIn(Struct):
    id: str


class CustomerIn(PlainCustomerIn):
    id: Text


class PlainFaceValueIn(Struct):
    currency: str
    amount: str


class FaceValueIn(PlainFaceValueIn):
    currency: CurrencyCode
    amount: DecimalAmount


class PlainDeliveryMethodIn(Struct):
    type: Literal["code", "url", "email"]
    email: str | None = None


class DeliveryMethodIn(PlainDeliveryMethodIn):
    email: Email | None = None


class PlainClientPartnerIn(Struct):
    id: str


class ClientPartnerIn(PlainClientPartnerIn):
    id: Text


class PlainOrderIn(Struct):
    """An order whose texts nobody has looked at yet: five patterns cost four times as much as all else of its reading."""

    product_code: str
    customer: PlainCustomerIn
    country: str
    face_value: PlainFaceValueIn
    processing_mode: Literal["sync", "async"]
    delivery_method: PlainDeliveryMethodIn
    client_partner: PlainClientPartnerIn | str | None = None


class OrderIn(PlainOrderIn):
    """The body of POST /orders (2.1). A client partner may also be a bare text (7.14)."""

    product_code: Text
    customer: CustomerIn
    country: Country
    face_value: FaceValueIn
    processing_mode: Literal["sync", "async"]
    delivery_method: DeliveryMethodIn
    client_partner: ClientPartnerIn | Text | None = None


class MoneyOut(Struct):
    currency: str
    amount: str


class CodeOut(Struct, omit_defaults=True):
    value: str | None
    pin: str | None = None
    serial: str | None = None


class UrlOut(Struct):
    type: str
    url: str


class OrderOut(Struct):
    """The order object (2.1). ``price``, ``quantity`` and ``codes`` are ours: section 1.7 allows more members."""

    id: str
    state: str
    product_code: str
    country: str | None
    customer: dict[str, str] | None
    face_value: MoneyOut
    processing_mode: str
    delivery_method: dict[str, str]
    quantity: int
    price: MoneyOut
    """What was charged, less what was given back; of one that is processing, what it will cost."""
    urls: list[UrlOut]
    created_at: str
    client_partner: dict[str, str] | UnsetType = UNSET
    code: CodeOut | UnsetType = UNSET
    codes: list[CodeOut] | UnsetType = UNSET
    """All of them, where an order that came another way has several."""


# --- products ---------------------------------------------------------------------------------------------------------


class RangeOut(Struct, tag="range"):
    min: str
    max: str
    step: str


class FixedOut(Struct, tag="fixed"):
    values: list[str]


class ProductOut(Struct):
    """A product (2.6, inferred)."""

    code: str
    name: str
    countries: list[str]
    currency: str
    face_value: RangeOut | FixedOut
    delivery_methods: list[str]
    redemption_instructions: str | None
    terms_and_conditions: str | None
    redemption_notes: str | None
    image_url: str | None


# --- money ------------------------------------------------------------------------------------------------------------


class BalanceOut(Struct):
    """A balance (2.7, inferred)."""

    currency: str
    available_amount: str


class SettlementOut(Struct):
    """A settlement (2.8, inferred)."""

    id: str
    period_start: str
    period_end: str
    currency: str
    total_amount: str
    state: str


# --- client partners --------------------------------------------------------------------------------------------------


class CompanyIn(Struct):
    """What may be said of a company beside its name (2.5: not documented; all optional)."""

    legal_name: Detail | UnsetType | None = UNSET
    registration_number: Detail | UnsetType | None = UNSET
    vat_number: Detail | UnsetType | None = UNSET
    street: Detail | UnsetType | None = UNSET
    postal_code: Detail | UnsetType | None = UNSET
    city: Detail | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Detail | UnsetType | None = UNSET
    website: Detail | UnsetType | None = UNSET


class NewClientPartnerIn(CompanyIn, kw_only=True):
    """The body of POST /client_partners."""

    name: Name


class ClientPartnerChangeIn(CompanyIn, kw_only=True):
    """The body of PATCH /client_partners/{id}: what is null is taken away, what is absent stays."""

    name: Name | UnsetType = UNSET


class EventIn(Struct):
    """The body of POST /client_partners/{id}/actions/trigger_event."""

    event: Literal["approve", "reject", "revoke"]


# --- errors -----------------------------------------------------------------------------------------------------------


class FieldOut(Struct):
    field: str
    message: str


class ErrorOut(Struct, rename={"class_": "class"}):
    """The envelope (1.3, 7.1)."""

    error_class: str
    error_code: str
    message: str
    request_id: str
    class_: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    fields: list[FieldOut] | UnsetType = UNSET


def given_details(company: CompanyIn) -> dict[str, Any]:
    """What a body says of a company, by its own names; None takes away."""
    values = {name: getattr(company, name) for name in CompanyIn.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}
