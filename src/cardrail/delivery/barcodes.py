"""A code as a till scans it: QR (ISO/IEC 18004), Code 128 (ISO/IEC 15417) and EAN-13 (ISO/IEC 15420), drawn here and never fetched.

A drawing is a grid of dark and light modules, with the quiet zone that scanners need. A web page gets it as SVG, which no script and no
inline style is part of; a message gets it as PNG, because mail programs show no SVG.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import segno
from barcode.codex import Code128
from barcode.ean import EuropeanArticleNumber13

QR_QUIET: Final = 4
"""Light modules around a QR code."""
BAR_QUIET: Final = 11
"""Light modules beside bars: EAN-13 wants 11 on its left, Code 128 wants 10."""
BAR_HEIGHT: Final = 40
"""Of bars, in modules."""
QR_MAX: Final = 1_000
"""Characters; a code beyond that is a text that no till scans."""
BARS_MAX: Final = 80
_EAN: Final = re.compile(r"[0-9]{13}")
_LATIN: Final = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True)
class Barcode:
    """Modules row by row, dark ones true, quiet zone included; each row is ``height`` modules high."""

    kind: str
    rows: tuple[tuple[bool, ...], ...]
    height: int = 1

    def __repr__(self) -> str:
        return f"Barcode({self.kind!r})"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in modules."""
        return len(self.rows[0]), len(self.rows) * self.height

    def path(self) -> str:
        """The dark modules as the path of an SVG whose view box is ``size``."""
        parts = []
        for y, row in enumerate(self.rows):
            parts += [f"M{x} {y * self.height}h{width}v{self.height}h-{width}z" for x, width in _runs(row)]
        return "".join(parts)

    def png(self, scale: int = 4) -> bytes:
        """A PNG of one bit a pixel (RFC 2083), each module ``scale`` pixels wide and high."""
        lines = []
        for row in self.rows:
            bits = "".join(["0" * scale if dark else "1" * scale for dark in row])
            line = b"\0" + int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big")
            lines.append(line * (scale * self.height))
        width, height = self.size
        head = struct.pack(">IIBBBBB", width * scale, height * scale, 1, 0, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(name, data) for name, data in chunks])


def draw(kind: str, text: str) -> Barcode | None:
    """What a till scans for this text; None where the kind cannot hold it (EAN-13 is 13 digits with their check digit).

    It never raises: whoever has bought a code is shown it, whatever is in it.
    """
    if kind == "QR" and 0 < len(text) <= QR_MAX:
        try:
            code = segno.make_qr(text, error="m", boost_error=False)
        except (segno.DataOverflowError, UnicodeError):  # as bytes it is longer than as characters
            return None
        rows = tuple([tuple([bool(one) for one in row]) for row in code.matrix])
        return Barcode(kind, _with_quiet_zone(rows))
    if kind == "CODE128" and len(text) <= BARS_MAX and _LATIN.fullmatch(text):
        return _bars(kind, Code128(text).build())
    if kind == "EAN13" and _EAN.fullmatch(text) and ean_check_digit(text[:12]) == text[12]:
        return _bars(kind, EuropeanArticleNumber13(text).build())
    return None


def ean_check_digit(digits: str) -> str:
    """The thirteenth digit of these twelve: odd places count once, even ones three times."""
    total = sum([int(one) * (3 if place % 2 else 1) for place, one in enumerate(digits)])
    return str(-total % 10)


def _bars(kind: str, built: Sequence[str]) -> Barcode:
    quiet = (False,) * BAR_QUIET
    return Barcode(kind, ((*quiet, *[one == "1" for one in built[0]], *quiet),), BAR_HEIGHT)


def _with_quiet_zone(rows: tuple[tuple[bool, ...], ...]) -> tuple[tuple[bool, ...], ...]:
    side = (False,) * QR_QUIET
    above = ((False,) * (len(rows[0]) + 2 * QR_QUIET),) * QR_QUIET
    return (*above, *[(*side, *row, *side) for row in rows], *above)


def _runs(row: Sequence[bool]) -> list[tuple[int, int]]:
    """(start, width) of each run of dark modules."""
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if not dark:
            continue
        if runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    return runs


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
