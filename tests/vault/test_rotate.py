"""Rotating the master key: everything wrapped anew, no code touched, and the old key can go."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardrail.storage import Database
from cardrail.vault import (
    CodeOpener,
    KeyInUse,
    Keyring,
    MissingMasterKey,
    NoNewMasterKey,
    check_keys,
    create_key_file,
    drop_master_key,
    list_master_keys,
    rotate_master_key,
    service_key,
)
from cardrail.vault import rotate as rotate_module
from tests.vault.build import Vault, a_key


@pytest.fixture
def vault(db: Database, tmp_path: Path) -> Vault:
    """A vault whose keys are in a file."""
    return Vault(db, create_key_file(tmp_path / "master.keys"))


def rotate(vault: Vault) -> rotate_module.Rotation:
    return rotate_master_key(vault.db, vault.clock, vault.keyring, vault.audit, actor="test")


def drop(vault: Vault, number: int) -> None:
    drop_master_key(vault.db, vault.clock, vault.keyring, vault.audit, number, actor="test")


def sealed(vault: Vault) -> list[tuple[object, ...]]:
    with vault.db.read() as tx:
        return [
            tuple(map(bytes, row)) for row in tx.exec_driver_sql("SELECT sealed, fingerprint FROM codes ORDER BY lot_id, seq")
        ]


def test_no_ciphertext_changes_and_every_code_opens_with_the_new_key_alone(vault: Vault) -> None:
    for n in range(3):
        vault.lot(f"A{n}\nB{n}\n")
    before = sealed(vault)
    assert rotate(vault).lots == 3
    drop(vault, 1)
    assert sealed(vault) == before
    assert vault.keyring.path is not None
    vault.keyring = Keyring.from_file(vault.keyring.path)
    assert vault.keyring.numbers == {2}
    vault.opener = CodeOpener(vault.keyring)
    assert sorted(map(str, vault.sell(6))) == ["A0", "A1", "A2", "B0", "B1", "B2"]


def test_service_keys_survive_a_rotation(vault: Vault) -> None:
    with vault.db.transaction() as tx:
        before = service_key(tx, vault.keyring, "audit")
    rotate(vault)
    drop(vault, 1)
    with vault.db.transaction() as tx:
        assert service_key(tx, vault.keyring, "audit") == before


def test_duplicates_are_still_found_after_a_rotation(vault: Vault) -> None:
    vault.lot("A1\n")
    rotate(vault)
    assert vault.load("A1\n", dry_run=True).duplicates.count == 1


def test_a_key_in_use_cannot_be_dropped(vault: Vault) -> None:
    vault.lot("A1\n")
    with pytest.raises(KeyInUse):
        drop(vault, 1)


def test_a_running_process_reads_the_key_file_again(vault: Vault) -> None:
    vault.lot("A1\n")
    assert vault.keyring.path is not None
    running = Keyring.from_file(vault.keyring.path)
    rotate(vault)
    vault.opener = CodeOpener(running)
    assert vault.sell(1) == ["A1"]


def test_a_running_process_wraps_new_lots_with_the_new_key(vault: Vault) -> None:
    assert vault.keyring.path is not None
    running = Keyring.from_file(vault.keyring.path)
    vault.lot("A1\n")
    rotate(vault)
    vault.keyring = running
    vault.lot("A2\n")
    with vault.db.read() as tx:
        assert set(tx.exec_driver_sql("SELECT master_key FROM lots").scalars()) == {2}


def test_an_interrupted_rotation_is_finished_without_another_key(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotate_module, "BATCH", 1)
    for n in range(3):
        vault.lot(f"A{n}\n")

    def die(_stage: str, done: int, _total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_master_key(vault.db, vault.clock, vault.keyring, vault.audit, actor="test", progress=die)
    again = rotate(vault)
    assert (again.number, again.lots) == (2, 1)


def test_keys_from_the_environment_rotate_to_the_highest_given(vault: Vault) -> None:
    vault.lot("A1\n")
    key = vault.keyring._keys[1]
    with pytest.raises(NoNewMasterKey):
        rotate_master_key(vault.db, vault.clock, Keyring({1: key}), vault.audit, actor="test")
    vault.keyring = Keyring({1: key, 5: a_key(5)})
    assert rotate(vault).number == 5
    with vault.db.transaction() as tx:
        check_keys(tx, Keyring({5: a_key(5)}))  # the old one is not needed any more


def test_a_key_that_still_wraps_something_is_missed(vault: Vault) -> None:
    vault.lot("A1\n")
    with vault.db.transaction() as tx, pytest.raises(MissingMasterKey):
        check_keys(tx, Keyring({2: a_key(2)}))


def test_keys_are_listed_with_what_they_wrap(vault: Vault) -> None:
    vault.lot("A1\n")
    rotate(vault)
    with vault.db.read() as tx:
        old, new = list_master_keys(tx, vault.keyring)
    assert (old.number, old.is_current, old.wraps, old.is_at_hand) == (1, False, 0, True)
    assert (new.number, new.is_current, new.wraps) == (2, True, 2)  # the lot, and the fingerprint key
