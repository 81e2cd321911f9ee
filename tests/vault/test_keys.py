"""Master keys: the file, the environment, and the database they belong to."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from cardrail.storage import Database
from cardrail.vault import (
    InvalidKeyText,
    KeyFileExists,
    KeyFileExposed,
    KeyFileUnreadable,
    Keyring,
    MissingMasterKey,
    WrongMasterKey,
    check_keys,
    create_key_file,
    open_keyring,
    service_key,
)
from tests.vault.build import Vault, a_key


def text_of(number: int, key: bytes) -> str:
    return f"{number}:{base64.b64encode(key).decode()}"


def test_a_key_file_is_its_owners_only(tmp_path: Path) -> None:
    create_key_file(tmp_path / "master.keys")
    assert (tmp_path / "master.keys").stat().st_mode & 0o777 == 0o600


def test_an_existing_key_file_is_never_overwritten(tmp_path: Path) -> None:
    made = create_key_file(tmp_path / "master.keys")
    with pytest.raises(KeyFileExists):
        create_key_file(tmp_path / "master.keys")
    wrapped = made.wrap(1, a_key(7))
    assert Keyring.from_file(tmp_path / "master.keys").unwrap(1, wrapped) == a_key(7)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    create_key_file(tmp_path / "master.keys")
    (tmp_path / "master.keys").chmod(mode)
    with pytest.raises(KeyFileExposed, match="0600"):
        Keyring.from_file(tmp_path / "master.keys")


def test_a_missing_key_file_says_what_is_lost(tmp_path: Path) -> None:
    with pytest.raises(KeyFileUnreadable, match="no code can be opened"):
        Keyring.from_file(tmp_path / "master.keys")


def test_keys_from_the_environment_come_before_the_file(tmp_path: Path) -> None:
    create_key_file(tmp_path / "master.keys")
    keyring = open_keyring(tmp_path / "master.keys", f"{text_of(1, a_key(1))},{text_of(2, a_key(2))}")
    assert keyring.numbers == {1, 2}
    assert keyring.current == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:",
        "x:" + base64.b64encode(a_key()).decode(),
        "1:" + base64.b64encode(b"short").decode(),
        "1:not base64!",
        f"{text_of(1, a_key())},{text_of(1, a_key(2))}",  # one number twice
        text_of(0, a_key()),  # numbers begin at 1
    ],
)
def test_key_text_that_is_not_number_and_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKeyText):
        Keyring.from_text(text)


def test_a_keyring_shows_numbers_and_no_key() -> None:
    assert repr(Keyring({1: a_key(), 2: a_key(2)})) == "Keyring(numbers=[1, 2])"


def test_the_first_run_registers_the_keys(db: Database) -> None:
    with db.transaction() as tx:
        check_keys(tx, Keyring({1: a_key()}))
        check_keys(tx, Keyring({1: a_key()}))


def test_another_key_under_the_same_number_is_called_wrong(vault: Vault) -> None:
    with vault.db.transaction() as tx, pytest.raises(WrongMasterKey, match="number=1"):
        check_keys(tx, Keyring({1: a_key(9)}))


def test_a_missing_key_is_named_with_what_to_do(vault: Vault) -> None:
    with vault.db.transaction() as tx, pytest.raises(MissingMasterKey, match=r"Put that number back.*number=1"):
        check_keys(tx, Keyring({2: a_key(2)}))


def test_a_service_key_is_made_once_and_kept(vault: Vault) -> None:
    with vault.db.transaction() as tx:
        first = service_key(tx, vault.keyring, "audit")
    with vault.db.transaction() as tx:
        assert service_key(tx, vault.keyring, "audit") == first
        assert service_key(tx, vault.keyring, "cursor") != first
    assert len(first) == 32


def test_service_keys_do_not_open_with_another_master_key(vault: Vault) -> None:
    with vault.db.transaction() as tx:
        service_key(tx, vault.keyring, "audit")
        with pytest.raises(WrongMasterKey):
            service_key(tx, Keyring({1: a_key(9)}), "audit")
