"""The envelope of successes (specs/oneclickdz.md, section 1.4), and times as the vendor writes them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.oneclickdz.profile import Profile
from cardrail.kernel import from_micros, to_micros


class MetaOut(Struct):
    """1.4."""

    timestamp: str


class SuccessOut(Struct):
    """1.4."""

    success: bool
    data: Any
    meta: MetaOut | UnsetType = UNSET
    request_id: str | UnsetType = msgspec.field(name="requestId", default=UNSET)


class CatalogSuccessOut(Struct):
    """2.5: the one success with members of its own beside ``data``."""

    success: bool
    total_categories: int = msgspec.field(name="totalCategories")
    total_products: int = msgspec.field(name="totalProducts")
    data: Any
    meta: MetaOut
    request_id: str | UnsetType = msgspec.field(name="requestId", default=UNSET)


_MILLISECONDS: Final = -len("+00:00")


def moment(micros: int) -> str:
    """ISO 8601 in UTC with milliseconds: 2026-02-03T09:15:30.412Z."""
    return from_micros(micros).isoformat(timespec="milliseconds")[:_MILLISECONDS] + "Z"


def meta_of(call: Call) -> MetaOut:
    """The time of the answer."""
    return MetaOut(moment(to_micros(call.desk.parts.clock.now())))


def request_id_of(call: Call, profile: Profile) -> str | UnsetType:
    """The id under which the log has this request; the header X-Request-Id has it too."""
    return call.request_id if profile.has_request_id else UNSET


def success(call: Call, profile: Profile, data: Any) -> Answer:
    """200, with the time and the request's id."""
    return json_answer(SuccessOut(True, data, meta_of(call), request_id_of(call, profile)))


def bare_success(data: Any) -> Answer:
    """200 with success and data only."""
    return json_answer(SuccessOut(True, data))
