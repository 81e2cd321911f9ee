"""How fast, and at whose cost: nobody waits for somebody else's server, and what is not sent costs nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from cardrail.webhooks import AddressRules, parse_schedule
from cardrail.webhooks.model import Failure
from cardrail.webhooks.names import Names
from cardrail.webhooks.post import Posted, Poster
from tests.waiting import PATIENCE_SECONDS, until, wait_until
from tests.webhooks.build import LOOPBACK, Hooks
from tests.webhooks.receiver import Answer, Received, Receiver, a_receiver, in_turn, status

# --- the sender's pace ------------------------------------------------------------------------------------------------


def test_a_paused_sender_writes_nothing_and_loses_nothing(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.sender.pace = replace(hooks.sender.pace, is_paused=True)
    hooks.order(3)
    assert (hooks.send(), hooks.deliveries(endpoint)) == (0, [])
    hooks.sender.pace = replace(hooks.sender.pace, is_paused=False)
    assert (hooks.send(), len(receiver.ids)) == (3, 3)


def test_a_sender_that_is_held_back_makes_deliveries_only_as_fast_as_it_sends_them(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = hooks.endpoint(receiver.url)
    hooks.sender.pace = replace(hooks.sender.pace, rate_max=10)
    hooks.order(30)
    hooks.number()
    time.sleep(0.2)  # an allowance of two
    sent = hooks.sender.send_due()
    assert 1 <= sent == len(receiver.ids) == len(hooks.deliveries(endpoint)) <= 4


def test_what_waits_longest_at_an_endpoint_goes_first(hooks: Hooks, receiver: Receiver) -> None:
    hooks.endpoint(receiver.url)
    hooks.sender.pace = replace(hooks.sender.pace, concurrency=1, connections_max=1)
    orders = hooks.order(9)
    hooks.number()
    while hooks.sender.send_due():
        pass
    assert [one.json["data"]["order_id"] for one in receiver.received] == orders


def test_a_commit_wakes_the_sender(hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_SECONDS", "PASS_SECONDS"):
        monkeypatch.setattr(f"cardrail.webhooks.sender.{name}", 60.0)
    hooks.endpoint(receiver.url)
    hooks.sender.start()
    try:
        time.sleep(0.2)  # it has looked, and rests for a minute
        hooks.order()
        wait_until(lambda: receiver.received, 50)
    finally:
        hooks.stop()


def test_where_there_is_no_endpoint_orders_do_not_wake_the_sender(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    run_pass = hooks.sender.run_pass

    def look(**how: bool) -> object:
        looks.append(time.monotonic())
        return run_pass(**how)

    monkeypatch.setattr(hooks.sender, "run_pass", look)
    monkeypatch.setattr("cardrail.webhooks.sender.QUIET_SECONDS", 60.0)
    hooks.sender.start()
    wait_until(lambda: looks)
    for _ in range(5):
        hooks.order()
    hooks.sender.stop()
    assert len(looks) == 2  # its first look, and the one as it ends


def test_slow_endpoints_have_half_of_the_connections_between_them() -> None:
    async def run() -> list[str]:
        poster, seen, held = a_poster(), [], asyncio.Event()

        async def hold(name: str, *, is_slow: bool) -> None:
            async with poster.turn(name, is_slow=is_slow):
                seen.append(name)
                await held.wait()

        tasks = [asyncio.create_task(hold(f"slow {n}", is_slow=True)) for n in range(4)]
        tasks += [asyncio.create_task(hold(f"quick {n}", is_slow=False)) for n in range(2)]
        await until(lambda: len(seen) >= 4)
        await asyncio.sleep(0.01)
        found = sorted(seen)
        held.set()
        await asyncio.gather(*tasks)
        return found

    assert asyncio.run(run()) == ["quick 0", "quick 1", "slow 0", "slow 1"]


def a_poster() -> Poster:
    return Poster(AddressRules(), timeout_seconds=1, connections=2, connections_max=4)


def test_an_endpoint_is_slow_by_its_answers_and_quick_again_by_them(hooks: Hooks) -> None:
    endpoint, _ = hooks.endpoint("http://127.0.0.1:1/")
    sender = hooks.sender
    rooms = []
    for millis in (900, 10, 10):
        sender._count(endpoint.id, Posted(200, None, b"", millis))
        rooms.append(sender._room(endpoint.id))
    assert rooms == [8, 8, 32]


def test_a_schedule_of_fractions_serves_a_receiver_that_comes_back(hooks: Hooks) -> None:
    hooks.sender.pace = replace(hooks.sender.pace, schedule=parse_schedule("0.2 1 5"))
    with a_receiver(in_turn(status(500), status(500), status(500), status(200))) as receiver:
        endpoint, _ = hooks.endpoint(receiver.url)
        hooks.order()
        hooks.send()
        for seconds in (0.2, 1, 5):
            hooks.pass_time(seconds=seconds * 0.99)
            assert hooks.send() == 0
            hooks.pass_time(seconds=seconds * 0.11)  # with all of its jitter
            assert hooks.send() == 1
        assert [one.status for one in hooks.attempts(endpoint)] == [500, 500, 500, 200]
        assert len(set(receiver.ids)) == 1


# --- connections ------------------------------------------------------------------------------------------------------


def raw(*parts: bytes, close: bool = False) -> Answer:
    """Exactly these bytes."""

    def run(handler: BaseHTTPRequestHandler, _request: Received) -> None:
        for part in parts:
            handler.wfile.write(part)
        handler.close_connection = close

    return run


ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join([b"X-%d: %s\r\n" % (n, b"y" * 1_000) for n in range(200)])


@pytest.mark.parametrize(
    ("answer", "noted"),
    [
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), (200, None, "hello")),
        (raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"), (201, None, "ok")),
        (raw(b"HTTP/1.0 200 OK\r\n\r\nto the end", close=True), (200, None, "to the end")),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), (204, None, None)),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", close=True), (200, None, "short")),
        (raw(ENDLESS_HEAD), (None, "connection_failed", None)),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), (None, "connection_failed", None)),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), (101, None, None)),
    ],
    ids=["chunked", "early hints", "to the end", "no content", "cut short", "endless head", "another protocol", "upgrade"],
)
def test_answers_of_every_shape(answer: Answer, noted: tuple[int | None, str | None, str | None]) -> None:
    async def run() -> tuple[int | None, str | None, str | None]:
        poster = loopback_poster()
        try:
            posted = await poster.post("whe_1", receiver.url, {"webhook-id": "1"}, b"{}")
        finally:
            await poster.close()
        return posted.status, posted.error and posted.error.value, posted.answer.decode() or None

    with a_receiver(answer) as receiver:
        assert asyncio.run(run()) == noted


def test_a_connection_that_the_receiver_has_closed_meanwhile_costs_no_attempt() -> None:
    async def run() -> list[int | None]:
        poster = loopback_poster()
        try:
            found = []
            for _ in range(3):
                posted = await poster.post("whe_1", receiver.url, {}, b"{}")
                found.append(posted.status)
            return found
        finally:
            await poster.close()

    with a_receiver(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", close=True)) as receiver:
        assert asyncio.run(run()) == [200, 200, 200]


def test_a_header_of_two_lines_is_not_sent() -> None:
    async def run() -> str | None:
        poster = loopback_poster()
        posted = await poster.post("whe_1", receiver.url, {"x": "1\r\nX-Evil: 1"}, b"{}")
        await poster.close()
        return posted.error and posted.error.value

    with a_receiver() as receiver:
        assert (asyncio.run(run()), receiver.received) == ("connection_failed", [])


def loopback_poster() -> Poster:
    return Poster(LOOPBACK, timeout_seconds=PATIENCE_SECONDS, connections=2, connections_max=4)


@asynccontextmanager
async def a_line(*answers: bytes, wrote: Callable[[bytes], object] = len) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers each request with exactly these bytes, and its diary: connections, the hosts asked for, and their ends.

    ``wrote`` is told of each part that was sent.
    """
    diary: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        diary.append("connected")
        writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                diary.append(head.split(b"\r\n")[0].split(b" ")[1].decode())
                for one in answers:
                    writer.write(one)
                    await writer.drain()
                    wrote(one)
        diary.append("closed")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", diary
    finally:
        server.close()
        for one in writers:
            one.transport.abort()
        await asyncio.sleep(0.01)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_an_endpoint_that_moves_takes_no_connection_with_it() -> None:
    async def run() -> tuple[list[str], list[str]]:
        poster = loopback_poster()
        async with a_line(OK) as (old, before), a_line(OK) as (new, after):
            for url in (old + "/a", old + "/b", new + "/c", new + "/d"):
                await poster.post("whe_1", url, {}, b"{}")
            await poster.close()
            await until(lambda: before[-1:] == after[-1:] == ["closed"])
            return before, after

    assert asyncio.run(run()) == (["connected", "/a", "/b", "closed"], ["connected", "/c", "/d", "closed"])


