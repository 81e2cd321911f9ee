"""Surfaces G and V1: every endpoint and every choice of theirs is documented, and every endpoint has a test that is named beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cardrail.api.compat import Route, load_profiles
from cardrail.api.dialects import foxreload
from cardrail.api.dialects.foxreload.generic import generic_routes
from cardrail.api.dialects.foxreload.generic.profile import GenericProfile
from cardrail.api.dialects.foxreload.v1 import v1_routes
from cardrail.api.dialects.foxreload.v1.profile import V1Profile

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs/compat/foxreload.md").read_text()
SURFACES = {"## Surface G": generic_routes(GenericProfile()), "## Surface V1": v1_routes(V1Profile())}
ROUTES = [(heading, one) for heading, routes in SURFACES.items() for one in routes]


def section(heading: str) -> str:
    """The page from this heading to the next."""
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, heading
    return found[1]


@pytest.mark.parametrize(("heading", "route"), ROUTES, ids=[f"{heading[11:]} {one.method} {one.path}" for heading, one in ROUTES])
def test_an_endpoint_has_its_line_and_the_tests_named_there_ask_it(heading: str, route: Route) -> None:
    (line,) = [one for one in section(heading).splitlines() if one.startswith(f"| `{route.method} {route.path}` |")]
    assert f"`{route.scope}`" in line
    asked = re.sub(r"\{[a-z_]+\}", r"[^\\s\"]+", re.escape(route.path).replace(r"\{", "{").replace(r"\}", "}"))
    for name in re.findall(r"`(test_\w+\.py)`", line):
        text = (HERE / name).read_text()
        client = HERE / f"client_{'v1' if 'V1' in heading else 'generic'}.py"
        text += client.read_text() if name.endswith("_story.py") else ""
        assert re.search(rf"[\"'](/v1)?{asked}[\"']", text), (name, asked)


def test_no_line_tells_of_an_endpoint_that_is_not() -> None:
    for heading, routes in SURFACES.items():
        told = re.findall(r"^\| `((?:GET|POST|PUT|DELETE|PATCH) [^`]+)` \|", section(heading), re.M)
        assert sorted(told) == sorted(f"{one.method} {one.path}" for one in routes)


@pytest.mark.parametrize("profile", [GenericProfile, V1Profile])
def test_every_member_of_a_profile_is_explained(profile: Any) -> None:
    assert [name for name in profile.__struct_fields__ if f"`{name}`" not in section("## What G and V1 share")] == []


def test_the_profiles_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(
        '[foxreload.generic]\nstock_steps = [1, 5]\n[foxreload.v1]\ncurrency = "EUR"\nfirst_answer = "current"\n'
        'category_by_slug = {games = "game-code"}\n'
    )
    profile = load_profiles(file, [foxreload.DIALECT])["foxreload"]
    assert (profile.generic.stock_steps, profile.v1.currency, profile.v1.first_answer) == ((1, 5), "EUR", "current")
    assert profile.v1.category_by_slug == {"games": "game-code"}
