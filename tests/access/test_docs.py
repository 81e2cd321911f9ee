"""The pages about access name what there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from cardrail.access import SCOPES, Limits

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_scopes_has_each_with_its_sentence() -> None:
    page = (DOCS / "reference" / "scopes.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{scope}` | {sentence} |" for scope, sentence in SCOPES.items()]


def test_the_page_of_access_explains_each_limit() -> None:
    page = (DOCS / "concepts" / "access.md").read_text()
    assert [limit.name for limit in fields(Limits) if f"| `{limit.name}` |" not in page] == []
