"""Turns on SQLite for a library that commits on its own connections.

``Database.transaction`` waits for the process's one fair lock before BEGIN. The durable-work library knows nothing of it: left alone it
would fight the order lane for the file, and SQLite's waiting is neither fair nor prompt. So its connections take the same lock just
before the first statement of a transaction that writes, and give it back once that transaction has ended. Reads wait for nobody.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final, Protocol


class Turn(Protocol):
    """What a writer holds from before its BEGIN until after its COMMIT."""

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


class SharedTurn:
    """Many writers that have one place between them in another lock's queue.

    Thirty of the library's threads, each with its own place, would let the order lane through after every thirtieth commit of theirs.
    """

    def __init__(self, lock: Turn, place: Turn) -> None:
        self._lock = lock
        self._place = place

    def __enter__(self) -> None:
        self._place.__enter__()
        self._lock.__enter__()

    def __exit__(self, *_exc: object) -> None:
        self._lock.__exit__()
        self._place.__exit__()


READS: Final = ("SELECT", "PRAGMA", "EXPLAIN", "BEGIN DEFERRED", "COMMIT", "ROLLBACK", "END")
"""How statements start that need no turn; whatever is not known to be one of them waits for it."""


def connection_in_turn(module: ModuleType, turn: Turn) -> type[Any]:
    """A connection class for this SQLite module that writes only in its turn. A thread has one write transaction at a time."""

    cursor_in_turn = _cursor_in_turn(module)

    class InTurn(module.Connection):  # type: ignore[misc, name-defined]  # its base is known at run time only
        _has_turn = False

        def cursor(self, factory: Any = None) -> Any:
            return super().cursor(factory or cursor_in_turn)

        def commit(self) -> None:
            try:
                super().commit()
            finally:
                self.pass_on()

        def rollback(self) -> None:
            try:
                super().rollback()
            finally:
                self.pass_on()

        def close(self) -> None:
            try:
                super().close()
            finally:
                self._let_go()

        def take_turn(self, statement: str) -> None:
            """Wait, unless this statement only reads or its transaction has the turn."""
            if not self._has_turn and not statement.lstrip().upper().startswith(READS):
                turn.__enter__()
                self._has_turn = True

        def pass_on(self) -> None:
            """Let the next one write, if no transaction is open."""
            if self._has_turn and not self.in_transaction:
                self._let_go()

        def _let_go(self) -> None:
            if self._has_turn:
                self._has_turn = False
                turn.__exit__()

    return InTurn


def _cursor_in_turn(module: ModuleType) -> type[Any]:
    class CursorInTurn(module.Cursor):  # type: ignore[misc, name-defined]  # likewise
        def execute(self, statement: str, *parameters: Any) -> Any:
            self.connection.take_turn(statement)
            try:
                return super().execute(statement, *parameters)
            finally:
                self.connection.pass_on()

        def executemany(self, statement: str, *parameters: Any) -> Any:
            self.connection.take_turn(statement)
            try:
                return super().executemany(statement, *parameters)
            finally:
                self.connection.pass_on()

    return CursorInTurn
