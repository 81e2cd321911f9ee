"""The direction of imports, kept by reading the source: a line of LAYERS may import from the lines below it.

Names on one line are strangers to one another. A package is imported by its front door (`from cardrail.ledger import
place_hold`), so that its inside may change. A new top-level name under src/cardrail needs its place here first.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
ROOT = "cardrail"

LAYERS: list[tuple[str, ...]] = [
    ("__main__",),  # `python -m cardrail`
    ("cli",),  # the entry point, which alone knows the assembly
    ("chores",),  # which use cases run by themselves, and when
    ("bootstrap", "logs"),
    ("api", "console", "shop"),
    ("alerts",),  # the operator is told, by the same ways as everybody else
    ("delivery", "settlement", "webhooks"),
    ("orders",),
    ("sourcing",),
    ("access", "catalog", "ledger", "vault"),
    ("jobs",),
    ("storage",),
    ("config",),  # given out by the assembly: see CONFIG_READERS
    ("kernel",),
]
RANK = {name: rank for rank, names in enumerate(reversed(LAYERS)) for name in names}

CONFIG_READERS = {"bootstrap", "cli"}
"""Who may import `config`. Everyone else is given what he needs as an argument."""

DOORS = {"api.v1", "storage.migrations"}
"""Sub-packages that outsiders may name, beside the packages themselves and the plugs."""

PLUGS = ("api.dialects", "sourcing.connectors")
"""Folders of plugs. Each plug has a front door of its own, and they are strangers, also to `api.v1`."""

SCHEMA = "cardrail.storage.schema"
"""What every `tables.py` is written in: column types and the one metadata. Only those modules may name it."""

MIGRATION_ENV = "cardrail.storage.migrations.env"
"""Alembic's environment: it alone looks up, at the packages' tables, to know the schema that the code expects."""

LAZY: dict[str, tuple[str, ...]] = {
    # A module (with what is below it) -> what its functions may import.
    "cardrail.jobs": ("dbos", "cardrail.jobs.worker"),  # 1.5 s of start-up that most commands can do without
    "cardrail.cli": ("cardrail.bootstrap", "cardrail.jobs", "cardrail.storage.migrations", "cardrail.cli", "dbos", "uvicorn"),
    "cardrail.storage.engines": ("pysqlite3",),  # there is no wheel of it for every machine
    # Extras: installed only where their adapter is used.
    "cardrail.bootstrap": ("opentelemetry",),
    "cardrail.vault": ("boto3", "hvac", "google.cloud.kms"),
    "cardrail.delivery": ("aiogram",),
    "cardrail.shop": ("stripe", "aiogram"),
    "cardrail.settlement": ("pyarrow", "fpdf"),
    "cardrail.storage": ("sqlalchemy_cockroachdb",),
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported name, as written: `module` is the importer, `target` the dotted name it imports."""

    module: str
    target: str
    line: int
    in_function: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def name_of(path: Path, source: Path = SOURCE) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(text: str, module: str) -> Iterator[Import]:
    """Every import of a module; `from a import b` counts as `a.b`, because b may be a module."""

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, in_function)
            elif isinstance(child, ast.ImportFrom):
                for alias in child.names:
                    origin = "." * child.level + (child.module or "")
                    yield Import(module, f"{origin}.{alias.name}", child.lineno, in_function)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, in_function or inside)

    yield from walk(ast.parse(text), False)


def package_of(dotted: str) -> str:
    """`ledger` for `cardrail.ledger.store.load`; empty for the root itself."""
    return dotted.split(".")[1] if "." in dotted else ""


def plug_of(dotted: str) -> str:
    """`api.dialects.x` for whatever is inside that plug; empty for what is in none."""
    inner = dotted.removeprefix(f"{ROOT}.")
    for folder in PLUGS:
        if inner.startswith(f"{folder}."):
            return ".".join(inner.split(".")[: folder.count(".") + 2])
    return "api.v1" if inner == "api.v1" or inner.startswith("api.v1.") else ""


