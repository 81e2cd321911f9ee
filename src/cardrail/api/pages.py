"""Pages beside the API: its documentation, the list of its errors, its health and its meters. Nothing is loaded from another host."""

from __future__ import annotations

import asyncio
import html
import time
from functools import cache
from pathlib import Path
from typing import Final

from litestar import MediaType, Response, get
from litestar.params import FromPath

from cardrail.api.desk import Desk, HttpRequest, answer, describe, desk_of, json_answer
from cardrail.api.errors import STATUS, UNKNOWN_CHARGE, RouteNotFound, partner_errors
from cardrail.api.meters import CONTENT_TYPE
from cardrail.api.wire import HealthOut
from cardrail.kernel import Unavailable
from cardrail.storage.migrations import current_revision, newest_revision

STATIC: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".png": "image/png",
    ".txt": "text/plain",
}

PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="/docs/static/favicon-32x32.png">
{head}</head>
<body>
<header>
<h1>Cardrail API</h1>
<a href="/docs">Operations</a> · <a href="/docs/errors">Errors</a> · <a href="/openapi.json">OpenAPI</a></header>
<main>{body}</main>
</body>
</html>
"""


READY_SECONDS: Final = 1.0
"""How long an answer of /readyz holds."""


class DatabaseAway(Unavailable):
    """The database cannot be reached, or its schema is not this release's."""


class Readiness:
    """Whether the database answers with the right schema: asked at most once a second, however many ask us."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._found: asyncio.Future[bool] | None = None

    async def of(self, desk: Desk) -> bool:
        """What was found, within this second."""
        now = time.monotonic()
        if self._found is None or (self._found.done() and now - self._asked_at > READY_SECONDS):
            self._asked_at = now
            self._found = asyncio.ensure_future(self._look(desk))
        return await asyncio.shield(self._found)

    async def _look(self, desk: Desk) -> bool:
        try:
            return await desk.read(lambda: current_revision(desk.parts.db)) == _newest()
        except Unavailable:
            return False


@get("/healthz", opt=describe("Is the process there?", HealthOut, tag="Operating", is_public=True))
async def show_health() -> Response[bytes]:
    """Whether the process answers at all."""
    return answer(HealthOut("ok"))


@get(
    "/readyz",
    opt=describe("Can it serve?", HealthOut, tag="Operating", is_public=True, errors=("unavailable",)),
)
async def show_readiness(request: HttpRequest) -> Response[bytes]:
    """Whether orders are being taken, and the database can be reached and has the schema of this release."""
    desk, readiness = desk_of(request), request.app.state.readiness
    if not desk.parts.lane.is_serving or not await readiness.of(desk):
        raise DatabaseAway
    return answer(HealthOut("ok"))


@cache
def _newest() -> str | None:
    """The revision that this release works with; it does not change while it runs."""
    return newest_revision()


@get("/metrics", opt=describe("Meters for Prometheus", "text/plain", tag="Operating", is_public=True))
async def show_meters(request: HttpRequest) -> Response[bytes]:
    """Requests, their times, orders, and the lane."""
    desk = desk_of(request)
    await desk.meters.look(desk.read)
    return Response(desk.meters.text(), media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})


@get(
    "/openapi.json", opt=describe("The description in OpenAPI", "application/json", tag="Operating", is_public=True, is_page=True)
)
async def show_description(request: HttpRequest) -> Response[bytes]:
    """This API, described in OpenAPI 3.1."""
    return json_answer(request.app.state.description, headers={"cache-control": "no-cache"})


@get("/docs", opt=describe("The documentation", "text/html", tag="Operating", is_public=True, is_page=True))
async def show_docs() -> Response[str]:
    """The API's documentation, to read and to try."""
    head = (
        '<link rel="stylesheet" href="/docs/static/swagger-ui.css">\n<link rel="stylesheet" href="/docs/static/docs.css">\n'
        '<script src="/docs/static/swagger-ui-bundle.js"></script>\n<script src="/docs/static/docs.js"></script>\n'
    )
    return _page("Cardrail API", head, '<div id="api"></div>')


@get("/docs/errors", opt=describe("The errors", "text/html", tag="Operating", is_public=True, is_page=True))
async def show_errors() -> Response[str]:
    """Every error code: where a problem's ``type`` leads."""
    return _page("Errors of the Cardrail API", '<link rel="stylesheet" href="/docs/static/docs.css">\n', _errors())


@cache
def _errors() -> str:
    parts = ['<div class="errors">']
    for one in partner_errors():
        charged = "unknown" if one.code in UNKNOWN_CHARGE else "nothing"
        parts.append(
            f'<h2 id="{one.code}">{one.code}</h2><p>{html.escape((one.__doc__ or "").strip())}</p>'
            f"<p>Status {STATUS[one.code]} · retryable: {'yes' if one.retryable else 'no'} · charged: {charged}</p>"
        )
    return "".join([*parts, "</div>"])


@get(
    "/docs/static/{name:str}",
    opt=describe("A file of the documentation", "application/octet-stream", tag="Operating", is_public=True, is_page=True),
)
async def show_asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the documentation page."""
    found = _assets().get(name)
    if found is None:
        raise RouteNotFound
    body, media_type = found
    return Response(body, media_type=media_type, headers={"cache-control": "public, max-age=3600"})


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    """All of them, in memory: nothing that a request names is ever looked up on the disk."""
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in sorted(STATIC.iterdir()) if path.suffix in _TYPES}


def _page(title: str, head: str, body: str) -> Response[str]:
    return Response(_PAGE.format(title=title, head=head, body=body), media_type=MediaType.HTML, headers=PAGE_HEADERS)


PAGES: Final = (show_health, show_readiness, show_meters, show_description, show_docs, show_errors, show_asset)
