"""The machine's own Chromium, without the calls home that it makes by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

VARIABLE: Final = "CARDRAIL_CHROMIUM"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = (
    "--no-sandbox",  # tests run as root in containers, and open only our own pages
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
)


def path() -> str:
    """Where it is. Raises RuntimeError where there is none: what is not there is not silently untested."""
    found = os.environ.get(VARIABLE) or next((one for name in NAMES if (one := shutil.which(name))), None)
    if found is None:
        raise RuntimeError(f"no Chromium: scripts/browser.sh installs it, or set {VARIABLE}")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless browser with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), headless=True, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()
