"""Dialects where they are served: below /compat/<name>, and at the root of host names that an operator mapped to them.

A dialect is a plug: a name, a profile (what its vendor leaves open, so that an operator can override it), and its surfaces. Profiles
are overridden by a TOML file with a section per dialect.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send

from cardrail.api.compat.surface import Surface, call_of
from cardrail.api.desk import Desk
from cardrail.api.errors import RouteNotFound, problem_response
from cardrail.api.http import header, send_response
from cardrail.kernel import CardrailError

ROOT: Final = "/compat/"


class InvalidDialectSettings(CardrailError):
    """A dialect's host or profile is not set as it must be."""

    code = "invalid_dialect_settings"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire protocol that is not ours."""

    name: str
    profile: type[msgspec.Struct]
    """Its members, all with defaults, are what its vendor leaves open."""
    build: Callable[[Desk, Any], Sequence[tuple[str, Surface]]]
    """From the desk and the profile: each surface with its root below the dialect's, "" or "/…"."""


def load_profiles(path: Path | None, dialects: Iterable[Dialect]) -> dict[str, Any]:
    """The profile of each dialect: its defaults, overridden by the file's section. Raises InvalidDialectSettings."""
    given: dict[str, Any] = {}
    if path is not None:
        try:
            given = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidDialectSettings(reason=f"the profile file cannot be read: {error}") from None
    known = {one.name: one for one in dialects}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise InvalidDialectSettings(reason=f"the profile file has a section for an unknown dialect: {unknown[0]}")
    profiles = {}
    for name, one in known.items():
        section = given.get(name, {})
        strange = sorted(section.keys() - {member.encode_name for member in msgspec.structs.fields(one.profile)})
        if strange:
            raise InvalidDialectSettings(reason=f"[{name}] has no setting {strange[0]}")
        try:
            profiles[name] = msgspec.convert(section, one.profile)
        except msgspec.ValidationError as error:
            raise InvalidDialectSettings(reason=f"[{name}] {error}") from None
    return profiles


def parse_hosts(text: str, known: Iterable[str]) -> dict[bytes, str]:
    """Host name → dialect, from blank-separated host=dialect. Raises InvalidDialectSettings."""
    hosts: dict[bytes, str] = {}
    for pair in text.split():
        host, equals, name = pair.partition("=")
        if not host or not equals or name not in known:
            raise InvalidDialectSettings(reason=f"{pair} is not host=dialect")
        hosts[host.lower().encode()] = name
    return hosts


class Mounts:
    """All dialects of a server, as one ASGI application for what the rim gives it."""

    def __init__(self, desk: Desk, dialects: Iterable[Dialect], profiles: Mapping[str, Any], hosts: str = "") -> None:
        self._desk = desk
        self._surfaces: dict[str, list[tuple[str, Surface]]] = {}
        for one in dialects:
            built = sorted(one.build(desk, profiles[one.name]), key=lambda pair: -len(pair[0]))
            self._surfaces[one.name] = built
        self._known = {
            f"{ROOT}{name}{root}{route.path}": (surface, route.path)
            for name, built in self._surfaces.items()
            for root, surface in built
            for route in surface.routes
            if "{" not in route.path and _below(built, root + route.path) == (surface, route.path)
        }
        self._hosts = parse_hosts(hosts, self._surfaces)

    def find(self, scope: Any) -> tuple[Surface | None, str] | None:
        """The surface that a request is for and the path below it; None where it is the native API's.

        Below /compat/ an unknown dialect gives no surface.
        """
        path: str = scope["path"]
        known = self._known.get(path)
        if known is not None:
            return known
        if path.startswith(ROOT):
            name, slash, rest = path[len(ROOT) :].partition("/")
            found = self._surfaces.get(name)
            return (None, path) if found is None else _below(found, slash + rest)
        if self._hosts:
            host = header(scope["headers"], b"host") or b""
            named = self._hosts.get(host.lower().partition(b":")[0])
            if named is not None:
                return _below(self._surfaces[named], path)
        return None

    async def serve(self, found: tuple[Surface | None, str], scope: Any, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request that ``find`` found a place for."""
        surface, path = found
        if surface is None:
            await send_response(send, *problem_response(RouteNotFound(), request_id))
            return
        answer = await surface.answer(call_of(self._desk, surface, scope, receive, path, request_id))
        await send_response(send, answer.status, answer.headers, answer.body)


def _below(surfaces: list[tuple[str, Surface]], path: str) -> tuple[Surface, str]:
    """The surface with the longest root that the path lies below; the shortest where it lies below none."""
    for root, surface in surfaces:
        if path == root or path.startswith(root + "/"):
            return surface, path[len(root) :] or "/"
    return surfaces[-1][1], path or "/"
