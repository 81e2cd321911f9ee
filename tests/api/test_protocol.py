"""What may be sent to the server's socket, and what comes back, whatever the sender means by it."""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from cardrail.api import protocol
from tests.api.build import Served
from tests.waiting import PATIENCE_SECONDS

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODY = b'{"items":[{"sku":"TEA","quantity":1}]}'


@contextmanager
def _connected(server: Served) -> Iterator[socket.socket]:
    where = urlsplit(server.url)
    assert where.hostname is not None
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS) as client:
        yield client


def _order(server: Served, *headers: bytes, body: bytes = BODY) -> bytes:
    """An order of one TEA, as it goes over the wire."""
    lines = [
        b"POST /v1/orders HTTP/1.1",
        b"Host: x",
        b"Authorization: Bearer " + server.key.encode(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _rest(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    got = b""
    while some := client.recv(65_536):
        got += some
    return got


def _said(server: Served, *parts: bytes) -> bytes:
    """What the server answers to these segments until it closes."""
    with _connected(server) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(0.05)
        return _rest(client)


def _statuses(answer: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def _problem(answer: bytes) -> tuple[int, str]:
    """The status and code of the one problem that was answered, whole and well-formed."""
    assert len(_statuses(answer)) == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    problem: dict[str, Any] = json.loads(body)
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert f"x-request-id: {problem['request_id']}".encode() in head
    assert problem["status"] == _statuses(answer)[0]
    assert problem["charged"] is False
    return problem["status"], problem["code"]


def _orders(server: Served) -> int:
    return server.rows()["orders"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time for everything."""
    monkeypatch.setattr(protocol, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.5)


# --- pipelines ---


def test_a_pipeline_is_answered_in_its_order_and_whole(server: Served) -> None:
    answer = _said(server, HEALTH * 20 + _order(server) + HEALTH * 20 + LAST)
    assert _statuses(answer) == [200] * 20 + [201] + [200] * 21


def test_a_pipeline_that_comes_in_pieces_is_answered_whole(server: Served) -> None:
    sent = HEALTH * 5 + _order(server) + LAST
    assert _statuses(_said(server, *[sent[at : at + 40] for at in range(0, len(sent), 40)])) == [200] * 5 + [201, 200]


def test_a_sender_who_does_not_wait_for_answers_is_cut_off(server: Served) -> None:
    with _connected(server) as client, pytest.raises(OSError, match=r"reset|pipe"):
        for _ in range(1_000):
            client.sendall(HEALTH * 2_000)
    assert server.nobody.get("/healthz").status_code == 200


def test_no_more_requests_wait_on_a_connection_than_the_limit_and_a_slice(server: Served) -> None:
    answers = _statuses(_said(server, HEALTH * 6_000))
    assert set(answers) == {200}
    assert protocol.PIPELINE_MAX < len(answers) <= protocol.PIPELINE_MAX + protocol.SLICE_BYTES // len(HEALTH) + 2


# --- heads ---


@pytest.mark.parametrize("endless", [b"X-A: b\r\n", b"b"], ids=["headers", "one value"])
def test_headers_without_end_are_refused(server: Served, endless: bytes) -> None:
    start = b"GET /healthz HTTP/1.1\r\nX-A: b" + (b"\r\n" if endless != b"b" else b"")
    assert _problem(_said(server, start, endless * (200_000 // len(endless)))) == (431, "headers_too_large")


def test_an_address_without_end_is_refused(server: Served) -> None:
    assert _problem(_said(server, b"GET /", b"a" * 200_000)) == (431, "headers_too_large")


def test_trailers_without_end_are_refused(server: Served) -> None:
    start = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = _said(server, start, b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 30_000)
    assert _statuses(answer) == [401]


def test_headers_just_below_the_limit_are_read(server: Served) -> None:
    head = LAST[:-2] + b"X-A: " + b"b" * 60_000 + b"\r\n\r\n"
    assert _statuses(_said(server, head[:30], head[30:])) == [200]


def test_a_body_larger_than_the_headers_may_be_is_read(server: Served) -> None:
    body = BODY[:-1] + b" " * 200_000 + b"}"
    assert _statuses(_said(server, _order(server, b"Connection: close", body=body))) == [201]


def test_a_body_in_many_chunks_is_read(server: Served) -> None:
    head = _order(server, b"Connection: close", body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"".join([b"1\r\n%c\r\n" % one for one in BODY[:-1] + b" " * 20_000 + b"}"])
    assert _statuses(_said(server, head, chunks + b"0\r\n\r\n")) == [201]


# --- another protocol ---


@pytest.mark.parametrize("wish", [b"h2c", b"websocket"])
def test_a_body_after_a_wish_for_another_protocol_is_never_a_second_request(server: Served, wish: bytes) -> None:
    inner = LAST
    head = b"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: %d\r\n\r\n" % (
        wish,
        len(inner),
    )
    assert _statuses(_said(server, head, inner, LAST)) == [405, 200]
    assert _statuses(_said(server, head + inner + LAST)) == [405, 200]


def test_an_order_that_also_wishes_for_another_protocol_is_an_order(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    sent = _order(server, b"Connection: close, Upgrade", b"Upgrade: h2c")
    assert _statuses(_said(server, sent)) == [201]
    assert _statuses(_said(server, sent[:200], sent[200:-10], sent[-10:])) == [201]
    assert _orders(server) == 2
    assert not caplog.records


def test_many_wishes_for_another_protocol_in_one_packet_are_each_answered(server: Served) -> None:
    wish = b"GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    assert _statuses(_said(server, wish * 60 + LAST)) == [200] * 61


def test_a_tunnel_is_refused(server: Served) -> None:
    assert _problem(_said(server, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + HEALTH)) == (400, "malformed_request")


# --- what is not HTTP ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["tls", "http/2", "two lengths", "length and chunks", "address"],
)
def test_what_is_no_request_is_answered_with_a_problem(server: Served, garbage: bytes) -> None:
    assert _problem(_said(server, garbage)) == (400, "malformed_request")


def test_an_order_that_garbage_follows_is_answered_as_the_order_it_is(server: Served) -> None:
    assert _statuses(_said(server, _order(server) + b"\x00garbage\r\n\r\n")) == [201]
    assert _orders(server) == 1


def test_an_order_whose_chunks_are_garbage_is_refused_and_not_placed(server: Served) -> None:
    head = _order(server, body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert _problem(_said(server, head, b"zz\r\n" + BODY)) == (400, "malformed_request")
    assert _statuses(_said(server, HEALTH + head + b"zz\r\n" + BODY)) == [200, 400]
    assert _orders(server) == 0


# --- ends ---


def test_a_client_that_has_said_all_and_shut_his_side_is_answered(server: Served) -> None:
    with _connected(server) as client:
        client.sendall(HEALTH + _order(server))
        client.shutdown(socket.SHUT_WR)
        assert _statuses(_rest(client)) == [200, 201]


def test_half_an_order_before_the_end_is_refused_and_not_placed(server: Served) -> None:
    with _connected(server) as client:
        client.sendall(_order(server)[:-5])
        client.shutdown(socket.SHUT_WR)
        assert _problem(_rest(client)) == (400, "malformed_request")
    assert _orders(server) == 0


def test_clients_that_hang_up_on_their_answers_are_nobodys_fault(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(20):
        with _connected(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(HEALTH * 10 + _order(server) + HEALTH)
    assert server.nobody.get("/healthz").status_code == 200
    assert not caplog.records


# --- time ---


def test_a_connection_on_which_nothing_is_said_is_closed(quick: None, server: Served) -> None:
    assert _said(server, b"") == b""
    assert _said(server, b"\r\n") == b""


@pytest.mark.parametrize("kept", [25, -5], ids=["head", "body"])
def test_a_request_that_does_not_end_is_refused_in_time_and_not_placed(quick: None, server: Served, kept: int) -> None:
    assert _problem(_said(server, _order(server)[:kept])) == (408, "request_timeout")
    assert _orders(server) == 0


def test_a_request_after_an_answer_has_no_more_time(quick: None, server: Served) -> None:
    assert _statuses(_said(server, HEALTH + HEALTH[:10])) == [200, 408]


def test_a_connection_between_requests_is_kept(quick: None, server: Served) -> None:
    with _connected(server) as client:
        for _ in range(2):
            client.sendall(HEALTH)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.8)
        client.sendall(LAST)
        assert _statuses(_rest(client)) == [200]
