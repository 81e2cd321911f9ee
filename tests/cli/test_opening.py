"""What commands say where there is nothing to open, or the wrong thing; and what they leave behind."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cardrail import cli
from cardrail.cli import app
from cardrail.storage import Database


def call(folder: Path, *words: str, answer: str | None = None, **environment: str) -> Result:
    """A command on the database in this folder."""
    return CliRunner().invoke(app, ["--data-dir", str(folder), *words], input=answer, env=environment)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    assert call(tmp_path / "shop", "init").exit_code == 0
    return tmp_path / "shop"


@pytest.mark.parametrize("words", [["partner", "list"], ["verify"], ["serve"], ["keys", "list"], ["backup", "x.backup"]])
def test_a_command_that_looks_makes_no_database(tmp_path: Path, words: list[str]) -> None:
    done = call(tmp_path / "none", *words)
    assert done.exit_code == 4, done.stderr
    assert "cardrail init" in done.stderr
    assert not (tmp_path / "none" / "cardrail.db").exists()


@pytest.mark.parametrize("words", [["init"], ["demo"]])
def test_a_lost_key_file_is_not_made_anew_beside_its_database(shop: Path, words: list[str]) -> None:
    (shop / "master.keys").unlink()
    done = call(shop, *words, *(["--data", str(shop)] if words == ["demo"] else []))
    assert done.exit_code == 4, done.output
    assert "master.keys" in done.stderr
    assert not (shop / "master.keys").exists()


def test_init_makes_the_key_of_a_schema_that_has_none_yet(tmp_path: Path) -> None:
    assert call(tmp_path, "migrate").exit_code == 0
    assert call(tmp_path, "init").exit_code == 0
    assert call(tmp_path, "init").exit_code == 0
    assert call(tmp_path, "partner", "list").exit_code == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"CARDRAIL_PORT": "many"}, "port"),
        ({"CARDRAIL_DATABASE_URL": "postgresql://me:hush@host:hush/none"}, "database URL"),
        ({"CARDRAIL_DATABASE_URL": "hush"}, "database URL"),
        ({"CARDRAIL_RATE_LIMIT_STORAGE": "strange://me:hush@host/1"}, "limits"),
        ({"CARDRAIL_DATABASE_URL": "postgresql://me:hush@127.0.0.1:1/none"}, "cannot"),
    ],
)
def test_a_wrong_setting_is_a_sentence_without_a_password(shop: Path, settings: dict[str, str], said: str) -> None:
    done = call(shop, "partner", "list", **settings)
    assert (done.exit_code, done.exception.__class__) == (4, SystemExit), done.output
    assert said in done.stderr
    assert "hush" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_a_sentence(shop: Path) -> None:
    for name in ("cardrail.db-wal", "cardrail.db-shm"):
        (shop / name).unlink(missing_ok=True)
    (shop / "cardrail.db").write_bytes(b"no database at all" * 1_000)
    done = call(shop, "partner", "list")
    assert done.exit_code == 4, done.output


def test_what_a_user_typed_is_shown_as_he_typed_it(shop: Path) -> None:
    done = call(shop, "partner", "show", "[bold]x[/nothing]")
    assert done.exit_code == 3, done.output
    assert "[bold]x[/nothing]" in done.stderr


def test_a_port_in_use_is_exit_4(shop: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "cardrail", "--data-dir", str(shop), "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 4, done.stderr
    assert port in done.stderr


def test_the_files_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o755)
    command = [sys.executable, "-m", "cardrail", "--data-dir", str(folder), "init"]
    subprocess.run(command, check=True, capture_output=True, timeout=300, umask=0o022)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}
    assert modes["cardrail.db"] == 0o600
    assert not any(mode & 0o077 for mode in modes.values()), modes


def test_a_price_list_is_named_as_it_is_called_and_an_unknown_one_is_refused(shop: Path) -> None:
    assert call(shop, "partner", "create", "A", "--currency", "EUR", "--price-list", "gold").exit_code == 3
    made = call(shop, "catalog", "list-create", "gold", "--json")
    assert made.exit_code == 0, made.output
    partner = json.loads(call(shop, "partner", "create", "A", "--currency", "EUR", "--price-list", "gold", "--json").stdout)
    assert partner["price_list_id"].startswith("pls_")
    assert call(shop, "partner", "set", partner["id"], "--price-list", "golf").exit_code == 3
    changed = call(shop, "partner", "set", partner["id"], "--price-list", "none", "--json")
    assert json.loads(changed.stdout)["price_list_id"] is None


def test_a_key_is_revoked_only_after_a_yes(shop: Path) -> None:
    partner = json.loads(call(shop, "partner", "create", "A", "--currency", "EUR", "--json").stdout)["id"]
    key = json.loads(call(shop, "key", "create", partner, "--json").stdout)["id"]

    def state() -> object:
        return json.loads(call(shop, "key", "list", partner, "--json").stdout)["items"][0]["revoked_at"]

    assert call(shop, "key", "revoke", key, answer="n\n").exit_code == 1
    assert state() is None
    assert call(shop, "key", "revoke", key, "--yes").exit_code == 0
    assert state() is not None


def test_a_command_that_looks_waits_for_no_writer(shop: Path) -> None:
    db = Database(f"sqlite:///{shop / 'cardrail.db'}", pool=2)
    try:
        with db.transaction():
            # A writer would have waited for thirty seconds, and then given up.
            assert call(shop, "partner", "list").exit_code == 0
    finally:
        db.close()


@pytest.mark.parametrize(
    "words",
    [
        ["order", "show", "ord_x"],
        ["claim", "list", "ord_x"],
        ["message", "list", "ord_x"],
        ["keys", "drop", "99", "--yes"],
        ["codes", "stock", "NOPE"],
        ["route", "clear", "NOPE"],
    ],
)
def test_what_is_not_there_is_a_sentence_and_exit_3(shop: Path, words: list[str]) -> None:
    done = call(shop, *words)
    assert (done.exit_code, done.exception.__class__) == (3, SystemExit), done.output
    assert len(done.stderr.splitlines()) == 1


def test_a_moment_that_is_none_is_a_sentence(shop: Path) -> None:
    done = call(shop, "reconcile", "fetch", "acme", "--from", "yesterday", "--to", "2026-01-01")
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit), done.output
    assert "yesterday" in done.stderr


def test_what_a_program_reads_is_a_line_a_row_with_nothing_cut(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(
        "product_code,name,brand,currency,denomination_type,face_values,discount_percent\n"
        "A-GIFT-CARD-WITH-A-LONG-CODE,A gift card,Acme,EUR,fixed,25,4\n"
    )
    (tmp_path / "codes.txt").write_text("AAAA-1111-BBBB\n")
    call(shop, "catalog", "import", str(tmp_path / "products.csv"))
    call(shop, "codes", "import", str(tmp_path / "codes.txt"), "--sku", "A-GIFT-CARD-WITH-A-LONG-CODE", "--supplier", "somebody")
    lot = json.loads(call(shop, "codes", "lots", "--json").stdout)["lots"][0]["id"]
    there = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # a test runner may have set it
    command = [sys.executable, "-m", "cardrail", "--data-dir", str(shop), "codes", "lots"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=there).stdout
    rows = [line.split() for line in shown.splitlines()]
    assert [row[0] for row in rows] == ["lot", lot]
    assert "A-GIFT-CARD-WITH-A-LONG-CODE" in rows[1]


def test_no_question_is_part_of_a_result() -> None:
    folder = Path(str(cli.__file__)).parent
    asked = [line for path in folder.glob("*.py") for line in path.read_text().splitlines() if "typer.confirm(" in line]
    assert asked
    assert [line for line in asked if "err=True" not in line] == []
