"""A hub buys from a hub over HTTP, and the other's webhook brings the order to its end: nobody waits for a poll."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from cardrail.access import parse_networks
from cardrail.catalog import import_catalog
from cardrail.config import Settings
from cardrail.kernel import Mode, Money, Secret, to_micros
from cardrail.sourcing import (
    SUPPLY_VERSION,
    Accepted,
    BaseConnector,
    Connector,
    Delivered,
    LookupOutcome,
    LookupRequest,
    NewSupplier,
    Outcome,
    PlaceRequest,
    Setup,
    Supplier,
    connector_kind,
    create_supplier,
    list_notices,
    put_mapping,
    put_product,
    set_receiver,
)
from cardrail.storage import EVENT_SERIES, Sequencer, bump_version, metadata
from cardrail.vault import create_key_file
from cardrail.webhooks import AddressRules, EndpointBook, Sender, Who
from tests.api.build import Served
from tests.api.conftest import serving
from tests.compat.build import CompatShop
from tests.compat.conftest import shop as upstream  # noqa: F401  # the other hub
from tests.sourcing.build import SHEET
from tests.sourcing.hubs.faults import FaultyLine
from tests.waiting import PATIENCE_SECONDS, wait_until
from tests.webhooks.receiver import a_receiver
from tests.webhooks.redeliver import redeliver

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Slowly(BaseConnector):
    """A supplier that says no more than "accepted" at first, and is asked again in an hour unless something happens."""

    def __init__(self, inner: Connector) -> None:
        self.inner = inner
        self.looked = 0
        self.capabilities = replace(inner.capabilities, poll_seconds=3_600.0, poll_seconds_max=3_600.0)

    def place(self, request: PlaceRequest) -> Outcome:
        outcome = self.inner.place(request)
        if isinstance(outcome, (Delivered, Accepted)):
            return Accepted(str(outcome.supplier_order_id))
        return outcome

    def lookup(self, about: LookupRequest) -> LookupOutcome:
        self.looked += 1
        return self.inner.lookup(about)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module")
def shop_backend() -> str:
    """What is tested is the wire between two hubs; each of them is tested on both databases elsewhere."""
    return "sqlite"


@pytest.fixture(scope="module")
def shop_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The supplier's V1 is in rupees."""
    path = tmp_path_factory.mktemp("profiles") / "profiles.toml"
    path.write_text('[foxreload.v1]\ncurrency = "INR"\n')
    return {"dialect_profiles": path}


