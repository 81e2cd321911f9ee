"""The claim page over HTTP: a button first, the codes behind it, and nothing for previews, caches or search engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from cardrail.api.claim import pages
from cardrail.api.claim.words import WORDS, language_of
from cardrail.catalog import set_barcode
from cardrail.config import Settings
from cardrail.kernel import Mode
from cardrail.vault import create_key_file
from tests.api.build import Served, assert_problem
from tests.api.conftest import serving

LOGO = b"\x89PNG not really"


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    """The server's, with a brand."""
    create_key_file(tmp_path / "master.keys")
    (tmp_path / "logo.png").write_bytes(LOGO)
    return Settings(
        database_url=db_url,
        data_dir=tmp_path,
        node="main",
        brand_name="Tea & Co",
        brand_color="#7a1f3d",
        brand_logo=tmp_path / "logo.png",
        brand_contact="help@tea.example",
    )


@pytest.fixture
def recipient() -> Iterator[httpx2.Client]:
    """Somebody with a browser and without a key."""
    with httpx2.Client(timeout=60, trust_env=False) as client:
        yield client


def a_link(server: Served, **wish: Any) -> dict[str, Any]:
    """A link to a fresh order's code."""
    order = server.order()
    made = server.live.post(f"/v1/orders/{order['id']}/claims", json=wish)
    assert made.status_code == 201, made.text
    claim: dict[str, Any] = made.json()["data"][0]
    return claim | {"code": order["items"][0]["codes"][0]["code"], "order": order["id"]}


