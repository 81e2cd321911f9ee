"""What the profile changes: hosts of each mode, a proxy, spellings, rules. A server with other settings than the other tests'."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from cardrail.api.dialects.finperks.errors import error_answer
from cardrail.api.dialects.finperks.profile import FinperksProfile
from cardrail.api.errors import InternalFault
from cardrail.kernel import CardrailError, Mode, OutcomeUnknown, QueueFull, Unavailable
from cardrail.storage import StorageError
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import client_of, key, order_body
from tests.compat.finperks.client import FinperksClient, http_date, sign

PROFILE = """
[finperks]
live_hosts = ["api.fin.example"]
sandbox_hosts = ["sandbox.fin.example"]
public_root = "/public"
requests_per_minute = 0
async_shows_state = true
client_partner_required = true
invalidate_minutes = 0
invalidated_state = "cancelled"
envelope_aliases = false
out_of_stock_code = "sold_out"
ping_body = {pong = "yes"}
delivery_methods = {code = ["code", "url"]}
"""


@pytest.fixture(scope="module")
def shop_backend() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    profile = tmp_path_factory.mktemp("profile") / "profiles.toml"
    profile.write_text(PROFILE)
    return {"dialect_profiles": profile, "dialect_hosts": "api.fin.example=finperks sandbox.fin.example=finperks"}


class Through:
    """A client that calls a public host and path, and a proxy that sends them on as another path."""

    def __init__(self, shop: CompatShop, mode: Mode) -> None:
        self.shop = shop
        self.client: FinperksClient = client_of(shop, mode)

    def send(
        self, method: str, path: str, body: bytes = b"", *, host: str, root: str = "/public", used: str = ""
    ) -> httpx2.Response:
        when = http_date(datetime.now(UTC))
        signed = sign(self.client.secret, method, f"https://{host}{root}{path}", when, used, body)
        headers = {
            "Host": host,
            "Date": when,
            "Authorization": f"FP1-HMAC-SHA256 KeyId={self.client.client_id}, Signature={signed}",
        }
        if used:
            headers["Idempotency-Key"] = used
        return self.client.http.request(method, self.shop.url + "/v1" + path, content=body, headers=headers)


@pytest.fixture(scope="module")
def live(shop: CompatShop) -> Iterator[Through]:
    through = Through(shop, Mode.LIVE)
    yield through
    through.client.close()


@pytest.fixture(scope="module")
def sandbox(shop: CompatShop) -> Iterator[Through]:
    through = Through(shop, Mode.TEST)
    yield through
    through.client.close()


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


def test_each_mode_has_its_host_and_the_path_is_the_clients(live: Through, sandbox: Through) -> None:
    assert live.send("GET", "/ping", host="api.fin.example").json() == {"pong": "yes"}
    assert live.send("GET", "/ping", host="api.fin.example", root="/v1").json() == {"pong": "yes"}
    assert sandbox.send("GET", "/ping?a=b", host="Sandbox.Fin.Example").json() == {"pong": "yes"}


def test_a_credential_of_the_other_mode_is_not_let_in(live: Through, sandbox: Through) -> None:
    assert code_of(sandbox.send("GET", "/ping", host="api.fin.example")) == (403, "live_mode_disabled")
    assert code_of(live.send("GET", "/ping", host="sandbox.fin.example")) == (401, "invalid_signature")


def test_any_other_host_is_refused_before_the_signature_is_looked_at(shop: CompatShop) -> None:
    answer = httpx2.get(shop.url + "/compat/finperks/v1/ping")
    assert code_of(answer) == (400, "invalid_host_header")
    assert set(answer.json()) == {"error_class", "error_code", "message", "request_id"}


def placed(through: Through, shop: CompatShop, **changes: Any) -> httpx2.Response:
    body = httpx2.Request("POST", "http://x", json=order_body(shop, **changes)).content
    return through.send("POST", "/orders", body, host="sandbox.fin.example", used=key())


def test_rules_and_spellings_are_the_profiles(shop: CompatShop, sandbox: Through) -> None:
    assert code_of(placed(sandbox, shop)) == (400, "invalid_body_parameters")
    host = "sandbox.fin.example"
    partner = sandbox.send("POST", "/client_partners", b'{"name": "Acme"}', host=host).json()["id"]
    sandbox.send("POST", f"/client_partners/{partner}/actions/trigger_event", b'{"event": "approve"}', host=host)
    order = placed(sandbox, shop, client_partner=partner, processing_mode="async", delivery_method={"type": "url"})
    assert (order.status_code, order.json()["state"], "code" in order.json()) == (202, "completed", False)
    refusal = sandbox.send("POST", f"/orders/{order.json()['id']}/actions/invalidate", host=host)
    assert code_of(refusal) == (400, "order_invalidation_period_expired")
    answer = placed(sandbox, shop, sku="TEST_OUT_OF_STOCK", amount="10.0", client_partner=partner)
    assert code_of(answer) == (400, "sold_out")
    # A card that has no link is shown by its code, so that nothing is lost.
    assert sandbox.send("GET", f"/orders/{order.json()['id']}", host=host).json()["code"]["value"]


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (InternalFault(), None),
        (Unavailable(), b"2"),
        (QueueFull(retry_after=7), b"7"),
        (OutcomeUnknown(), b"2"),
        (StorageError(), None),
    ],
)
def test_whatever_is_ours_is_one_fault_that_says_nothing_more(error: CardrailError, retry_after: bytes | None) -> None:
    answer = error_answer(error, FinperksProfile(), "req_1")
    assert answer.status == 500
    assert b'"internal_server_error"' in answer.body
    assert error.code.encode() not in answer.body.replace(b"internal_server_error", b"")
    assert dict(answer.headers).get(b"retry-after") == retry_after
