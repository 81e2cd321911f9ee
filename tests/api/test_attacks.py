"""What strangers and partners try: forms that no client sends, keys for what they are not for, rows of others."""

from __future__ import annotations

import re

from cardrail.api.v1 import ROUTES
from tests.api.build import Served

_PART = re.compile(r"\{\w+:str\}")


def paths_with_parts() -> list[tuple[str, str]]:
    """(method, template) of each native route whose path names something."""
    return [
        (method, path)
        for route in ROUTES
        for path in sorted(route.paths)
        for method in sorted(route.http_methods - {"HEAD", "OPTIONS"})
        if _PART.search(path)
    ]


def test_an_id_that_no_database_can_keep_is_unknown_on_every_route(server: Served) -> None:
    endpoint = server.live.post("/v1/webhook-endpoints", json={"url": "https://shop.example/hooks"}).json()["id"]
    found = {}
    for method, template in paths_with_parts():
        for path in (
            _PART.sub("%00", template),
            template.replace("{endpoint_id:str}", endpoint).replace("{event_id:str}", "%00"),
        ):
            body = {"json": {"since": "2026-01-01T00:00:00Z"}} if path.endswith("/recover") else {}
            if not _PART.search(path) and "%00" in path:
                found[method, path] = server.live.request(method, path, **body).status_code
    assert len(found) > 30
    assert {key: status for key, status in found.items() if status >= 500} == {}
