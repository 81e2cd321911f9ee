"""A shop of gifts that is served once for all these tests, and a browser that writes down what it did."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_httpserver import HTTPServer

from cardrail.api.claim import pages
from cardrail.config import Settings
from cardrail.vault import create_key_file
from tests.api.conftest import serving
from tests.browser.chromium import launched
from tests.browser.shop import GiftShop

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
WATCH = """
document.addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI));
"""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """These are for `make browser` alone: they need programs that a machine may lack, and nobody else's `-m` should find them."""
    return None if config.option.markexpr == "browser" else True


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the module: while it is open no other event loop can run on this thread."""
    with launched() as opened:
        yield opened


@pytest.fixture(scope="module")
def redeemer() -> Iterator[HTTPServer]:
    """The site where a link is redeemed."""
    server = HTTPServer()
    server.start()
    server.expect_request(re.compile("/redeem/.*")).respond_with_data("thank you", content_type="text/html")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, redeemer: HTTPServer) -> Iterator[GiftShop]:
    """The gifts, served from SQLite: what a browser sees does not depend on the database."""
    folder = tmp_path_factory.mktemp("gifts")
    shutil.copyfile(migrated_sqlite, folder / "cardrail.db")
    create_key_file(folder / "master.keys")
    settings = Settings(
        database_url=f"sqlite:///{folder / 'cardrail.db'}",
        data_dir=folder,
        node="main",
        brand_name="Fig & Friends",
        brand_color="#0f766e",
        brand_contact="help@figandfriends.example",
    )
    with pytest.MonkeyPatch.context() as patch, serving(settings) as served:
        patch.setattr(pages, "LOOKS_PER_MINUTE", 10_000)  # one address is everybody here
        yield GiftShop(served, redeem_url=redeemer.url_for("").rstrip("/"))


@dataclass
class Recipient:
    """Somebody with a browser, whose requests and complaints are kept."""

    context: BrowserContext
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def page(self) -> Page:
        page = self.context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def look(self, claim: dict[str, Any]) -> Page:
        page = self.page()
        page.goto(claim["url"])
        return page

    def check(self, *secrets: str) -> None:
        """Nothing was fetched from elsewhere, no address held a secret, and the browser had nothing to complain about."""
        assert self.requests
        assert [one for one in self.requests if not one.startswith(self.url + "/c/")] == []
        assert [one for one in self.requests for secret in secrets if secret in one] == []
        assert [one for one in self.complaints if "status of 4" not in one] == []  # our own refusals, as Chromium words them


class People:
    """Makes recipients, each with what is special about him."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.made: list[Recipient] = []

    def __call__(self, *, width: int = 1280, height: int = 800, **options: Any) -> Recipient:
        options = {"locale": "en-GB"} | options
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(20_000)
        context.add_init_script(WATCH)
        self.made.append(Recipient(context, self._url))
        return self.made[-1]


@pytest.fixture
def people(browser: Browser, shop: GiftShop) -> Iterator[People]:
    made = People(browser, shop.served.url)
    yield made
    for one in made.made:
        one.context.close()


def faults(page: Page) -> list[str]:
    """What axe's rules find, all of them, best practices too."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]
