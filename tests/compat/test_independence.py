"""The dialects' stories are told by clients that know their vendor's sheet and nothing of us."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CLIENTS = sorted(HERE.glob("*/client*.py"))
ALLOWED = frozenset({*sys.stdlib_module_names, "httpx2"})


def imported_by(source: str) -> set[str]:
    """The top-level names of what a module imports, by statement or by name at run time; a relative import is "."."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Name) and node.id in ("__import__", "importlib", "exec", "eval"):
            found.add(node.id)
    return found


@pytest.mark.parametrize("path", CLIENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_client_imports_nothing_of_ours(path: Path) -> None:
    assert imported_by(path.read_text()) - ALLOWED - {"__future__"} == set()


def test_every_dialect_has_such_a_client() -> None:
    stories = {path.parent for path in HERE.glob("*/test_story.py")}
    assert stories <= {path.parent for path in CLIENTS}


@pytest.mark.parametrize(
    "line",
    [
        "import cardrail",
        "from cardrail.api import x",
        "from . import wire",
        "from tests.compat import build",
        "__import__('cardrail')",
    ],
)
def test_the_test_sees_what_it_looks_for(line: str) -> None:
    assert imported_by(line) - ALLOWED
