"""`cardrail client-partner`: the operator's decision, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from cardrail.access import register_client_partner
from cardrail.bootstrap import opened
from cardrail.cli import app
from cardrail.config import Settings
from cardrail.kernel import Mode, PartnerId


def call(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--data-dir", str(folder), *words])


def test_one_is_listed_approved_and_revoked(tmp_path: Path) -> None:
    assert call(tmp_path, "init").exit_code == 0
    partner = json.loads(call(tmp_path, "partner", "create", "Broker", "--currency", "EUR", "--json").stdout)["id"]
    with opened(Settings(data_dir=tmp_path)) as part:
        made = register_client_partner(
            part.db, part.clock, part.audit, PartnerId(partner), Mode.LIVE, name="Acme", details={}, actor="test"
        )
    listed = json.loads(call(tmp_path, "client-partner", "list", partner, "--json").stdout)["items"]
    assert [(one["id"], one["name"], one["state"]) for one in listed] == [(made.id, "Acme", "pending")]
    assert json.loads(call(tmp_path, "client-partner", "approve", made.id, "--json").stdout)["state"] == "approved"
    assert "revoked" in call(tmp_path, "client-partner", "revoke", made.id).stdout
    assert "revoked" in call(tmp_path, "client-partner", "list", partner).stdout


def test_a_decision_that_the_state_does_not_allow_is_refused(tmp_path: Path) -> None:
    assert call(tmp_path, "init").exit_code == 0
    for words in (("approve", "clp_nobody"), ("list", "par_nobody")):
        assert call(tmp_path, "client-partner", *words).exit_code == 3
