"""`cardrail claim` and `cardrail message` as the operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cardrail.cli import delivery
from cardrail.cli.context import refusals
from cardrail.delivery import deliver_order
from tests.delivery.build import ClaimWorld
from tests.delivery.test_messages import Post


@pytest.fixture
def post(world: ClaimWorld, monkeypatch: pytest.MonkeyPatch) -> Post:
    """A shop with a delivered order, and the commands on it."""
    made = Post(world)

    @contextmanager
    def opened() -> Iterator[Any]:
        with refusals():
            yield SimpleNamespace(db=world.db, clock=world.clock, audit=world.audit, jobs=made.jobs, office=made.office)

    monkeypatch.setattr(delivery, "open_context", opened)
    return made


def call(app: Any, *words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_links_are_listed_without_the_links_and_withdrawn(post: Post) -> None:
    order = post.order()
    (made,) = deliver_order(post.office, order.id) or []
    shown = call(delivery.claims, "list", order.id)
    assert made.claim.id[:12] in shown.stdout  # a narrow terminal folds the rest
    assert post.world.signer.token(made.claim.id) not in shown.stdout
    assert call(delivery.claims, "revoke", made.claim.id, "--yes").exit_code == 0
    assert json.loads(call(delivery.claims, "list", order.id, "--json").stdout)[0]["state"] == "REVOKED"
    assert call(delivery.claims, "revoke", "clm_none", "--yes").exit_code == 3


def test_messages_are_listed_sent_again_and_noted_as_bounced(post: Post) -> None:
    order = post.order()
    deliver_order(post.office, order.id)
    post.run()
    (row,) = json.loads(call(delivery.messages, "list", order.id, "--json").stdout)
    assert (row["state"], row["address"]) == ("sent", "ann@example.org")
    assert call(delivery.messages, "bounced", row["id"]).exit_code == 0
    new = json.loads(call(delivery.messages, "resend", row["id"], "--json").stdout)["id"]
    states = {one["id"]: one["state"] for one in json.loads(call(delivery.messages, "list", order.id, "--json").stdout)}
    assert states == {row["id"]: "bounced", new: "waiting"}
    assert call(delivery.messages, "resend", "msg_none").exit_code == 3


def test_nothing_is_said_to_be_nothing(post: Post) -> None:
    order = post.world.order("TEA", 1)
    assert call(delivery.claims, "list", order.id).stdout == "No links.\n"
    assert call(delivery.messages, "list", order.id).stdout == "No messages.\n"
