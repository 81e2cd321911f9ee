"""An event type that nothing writes would be a lie: each one in the list stands where the code writes events."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cardrail.webhooks import EVENT_TYPES

SOURCE = Path(__file__).parents[2] / "src" / "cardrail"
READERS = ("alerts", "api", "cli", "console", "webhooks/formats", "webhooks/types.py", "webhooks/payload.py")
"""Those who only read events, or name them."""
WRITERS = {"insert_events", "tell_supplier", "record"}
"""What writes events: a module that writes them names one of these, or hands its types to one that does (HELPERS)."""
HELPERS = {"webhooks/model.py": "DISABLED_TYPE"}
"""Modules that only name types, and what of theirs others write events with."""
BUILT = {"message.failed": 'f"message.{state}"', "message.bounced": 'f"message.{state}"'}
"""Types that the code puts together, and how."""


@cache
def modules() -> dict[str, ast.Module]:
    found = {str(path.relative_to(SOURCE)): path for path in SOURCE.rglob("*.py")}
    return {name: ast.parse(path.read_text()) for name, path in found.items() if not name.startswith(READERS)}


def names_in(tree: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)} | {
        one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute)
    }


def literals(tree: ast.AST, *, compared: bool = False) -> Iterator[str]:
    """Texts that stand in the module, but for those that something is compared with."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and not compared:
            yield child.value
        yield from literals(child, compared=compared or isinstance(child, ast.Compare))


def writes(name: str, tree: ast.Module) -> bool:
    """Whether this module writes events, or others do with what it names."""
    if names_in(tree) & WRITERS:
        return True
    helper = HELPERS.get(name)
    return helper is not None and any(helper in names_in(other) for known, other in modules().items() if known != name)


@cache
def written() -> dict[str, list[str]]:
    """Type → the modules that write it."""
    found: dict[str, list[str]] = {}
    for name, tree in modules().items():
        if writes(name, tree):
            for text in set(literals(tree)) & EVENT_TYPES.keys():
                found.setdefault(text, []).append(name)
    return found


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_is_written_somewhere(event_type: str) -> None:
    if event_type in BUILT:
        assert any(BUILT[event_type] in (SOURCE / name).read_text() for name in modules()), event_type
    else:
        assert written().get(event_type), event_type


def test_each_subject_that_partners_and_operators_follow_has_events() -> None:
    """Orders, claims, balances, stock, products, suppliers, settlements."""
    about = {name.partition(".")[0] for name in EVENT_TYPES}
    assert about >= {"order", "claim", "balance", "stock", "product", "supplier", "settlement", "message", "endpoint"}


def test_a_type_that_is_only_compared_with_is_not_taken_for_written() -> None:
    assert list(literals(ast.parse('if kind == "order.lost": tell("order.found")'))) == ["order.found"]
