"""What `cardrail verify` is made of: checks that read the whole database and say what is not as it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cardrail.storage.database import Tx

FINDINGS_MAX: Final = 1_000
"""Where one check stops collecting: a fault of ours may be in every row."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    check: str
    """The name of the check that found it."""
    subject: str
    """The id or name of what is wrong."""
    expected: str
    """In words."""
    found: str
    """In words."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule, and how to find what breaks it. ``find`` streams: memory does not grow with the database."""

    name: str
    title: str
    """What is true where nothing is found."""
    find: Callable[[Tx], Iterator[tuple[str, str, str]]]
    """(subject, expected, found) of each fault."""

    def run(self, tx: Tx) -> list[Finding]:
        """The faults, at most FINDINGS_MAX of them. Run it inside ``db.read()``, so that nothing moves meanwhile."""
        return [Finding(self.name, *fault) for fault in islice(self.find(tx), FINDINGS_MAX)]
