"""The outermost callable: it names each request, sends orders the short way, and answers for whatever goes wrong.

Placing an order is most of the load, so it goes past the framework to a bare endpoint; so do the dialects, whose every answer must be
their vendor's; all else is routed by Litestar.
"""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from cardrail.api.compat import Mounts
from cardrail.api.errors import problem_response, status_of
from cardrail.api.gate import HEADERS
from cardrail.api.http import ClientGone, Headers, request_id_of, send_response
from cardrail.api.meters import Meters
from cardrail.kernel import CardrailError

REQUEST_ID: Final = "cardrail.request_id"
"""Where in a request's scope its id is kept."""

NOTED_SECONDS: Final = 1.0
"""How far apart the log's lines about one kind of 503 are."""

_ORDERS: Final = "/v1/orders"
_ORDERS_PATHS: Final = frozenset({_ORDERS, _ORDERS + "/"})
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")

log = structlog.get_logger("cardrail.api")


class Rim:
    """The whole server as one ASGI application."""

    def __init__(self, routes: ASGIApp, place: ASGIApp, meters: Meters, mounts: Mounts) -> None:
        self._routes = routes
        self._place = place
        self._mounts = mounts
        self._meters = meters

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = scope[REQUEST_ID] = request_id_of(scope["headers"])
        structlog.contextvars.bind_contextvars(request_id=request_id)
        dialect = self._mounts.find(scope)
        is_orders = dialect is None and scope["path"] in _ORDERS_PATHS
        is_placing = is_orders and scope["method"] == "POST"
        status = 0

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra: Headers = scope.get(HEADERS, [])
                if is_orders and not is_placing:
                    message["headers"] = [_with_post(one) for one in message.get("headers", ())]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode()), _NO_SNIFF, *extra]
            await send(message)

        try:
            if dialect is not None:
                await self._mounts.serve(dialect, scope, receive, answer, request_id)
                note_refused(scope)
            else:
                await (self._place if is_placing else self._routes)(scope, receive, answer)
        except ClientGone:
            status = status or 499
        except Exception as error:
            note_fault(error)
            if status:
                raise
            await send_response(answer, *problem_response(error, request_id))
        finally:
            route = _ORDERS if is_placing else _route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._meters.request(method, route, status, time.perf_counter() - started)
            structlog.contextvars.clear_contextvars()

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start-up and shut-down are the framework's; there are no web sockets."""
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]  # the framework leaves it out of the type
            await self._routes(scope, receive, send)


_noted: Final[dict[str, tuple[float, int]]] = {}
"""Code of a 503 → when it was logged last, and how many were not logged since. Used on the event loop only."""


def note_refused(scope: Any) -> None:
    """Log what a dialect answered with its envelope, where it was a fault."""
    error = scope.get("cardrail.fault") or scope.get("cardrail.refusal")
    if error is not None:
        note_fault(error)


def note_fault(error: BaseException) -> None:
    """Log what is answered with 500 or more; a refusal is nobody's fault. Of a 503 that many meet, one line a second."""
    status = status_of(error) if isinstance(error, CardrailError) else 500
    if status < 500:
        return
    facts: dict[str, Any] = {"error": type(error).__name__, "status": status}
    if error.__cause__ is not None:
        facts["cause"] = type(error.__cause__).__name__
    if status == 500 or not isinstance(error, CardrailError):
        log.error("request failed", **facts, exc_info=error)
        return
    now = time.monotonic()
    last, skipped = _noted.get(error.code, (float("-inf"), 0))
    if now - last < NOTED_SECONDS:
        _noted[error.code] = last, skipped + 1
        return
    _noted[error.code] = now, 0
    log.warning("request not served", **facts, skipped=skipped)


def _with_post(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """The framework's Allow for the path of orders, with the method that is not the framework's."""
    name, value = field
    if name.lower() != b"allow" or b"POST" in value:
        return field
    return name, b", ".join(sorted([*[one.strip() for one in value.split(b",")], b"POST"]))


def _route_of(scope: Any) -> str:
    """The template of the route that answered, so that ids and typing errors make no new name."""
    template = scope.get("path_template")
    return template if isinstance(template, str) and template else "none"
