"""The stream of events, for those who pull."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get

from cardrail.api.desk import HttpRequest, answer, buyer_in, describe, desk_of, query_of
from cardrail.api.http import parse_moment
from cardrail.api.render import encode
from cardrail.api.wire_webhooks import EventOut, EventQuery, EventsOut
from cardrail.kernel import from_micros, to_micros
from cardrail.storage import EventPage, Tx, all_restores, read_events
from cardrail.webhooks import PARTNER_TYPES, SHARED_TYPES, UnknownEventType, payload


@get(
    "/v1/events",
    opt=describe(
        "List events",
        EventsOut,
        tag="Events",
        scope="events:read",
        query=EventQuery,
        errors=("invalid_cursor", "unknown_event_type"),
        description="What happened to your orders and wallets, and to the catalog, oldest first: the same events as webhooks send. "
        "Keep `next_cursor` and ask again with it; no event is left out, however late it was committed.",
    ),
)
async def list_events(request: HttpRequest) -> Response[bytes]:
    """A page of the partner's events."""
    query = query_of(request, EventQuery)
    desk, buyer = desk_of(request), buyer_in(request)
    types = frozenset(query.types.split(",")) if query.types is not None else None
    if types is not None and not types <= PARTNER_TYPES:
        raise UnknownEventType(given=", ".join(sorted(types - PARTNER_TYPES))[:200])
    filters = encode(msgspec.structs.replace(query, cursor=None, limit=1)).decode()
    scope = f"events|{buyer.partner_id}|{buyer.mode.value}|{filters}"
    since = from_micros(parse_moment(query.since, "since")) if query.since else None

    def look() -> tuple[EventPage, str]:
        with desk.parts.db.read() as tx:
            era = f"{scope}{_era(tx)}"
            after = int(desk.parts.cursors.open(era, query.cursor)) if query.cursor is not None else 0
            page = read_events(
                tx,
                buyer.partner_id,
                buyer.mode,
                after,
                types=types or PARTNER_TYPES,
                shared=SHARED_TYPES,
                is_narrowed=types is not None,
                since=since,
                limit=query.limit,
            )
            return page, desk.parts.cursors.seal(era, str(page.through))

    page, following = await desk.read(look)
    return answer(EventsOut([EventOut(**payload(one)) for one in page.items], following, page.has_more))


def _era(tx: Tx) -> str:
    """The newest restore's time: positions begin again where the backup ended, so cursors of before it would skip events."""
    restored = all_restores(tx)
    return f"|restored {to_micros(restored[-1].restored_at)}" if restored else ""


EVENT_ROUTES: Final = (list_events,)
