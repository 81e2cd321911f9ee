"""Orders of Finperks' and Starship's clients that name an e-mail address: their recipients get a link, as the native API's do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.delivery import deliver_waiting
from cardrail.kernel import Mode
from cardrail.orders import erase_customer
from cardrail.storage import metadata
from tests.compat.build import CompatShop
from tests.compat.finperks.asking import Open, order_body, placed
from tests.compat.finperks.conftest import open_client
from tests.compat.starship.conftest import asker
from tests.delivery.test_channels import Inbox, taking

__all__ = ["asker", "open_client"]


@pytest.fixture(scope="module")
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is mailed is the same on both."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(inbox: Inbox) -> Iterator[dict[str, Any]]:
    with taking(inbox) as port:
        yield {
            "smtp_url": f"smtp://127.0.0.1:{port}",
            "mail_from": "gifts@shop.example",
            "public_url": "https://gifts.example",
            "trusted_proxies": "127.0.0.0/8",
        }


def run(shop: CompatShop) -> None:
    """What a worker does: deliver what is final, and send what waits."""
    office = shop.cardrail.office
    office.jobs.prepare()
    deliver_waiting(office)
    with shop.cardrail.db.read() as tx:
        waiting = tx.execute(sa.select(metadata.tables["messages"].c.id).where(metadata.tables["messages"].c.state == "waiting"))
        ids = list(waiting.scalars())
    for message_id in ids:
        office.jobs._work.workflows["message.attempt"](message_id, 0)


def test_a_finperks_order_by_email_reaches_its_recipient_and_nobody_else_sees_the_code(
    shop: CompatShop, open_client: Open, inbox: Inbox
) -> None:
    client = open_client()
    assert all("email" in one["delivery_methods"] for one in client.send("GET", "/products").json())
    body = order_body(shop, delivery_method={"type": "email", "email": "fin@example.org"})
    order = placed(client, body)
    assert (order["state"], "code" in order) == ("completed", False)
    assert "code" not in client.send("GET", f"/orders/{order['id']}").json()
    run(shop)
    (mail,) = [one for one in inbox.taken if one["To"] == "fin@example.org"]
    assert re.search(r"https://gifts\.example/c/\S{48}", mail.as_string())
    blind = open_client(Mode.LIVE, "orders:write", "catalog:read")
    assert blind.send("POST", "/orders", body, key="no-codes").status_code == 403


def test_an_email_method_without_an_address_is_refused(shop: CompatShop, open_client: Open) -> None:
    body = order_body(shop, delivery_method={"type": "email"})
    answer = open_client().send("POST", "/orders", body, key="nobody")
    assert answer.status_code == 400
    assert "delivery_method.email" in answer.text


@pytest.mark.parametrize(
    "address", ["a,b@example.org", "Fin<fin@example.org>", "=?utf-8?q?a=2C?=@example.org", "fin@exämple.org"]
)
def test_what_is_no_single_address_that_can_be_written_to_is_refused(shop: CompatShop, open_client: Open, address: str) -> None:
    body = order_body(shop, delivery_method={"type": "email", "email": address})
    answer = open_client().send("POST", "/orders", body, key=f"odd-{len(address)}")
    assert answer.status_code == 400
    assert "delivery_method.email" in answer.text


def test_a_starship_order_s_address_that_is_none_gets_nothing(shop: CompatShop, inbox: Inbox, asker: Any) -> None:
    ask, before = asker(), len(inbox.taken)
    assert len(ask.order(ask.wanted(quantity=1, ref="MAIL-2", email="a,star@odd.example"))["vouchers"]) == 1
    run(shop)
    assert len(inbox.taken) == before


def test_a_starship_order_s_address_gets_gets_a_link_and_its_repeat_none(shop: CompatShop, inbox: Inbox, asker: Any) -> None:
    ask = asker()
    body = ask.wanted(quantity=1, ref="MAIL-1", email="star@example.org")
    assert len(ask.order(body)["vouchers"]) == 1
    ask.order(body, status=None)
    run(shop)
    run(shop)
    assert [one["To"] for one in inbox.taken].count("star@example.org") == 1


def test_an_erased_customer_s_address_is_in_no_order(shop: CompatShop, open_client: Open) -> None:
    placed(
        open_client(), order_body(shop, customer={"id": "gone"}, delivery_method={"type": "email", "email": "gone@example.org"})
    )
    rail = shop.cardrail
    with rail.db.read() as tx:
        orders = metadata.tables["orders"]
        partner = tx.execute(sa.select(orders.c.partner_id).where(orders.c.customer_id == "gone")).scalar_one()
    erase_customer(rail.db, rail.clock, rail.audit, partner, "gone", actor="test")
    with rail.db.read() as tx:
        kept = repr(tx.execute(sa.select(orders.c.details)).all())
    assert "gone@example.org" not in kept
