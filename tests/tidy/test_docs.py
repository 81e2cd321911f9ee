"""The pages say what there is: what the code can raise, tell, be set to and be told to do is explained somewhere under docs/."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts import docs  # imports the whole command line, and with it every error class

from cardrail.config import Settings
from cardrail.kernel import CardrailError, all_error_types

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "cardrail"

WRITTEN = sorted(DOCS.rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *WRITTEN]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def explained(token: str) -> bool:
    """Whether a page has the word in code marks, or as its heading."""
    return any(f"`{token}`" in text or f"## {token}\n" in text for text in TEXTS)


TEXTS = [path.read_text() for path in WRITTEN]


# --- nothing is left out ----------------------------------------------------------------------------------------------


def test_every_error_code_is_explained() -> None:
    codes = {error.code for error in all_error_types() if docs.is_ours(error)} - {CardrailError.code}  # the root is never raised
    assert [code for code in sorted(codes) if not explained(code)] == []


def test_every_setting_is_explained() -> None:
    assert [name for name in Settings.model_fields if not explained(f"CARDRAIL_{name.upper()}")] == []


def test_every_command_is_explained() -> None:
    assert [name for name, _ in docs.commands() if not explained(name)] == []


EVENT = re.compile(r"[a-z]+\.[a-z_]+")
NO_EVENTS = {"audit_entry", "tell", "_tell_rule"}
"""Functions whose dotted words are actions of the audit log."""
JOBS = re.compile(
    r"notice\.(follow|settle|anew|ask_anew)|cardrail\.\w+|order\.(procure\w*|replace_code)|settlement\.export|supplier\.\w+ed"
    r"|message\.(attempt|send|settle)"
)
"""Names of queues, jobs, loggers and audit actions that stand alone."""
BUILT = {"message.failed"}
"""Types that the code puts together."""


def events_in(path: Path) -> Iterator[str]:
    """The dotted words of a domain module that are not the audit log's: the types of its events."""
    tree = ast.parse(path.read_text())
    actions: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            actions |= {id(one.value) for one in node.keywords if one.arg == "action"}
            if name in NO_EVENTS:
                actions |= {id(one) for one in node.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in actions:
            yield from EVENT.findall(node.value) if EVENT.fullmatch(node.value) else ()


def test_every_event_is_explained_and_every_explained_event_exists() -> None:
    modules = [
        path
        for package in ("access", "catalog", "delivery", "ledger", "orders", "settlement", "sourcing", "vault", "webhooks")
        for path in (*(SOURCE / package).glob("*.py"), *(SOURCE / package / "replacements").glob("*.py"))
        if path.name not in {"tables.py", "types.py"}
    ]
    found = {event for path in modules for event in events_in(path) if not JOBS.fullmatch(event)}
    assert found | BUILT == set(docs.EVENTS)


# --- nothing is out of date -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == docs.PAGES[name](), "run `make docs`"


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The names that headings get."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_resolve(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text())):
            broken.append(target)
    assert broken == []


SOURCE_PATH = re.compile(r"`((?:src|tests|scripts|docs)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert [name for name in SOURCE_PATH.findall(page.read_text()) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_a_page_can_be_reached_from_the_index(page: Path) -> None:
    assert page.resolve() in reachable(), "link it in docs/README.md, or in a page that is linked there"


def reachable() -> set[Path]:
    """Every page that somebody who begins at the index can come to."""
    found: set[Path] = set()
    ahead = [DOCS / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        ahead += [
            (page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(page.read_text()) if "://" not in target
        ]
    return found


LINE = re.compile(r"^(?:\w[^`|\n]*\| |[A-Z_]+=\S+ )?cardrail +(.+)$", re.MULTILINE)
"""A command in a block of a page."""
IN_WORDS = re.compile(r"`cardrail +([^`]+)`")
COMMANDS = dict(docs.commands())


def unknown(words: list[str]) -> str | None:
    """The first of these words that no command or option of ours is; None if all are."""
    while words[:1] and words[0].startswith("--"):
        words = words[2:]
    name = next((" ".join(words[:n]) for n in (3, 2, 1) if f"cardrail {' '.join(words[:n])}" in COMMANDS), None)
    if name is None:
        is_group = any(one.startswith(f"cardrail {' '.join(words)} ") for one in COMMANDS)
        return None if is_group or not words else " ".join(words)
    known = {option for one in COMMANDS[f"cardrail {name}"].params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    given = [word.partition("=")[0] for word in words[len(name.split()) :] if re.match(r"--?[a-z]", word)]
    return next((option for option in given if option not in known), None)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in {"cli.md", "CHANGELOG.md"}], ids=named)
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    text = page.read_text()
    shown = [re.split(r"\s#|\s\|", found)[0] for found in (*LINE.findall(text), *IN_WORDS.findall(text))]
    assert [(line, wrong) for line in shown if (wrong := unknown(line.split())) is not None] == []


# --- nothing that belongs elsewhere -----------------------------------------------------------------------------------

MACHINE = re.compile(r"(?<![\w./…}-])/(?:home|root|Users|work|tmp|workspace)/\S+")
HOST = re.compile(r"[a-z][a-z0-9+]*://(?:[^/\s@]*@)?([\w.-]+)")
HOSTS = {"127.0.0.1", "localhost", "index.invalid", "semver.org", "host", "cardrail", "api.telegram.org"}
"""Hosts that a page may name, beside made-up ones; so a mirror, a registry or a machine of somebody's is noticed."""


def foreign(text: str) -> list[str]:
    """Paths of somebody's machine, and hosts that no reader needs to know."""
    hosts = [host for host in HOST.findall(text) if host not in HOSTS and not host.endswith((".example", ".internal"))]
    return MACHINE.findall(text) + hosts


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_a_machines_path_or_a_registrys_host(page: Path) -> None:
    assert foreign(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /home/anna/cardrail", ["/home/anna/cardrail"]),
        ("from https://mirror.somewhere.net/simple", ["mirror.somewhere.net"]),
        ("postgresql://anna:secret@db7.somewhere.net/x", ["db7.somewhere.net"]),
        ("`/v1/orders`, ./tmp/x, https://cards.example/, https://index.invalid/", []),
    ],
)
def test_the_rule_itself(text: str, found: list[str]) -> None:
    assert foreign(text) == found


# --- what has changed -------------------------------------------------------------------------------------------------


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[:1] == ["Unreleased"]


def test_the_unreleased_section_says_something() -> None:
    section = (ROOT / "CHANGELOG.md").read_text().partition("## Unreleased\n")[2].partition("\n## ")[0]
    assert section.strip()