class Outline(HTMLParser):
    """What a page is made of, for the tests that look at it without a browser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_code_is_behind_the_button(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server)
    before = recipient.get(claim["url"])
    assert before.status_code == 200
    assert claim["code"] not in before.text
    assert "Tea voucher" in before.text
    (form,) = Outline(before.text).all("form")
    assert form["method"] == "post"
    after = recipient.post(claim["url"])
    assert claim["code"] in after.text
    assert ">Copy</button>" in after.text
    states = server.live.get(f"/v1/orders/{claim['order']}/claims").json()["data"]
    assert [one["state"] for one in states] == ["CLAIMED"]


def test_a_preview_claims_nothing(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server)
    for method in ("GET", "HEAD"):
        recipient.request(method, claim["url"], headers={"User-Agent": "LinkPreview/1.0"})
    states = server.live.get(f"/v1/orders/{claim['order']}/claims").json()["data"]
    assert states[0]["state"] == "UNCLAIMED"
    assert states[0]["claimed_at"] is None


def test_the_page_is_kept_nowhere_and_loads_nothing_from_elsewhere(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server)
    for answer in (recipient.get(claim["url"]), recipient.post(claim["url"])):
        headers = answer.headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        page = Outline(answer.text)
        loaded = [one.get("src") or one.get("href") for tag in ("script", "link", "img") for one in page.all(tag)]
        assert loaded
        assert all(str(one).startswith("/c/-/") for one in loaded)
        for path in loaded:
            assert recipient.get(server.url + str(path)).status_code == 200
        assert "<style" not in answer.text
        assert not re.search(r"\son\w+=", answer.text)


def test_a_protected_link_asks_for_its_pin(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server, protection="PROTECTED", pin="4711")
    assert claim["pin"] == "4711"
    asked = recipient.post(claim["url"])
    assert asked.status_code == 403
    wrong = recipient.post(claim["url"], data={"pin": "0000"})
    assert (wrong.status_code, claim["code"] in wrong.text) == (403, False)
    assert "Tries left: 4" in wrong.text
    assert Outline(wrong.text).all("input")[0]["aria-invalid"] == "true"
    right = recipient.post(claim["url"], data={"pin": "4711"})
    assert claim["code"] in right.text


def test_five_wrong_pins_lock_it(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server, protection="PROTECTED", pin="4711")
    for _ in range(4):
        recipient.post(claim["url"], data={"pin": "0000"})
    last = recipient.post(claim["url"], data={"pin": "0000"})
    assert last.status_code == 429
    assert "15 minutes" in last.text
    renewed = server.live.post(f"/v1/claims/{claim['id']}/pin").json()["pin"]
    assert claim["code"] in recipient.post(claim["url"], data={"pin": renewed}).text


@pytest.mark.parametrize("token", ["x", "0" * 48, "A" * 300, "%2e%2e", "%00"])
def test_what_leads_nowhere_looks_the_same_for_all(server: Served, recipient: httpx2.Client, token: str) -> None:
    revoked = a_link(server)
    server.live.post(f"/v1/claims/{revoked['id']}/revoke")
    nowhere, gone = recipient.get(f"{server.url}/c/{token}"), recipient.get(revoked["url"])
    assert (nowhere.status_code, gone.status_code) == (404, 404)
    assert nowhere.text == gone.text
    assert recipient.post(revoked["url"]).text == gone.text


def test_a_recipient_is_greeted_and_everything_he_could_write_is_escaped(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server, recipient="<script>alert(1)</script>")
    text = recipient.get(claim["url"]).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "Tea &amp; Co" in text


@pytest.mark.parametrize(
    ("accept", "language", "direction"),
    [("ar-EG,en;q=0.5", "ar", "rtl"), ("fr;q=0.9,de;q=1.0", "de", "ltr"), ("xx", "en", "ltr")],
)
def test_the_page_speaks_the_readers_language(
    server: Served, recipient: httpx2.Client, accept: str, language: str, direction: str
) -> None:
    claim = a_link(server)
    answer = recipient.get(claim["url"], headers={"Accept-Language": accept})
    (html,) = Outline(answer.text).all("html")
    assert html == {"lang": language, "dir": direction}
    assert WORDS[language]["show"] in answer.text


def test_the_claims_own_language_comes_first(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server, language="hi")
    answer = recipient.get(claim["url"], headers={"Accept-Language": "fr"})
    assert answer.headers["content-language"] == "hi"


def test_every_language_has_every_word() -> None:
    for language, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), language
        for name, text in words.items():
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", WORDS["en"][name]), (language, name)


@pytest.mark.parametrize(
    ("accept", "language"),
    [(None, "en"), ("", "en"), (";;;,,q=", "en"), ("de;q=0, fr", "fr"), ("de;q=x,es", "es"), ("a" * 9_000, "en")],
)
def test_a_language_is_found_in_whatever_is_sent(accept: str | None, language: str) -> None:
    assert language_of(None, accept) == language


def test_the_operators_face_is_on_it(server: Served, recipient: httpx2.Client) -> None:
    assert recipient.get(server.url + "/c/-/logo").content == LOGO
    assert "#7a1f3d" in recipient.get(server.url + "/c/-/brand.css").text
    assert "help@tea.example" in recipient.get(a_link(server)["url"]).text
    assert recipient.get(server.url + "/c/-/page.html").status_code == 404


def test_claims_are_the_partners_own(server: Served) -> None:
    claim = a_link(server)
    stranger = server.stranger()
    assert_problem(stranger.get(f"/v1/orders/{claim['order']}/claims"), 404, "order_not_found")
    assert_problem(stranger.post(f"/v1/claims/{claim['id']}/revoke"), 404, "claim_not_found")
    assert_problem(stranger.post("/v1/claims/nonsense/revoke"), 404, "claim_not_found")


@pytest.mark.parametrize(
    "wish", [{"per": "box"}, {"pin": "12"}, {"pin": "1234"}, {"expires_days": 0}, {"recipient": ""}, {"extra": 1}]
)
def test_a_wrong_wish_makes_no_link(server: Served, wish: dict[str, Any]) -> None:
    order = server.order()
    answer = server.live.post(f"/v1/orders/{order['id']}/claims", json=wish)
    assert answer.status_code in {400, 422}
    assert server.live.get(f"/v1/orders/{order['id']}/claims").json()["data"] == []


# --- an order that is delivered by us ------------------------------------------------------------------------------------


def test_an_order_with_a_delivery_answers_with_links_and_no_codes(server: Served, recipient: httpx2.Client) -> None:
    body = {"items": [{"sku": "TEA", "quantity": 2}], "delivery": {"per": "unit", "protection": "PROTECTED", "recipient": "Ann"}}
    answer = server.live.post("/v1/orders", json=body, headers={"Idempotency-Key": "gift-1"})
    assert answer.status_code == 201, answer.text
    placed = answer.json()
    assert placed["items"][0]["codes"] is None
    assert [(one["line"], one["unit"], one["state"]) for one in placed["claims"]] == [(1, 1, "UNCLAIMED"), (1, 2, "UNCLAIMED")]
    first = placed["claims"][0]
    assert "Hello Ann" in recipient.get(first["url"]).text
    assert 'class="secret"' in recipient.post(first["url"], data={"pin": first["pin"]}).text
    again = server.live.post("/v1/orders", json=body, headers={"Idempotency-Key": "gift-1"}).json()
    assert [(one["id"], one["pin"]) for one in again["claims"]] == [(one["id"], None) for one in placed["claims"]]
    assert again["claims"][0]["state"] == "CLAIMED"


def test_an_order_for_a_channel_that_is_not_set_up_is_refused_and_costs_nothing(server: Served) -> None:
    before = server.rows()
    body = {"items": [{"sku": "TEA", "quantity": 1}], "delivery": {"email": "ann@example.org"}}
    assert_problem(server.live.post("/v1/orders", json=body), 422, "channel_not_set")
    assert server.rows()["orders"] == before["orders"]


@pytest.mark.parametrize(
    "delivery", [{"email": "nobody"}, {"pin": "1234"}, {"deliver_at": "soon"}, {"include_codes": True, "protection": "PROTECTED"}]
)
def test_a_delivery_that_cannot_be_is_refused_before_the_order(server: Served, delivery: dict[str, Any]) -> None:
    before = server.rows()
    answer = server.live.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}], "delivery": delivery})
    assert answer.status_code in {400, 422}, answer.text
    assert server.rows()["orders"] == before["orders"]


def test_a_key_that_may_not_see_codes_gets_no_links_to_them(server: Served) -> None:
    client = server.client(server.a_key("orders:write", mode=Mode.TEST))
    body = {"items": [{"sku": "TEST_OK", "quantity": 1}], "delivery": {"protection": "PROTECTED"}}
    assert_problem(client.post("/v1/orders", json=body), 403, "scope_missing")


def test_a_form_that_is_none_of_ours_is_a_form_without_a_pin(server: Served, recipient: httpx2.Client) -> None:
    claim = a_link(server, protection="PROTECTED", pin="4711")
    assert recipient.post(claim["url"], content=b"a=1&b=2&c=3&d=4&e=5").status_code == 403


def test_a_wait_beyond_all_measure_is_the_longest_wait(server: Served) -> None:
    body = {"items": [{"sku": "TEA", "quantity": 1}]}
    assert server.live.post("/v1/orders", json=body, headers={"Prefer": "wait=" + "9" * 5_000}).status_code == 201


def test_an_order_s_messages_are_seen_and_sent_again_by_its_partner(mailing: Served) -> None:
    placed = mailing.order(delivery={"email": "ann@example.org"})
    (message,) = mailing.live.get(f"/v1/orders/{placed['id']}/messages").json()["data"]
    assert (message["channel"], message["address"], message["state"]) == ("email", "ann@example.org", "waiting")
    again = mailing.live.post(f"/v1/messages/{message['id']}/resend", json={"address": "ann@example.com"})
    assert (again.status_code, again.json()["address"]) == (201, "ann@example.com")
    assert len(mailing.live.get(f"/v1/orders/{placed['id']}/messages").json()["data"]) == 2
    stranger = mailing.stranger()
    assert_problem(stranger.get(f"/v1/orders/{placed['id']}/messages"), 404, "order_not_found")
    assert_problem(stranger.post(f"/v1/messages/{message['id']}/resend"), 404, "message_not_found")
    assert_problem(mailing.live.post(f"/v1/messages/{message['id']}/resend", json={"address": "ann"}), 422, "invalid_delivery")


@pytest.fixture
def mailing(settings: Settings) -> Iterator[Served]:
    """A server that has a mail server, which nobody asks here."""
    with serving(
        settings.model_copy(update={"smtp_url": SecretStr("smtp://127.0.0.1:1"), "mail_from": "gifts@tea.example"})
    ) as served:
        served.cardrail.jobs.prepare()
        yield served


def test_a_code_that_is_scanned_is_drawn_beside_its_text(server: Served, recipient: httpx2.Client) -> None:
    set_barcode(server.cardrail.db, server.cardrail.clock, server.cardrail.audit, "TEA", "CODE128", actor="test")
    server.settle()
    claim = a_link(server, language="de")
    page = recipient.post(claim["url"]).text
    (drawn,) = [one for one in Outline(page).all("svg") if one.get("role") == "img"]
    assert drawn["aria-label"] == "Strichcode mit dem Code"
    assert claim["code"] in page
    assert "<svg" not in recipient.get(claim["url"]).text


def test_of_very_many_codes_only_the_first_are_drawn(
    server: Served, recipient: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_barcode(server.cardrail.db, server.cardrail.clock, server.cardrail.audit, "TEA", "QR", actor="test")
    server.settle()
    monkeypatch.setattr(pages, "SCANS_MAX", 2)
    order = server.order(quantity=3)
    link = server.live.post(f"/v1/orders/{order['id']}/claims", json={}).json()["data"][0]["url"]
    page = recipient.post(link).text
    assert len([one for one in Outline(page).all("svg") if one.get("role") == "img"]) == 2
    assert page.count('class="secret"') >= 3
