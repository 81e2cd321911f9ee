"""`cardrail codes` and `cardrail keys` as the operator types them; and that no code ever comes back out."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cardrail.catalog import CatalogCache, import_catalog
from cardrail.cli import codes, keys
from cardrail.cli.context import refusals
from cardrail.kernel import Mode
from cardrail.ledger import verify_ledger
from cardrail.storage import Database
from cardrail.vault import InvalidImport, create_key_file, unsold_cost
from tests.build import SHEET
from tests.vault.build import Vault
from tests.vault.test_import import BAD_LINES

SECRETS = ["WXYZ-1111-AAAA", "WXYZ-2222-BBBB", "WXYZ-3333-CCCC"]
FILE = "code,pin\n" + "".join(f"{code},90210{n}\n" for n, code in enumerate(SECRETS))


@pytest.fixture
def vault(db: Database, tmp_path: Path) -> Vault:
    return Vault(db, create_key_file(tmp_path / "master.keys"))


@pytest.fixture
def sku(vault: Vault) -> str:
    import_catalog(vault.db, vault.clock, vault.audit, SHEET, actor="test")
    page = CatalogCache(vault.db, vault.clock).current().products()
    return next(one.offers[0].sku for one in page.products if one.code == "TEA")


@pytest.fixture
def run(vault: Vault, sku: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands on the test's database."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(
                db=vault.db,
                clock=vault.clock,
                audit=vault.audit,
                keyring=vault.keyring,
                catalog=CatalogCache(vault.db, vault.clock),
                settings=SimpleNamespace(node_name="main"),
            )

    monkeypatch.setattr(codes, "open_context", opened)
    monkeypatch.setattr(keys, "open_context", opened)

    def call(noun: Any, *words: str, data: str | None = None) -> Result:
        return CliRunner().invoke(noun.app, list(words), input=data)

    return call


def imported(run: Any, sku: str, *words: str, data: str = FILE) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run(codes, "import", "-", "--sku", sku, "--json", *words, data=data).stdout)
    return result


def test_an_import_books_its_cost_and_counts_as_stock(run: Any, sku: str, vault: Vault) -> None:
    done = imported(run, sku, "--cost", "95.00", "--supplier", "acme")
    assert (done["count"], done["cost"]) == (3, {"amount": "285.00", "currency": "INR"})
    (row,) = json.loads(run(codes, "stock", sku, "--json").stdout)["stock"]
    assert (row["available"], row["face_value"], row["currency"]) == (3, "100.00", "INR")
    with vault.db.read() as tx:
        assert unsold_cost(tx) == {(Mode.LIVE, "INR"): 28_500}
        assert verify_ledger(tx) == []


def test_a_block_its_undoing_and_the_undoing_of_the_import_leave_the_books_even(run: Any, sku: str, vault: Vault) -> None:
    lot = imported(run, sku, "--lot-cost", "100.00")["lot"]
    assert run(codes, "block", lot, "1", "--reason", "leaked").exit_code == 0
    assert run(codes, "undo", lot, "--yes").exit_code == 1
    assert run(codes, "unblock", lot, "1").exit_code == 0
    assert run(codes, "undo", lot, "--yes").exit_code == 0
    with vault.db.read() as tx:
        assert verify_ledger(tx) == []
        assert unsold_cost(tx) == {}
    assert imported(run, sku)["count"] == 3


def test_lots_are_listed(run: Any, sku: str) -> None:
    lot = imported(run, sku)["lot"]
    (row,) = json.loads(run(codes, "lots", "--json").stdout)["lots"]
    assert (row["id"], row["state"], row["count"], row["unsold"], row["sku"]) == (lot, "open", 3, 3, sku)


def test_a_code_is_found_through_standard_input_only(run: Any, sku: str) -> None:
    lot = imported(run, sku)["lot"]
    (row,) = json.loads(run(codes, "find", "--json", data="wxyz 2222 bbbb\n").stdout)["found"]
    assert (row["lot"], row["state"]) == (lot, "AVAILABLE")
    assert run(codes, "find", data="nothing\n").exit_code == 3
    assert run(codes, "find", SECRETS[0]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["import", "-", "--sku", "NONE"], 3),
        (["import", "no-such-file", "--sku", "SKU"], 2),
        (["import", "-", "--sku", "SKU", "--cost", "1", "--lot-cost", "2"], 2),
        (["import", "-", "--sku", "SKU", "--cost", "-1"], 2),
        (["import", "-", "--sku", "SKU", "--cost", "1.234"], 1),
        (["import", "-", "--sku", "SKU", "--expires", "soon"], 2),
        (["import", "-", "--sku", "SKU", "--supplier", "a:b"], 2),
        (["undo", "lot_NONE", "--yes"], 3),
        (["block", "lot_NONE", "1"], 3),
    ],
)
def test_refusals_have_exit_codes(run: Any, sku: str, words: list[str], exit_code: int) -> None:
    assert run(codes, *[sku if word == "SKU" else word for word in words], data=FILE).exit_code == exit_code


def test_keys_rotate_list_and_drop(run: Any, sku: str) -> None:
    imported(run, sku)
    assert json.loads(run(keys, "rotate", "--json").stdout)["number"] == 2
    assert run(keys, "drop", "2", "--yes").exit_code == 1
    assert run(keys, "drop", "9", "--yes").exit_code == 3
    assert run(keys, "drop", "1", data="n\n").exit_code == 1
    assert len(json.loads(run(keys, "list", "--json").stdout)["keys"]) == 2
    assert run(keys, "drop", "1", "--yes").exit_code == 0
    (row,) = json.loads(run(keys, "list", "--json").stdout)["keys"]
    assert (row["number"], row["state"]) == (2, "current")


def test_no_command_prints_a_code_or_a_pin(run: Any, sku: str) -> None:
    """Good and bad imports, duplicates, listings and finds, for people and for programs: nothing of a code in what they print."""
    lines = FILE + SECRETS[0] + ",1,2\n" + SECRETS[1] + ",5\n"
    said = [
        run(codes, "import", "-", "--sku", sku, data=data)
        for data in (lines, FILE, FILE, FILE + SECRETS[2] + ",1\n", SECRETS[0] + ",1\n", FILE.replace(",9", ',"9"x'))
    ]
    said += [run(codes, "import", "-", "--sku", sku, "--json", "--dry-run", data=data) for data in (lines, FILE)]
    said += [run(codes, "find", data=SECRETS[0] + "\n"), run(codes, "lots"), run(codes, "stock")]
    printed = "".join(one.stdout + one.stderr for one in said)
    for secret in ("WXYZ", "90210", "1111", "2222", "3333"):
        assert secret not in printed
    assert "line " in printed  # the control: something was reported


@pytest.mark.parametrize(("nothing", "answer"), [(1, "n\n"), (1, ""), (0, "y\n")])
def test_an_import_is_undone_only_after_a_yes(run: Any, sku: str, nothing: int, answer: str) -> None:
    lot = imported(run, sku)["lot"]
    assert run(codes, "undo", lot, data=answer).exit_code == nothing
    (row,) = json.loads(run(codes, "lots", "--json").stdout)["lots"]
    assert row["state"] == ("open" if nothing else "undone")


@pytest.mark.parametrize("content", [one.values[0] for one in BAD_LINES])
def test_no_exception_carries_a_bad_line(vault: Vault, content: Any) -> None:
    marked = content.replace(b"A", b"QQSECRETQQ") if isinstance(content, bytes) else content.replace("A", "QQSECRETQQ")
    with pytest.raises(InvalidImport) as caught:
        vault.load(marked)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts) + repr(caught.value.report)
    assert "QQSECRETQQ" not in told
