"""Lists are bare arrays; where a page stands is said in headers (specs/starship.md, section 1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cardrail.api.compat import Answer, json_answer
from cardrail.api.dialects.starship.reading import Fields

PAGE_MAX = 1_000_000_000


class Paging(NamedTuple):
    """Which page, and how large."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def cut(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows of this page, of all there are."""
        return rows[self.offset : self.offset + self.size]


def paging_of(fields: Fields, *, size: int, most: int, names: Sequence[str] = ("limit",)) -> Paging:
    """``page`` and ``limit`` (or ``per_page``); what is out of its bounds is noted as a failure."""
    number = fields.integer("page", maximum=PAGE_MAX)
    given = next((name for name in names if fields.has(name)), names[0])
    return Paging(number or 1, fields.integer(given, maximum=most) or size)


def page_answer(rows: Sequence[Any], paging: Paging, total: int) -> Answer:
    """The page's rows with all six headers."""
    pages = -(-total // paging.size)
    headers = {
        "x-page": paging.number,
        "x-per-page": paging.size,
        "x-total-count": total,
        "x-total-pages": pages,
        "x-page-size": len(rows),
        "x-has-more": "true" if paging.number < pages else "false",
    }
    return json_answer(rows, 200, [(name.encode(), str(value).encode()) for name, value in headers.items()])
