"""The server's application, put together: the rim around the bare order endpoint and Litestar's routes."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from cardrail.api.claim import CLAIM_PAGES
from cardrail.api.compat import Mounts, load_profiles
from cardrail.api.desk import Desk, check_described, guard, kept_in
from cardrail.api.dialects import DIALECTS
from cardrail.api.errors import HttpError, InternalFault, InvalidQuery, MethodNotAllowed, RouteNotFound, problem_response
from cardrail.api.gate import Gate
from cardrail.api.http import ClientGone
from cardrail.api.incoming import INCOMING
from cardrail.api.meters import Meters
from cardrail.api.openapi import describe_api
from cardrail.api.pages import PAGES, Readiness
from cardrail.api.parts import Installation
from cardrail.api.place import PlaceEndpoint
from cardrail.api.readers import Readers
from cardrail.api.rim import REQUEST_ID, Rim, note_fault
from cardrail.api.v1 import ROUTES
from cardrail.api.v1.catalog import Pages
from cardrail.kernel import CardrailError

THREADS_MAX = 16
"""Reads at a time; less where the database pool is smaller."""

PASSWORD_THREADS = 1
PASSWORDS_MAX = 10
"""Passwords that may be hashed or wait for it at a time, a few seconds' worth; beyond it the answer is 503 with Retry-After."""


def create_app(cardrail: Installation) -> ASGIApp:
    """The whole HTTP surface of an installation, as one ASGI application. It must run on one event loop."""
    check_described([*ROUTES, *PAGES, *CLAIM_PAGES, *INCOMING])
    threads = Readers(max(1, min(THREADS_MAX, cardrail.settings.pool_size - 2)))
    passwords = Readers(PASSWORD_THREADS, PASSWORDS_MAX, name="cardrail-password")
    meters = Meters(cardrail)
    cardrail.lane.on_batch = meters.batch
    gate = Gate(cardrail, threads)
    desk = Desk(cardrail, gate, meters, threads, passwords)
    routes = Litestar(
        route_handlers=[*ROUTES, *PAGES, *CLAIM_PAGES, *INCOMING],
        guards=[guard],
        exception_handlers={Exception: _answer_error},
        openapi_config=None,
        logging_config=None,
        state=State({"desk": desk, "pages": Pages(), "readiness": Readiness(), "description": description()}),
        on_startup=[gate.refresh],  # the catalog is in memory before the first request is accepted
        on_shutdown=[passwords.shutdown, threads.shutdown],
        debug=False,
    )
    settings = cardrail.settings
    mounts = Mounts(desk, DIALECTS, load_profiles(settings.dialect_profiles, DIALECTS), settings.dialect_hosts)
    return Rim(routes, PlaceEndpoint(desk), meters, mounts)


@cache
def description() -> bytes:
    """The OpenAPI description, as it is served and as it is committed."""
    return msgspec.json.format(msgspec.json.encode(describe_api([*ROUTES, *PAGES, *CLAIM_PAGES])), indent=2) + b"\n"


def _answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The problem that answers an exception, whoever raised it."""
    headers: dict[str, str] = {}
    if isinstance(error, ClientGone):
        raise error
    if isinstance(error, HTTPException):
        headers = {"allow": error.headers["allow"]} if error.headers and "allow" in error.headers else {}
        error = _own_error(error)
    note_fault(error)
    status, fields, body = problem_response(error, kept_in(request, REQUEST_ID))
    headers |= {name.decode(): value.decode() for name, value in fields}
    return Response(body, status_code=status, headers=headers, media_type=headers.pop("content-type"))


def _own_error(error: HTTPException) -> CardrailError:
    """The framework's refusals in our words."""
    by_status: dict[int, type[HttpError]] = {404: RouteNotFound, 405: MethodNotAllowed, 400: InvalidQuery}
    found = by_status.get(error.status_code)
    if found is None:
        fault = InternalFault()
        fault.__cause__ = error
        return fault
    return found()
