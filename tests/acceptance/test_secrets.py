"""No code is kept in clear: the files of a shop that has sold some are searched for codes that we know.

Searched are the database file, its WAL, every other file of the data folder, the server's log, a backup, and on PostgreSQL every value of
every table; for each code and pin as text, hex, base64 (each way it can fall on three-byte groups) and UTF-16. A control is planted in
each of those shapes, and is found: a search that finds nothing proves nothing.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from cardrail.storage import metadata
from tests.acceptance.server import SKU, Place, Proved

pytestmark = [pytest.mark.prove]

CONTROL = "CONTROL-" + secrets.token_hex(8).upper()


def shapes(text: str) -> Iterator[bytes]:
    """Every form in which we look for a text, case aside for hex."""
    plain = text.encode()
    yield plain
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    for skipped in range(3):  # of the first group, which it may share with what stands before
        inner = plain[skipped : len(plain) - (len(plain) - skipped) % 3]
        yield base64.b64encode(inner)
        yield base64.urlsafe_b64encode(inner)


def search(files: dict[str, bytes], texts: list[str]) -> list[str]:
    """The names of the files that hold any shape of any of the texts."""
    wanted = {shape for text in texts for shape in shapes(text)}
    return [name for name, data in files.items() if any(shape in data for shape in wanted)]


def everything(place: Place, backup: Path) -> dict[str, bytes]:
    """All that is kept, by name."""
    files = {
        path.name: path.read_bytes() for path in place.home.rglob("*") if path.is_file() and path.parent != place.home / "given"
    }
    assert backup.name in files
    if not place.url.startswith("sqlite"):
        files |= tables(place.url)
    return files


def tables(url: str) -> dict[str, bytes]:
    """Every table of a PostgreSQL as a binary copy: what is in its rows, byte for byte."""
    libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    found = {}
    with psycopg.connect(libpq) as connection:
        for table in metadata.sorted_tables:
            statement = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(table.name))
            with connection.cursor().copy(statement) as copy:
                found[f"table {table.name}"] = b"".join(copy)
    return found


def test_no_code_is_kept_in_clear(place: Place, backend: str, proved: Proved) -> None:
    codes = [f"SECRET-{secrets.token_hex(10).upper()}" for _ in range(60)]
    pins = [f"PIN{secrets.token_hex(8)}" for _ in codes]
    given = place.home / "given"
    given.mkdir()
    sheet = given / "codes.csv"
    sheet.write_text("code,pin\n" + "".join([f"{code},{pin}\n" for code, pin in zip(codes, pins, strict=True)]))
    place.cli("codes", "import", str(sheet), "--sku", SKU, "--cost", "9.00")
    place.cli("codes", "import", str(sheet), "--sku", SKU, status=1)  # all are duplicates: reported by line
    backup = place.home / "copy.backup"
    with place.serving() as server, server.buyer() as buyer:
        sold = [buyer.order(f"order-{turn}", quantity=5) for turn in range(6)]
        assert {code for one in sold for code in one.codes} <= set(codes)
        assert buyer.get(f"/v1/orders/{sold[0].body['id']}/codes").status == 200
        assert buyer.order(f"as a key {CONTROL}", reference=CONTROL).status == 201
        place.cli("backup", str(backup))
        with place.log.open("a") as log:
            log.write(f"planted: {CONTROL}\n")
        files = everything(place, backup)
    assert search(files, codes + pins) == []
    found = search(files, [CONTROL])
    assert {backup.name, place.log.name} <= set(found)
    assert ("cardrail.db-wal" if backend == "sqlite" else "table orders") in found
    if backend == "sqlite":
        assert {"cardrail.db", "cardrail.db-wal"} <= set(files)
    place.rows("orders")  # the server has stopped: whoever closes SQLite last moves the WAL into the database file
    settled = everything(place, backup)
    assert search(settled, codes + pins) == []
    assert ("cardrail.db" if backend == "sqlite" else "table orders") in search(settled, [CONTROL])
    proved(
        f"{len(codes + pins)} codes and pins in {len(files)} files and tables: none; the control in {', '.join(sorted(found))}"
    )


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_the_search_finds_a_planted_code_in_every_shape(before: str) -> None:
    """Whatever stands before it, and so however base64 falls on it."""
    text = (before + CONTROL).encode()
    shown = (text, text.hex().encode(), text.hex().upper().encode(), base64.b64encode(text), base64.urlsafe_b64encode(text))
    for data in (*shown, text.decode().encode("utf-16-le"), text.decode().encode("utf-16-be")):
        assert search({"planted": b"..." + data + b"..."}, [CONTROL]) == ["planted"]
