"""The HTTP surface: the native API under /v1, its documentation, health and meters."""

from cardrail.api.app import create_app, description
from cardrail.api.errors import STATUS, UNKNOWN_CHARGE, is_operators, partner_errors
from cardrail.api.server import Server, make_server, serve
from cardrail.api.watch import Watch

__all__ = [
    "STATUS",
    "UNKNOWN_CHARGE",
    "Server",
    "Watch",
    "create_app",
    "description",
    "is_operators",
    "make_server",
    "partner_errors",
    "serve",
]
