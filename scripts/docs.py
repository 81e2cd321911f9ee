"""Regenerate the reference pages that come from the code: `make docs`.

A page belongs in PAGES when the code knows its content better than a writer: settings, commands, errors, events, the
OpenAPI file. Each entry is a path under docs/ and a function that returns the whole text.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

PAGES: dict[str, Callable[[], str]] = {}


def main() -> None:
    """Write each page that changed, and name it."""
    for name, render in PAGES.items():
        path, text = DOCS / name, render()
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