def is_within(dotted: str, parent: str) -> bool:
    return dotted == parent or dotted.startswith(f"{parent}.")


def is_public(target: str, inside: AbstractSet[str]) -> bool:
    """Whether an imported name is a front door, or a name that one offers (and not a module behind it)."""
    door = f"{ROOT}.{plug_of(target) or package_of(target)}"
    for sub in DOORS:
        if is_within(target, f"{ROOT}.{sub}"):
            door = f"{ROOT}.{sub}"
    return target == door or (target.rpartition(".")[0] == door and target not in inside)


def may_be_lazy(found: Import) -> bool:
    """Whether LAZY allows this import inside a function."""
    return any(
        is_within(found.module, owner) and any(is_within(found.target, name) for name in allowed)
        for owner, allowed in LAZY.items()
    )


def fault_of(found: Import, modules: AbstractSet[str], offered: AbstractSet[str] = frozenset()) -> str | None:
    """The rule that an import breaks, or None. `offered` are the modules whose name their front door also gives out."""
    module, target = found.module, found.target
    if found.in_function and not may_be_lazy(found):
        return "an import inside a function: move the shared idea down, or add it to LAZY with its reason"
    if target.startswith("."):
        return "a relative import"
    if not is_within(target, ROOT) or (module == MIGRATION_ENV and target.endswith(".tables")):
        return None

    ours, theirs = package_of(module), package_of(target)
    if theirs not in RANK:
        return None if f"{ROOT}.{theirs}" not in modules else f"{theirs} has no place in LAYERS"
    if ours == theirs:
        one, other = plug_of(module), plug_of(target)
        return "one plug imports another" if one and other and one != other else None
    may_name_schema = module.endswith("tables") and is_within(target, SCHEMA)
    if may_name_schema or is_public(target, modules - offered):
        return direction_fault(ours, theirs)
    return direction_fault(ours, theirs) or f"{theirs} has a front door: from {ROOT}.{theirs} import ..."


def direction_fault(ours: str, theirs: str) -> str | None:
    """What is wrong with one package importing another, whatever the name."""
    if not ours:
        return "the root package imports nothing: it is imported by everyone"
    if theirs == "config":
        return None if ours in CONFIG_READERS else "only the assembly reads settings"
    if RANK[theirs] > RANK[ours]:
        return f"{theirs} is above {ours}"
    if RANK[theirs] == RANK[ours]:
        return f"{ours} and {theirs} are strangers: they meet one line up"
    return None


