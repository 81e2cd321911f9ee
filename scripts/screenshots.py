"""Take the pictures of docs/images anew: `make screenshots`, or `python -m scripts.screenshots` where Chromium is.

The shop, its brands and its codes are made up, and the same each time; what Chromium draws is reduced to a palette, so that a picture
is some 40 to 60 kB.
"""

import base64
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page
from tests.api.conftest import serving
from tests.browser.chromium import launched
from tests.browser.shop import GiftShop

from cardrail.config import Settings
from cardrail.storage import Database
from cardrail.storage.migrations import migrate
from cardrail.vault import create_key_file

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
COLOURS: Final = 128
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1180, "height": 760}, "device_scale_factor": 1.5}


def main() -> None:
    """A shop of its own, a browser, a picture each."""
    with tempfile.TemporaryDirectory(prefix="cardrail-pictures-") as folder:
        home = Path(folder)
        database = Database(f"sqlite:///{home}/cardrail.db")
        migrate(database)
        database.close()
        create_key_file(home / "master.keys")
        settings = Settings(
            database_url=f"sqlite:///{home}/cardrail.db",
            data_dir=home,
            node="main",
            brand_name="Fig & Friends",
            brand_color="#0f766e",
            brand_contact="help@figandfriends.example",
        )
        IMAGES.mkdir(exist_ok=True)
        with serving(settings) as served, launched() as browser:
            _take_all(GiftShop(served, {}), browser)


def _take_all(shop: GiftShop, browser: Browser) -> None:
    def gift(sku: str, code: str, **delivery: Any) -> dict[str, Any]:
        shop.served.world.stock(sku, code.splitlines())  # one at a time, because codes of a lot leave it in any order
        return shop.gift(sku, **delivery)

    fig = "code,pin,expires_at\nFIG7-K2QX-9M0{}-WTRA,410{},2027-12-31"
    _take(browser, "claim-phone-closed", PHONE, gift("FIG", fig.format(1, 1), recipient="Ann"))
    _take(browser, "claim-phone-open", PHONE, gift("FIG", fig.format(2, 2), recipient="Ann"), opens=True)
    _take(browser, "claim-phone-arabic", PHONE, gift("FIG", fig.format(3, 3), language="ar"), opens=True)
    _take(browser, "claim-desktop-pin", DESKTOP, gift("FIG", fig.format(4, 4), recipient="Ann", protection="PROTECTED"))
    trail = gift("TRAIL", "code,serial\nTRL-5502-8801-1947,SN-0001", recipient="Ann")
    _take(browser, "claim-desktop-dark", DESKTOP | {"color_scheme": "dark"}, trail, opens=True)


def _take(browser: Browser, name: str, screen: dict[str, Any], claim: dict[str, Any], *, opens: bool = False) -> None:
    context = browser.new_context(locale="en-US", **screen)
    page = context.new_page()
    page.goto(claim["url"])
    if opens:
        page.locator("form button").click()
        page.wait_for_selector(".secret")
        page.wait_for_timeout(200)
    target = IMAGES / f"{name}.png"
    target.write_bytes(_smaller(page, page.screenshot(full_page=opens)))
    context.close()
    print(f"{target.relative_to(IMAGES.parent.parent)}  {target.stat().st_size // 1024} kB")


def _smaller(page: Page, picture: bytes) -> bytes:
    """The picture with its 128 commonest colours, all others as the nearest of them: PNG of a palette (RFC 2083), a quarter of the size."""
    blank = page.context.new_page()
    width, height, palette, drawn = blank.evaluate(_REDUCE, [base64.b64encode(picture).decode(), COLOURS])
    pixels = base64.b64decode(drawn)
    lines = b"".join([b"\0" + pixels[at : at + width] for at in range(0, width * height, width)])
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = bytes([channel for colour in palette for channel in colour])
    chunks = ((b"IHDR", head), (b"PLTE", colours), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(name, data) for name, data in chunks])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_REDUCE: Final = """async ([data, most]) => {
  const picture = new Image();
  picture.src = 'data:image/png;base64,' + data;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height), context = canvas.getContext('2d');
  context.drawImage(picture, 0, 0);
  const all = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const counts = new Map();
  for (const one of all) counts.set(one, (counts.get(one) || 0) + 1);
  const split = (one) => [one & 255, (one >> 8) & 255, (one >> 16) & 255];
  const palette = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, most).map(([one]) => split(one));
  const nearest = new Map();
  const find = (one) => {
    const [r, g, b] = split(one);
    let best = 0, least = Infinity;
    palette.forEach(([x, y, z], place) => {
      const far = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
      if (far < least) { least = far; best = place; }
    });
    nearest.set(one, best);
    return best;
  };
  let text = '';
  for (const one of all) text += String.fromCharCode(nearest.get(one) ?? find(one));
  return [canvas.width, canvas.height, palette, btoa(text)];
}"""


if __name__ == "__main__":
    main()
