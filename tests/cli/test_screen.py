"""What commands show of what strangers wrote."""

from __future__ import annotations

import io

import pytest
from rich.markup import escape
from rich.table import Table

from cardrail.cli import context
from cardrail.cli.screen import Screen


@pytest.mark.parametrize("is_cell", [False, True])
@pytest.mark.parametrize("evil", ["\x1b[2J\x1b]52;c;cm0gLXJm\x07", "\x9b2J", "\u202eevil", "a\rb", "[bold]big[/bold]"])
def test_a_terminal_obeys_no_text_of_a_stranger(evil: str, is_cell: bool) -> None:
    written = io.StringIO()
    screen = Screen(file=written, force_terminal=True, highlight=False, width=100)
    table = Table("told", box=None)
    table.add_row(escape(evil))
    screen.print(table if is_cell else escape(f"Ann said:\n{evil}"))
    told = written.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")  # the head of a table is bold
    assert not set(told) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}
    assert evil[-1] in told or evil == "\x1b[2J\x1b]52;c;cm0gLXJm\x07"


def test_commands_print_on_such_a_screen() -> None:
    assert isinstance(context.out, Screen)
    assert isinstance(context.err, Screen)