def offered_by(init: Path) -> Iterator[str]:
    """The names that a package's front door imports in order to give them out: `cardrail.storage.events` is a table."""
    package = name_of(init)
    for node in ast.parse(init.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module != package:
            yield from (f"{package}.{alias.asname or alias.name}" for alias in node.names)


MODULES = {name_of(path): path for path in sorted(SOURCE.glob(f"{ROOT}/**/*.py"))}
OFFERED = {name for path in MODULES.values() if path.name == "__init__.py" for name in offered_by(path)}


def test_every_package_has_its_place() -> None:
    unknown = {package_of(module) for module in MODULES} - set(RANK) - {""}
    assert not unknown, "give these a line in LAYERS, and STYLE its picture"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it_and_through_the_front_door(module: str) -> None:
    faults = [
        f"{found}: {fault}"
        for found in imports_in(MODULES[module].read_text(), module)
        if (fault := fault_of(found, set(MODULES), OFFERED))
    ]
    assert not faults, "\n".join(faults)


KNOWN = {
    "cardrail.config",
    "cardrail.kernel.money",
    "cardrail.ledger.store",
    "cardrail.ledger.tables",
    "cardrail.odd",
    "cardrail.storage.events",
    "cardrail.storage.schema",
}


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("cardrail.orders.place", "from cardrail.ledger import place_hold", None),
        ("cardrail.orders.place", "import cardrail.ledger", None),
        ("cardrail.orders.place", "from cardrail.orders.store import load", None),
        ("cardrail.orders.place", "from cardrail.ledger.store import load", "ledger has a front door"),
        ("cardrail.orders.place", "from cardrail.ledger import store", "ledger has a front door"),
        ("cardrail.orders.place", "from cardrail.kernel.money import Money", "kernel has a front door"),
        ("cardrail.orders.place", "from cardrail.webhooks import send", "webhooks is above orders"),
        ("cardrail.orders.place", "from .store import load", "a relative import"),
        ("cardrail.orders.place", "from cardrail import odd", "odd has no place in LAYERS"),
        ("cardrail.orders.place", "from cardrail import __version__", None),
        ("cardrail.orders.place", "from cardrail.config import Settings", "only the assembly reads settings"),
        ("cardrail.bootstrap", "from cardrail.config import Settings", None),
        ("cardrail.orders.place", "def f():\n    import json", "an import inside a function"),
        ("cardrail.orders.place", "def f():\n    from cardrail.ledger import x", "an import inside a function"),
        ("cardrail.jobs.engine", "def f():\n    from dbos import DBOS", None),
        ("cardrail.orders.place", "def f():\n    from dbos import DBOS", "an import inside a function"),
        ("cardrail.vault.sell", "from cardrail.ledger import place_hold", "vault and ledger are strangers"),
        ("cardrail.vault.sell", "if TYPE_CHECKING:\n    from cardrail.orders import Order", "orders is above vault"),
        ("cardrail.kernel.ids", "from cardrail.storage import Tx", "storage is above kernel"),
        ("cardrail.kernel.ids", "from cardrail.kernel.money import Money", None),
        ("cardrail.ledger.tables", "from cardrail.storage.schema import metadata", None),
        ("cardrail.ledger.post", "from cardrail.storage.schema import metadata", "storage has a front door"),
        ("cardrail.ledger.post", "from cardrail.storage import events", None),
        ("cardrail.ledger.post", "from cardrail.storage import schema", "storage has a front door"),
        ("cardrail.storage.migrations.env", "from cardrail.ledger import tables", None),
        ("cardrail.storage.migrations.env", "import cardrail.ledger.tables", None),
        ("cardrail.storage.migrations.env", "from cardrail.ledger import post", "ledger is above storage"),
        ("cardrail.storage.bulk", "from cardrail.ledger import tables", "ledger is above storage"),
        ("cardrail.console.orders", "from cardrail.api import authenticate", "console and api are strangers"),
        ("cardrail.api.dialects.a.routes", "from cardrail.api.errors import problem", None),
        ("cardrail.api.dialects.a.routes", "from cardrail.api.dialects.b.wire import In", "one plug imports another"),
        ("cardrail.api.dialects.a.routes", "from cardrail.api.v1.wire import OrderIn", "one plug imports another"),
        ("cardrail.bootstrap", "from cardrail.api.dialects.a import routes", None),
        ("cardrail.bootstrap", "from cardrail.storage.migrations import upgrade", None),
        ("cardrail.sourcing.connectors.a.client", "from cardrail.sourcing.connectors.b import x", "one plug imports"),
        ("cardrail.cli.serve", "def f():\n    from cardrail.bootstrap import build", None),
        ("cardrail.orders", "from cardrail.bootstrap import build", "bootstrap is above orders"),
    ],
)  # fmt: skip
def test_the_rules_themselves(module: str, source: str, fault: str | None) -> None:
    (found,) = imports_in(source, module)
    answer = fault_of(found, KNOWN, offered={"cardrail.storage.events"})
    assert answer is None if fault is None else answer is not None and answer.startswith(fault)


def test_every_module_imports_without_a_warning() -> None:
    """In a fresh process, so that no other test's imports help."""
    modules = [name for name in MODULES if "migrations" not in name and not name.endswith("__main__")]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
