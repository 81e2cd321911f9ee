"""The claim page as people meet it: in Chromium, on a phone, from right to left, by keyboard, without a script, on paper and at a till."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect
from pytest_httpserver import HTTPServer

from cardrail.storage import metadata
from tests.browser.conftest import People, faults
from tests.browser.shop import GiftShop

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {"width": 360, "height": 740, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
STATES = ("closed", "pin", "wrong pin", "opened", "several", "link", "expired", "gone")


def press(page: Page) -> None:
    page.locator("form button").click()


def secret(page: Page) -> str:
    return page.locator(".secret").first.inner_text()


def expire(shop: GiftShop, claim: dict[str, Any]) -> None:
    """Let its time be over."""
    claims = metadata.tables["claims"]
    with shop.served.cardrail.db.transaction() as tx:
        tx.execute(sa.update(claims).where(claims.c.id == claim["id"]).values(expires_at=1))


def arrive(shop: GiftShop, page: Page, state: str, **wish: Any) -> Page:
    """Bring a page to one of STATES."""
    protected = {"protection": "PROTECTED"} if "pin" in state else {}
    sku, quantity = {"several": ("TRAIL", 3), "link": ("LINK", 1)}.get(state, ("FIG", 1))
    claim = shop.gift(sku, quantity, **protected, **wish)
    if state == "expired":
        expire(shop, claim)
    if state == "gone":
        shop.revoke(claim)
    page.goto(claim["url"])
    if state == "wrong pin":
        page.locator("#pin").fill("0000")
    if state in {"opened", "several", "link", "wrong pin"}:
        press(page)
    return page


def test_looking_shows_the_product_and_pressing_the_button_shows_the_code(shop: GiftShop, people: People) -> None:
    claim, ann = shop.gift(recipient="Ann"), people()
    page = ann.look(claim)
    expect(page.locator("h1")).to_have_text("Hello Ann")
    expect(page.locator(".tile")).to_contain_text("€50")
    assert "FIG7" not in page.content()
    assert shop.state(claim) == "UNCLAIMED"
    press(page)
    code = secret(page)
    assert code.startswith("FIG7-K2QX-")
    assert shop.state(claim) == "CLAIMED"
    expect(page.locator("main")).to_contain_text("Valid until December 31, 2027")
    expect(page.locator("main")).to_contain_text("Show the code when you pay")
    ann.check(code)


def test_the_answer_is_kept_by_nobody_and_tells_nobody_where_it_was(shop: GiftShop, people: People, redeemer: HTTPServer) -> None:
    claim, ann = shop.gift("LINK"), people()
    page = ann.page()
    first = page.goto(claim["url"])
    assert first is not None
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        press(page)
    for answer in (first, posted.value):
        assert answer.headers["cache-control"] == "no-store"
        assert "noindex" in answer.headers["x-robots-tag"]
    ann.check(secret(page))
    page.get_by_role("link", name="Redeem online").click()
    expect(page.locator("body")).to_have_text("thank you")
    (request,) = [one for one, _ in redeemer.log if one.path.startswith("/redeem/")]
    assert "Referer" not in request.headers
    page.goto(claim["url"])
    expect(page.locator("form button")).to_be_visible()  # what was opened does not lie around in the browser


def test_a_wrong_pin_is_counted_and_the_sixth_is_not_even_looked_at(shop: GiftShop, people: People) -> None:
    claim, ann = shop.gift(protection="PROTECTED"), people()
    page = ann.look(claim)
    for left in (4, 3, 2, 1):
        page.locator("#pin").fill("0000")
        press(page)
        expect(page.get_by_role("alert")).to_contain_text(f"Tries left: {left}")
        assert "FIG7" not in page.content()
    for pin in ("0000", claim["pin"]):
        page.locator("#pin").fill(pin)
        press(page)
        expect(page.get_by_role("alert")).to_contain_text("Too many wrong PINs. Try again in 15 minutes.")
    assert shop.state(claim) == "UNCLAIMED"
    ann.check(claim["pin"])


@pytest.mark.parametrize("state", ["expired", "gone"])
def test_what_is_over_says_so_and_has_no_button(shop: GiftShop, people: People, state: str) -> None:
    ann = people()
    page = arrive(shop, ann.page(), state)
    expect(page.locator("h1")).to_have_text("This link leads nowhere")
    assert page.locator("button").count() == 0
    ann.check()


def test_a_link_that_expires_before_the_button_is_pressed_opens_nothing(shop: GiftShop, people: People) -> None:
    claim, ann = shop.gift(expires_days=1), people()
    page = ann.look(claim)
    expire(shop, claim)
    press(page)
    expect(page.locator("h1")).to_have_text("This link leads nowhere")


def test_two_who_press_at_once_see_the_same_code_and_it_is_claimed_once(shop: GiftShop, people: People) -> None:
    claim = shop.gift()
    pages = [people().look(claim), people().look(claim)]
    for page in pages:
        page.evaluate("() => setTimeout(() => document.forms[0].submit())")
    for page in pages:
        page.wait_for_selector(".secret")
    assert secret(pages[0]) == secret(pages[1])
    events = shop.client.get("/v1/events", params={"types": "claim.opened", "limit": "100"}).json()["data"]
    assert [one["data"]["order_id"] for one in events].count(claim["order_id"]) == 1


def test_it_works_without_a_script_but_for_copying(shop: GiftShop, people: People) -> None:
    claim, ann = shop.gift(protection="PROTECTED"), people(java_script_enabled=False)
    page = ann.look(claim)
    page.locator("#pin").fill(claim["pin"])
    press(page)
    assert secret(page).startswith("FIG7-")
    expect(page.locator(".copy").first).to_be_hidden()
    page.locator("summary").click()
    expect(page.locator("details .text")).to_be_visible()
    ann.check(claim["pin"])


def test_the_copy_button_copies_and_says_so(shop: GiftShop, people: People) -> None:
    ann = people(permissions=["clipboard-read", "clipboard-write"])
    page = arrive(shop, ann.page(), "opened")
    button = page.get_by_role("button", name="Copy: Code")
    button.click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == secret(page)
    ann.check(secret(page))


def test_by_keyboard_alone_it_is_opened_and_copied(shop: GiftShop, people: People) -> None:
    claim, ann = shop.gift(protection="PROTECTED"), people(permissions=["clipboard-read", "clipboard-write"])
    page = ann.look(claim)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "pin"
    page.keyboard.type(claim["pin"])
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")
    page.wait_for_selector(".secret")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == secret(page)
    for _ in range(2):  # the PIN's button, then the terms
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("details .text")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("state", STATES)
def test_on_a_phone_each_state_fits_and_breaks_no_rule_of_accessibility(
    shop: GiftShop, people: People, state: str, language: str
) -> None:
    ann = people(**PHONE, locale=language)
    page = arrive(shop, ann.page(), state)
    assert page.locator("html").get_attribute("dir") == ("rtl" if language == "ar" else "ltr")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert faults(page) == []
    ann.check()


@pytest.mark.parametrize("state", STATES)
def test_in_the_dark_and_wide_it_breaks_no_rule_either(shop: GiftShop, people: People, state: str) -> None:
    assert faults(arrive(shop, people(color_scheme="dark").page(), state)) == []


def test_a_long_name_and_a_long_code_fit_a_phone(shop: GiftShop, people: People) -> None:
    ann = people(**PHONE)
    page = ann.look(shop.gift("PLAIN", recipient="Wolfeschlegelsteinhausenbergerdorff" * 2))
    press(page)
    assert len(secret(page)) == 58
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_code_reads_from_left_to_right_in_a_page_from_right_to_left(shop: GiftShop, people: People) -> None:
    page = arrive(shop, people(locale="ar").page(), "opened")
    assert page.evaluate("getComputedStyle(document.querySelector('.secret')).direction") == "ltr"
    expect(page.locator(".tile h2")).to_have_text("بطاقة هدايا مقهى بلو فيج")


@pytest.mark.parametrize(("sku", "kind"), [("FIG", "QR-Code"), ("TRAIL", "CODE-128"), ("TILL", "EAN-13")])
def test_what_is_drawn_is_the_code_to_a_scanner(shop: GiftShop, people: People, tmp_path: Path, sku: str, kind: str) -> None:
    ann = people(**PHONE, color_scheme="dark")
    page = ann.look(shop.gift(sku))
    press(page)
    page.get_by_role("img", name="with the code").screenshot(path=tmp_path / "scan.png")
    read = subprocess.run(["zbarimg", "--quiet", tmp_path / "scan.png"], capture_output=True, text=True, check=True)
    assert read.stdout.strip() == f"{kind}:{secret(page)}"
    ann.check(secret(page))


def test_on_paper_the_code_stays_and_the_buttons_go(shop: GiftShop, people: People) -> None:
    page = arrive(shop, people().page(), "opened")
    page.emulate_media(media="print")
    expect(page.locator(".secret").first).to_be_visible()
    expect(page.locator(".copy").first).to_be_hidden()
