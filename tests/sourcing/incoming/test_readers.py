"""Reading suppliers' webhooks: the sheets' own vectors are taken, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from cardrail.kernel import Secret
from cardrail.sourcing import CONNECTORS, Hook, HookReader, WebhookForged, WebhookStale, WebhookUnreadable
from cardrail.sourcing.hooks import STANDARD_HOOKS, body_key, hex_hmac

FOX_BODY = (
    b'{"event":"order.delivered","order_id":"ord_q7w2e9","sku_id":"nintendo-pl-70","wholesale_cost_usd":"15.90",'
    b'"delivered_at":"2026-09-21T14:13:20Z","delivery_data":{"code":"TEST-0001-AAAA","type":"redeem_code"}}'
)
FOX_SIGNED = "4f428104266acd15e58758b316d57ced4fc8eb61936f7cde674d59089504e750"
FOX_BODY_ALONE = "7fa243d9e2cf3ef80070b9603e71e275b908cc5682aa11a33b4734b3ca35c843"
STAR_BODY = b'{"event_type":"order.delivered","data":{"id":90231,"reference_code":"LUMEN-77120","status":"DELIVERED"}}'
FIN_URL = "https://shop.example/hooks/finperks"
FIN_DATE = "Tue, 03 Feb 2026 08:15:00 GMT"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

FOX = Hook(
    "https://shop.example/in/x",
    {"x-foxreload-signature": f"t=1790000000,v1={FOX_SIGNED}", "x-foxreload-event-id": "0b6d9e2f"},
    FOX_BODY,
)
STAR = Hook(
    "https://shop.example/in/x",
    {
        "x-signature": "66d1c73efffa5300b220beba27fb8f1b167f9036e23e76ef333dcadab3142bb9",
        "x-timestamp": "1767225655",
    },
    STAR_BODY,
)
FIN = Hook(
    FIN_URL,
    {
        "fp-signature": "FP1-HMAC-SHA256 KeyId=k1, Signature=94719c999ba344d7ae21db2a1e2113b0d3e84b36b52b017c97464fc8ae6096e2",
        "date": FIN_DATE,
    },
    b'{"probe":true}',
)
STD_AT = datetime(2026, 1, 5, tzinfo=UTC)
STD_BODY = b'{"type":"order.fulfilled","data":{"order_id":"ord_1","step":2}}'
STD = Hook(
    "https://shop.example/in/x",
    {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(STD_AT.timestamp())),
        "webhook-signature": Webhook(WHSEC).sign("evt_1", STD_AT, STD_BODY.decode()),
    },
    STD_BODY,
)


def own(kind: str) -> HookReader:
    found = CONNECTORS[kind].hooks
    assert found is not None
    return found


CASES = {
    "foxreload_v1": (own("foxreload_v1"), FOX, "fxw_demo_secret_for_tests_only", datetime.fromtimestamp(1_790_000_000, UTC), 300),
    "starship": (own("starship"), STAR, "", datetime.fromtimestamp(1_767_225_655, UTC), 300),
    "finperks": (own("finperks"), FIN, "demo-secret-0001", datetime(2026, 2, 3, 8, 15, tzinfo=UTC), 900),
    "standard": (STANDARD_HOOKS, STD, WHSEC, STD_AT, 300),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Any:
    reader, hook, secret, at, window = CASES[request.param]
    return reader, hook, Secret(secret or STAR_SECRET), at, timedelta(seconds=window)


STAR_SECRET = "whsec_T3stOnlyNotARealSecret0001"


def test_the_sheets_own_message_is_taken(case: Any) -> None:
    reader, hook, secret, at, window = case
    other = Secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    first = reader.read(hook, [secret], at)
    assert reader.read(hook, [other, secret], at + window) == reader.read(hook, [secret, other], at - window) == first


def test_the_order_is_named_and_nothing_of_the_goods_is_kept() -> None:
    reader, hook, secret, at, _ = CASES["foxreload_v1"]
    notice = reader.read(hook, [Secret(secret)], at)
    assert (notice.event, notice.event_id, notice.supplier_order_id) == ("order.delivered", "0b6d9e2f", "ord_q7w2e9")
    assert "TEST-0001" not in repr(notice) + repr(hook)
    star = own("starship").read(STAR, [Secret(STAR_SECRET)], CASES["starship"][3])
    assert (star.supplier_order_id, star.reference) == ("90231", "LUMEN-77120")
    several = {**STD.headers, "webhook-signature": f"v1a,zzz v1,AAAA {STD.headers['webhook-signature']}"}
    assert STANDARD_HOOKS.read(Hook(STD.url, several, STD_BODY), [Secret(WHSEC)], STD_AT).key == "id:evt_1"


def test_too_old_and_too_new_is_refused(case: Any) -> None:
    reader, hook, secret, at, window = case
    for moment in (at + window + timedelta(seconds=1), at - window - timedelta(seconds=1)):
        with pytest.raises(WebhookStale):
            reader.read(hook, [secret], moment)


def test_whatever_is_changed_is_refused(case: Any) -> None:
    reader, hook, secret, at, _ = case
    changed = [Hook(hook.url, hook.headers, hook.body + b" "), Hook(hook.url, {}, hook.body), Hook(hook.url, hook.headers, b"")]
    for name, value in hook.headers.items():
        if name == "x-foxreload-event-id":
            continue
        texts = ("", value + "0", value.replace("1", "2"), "é" + value, "\x00", "9" * 4_000)
        changed += [Hook(hook.url, {**hook.headers, name: text}, hook.body) for text in texts]
    for one in changed:
        with pytest.raises((WebhookForged, WebhookStale)):
            reader.read(one, [secret], at)
    for secrets in ([], [Secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]):
        with pytest.raises(WebhookForged):
            reader.read(hook, secrets, at)


def test_a_signature_over_the_body_alone_is_not_believed() -> None:
    reader, _, secret, at, _ = CASES["foxreload_v1"]
    hook = Hook(FOX.url, {"x-foxreload-signature": f"t=1790000000,v1={FOX_BODY_ALONE}"}, FOX_BODY)
    with pytest.raises(WebhookForged):
        reader.read(hook, [Secret(secret)], at)


def test_finperks_signs_the_address_that_it_was_given() -> None:
    reader, hook, secret, at, _ = CASES["finperks"]
    for url in ("https://evil.example/hooks/finperks", FIN_URL + "/x", FIN_URL + "?a=1", "http://shop.example/hooks/finperks"):
        with pytest.raises(WebhookForged):
            reader.read(Hook(url, hook.headers, hook.body), [Secret(secret)], at)


@pytest.mark.parametrize("body", [b"[1]", b"\xff\xfe", b"{", b"[" * 5_000])
def test_a_signed_body_that_is_no_object_is_refused_and_breaks_nothing(body: bytes) -> None:
    reader, _, _, at, _ = CASES["starship"]
    signed = hex_hmac(Secret(STAR_SECRET), b"1767225655." + body)
    with pytest.raises(WebhookUnreadable):
        reader.read(Hook(STAR.url, {"x-signature": signed, "x-timestamp": "1767225655"}, body), [Secret(STAR_SECRET)], at)


def test_words_about_no_order_are_news_at_another_time_and_words_about_one_are_not() -> None:
    hook = Hook(FIN_URL, {}, b'{"event": "balance_low"}')
    assert len({body_key(hook, order, at) for order in (None, "o-1") for at in ("1790000000", "1790000001")}) == 3
    for reader, proven, secret, at, _ in (CASES["foxreload_v1"], CASES["finperks"]):
        keys = {reader.read(proven, [Secret(secret)], at + timedelta(seconds=late)).key for late in (0, 5)}
        assert len(keys) == 1  # the same request once more is a repeat
