"""Exports of the partner's own data: asked for, looked at, and downloaded by a signed link."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import File

from cardrail.api.desk import Desk, HttpRequest, answer, buyer_in, describe, desk_of, query_of
from cardrail.api.http import parse_moment
from cardrail.api.wire import ListOut
from cardrail.api.wire_settlement import ExportFileQuery, ExportIn, ExportListQuery, ExportOut
from cardrail.kernel import rfc3339
from cardrail.orders import Buyer
from cardrail.settlement import (
    MEDIA_TYPES,
    Export,
    ExportFilter,
    ExportKind,
    Format,
    check_filter,
    enqueue_export,
    get_export,
    is_small,
    list_exports,
    make_export,
    open_link,
    request_export,
    sign_link,
)


@post(
    "/v1/exports",
    status_code=202,
    opt=describe(
        "Export orders, items, movements or a statement",
        ExportOut,
        tag="Settlement",
        scope="settlements:read",
        body=ExportIn,
        errors=("invalid_query", "invalid_export", "statement_not_found"),
        description="A period of up to 2,000 orders is written at once, a larger one in the background: look at the export until it "
        "is `done`, then fetch `download_url`. Files are kept for seven days.",
        examples={
            "items_of_january": {
                "kind": "items",
                "format": "xlsx",
                "since": "2026-01-01T00:00:00Z",
                "until": "2026-02-01T00:00:00Z",
            }
        },
    ),
)
async def order_export(request: HttpRequest) -> Response[bytes]:
    """Ask for an export."""
    desk, buyer = desk_of(request), buyer_in(request)
    asked = await desk.body(request, ExportIn)
    kind, form, filters = ExportKind(asked.kind), Format(asked.format), _filter(asked, buyer)
    check_filter(kind, filters)
    parts = desk.parts
    small = await desk.read(lambda: _is_small(desk, kind, filters))

    def ask() -> Export:
        with parts.db.transaction() as tx:
            one = request_export(tx, parts.exports, kind, form, filters, actor=buyer.actor, origin=buyer.origin)
            if not small:
                enqueue_export(parts.jobs, tx, one)
            return one

    one = await desk.write(ask)
    if small:
        one = await desk.on_thread(lambda: make_export(parts.exports, one.id))
    return answer(_out(desk, one), 202)


def _filter(asked: ExportIn, buyer: Buyer) -> ExportFilter:
    """What the partner asks for, of his own."""
    return ExportFilter(
        partner_id=buyer.partner_id,
        mode=buyer.mode,
        since=parse_moment(asked.since, "since") if asked.since else None,
        until=parse_moment(asked.until, "until") if asked.until else None,
        state=asked.state,
        sku=asked.sku,
        statement_id=asked.statement_id,
    )


def _is_small(desk: Desk, kind: ExportKind, filters: ExportFilter) -> bool:
    with desk.parts.db.read() as tx:
        return is_small(tx, kind, filters)


@get(
    "/v1/exports",
    opt=describe(
        "List exports",
        ListOut[ExportOut],
        tag="Settlement",
        scope="settlements:read",
        query=ExportListQuery,
        description="Newest first. It has one page.",
    ),
)
async def show_exports(request: HttpRequest) -> Response[bytes]:
    """The partner's newest exports."""
    query = query_of(request, ExportListQuery)
    desk, buyer = desk_of(request), buyer_in(request)

    def look() -> list[Export]:
        with desk.parts.db.read() as tx:
            return list_exports(tx, partner_id=buyer.partner_id, mode=buyer.mode, limit=query.limit)

    return answer(ListOut([_out(desk, one) for one in await desk.read(look)], None))


@get(
    "/v1/exports/{export_id:str}",
    opt=describe("See an export", ExportOut, tag="Settlement", scope="settlements:read", errors=("export_not_found",)),
)
async def show_export(request: HttpRequest, export_id: FromPath[str]) -> Response[bytes]:
    """One export of the partner, and how far it is."""
    desk, buyer = desk_of(request), buyer_in(request)

    def look() -> Export:
        with desk.parts.db.read() as tx:
            return get_export(tx, export_id, partner_id=buyer.partner_id, mode=buyer.mode)

    return answer(_out(desk, await desk.read(look)))


@get(
    "/v1/exports/{export_id:str}/file",
    opt=describe(
        "Download an export",
        "application/octet-stream",
        tag="Settlement",
        is_public=True,
        query=ExportFileQuery,
        errors=("invalid_link", "export_not_found", "export_not_ready", "export_gone"),
        also=tuple(MEDIA_TYPES.values()),
        description="The address in `download_url`; it needs no key, and is good for a quarter of an hour.",
    ),
)
async def download_export(request: HttpRequest, export_id: FromPath[str]) -> File:
    """The export's file, for whoever has the link."""
    query, desk = query_of(request, ExportFileQuery), desk_of(request)
    one, path = await desk.read(lambda: open_link(desk.parts.exports, export_id, int(query.expires), query.signature))
    return _file(one, path)


def _file(one: Export, path: Path) -> File:
    return File(path, filename=one.file_name, media_type=MEDIA_TYPES[one.format], headers={"cache-control": "no-store"})


def _out(desk: Desk, one: Export) -> ExportOut:
    link = None
    if one.state == "done":
        expires, signature = sign_link(desk.parts.exports, one.id)
        link = f"/v1/exports/{one.id}/file?expires={expires}&signature={signature}"
    return ExportOut(
        id=one.id,
        kind=one.kind.value,
        format=one.format.value,
        state=one.state,
        rows=one.rows,
        bytes=one.bytes,
        problem=one.problem,
        created_at=rfc3339(one.created_at),
        finished_at=rfc3339(one.finished_at) if one.finished_at else None,
        expires_at=rfc3339(one.expires_at),
        download_url=link,
    )


EXPORT_ROUTES: Final = (order_export, show_exports, show_export, download_export)
