"""What strangers and partners try: forms that no client sends, keys for what they are not for, rows of others."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from cardrail.access import ALL_SCOPES
from cardrail.api.app import THREADS_MAX
from cardrail.api.desk import OPERATION
from cardrail.api.v1 import ROUTES
from cardrail.kernel import Mode
from cardrail.webhooks import EndpointBook, Who
from tests.api.build import Served, assert_problem

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
            body = {"since": "2026-01-01T00:00:00Z"} if path.endswith("/recover") else None
            if not _PART.search(path) and "%00" in path:
                found[method, path] = server.live.request(method, path, json=body).status_code
    assert len(found) > 30
    assert {key: status for key, status in found.items() if status >= 500} == {}


def test_every_route_needs_its_scope_and_nothing_else_opens_it(still_server: Served) -> None:
    """Asked with a token of all scopes but the one, and with no key at all; what any key may ask is named here."""
    tokens = {
        one: still_server.live.post("/v1/tokens", json={"scopes": sorted(ALL_SCOPES - {one})}).json()["token"]
        for one in sorted(ALL_SCOPES)
    }
    asked = [("POST", "/v1/orders", "orders:write")]
    for route in ROUTES:
        operation = route.opt[OPERATION]
        for path in sorted(route.paths):
            if operation.is_public:
                assert path == "/v1/exports/{export_id:str}/file", path
            elif operation.scope is None:
                assert path in {"/v1/me", "/v1/tokens"}, path
            else:
                asked += [(one, path, operation.scope) for one in sorted(route.http_methods - {"HEAD", "OPTIONS"})]
    assert len(asked) > 50
    for method, template, scope in asked:
        path = _PART.sub("x", template)
        assert_problem(still_server.nobody.request(method, path), 401, "missing_credentials")
        if scope in ALL_SCOPES:
            refusal = still_server.nobody.request(method, path, headers={"Authorization": f"Bearer {tokens[scope]}"})
            assert_problem(refusal, 403, "scope_missing")
        else:  # an operator's: no partner's key is even looked up, and a stranger's address is not let guess for ever
            assert "operator" in scope


def test_who_may_not_see_codes_cannot_have_them_sent_elsewhere(server: Served) -> None:
    endpoint, _ = server.cardrail.webhooks.create(
        server.partner_id, Mode.LIVE, url="https://shop.example/hooks", format="foxreload_v1", with_codes=True, who=Who("test")
    )
    path = f"/v1/webhook-endpoints/{endpoint.id}"
    keeper = server.client(server.a_key("webhooks:write"))
    assert_problem(keeper.patch(path, json={"url": "https://thief.example/hooks"}), 403, "scope_missing")
    assert keeper.patch(path, json={"description": "the shop"}).status_code == 200


def test_who_asks_for_his_whole_past_many_times_keeps_nobody_waiting(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = server.live.post("/v1/webhook-endpoints", json={"url": "https://shop.example/hooks"}).json()["id"]
    path, asked = f"/v1/webhook-endpoints/{endpoint}/recover", {"since": "2026-01-01T00:00:00Z"}
    may_end = threading.Event()
    monkeypatch.setattr(EndpointBook, "recover", lambda *_, **__: may_end.wait(20) and 0)
    with ThreadPoolExecutor(THREADS_MAX + 4) as pool:
        try:
            waiting = [pool.submit(server.live.post, path, json=asked) for _ in range(THREADS_MAX + 4)]
            refused = next(iter(as_completed(waiting))).result()
            assert server.live.get("/v1/balances", timeout=5).status_code == 200
        finally:
            may_end.set()
    assert refused.status_code == 503
    assert {one.result().status_code for one in waiting} == {202, 503}
