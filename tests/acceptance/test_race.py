"""Many buyers at the same moment."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import psycopg
import pytest
from sqlalchemy.engine import make_url

from cardrail.storage import sqlite_module
from tests.acceptance.books import check_books
from tests.acceptance.server import PRICE_MINOR, Answer, Place, Proved, Server
from tests.postgres import Postgres

pytestmark = [pytest.mark.prove, pytest.mark.chaos]

BUYERS = 120
CODES = 20


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One shop for these tests on each database. Each of them sells all that it puts on sale."""
    folder = tmp_path_factory.mktemp("race")
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "cardrail.db")
        yield Place(folder, f"sqlite:///{folder / 'cardrail.db'}")
        return
    database: Postgres = request.getfixturevalue("postgres")
    url = database.lend(request.getfixturevalue("migrated_postgres"))
    yield Place(folder, url)
    database.give_back(url)


@pytest.fixture(scope="module")
def servers(place: Place) -> Iterator[list[Server]]:
    """One server on SQLite; two that share the database on PostgreSQL."""
    with ExitStack() as stack:
        yield [stack.enter_context(place.serving()) for _ in range(1 if place.url.startswith("sqlite") else 2)]


def at_once(asks: list[Callable[[], Answer]]) -> list[Answer]:
    """Call all of them at the same moment, each on its thread."""
    barrier = threading.Barrier(len(asks))

    def one(ask: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return ask()

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(one, asks))


def order(server: Server, key: str) -> Answer:
    with server.buyer() as buyer:
        return buyer.order(key, reference=key)


def test_the_last_codes_are_sold_once_and_nobody_pays_for_nothing(
    place: Place, servers: list[Server], full_counts: bool, proved: Proved
) -> None:
    acknowledged: dict[str, Answer] = {}
    rounds, before = 20 if full_counts else 2, place.spent()
    for turn in range(rounds):
        stocked = set(place.stock(CODES))
        keys = [f"race-{turn}-{buyer}" for buyer in range(BUYERS)]
        answers = at_once([partial(order, servers[i % len(servers)], key) for i, key in enumerate(keys)])
        assert Counter(one.status for one in answers) == {201: CODES, 409: BUYERS - CODES}
        assert all(one.body["code"] == "out_of_stock" and one.body["charged"] is False for one in answers if one.status == 409)
        sold = {key: one for key, one in zip(keys, answers, strict=True) if one.status == 201}
        assert {code for one in sold.values() for code in one.codes} == stocked
        acknowledged |= sold
    charged = place.spent() - before
    assert charged == rounds * CODES * PRICE_MINOR
    check_books(place, acknowledged)
    proved(
        f"{rounds} rounds of {BUYERS} buyers for {CODES} codes at {len(servers)} server(s): {len(acknowledged)} sold, "
        f"{rounds * (BUYERS - CODES)} refused, charged {charged / PRICE_MINOR:g} prices, no code twice"
    )


def test_one_key_at_the_same_moment_gives_one_order_and_one_answer(
    place: Place, servers: list[Server], full_counts: bool, proved: Proved
) -> None:
    rounds, before = 50 if full_counts else 5, place.spent()
    place.stock(rounds)
    acknowledged = {}
    for turn in range(rounds):
        key = f"same-{turn}"
        answers = at_once([partial(order, servers[i % len(servers)], key) for i in range(8)])
        check_same(answers)
        acknowledged[key] = answers[0]
    assert place.spent() - before == rounds * PRICE_MINOR
    check_books(place, acknowledged)
    made = {one.body["id"] for one in acknowledged.values()}
    proved(f"{rounds} keys, each asked 8 times at once at {len(servers)} server(s): {len(made)} orders")


def test_one_key_twice_in_one_batch_gives_one_order_and_one_answer(place: Place, servers: list[Server]) -> None:
    """While a lock keeps the lane busy with a first order, the two of one key gather, and become one batch."""
    place.stock(2)
    before = len(place.rows("orders"))
    with ThreadPoolExecutor(4) as pool:
        with wallet_locked(place):
            plug = pool.submit(order, servers[0], "plug")
            threading.Event().wait(0.3)
            twins = [pool.submit(order, servers[0], "twin") for _ in range(3)]
            threading.Event().wait(0.3)
            assert not plug.done()
            assert not any(twin.done() for twin in twins)
        answers = [twin.result() for twin in twins]
    check_same(answers)
    check_books(place, {"plug": plug.result(), "twin": answers[0]})
    assert len(place.rows("orders")) == before + 2


def check_same(answers: list[Answer]) -> None:
    """One order, whoever asked: the same id, the same charge, the same codes."""
    assert {one.status for one in answers} <= {200, 201}, answers
    assert len({(one.body["id"], *one.codes) for one in answers}) == 1
    assert len({str(one.body["charged"]) for one in answers}) == 1


@contextmanager
def wallet_locked(place: Place) -> Iterator[None]:
    """Nobody else can write the partner's wallet meanwhile. (PostgreSQL gives up waiting after two seconds.)"""
    url = make_url(place.url)
    if url.get_backend_name() == "sqlite":
        connection = sqlite_module().connect(url.database, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()  # which rolls back
        return
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as locked:
        locked.execute("SELECT name FROM accounts WHERE purpose = 'wallet' FOR UPDATE")
        yield
