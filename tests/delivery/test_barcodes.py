"""What tills scan, against published vectors. `make browser` has a scanner read each kind from the page."""

from __future__ import annotations

import struct
import zlib

import pytest

from cardrail.delivery import draw_barcode, readable_on

# Code set B, from the table of ISO/IEC 15417: start, P J J 1 2 3 C, check character 55, stop.
PJJ123C = (
    "11010010000 11101110110 10110111000 10110111000 10011100110 11001110010 11001011100 10001000110 11101000110 1100011101011"
)
# ISO/IEC 15420: 4 chooses L G L L G G for the left half.
LEFT = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
L = {str(digit): one for digit, one in enumerate(LEFT)}
R = {digit: one.translate(str.maketrans("01", "10")) for digit, one in L.items()}
G = {digit: one[::-1] for digit, one in R.items()}
EAN = "101" + L["0"] + G["0"] + L["3"] + L["9"] + G["9"] + G["4"] + "01010" + "".join([R[one] for one in "155486"]) + "101"


def modules(kind: str, text: str) -> str:
    """The dark and light ones of its only row, without the quiet zones."""
    drawn = draw_barcode(kind, text)
    assert drawn is not None
    (row,) = drawn.rows
    line = "".join(["1" if one else "0" for one in row])
    assert line.startswith("0" * 11)
    assert line.endswith("0" * 11)
    return line[11:-11]


def test_code_128_and_ean_13_are_those_of_the_standards() -> None:
    assert modules("CODE128", "PJJ123C") == PJJ123C.replace(" ", "")
    assert modules("EAN13", "4003994155486") == EAN


def test_a_qr_code_has_its_three_finders_and_a_quiet_zone_of_four() -> None:
    drawn = draw_barcode("QR", "FIG7-K2QX-9M04-WTRA")
    assert drawn is not None
    rows = ["".join(["#" if one else "." for one in row]) for row in drawn.rows]
    assert rows[:4] == ["." * len(rows)] * 4
    assert (rows[4][4:11], rows[4][-11:-4], rows[-5][4:11]) == ("#######",) * 3
    assert (rows[5][4:11], rows[6][4:11]) == ("#.....#", "#.###.#")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("EAN13", "4003994155487"),  # the check digit is 6
        ("EAN13", "GIFT-CODE"),
        ("CODE128", "ümlaut"),
        ("CODE128", "x" * 81),
        ("QR", ""),
        ("QR", "x" * 1_001),
        ("QR", "€" * 1_000),
        ("QR", "\ud800"),
        ("AZTEC", "1"),
    ],
)
def test_what_a_kind_cannot_hold_is_not_drawn(kind: str, text: str) -> None:
    assert draw_barcode(kind, text) is None


@pytest.mark.parametrize(("kind", "text"), [("QR", "ABC"), ("CODE128", "ABC"), ("EAN13", "4003994155486")])
def test_the_picture_and_the_path_show_the_same_modules(kind: str, text: str) -> None:
    drawn = draw_barcode(kind, text)
    assert drawn is not None
    picture = drawn.png(scale=3)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (drawn.size[0] * 3, drawn.size[1] * 3)
    at = picture.index(b"IDAT")
    size = struct.unpack(">I", picture[at - 4 : at])[0]
    lines = zlib.decompress(picture[at + 4 : at + 4 + size])
    stride = -(-width // 8) + 1
    middle = drawn.size[1] // 2
    bits = "".join([f"{one:08b}" for one in lines[(middle * 3 + 1) * stride + 1 : (middle * 3 + 2) * stride]])
    row = drawn.rows[middle // drawn.height]
    assert [bits[3 * x + 1] == "0" for x in range(drawn.size[0])] == list(row)
    starts = [
        int(part.split(" ")[0])
        for part in drawn.path().split("M")[1:]
        if part.split("h")[0].endswith(f" {middle // drawn.height * drawn.height}")
    ]
    assert starts == [x for x, dark in enumerate(row) if dark and not row[x - 1]]


@pytest.mark.parametrize(
    ("colour", "text"), [("#1d4ed8", "#ffffff"), ("#ffd400", "#16181d"), ("#767676", "#ffffff"), ("#777777", "#16181d")]
)
def test_what_is_written_on_a_colour_can_be_read(colour: str, text: str) -> None:
    assert readable_on(colour) == text
