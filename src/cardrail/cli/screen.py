"""The operator's terminal, which shows what strangers wrote: a partner's evidence, a supplier's answer. It obeys nothing of that."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.text import Text

_OBEYED: Final = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Control characters: of ASCII, among them the escape that begins a terminal's commands, of Latin-1, and of writing direction."""
_SHOWN: Final = {code: "\N{REPLACEMENT CHARACTER}" for code in _OBEYED if chr(code) not in "\t\n\r"} | {0x0D: None}


class Screen(Console):
    """A console on which no text moves the cursor, hides a line, or writes to the clipboard."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with its markup; what a terminal would obey is a mark in it."""
        return super().render_str(text.translate(_SHOWN), **options)