def test_what_is_under_way_to_an_endpoint_that_is_gone_leaves_no_connection_behind() -> None:
    async def run() -> list[str]:
        poster = loopback_poster()
        async with a_line(OK) as (url, diary):
            under_way = asyncio.create_task(poster.post("whe_1", url + "/a", {}, b"{}"))
            await asyncio.sleep(0)
            await poster.forget_others(())
            assert (await under_way).status == 200
            await until(lambda: diary[-1:] == ["closed"])
            return diary

    assert asyncio.run(run()) == ["connected", "/a", "closed"]


@pytest.mark.parametrize("tail", [b"0\r\nX-Trailer: ", b"1;extension="], ids=["trailer", "chunk extension"])
def test_of_an_answer_whose_framing_never_ends_no_more_is_read_than_of_any_other(tail: bytes) -> None:
    sent: list[bytes] = []

    async def run() -> tuple[int | None, Failure | None]:
        poster = loopback_poster()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with a_line(head, tail, *[b"y" * 65_536] * 2_000, wrote=sent.append) as (url, _):
            posted = await poster.post("whe_1", url + "/a", {}, b"{}")
            await poster.close()
            return posted.status, posted.error

    assert asyncio.run(run()) == (200, None)
    assert len(sent) < 500, "what fits between two sockets may be under way"