@pytest.fixture(scope="module")
def hub(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The hub that buys: served, and with a worker."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "cardrail.db").write_bytes(migrated_sqlite.read_bytes())
    create_key_file(folder / "master.keys")
    with serving(Settings(data_dir=folder, node="main")) as served:
        part = served.cardrail
        import_catalog(part.db, part.clock, part.audit, SHEET, actor="test")
        part.catalog.refresh()
        part.jobs.start()
        yield served


class Line:
    """One supplier of the hub's: the other hub in one of its protocols, and the webhook that it sends back."""

    def __init__(
        self, hub: Served, other: CompatShop, kind: str, *, form: str = "own", url: str | None = None, by: str | None = None
    ) -> None:
        """``url``: where the other's webhooks go instead; ``by``: the line that they come by."""
        self.hub, self.other = hub, other
        part = hub.cardrail
        partner = other.a_partner("100000.00")
        self.supplier, self.slow, secret = self._supplier(kind, partner, form)
        self.receiver = set_receiver(
            part.db, part.clock, part.audit, part.sealer, self.supplier.id, secret, actor="test", form=form
        )
        rules = AddressRules(parse_networks(["127.0.0.0/8"]))
        theirs = other.cardrail
        book = EndpointBook(theirs.db, theirs.clock, theirs.audit, theirs.sealer, rules)
        Sequencer(theirs.db, [EVENT_SERIES]).run_pass()
        formats = {"starship": "starship_g2"}
        book.create(
            partner,
            Mode.LIVE,
            url=url or (by or hub.url) + self.receiver.path,
            who=Who("test"),
            format="standard" if form == "standard" else formats.get(kind, kind),
            with_codes=kind == "foxreload_v1" and form == "own",
            secret=secret,
        )
        self.sender = Sender(book, theirs.opener)

    @property
    def url(self) -> str:
        return self.hub.url + self.receiver.path

    def _supplier(self, kind: str, partner: Any, form: str) -> tuple[Supplier, Slowly, Secret]:
        part, made = self.hub.cardrail, self.other.credential(DIALECTS[kind], partner_id=partner)
        base, secrets = self.other.url + PATHS[kind], {name: Secret(text) for name, text in made.items()}
        config = {"base_url": base, "country": "IN", "auth_mode": "api_key", **made}
        signs = {"finperks": "client_secret", "starship": "signing_secret"}.get(kind)
        secret = Secret(WHSEC) if form == "standard" or signs is None else secrets[signs]
        name = f"{kind}-{form}-{partner[-6:]}"
        row = create_supplier(
            part.db,
            part.clock,
            part.audit,
            part.sealer,
            NewSupplier(name, kind, Mode.LIVE, "INR", {k: v for k, v in config.items() if k not in SECRETS}),
            {k: v for k, v in secrets.items() if k in SECRETS},
            actor="test",
        )
        inner = connector_kind(kind).make(
            Setup(row.id, Mode.LIVE, "INR", row.config, {k: v for k, v in secrets.items() if k in SECRETS})
        )
        slow = Slowly(inner)
        part.buying.connectors.put(row, slow)
        (product, *_) = [one for one in inner.catalog() if one.name == "Tea voucher" or one.sku == "TEA"]
        offer, now = part.catalog.current().offer("CARD"), to_micros(part.clock.now())
        assert offer is not None
        mappings = metadata.tables["supplier_mappings"]
        with part.db.transaction() as tx:
            tx.execute(sa.delete(mappings))
            put_product(tx, row.id, replace(product, cost=product.cost or Money.parse("95", "INR")), "INR", now)
            put_mapping(tx, offer.denomination_id, row.id, product.sku, is_enabled=True, mapped_by="test", at=now)
            bump_version(tx, SUPPLY_VERSION)
        return row, slow, secret

    def send(self) -> int:
        """What the other hub has to tell is posted."""
        Sequencer(self.other.cardrail.db, [EVENT_SERIES]).run_pass()
        return self.sender.send_due()

    def accepted(self, count: int = 1) -> list[str]:
        """Orders of the hub's that the other one has accepted; their ids."""
        ids = [self.hub.order("CARD")["id"] for _ in range(count)]
        wait_until(lambda: self.states(ids) == ["accepted"] * count)
        return ids

    def states(self, order_ids: list[str]) -> list[str]:
        table = metadata.tables["attempts"]
        with self.hub.cardrail.db.read() as tx:
            query = sa.select(table.c.state).where(table.c.order_id.in_(order_ids)).order_by(table.c.order_id)
            return [str(one) for one in tx.execute(query).scalars()]

    def shown(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.hub.live.get(f"/v1/orders/{order_id}").json()
        return found

    def notices(self) -> list[Any]:
        with self.hub.cardrail.db.read() as tx:
            return list_notices(tx, supplier_id=self.supplier.id)


DIALECTS = {"foxreload_v1": "foxreload", "finperks": "finperks", "starship": "starship"}
PATHS = {"foxreload_v1": "/compat/foxreload", "finperks": "/compat/finperks/v1", "starship": "/compat/starship"}
SECRETS = {"api_key", "client_secret", "password", "api_secret", "signing_secret"}


@pytest.mark.parametrize(
    ("kind", "form"), [("foxreload_v1", "own"), ("foxreload_v1", "standard"), ("finperks", "own"), ("starship", "own")]
)
def test_the_others_webhook_ends_the_order(hub: Served, upstream: CompatShop, kind: str, form: str) -> None:
    line = Line(hub, upstream, kind, form=form)
    (order_id,) = line.accepted()
    assert (line.slow.looked, line.shown(order_id)["state"]) == (0, "PROCESSING")
    assert line.send() >= 1
    wait_until(lambda: line.shown(order_id)["state"] == "FULFILLED")
    assert (line.slow.looked, line.states([order_id])) == (1, ["delivered"])
    codes = hub.live.get(f"/v1/orders/{order_id}/codes").json()["items"][0]["codes"]
    assert codes[0]["code"].startswith("TEA-")
    with hub.cardrail.db.read() as tx:
        kept = " ".join([repr(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables])
    assert codes[0]["code"] not in kept  # the body that had it is nowhere


def test_repeated_and_reordered_webhooks_change_nothing(hub: Served, upstream: CompatShop) -> None:
    with a_receiver() as caught:
        line = Line(hub, upstream, "foxreload_v1", url=caught.url)
        before = upstream.balance(_partner(line))
        ids = line.accepted(4)
        line.send()
        assert len(caught.received) >= 4
        assert set(redeliver(caught.received, line.url, times=3, seed=7)) == {200}
    wait_until(lambda: {line.shown(one)["state"] for one in ids} == {"FULFILLED"})
    wait_until(lambda: {one.state for one in line.notices()} == {"done"})
    assert len(line.notices()) == len({one.body for one in caught.received})
    assert before - upstream.balance(_partner(line)) == 4 * 95_00
    codes = [hub.live.get(f"/v1/orders/{one}/codes").json()["items"][0]["codes"] for one in ids]
    assert [len(one) for one in codes] == [1] * 4
    assert len({one[0]["code"] for one in codes}) == 4


def test_a_line_that_repeats_and_holds_back_webhooks_changes_nothing(hub: Served, upstream: CompatShop) -> None:
    parts = urlsplit(hub.url)
    assert parts.port is not None
    faulty = FaultyLine(("127.0.0.1", parts.port), seed=3, faults={"twice": 45.0, "held": 45.0}, held=0.3)
    faulty.is_calm = False
    try:
        line = Line(hub, upstream, "foxreload_v1", by=faulty.url)
        before = upstream.balance(_partner(line))
        ids = line.accepted(6)
        line.send()
        wait_until(lambda: {line.shown(one)["state"] for one in ids} == {"FULFILLED"})
    finally:
        faulty.close()
    assert faulty.did["twice"] > 0
    assert faulty.did["held"] > 0
    assert before - upstream.balance(_partner(line)) == 6 * 95_00
    assert (line.states(ids), {one.state for one in line.notices()} - {"waiting"}) == (["delivered"] * 6, {"done"})


def _partner(line: Line) -> Any:
    with line.other.cardrail.db.read() as tx:
        table = metadata.tables["webhook_endpoints"]
        return tx.execute(sa.select(table.c.partner_id).order_by(table.c.id.desc())).scalars().first()


# --- what strangers send --------------------------------------------------------------------------------------------------


@pytest.fixture
def caught(hub: Served, upstream: CompatShop) -> Iterator[tuple[Line, Any]]:
    """A line, and a good webhook of its that has not arrived yet."""
    with a_receiver() as receiver:
        line = Line(hub, upstream, "foxreload_v1", url=receiver.url)
        line.accepted()
        line.send()
        yield line, receiver.received[-1]


def post(url: str, one: Any, *, body: bytes | None = None, **headers: str) -> httpx2.Response:
    given = {name: one.headers[name] for name in ("x-foxreload-signature", "x-foxreload-event-id") if name in one.headers}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx2.post(url, content=one.body if body is None else body, headers=given, trust_env=False, timeout=PATIENCE_SECONDS)


def test_forged_stale_and_foreign_webhooks_are_refused_and_nothing_is_kept(caught: Any, hub: Served, capfd: Any) -> None:
    line, one = caught
    stamp = one.headers["x-foxreload-signature"].partition(",")[0].removeprefix("t=")
    old = str(int((datetime.now(UTC) - timedelta(minutes=6)).timestamp()))
    refused = [
        post(line.url, one, body=one.body.replace(b"ord_", b"ord-")),
        post(line.url, one, x_foxreload_signature=one.headers["x-foxreload-signature"].replace(stamp, old)),
        post(line.url, one, x_foxreload_signature=""),
        post(hub.url + "/in/guessed", one),
        post(hub.url + "/in/" + "x" * 500, one),
    ]
    assert [one.status_code for one in refused] == [401, 401, 401, 404, 404]
    assert post(line.url, one, body=b"x" * 70_000).status_code == 413
    assert line.notices() == []
    logged = capfd.readouterr()
    assert "delivery_data" not in logged.out + logged.err
    meters = hub.nobody.get("/metrics").text
    assert 'cardrail_supplier_webhooks_total{outcome="webhook_forged"}' in meters


def test_a_replay_is_answered_and_is_no_news_under_whatever_id(caught: Any) -> None:
    line, one = caught
    answers = [post(line.url, one), post(line.url, one), post(line.url, one, x_foxreload_event_id="another")]
    assert ([one.status_code for one in answers], len(line.notices())) == ([200] * 3, 1)


def test_whoever_is_refused_too_often_is_not_heard(caught: Any, hub: Served) -> None:
    line, one = caught
    statuses = [post(line.url, one, x_foxreload_signature="t=1,v1=0").status_code for _ in range(62)]
    assert 401 in statuses
    assert statuses[-1] == 429
    assert post(line.url, one).status_code == 429
    hub.cardrail.rates._limiter.storage.reset()
