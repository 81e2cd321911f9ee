"""The command line starts quickly: what a command does not need is not imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cardrail.cli import COMMANDS, load_command

HEAVY = {"alembic", "cryptography", "dbos", "httpx2", "litestar", "msgspec", "pydantic", "sqlalchemy", "uvicorn", "xlsxwriter"}


def brought_by(code: str) -> set[str]:
    """The heavy libraries that a fresh process has imported after this code."""
    shown = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    assert brought_by("from cardrail.cli import app; app(['--help'], standalone_mode=False)") == set()


def test_a_command_of_the_books_brings_neither_server_nor_job_runner() -> None:
    brought = brought_by("from cardrail.cli import app; app(['ledger', '--help'], standalone_mode=False)")
    assert brought.isdisjoint({"dbos", "litestar", "uvicorn"})
    assert "sqlalchemy" in brought


@pytest.mark.parametrize("name", COMMANDS)
def test_the_sentence_in_the_list_is_the_command_s_own(name: str) -> None:
    assert " ".join(load_command(name).help.partition("\n\n")[0].split()) == COMMANDS[name][1]
