"""Our webhooks are verified by the published JavaScript library of Standard Webhooks, unmodified, as npm installs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cardrail.kernel import Secret
from cardrail.storage import Database
from tests.build import a_world
from tests.webhooks.build import WHO, Hooks, hooks_of
from tests.webhooks.receiver import Received, Receiver, a_receiver

pytestmark = pytest.mark.browser

MODULES = Path(__file__).parents[2] / ".venv" / "node" / "node_modules"


@pytest.fixture
def hooks(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Hooks]:
    """A shop with endpoints on loopback; a signature does not depend on the database."""
    shutil.copyfile(migrated_sqlite, tmp_path / "cardrail.db")
    db = Database(f"sqlite:///{tmp_path / 'cardrail.db'}")
    yield hooks_of(a_world(db, tmp_path), timeout_seconds=10.0)
    db.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


def said(*messages: tuple[Secret, Received]) -> list[str]:
    """What the library makes of each: "verified order.fulfilled", or "refused …"."""
    assert (MODULES / "standardwebhooks").is_dir(), "scripts/browser.sh installs it"
    lines = [
        json.dumps({"secret": secret.reveal(), "headers": one.headers, "body": one.body.decode()}) for secret, one in messages
    ]
    ran = subprocess.run(
        ["node", Path(__file__).with_name("verify.js")],
        input="\n".join(lines),
        env=os.environ | {"NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_each_message_is_verified_as_it_came(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url)
    hooks.order(5)
    assert hooks.send() == 5
    assert said(*[(secret, one) for one in receiver.received]) == ["verified order.fulfilled"] * 5


def test_both_secrets_verify_while_one_is_rolled_out(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, old = hooks.endpoint(receiver.url)
    new = hooks.book.rotate(endpoint.id, who=WHO)
    hooks.order()
    hooks.send()
    (request,) = receiver.received
    assert said((old, request), (new, request)) == ["verified order.fulfilled"] * 2


def test_what_was_changed_or_is_old_or_another_s_is_refused(hooks: Hooks, receiver: Receiver) -> None:
    _, secret = hooks.endpoint(receiver.url)
    _, other = hooks.endpoint(receiver.url + "/other")
    hooks.order()
    hooks.send()
    request = next(one for one in receiver.received if not one.path.endswith("/other"))
    changed = replace(request, body=request.body.replace(b"FULFILLED", b"CANCELLED"))
    renamed = replace(request, headers=request.headers | {"webhook-id": "evt_another"})
    old = replace(request, headers=request.headers | {"webhook-timestamp": str(int(request.headers["webhook-timestamp"]) - 301)})
    assert said((secret, request)) == ["verified order.fulfilled"]
    found = said((secret, changed), (secret, renamed), (secret, old), (other, request))
    assert [one.partition(" ")[0] for one in found] == ["refused"] * 4