def test_over_a_connection_that_answered_twice_nothing_more_is_sent() -> None:
    async def run() -> list[str]:
        poster = loopback_poster()
        async with a_line(OK + OK.replace(b"200 OK", b"410 Gone")) as (url, diary):
            assert [(await poster.post("whe_1", f"{url}/{n}", {}, b"{}")).status for n in range(2)] == [200, 200]
            await poster.close()
            return [one for one in diary if one != "closed"]

    assert asyncio.run(run()) == ["connected", "/0", "connected", "/1"]


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_once_for_all_who_wait_and_its_answer_kept() -> None:
    asked: list[str] = []

    def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        time.sleep(0.02)
        return ["192.0.2.7"]

    async def run() -> None:
        names = Names(lookup)
        await asyncio.gather(*[names.find("shop.example", 443) for _ in range(20)])
        assert await names.find("shop.example", 443) == ["192.0.2.7"]
        assert asked == ["shop.example"]
        names.forget("shop.example", 443)
        await names.find("shop.example", 443)
        assert len(asked) == 2

    asyncio.run(run())


def test_name_servers_that_say_nothing_hold_up_nobody_else() -> None:
    spoken = threading.Event()

    def lookup(host: str, _port: int) -> list[str]:
        if host.startswith("silent"):
            spoken.wait(60)
        return ["192.0.2.7"]

    async def run() -> None:
        names = Names(lookup, lookups_max=2, slow_seconds=0.01)
        waiting: list[asyncio.Task[list[str]]] = []
        for port in (1, 2):  # the second time they are known
            waiting += [asyncio.create_task(names.find(f"silent{n}.example", port)) for n in range(9)]
            assert await names.find(f"quick{port}.example", 443) == ["192.0.2.7"]
            assert not any(one.done() for one in waiting)
        spoken.set()
        assert await asyncio.gather(*waiting) == [["192.0.2.7"]] * 18

    asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))


def test_a_name_that_has_no_address_says_so() -> None:
    def lookup(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    async def run() -> None:
        with pytest.raises(OSError, match="no such name"):
            await Names(lookup).find("nowhere.example", 443)

    asyncio.run(run())


# --- what is seen of it -----------------------------------------------------------------------------------------------


def test_what_waits_is_counted_where_it_waits(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardrail.webhooks.sender.GAUGE_SECONDS", 0.0)
    with a_receiver(status(500)) as receiver:
        hooks.endpoint(receiver.url)
        begun = hooks.clock.now()
        hooks.sender.pace = replace(hooks.sender.pace, is_paused=True)
        hooks.order(2)
        hooks.send()
        counts = hooks.sender.counts
        assert (counts.behind, counts.waiting, counts.oldest_at) == (2, 0, begun)
        hooks.sender.pace = replace(hooks.sender.pace, is_paused=False)
        hooks.send()
        assert (counts.behind, counts.waiting, counts.oldest_at) == (0, 2, begun)
        assert (counts.delivered, counts.failed) == (0, 2)
