"""Two key commands at once: no master key is overwritten, lost, or used before everybody has it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from cardrail.storage import Database
from cardrail.vault import CodeOpener, KeyProblem, Keyring, WrongMasterKey, check_keys, create_key_file, rotate_master_key
from tests.vault.build import Vault


class InStep(Keyring):
    """A keyring of one of two processes that make a new key at the same moment."""

    barrier: Barrier

    def add(self, number: int) -> None:
        self.barrier.wait(timeout=60)
        super().add(number)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "master.keys"
    create_key_file(path)
    return path


def rotate_at_once(vault: Vault, *files: Path) -> list[BaseException | None]:
    barrier = Barrier(len(files))
    keyrings = [InStep.from_file(one) for one in files]
    with ThreadPoolExecutor(len(files)) as threads:
        runs = []
        for keyring in keyrings:
            assert isinstance(keyring, InStep)
            keyring.barrier = barrier
            runs.append(threads.submit(rotate_master_key, vault.db, vault.clock, keyring, vault.audit, actor="test"))
    return [run.exception() for run in runs]


def test_a_number_that_the_file_has_meanwhile_is_not_made_again(file: Path) -> None:
    one, other = Keyring.from_file(file), Keyring.from_file(file)
    one.add(2)
    before = file.read_text()
    with pytest.raises(KeyProblem, match="already"):
        other.add(2)
    assert file.read_text() == before


def test_dropping_a_key_keeps_a_key_that_came_meanwhile(file: Path) -> None:
    one, stale = Keyring.from_file(file), Keyring.from_file(file)
    one.add(2)
    one.add(3)
    secret = one.wrap(3, b"k" * 32)
    stale.drop(1)
    assert stale.numbers == {2, 3}
    assert Keyring.from_file(file).unwrap(3, secret) == b"k" * 32


def test_adding_a_key_does_not_bring_back_one_that_was_dropped(file: Path) -> None:
    one, stale = Keyring.from_file(file), Keyring.from_file(file)
    one.add(2)
    one.drop(1)
    stale.add(3)
    assert Keyring.from_file(file).numbers == {2, 3}


def test_of_two_rotations_at_once_one_is_refused_and_every_code_opens(db: Database, file: Path) -> None:
    vault = Vault(db, Keyring.from_file(file))
    vault.lot("A1\nA2\n")
    failed = [one for one in rotate_at_once(vault, file, file) if one is not None]
    assert len(failed) == 1
    assert isinstance(failed[0], KeyProblem)
    fresh = Keyring.from_file(file)
    with db.transaction() as tx:
        check_keys(tx, fresh)
    vault.opener = CodeOpener(fresh)
    assert sorted(map(str, vault.sell(2))) == ["A1", "A2"]


def test_a_rotation_whose_number_was_registered_with_another_key_wraps_nothing(db: Database, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.keys"
    shutil.copy(file, copy)
    vault = Vault(db, Keyring.from_file(file))
    vault.lot("A1\nA2\n")
    errors = rotate_at_once(vault, file, copy)
    (won,) = [path for path, error in zip((file, copy), errors, strict=True) if error is None]
    assert [type(one) for one in errors if one is not None] == [WrongMasterKey]
    vault.opener = CodeOpener(Keyring.from_file(won))
    assert sorted(map(str, vault.sell(2))) == ["A1", "A2"]
