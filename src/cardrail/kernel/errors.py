"""The root of every error that Cardrail raises on purpose.

A leaf names one situation. Its docstring is the message, ``code`` is stable for programs, facts are attributes. No HTTP here: each
surface owns one table from ``code`` to its own status and words.
"""

from __future__ import annotations

from typing import ClassVar


class CardrailError(Exception):
    """Something that Cardrail can name went wrong."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    """True where the same request, unchanged, may succeed later."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The first line of the class's docstring."""
        return (type(self).__doc__ or "").strip().partition("\n")[0]

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.message} ({facts})" if facts else self.message


class Unavailable(CardrailError):
    """The database cannot answer at the moment; nothing was changed. Ask again."""

    code = "unavailable"
    retryable = True


class OutcomeUnknown(CardrailError):
    """The database was lost while committing. Ask again with the same key: the answer is the one truth."""

    code = "outcome_unknown"
    retryable = True


class QueueFull(CardrailError):
    """Too many requests are waiting; this one was not taken. Ask again after the given seconds."""

    code = "queue_full"
    retryable = True


def all_error_types(root: type[CardrailError] = CardrailError) -> list[type[CardrailError]]:
    """Every error class below ``root`` that has been imported, for the documentation and the tests that keep it complete."""
    found: list[type[CardrailError]] = []
    for child in root.__subclasses__():
        found += [child, *all_error_types(child)]
    return found
