"""The lock names versions and hashes, never where they come from (CONTRIBUTING.md, "Dependencies")."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

LOCK = (Path(__file__).parents[2] / "uv.lock").read_text()


def test_every_address_is_the_placeholder() -> None:
    hosts = set(re.findall(r'[a-z+]+://[^/"]*', LOCK))
    assert hosts == {"https://index.invalid"}, "run `make lock`, which replaces the hosts"


def test_every_package_but_our_own_has_hashes() -> None:
    packages = tomllib.loads(LOCK)["package"]
    bare = [package["name"] for package in packages if not package.get("wheels") and not package.get("sdist")]
    assert bare == ["cardrail"]


def test_every_file_is_pinned_by_sha256() -> None:
    files = re.findall(r"\{ url = .*", LOCK)
    assert files
    assert all(re.search(r'hash = "sha256:[0-9a-f]{64}"', line) for line in files)
