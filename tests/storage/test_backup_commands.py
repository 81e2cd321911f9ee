"""The commands around backups: what they print, what they refuse, and with which exit code."""

import json
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cardrail.cli import app


def run(folder: Path, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["--data-dir", str(folder), *words], input=answer)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    assert run(folder, "init").exit_code == 0
    return folder


@pytest.fixture
def restored(shop: Path, tmp_path: Path) -> Path:
    """A shop that was restored from a backup, in a new folder with the same keys."""
    run(shop, "backup", str(tmp_path / "a.backup"))
    folder = tmp_path / "restored"
    folder.mkdir()
    shutil.copy(shop / "master.keys", folder)
    assert run(folder, "restore", str(tmp_path / "a.backup")).exit_code == 0
    return folder


def test_a_backup_into_a_new_folder_says_where_it_is(shop: Path, tmp_path: Path) -> None:
    result = run(shop, "backup", f"{tmp_path}/backups/", "--json")
    (file,) = (tmp_path / "backups").iterdir()
    assert json.loads(result.stdout)["path"] == str(file)
    assert "master keys are not in it" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_backup_over_a_file_is_refused(shop: Path) -> None:
    result = run(shop, "backup", str(shop / "master.keys"))
    assert (result.exit_code, "never overwrites" in result.stderr) == (1, True)


def test_a_restored_shop_serves_frozen_and_is_released_once(restored: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    refused = run(restored, "restore-release", "--journal", str(tmp_path / "journal"))
    assert (refused.exit_code, "no journal files" in refused.stderr) == (1, True)
    assert run(restored, "restore-release", "--without-journal", "--yes").exit_code == 0
    assert run(restored, "verify").exit_code == 0


def test_a_release_without_a_journal_wants_to_be_sure(restored: Path) -> None:
    result = run(restored, "restore-release", "--without-journal", answer="yes\n")
    assert (result.exit_code, "a second time" in result.stderr) == (1, True)
    assert run(restored, "restore-release", "--without-journal", answer="sell again\n").exit_code == 0


def test_a_journal_with_a_hole_is_accepted_on_purpose_only(restored: Path, tmp_path: Path) -> None:
    (tmp_path / "main-2999-01-01.jsonl").write_text("what is this\n")
    words = ["restore-release", "--journal", str(tmp_path)]
    assert run(restored, *words).exit_code == 1
    assert run(restored, *words, "--accept-gaps").exit_code == 0


def test_a_shop_that_was_never_restored_has_nothing_to_release(shop: Path) -> None:
    assert run(shop, "restore-release", "--without-journal", "--yes").exit_code == 1
    assert run(shop, "restore-release").exit_code == 2


def test_a_backup_is_not_restored_without_its_keys(shop: Path, tmp_path: Path) -> None:
    run(shop, "backup", str(tmp_path / "a.backup"))
    other = tmp_path / "other"
    run(other, "init")
    keys = run(other, "keys", "list").stdout
    assert run(other, "restore", str(tmp_path / "a.backup")).exit_code == 4
    assert run(other, "keys", "list").stdout == keys
    assert run(other, "verify").exit_code == 0


def test_what_is_not_there_is_not_restored(tmp_path: Path) -> None:
    assert run(tmp_path / "shop", "restore", str(tmp_path / "nothing")).exit_code == 3


def test_copy_fills_an_empty_database_once(shop: Path, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    assert run(shop, "copy", "--to", target).exit_code == 0
    assert run(shop, "copy", "--to", target).exit_code == 1
