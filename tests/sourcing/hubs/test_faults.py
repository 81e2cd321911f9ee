"""The line itself: what it does is what its words say, and the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from cardrail.sourcing import NoAnswer, NotSent, RateLimited, SupplierHttp
from tests.sourcing.hubs.faults import PURCHASES, WEBHOOKS, FaultyLine
from tests.sourcing.test_http import OK, Wire
from tests.waiting import PATIENCE_SECONDS, wait_until


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    made.says(OK + b"Content-Length: 8\r\nConnection: close\r\n\r\n" + b'{"id":1}')
    yield made
    made.close()


def a_line(wire: Wire, faults: dict[str, float], seed: int = 1) -> FaultyLine:
    line = FaultyLine(("127.0.0.1", wire.port), seed=seed, faults=faults, patience=0.3, held=0.1, refuses_every=10**9)
    line.is_calm = False
    return line


def test_the_same_seed_draws_the_same_and_a_third_is_disturbed(wire: Wire) -> None:
    lines = [a_line(wire, dict(PURCHASES), seed) for seed in (7, 7, 8)]
    drawn = [[line.draw()[0] for _ in range(3_000)] for line in lines]
    for line in lines:
        line.close()
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == {"passed", *PURCHASES}
    assert 0.3 < lines[0].disturbed < 0.4


@pytest.mark.parametrize(
    ("word", "came", "arrived"),
    [
        ("unsent", "NoAnswer", 0),
        ("hangs", "NoAnswer", 0),
        ("limited", "RateLimited", 0),
        ("error", "500", 0),
        ("lost", "NoAnswer", 1),
        ("late", "NoAnswer", 1),
        ("trickles", "NoAnswer", 1),
        ("half", "NoAnswer", 1),
        ("error_after", "5xx", 1),
        ("odd", "200", 1),
        ("held", "200", 1),
        ("passed", "200", 1),
        ("twice", "200", 2),
    ],
)
def test_each_word_does_what_it_says(wire: Wire, word: str, came: str, arrived: int) -> None:
    line, http = a_line(wire, {word: 100.0}), None
    try:
        http = SupplierHttp(line.url, seconds=0.25 if word in ("hangs", "late", "trickles") else PATIENCE_SECONDS)
        answer = http.request("POST", "/orders", json={})
        found = "5xx" if word == "error_after" and answer.status >= 500 else str(answer.status)
    except (NoAnswer, RateLimited, NotSent) as error:
        found = type(error).__name__
    wait_until(lambda: len(wire.requests) >= arrived)
    line.close()
    assert (found, len(wire.requests)) == (came, arrived)
    if http is not None:
        http.close()


def test_a_line_before_a_receiver_of_webhooks_repeats_and_reorders(wire: Wire) -> None:
    line = a_line(wire, dict(WEBHOOKS))
    assert {"twice", "held"} <= set(Counter(line.draw()[0] for _ in range(200)))
    line.close()


def test_who_connects_while_it_refuses_is_not_let_in(wire: Wire) -> None:
    line = FaultyLine(("127.0.0.1", wire.port), seed=1, faults={}, refuses_every=1)
    line.is_calm = False
    line.draw()
    found = set()
    for _ in range(100):
        http = SupplierHttp(line.url, seconds=PATIENCE_SECONDS)  # another connection
        try:
            http.request("GET", "/")
        except (NotSent, NoAnswer) as error:
            found.add(type(error))
        http.close()
    line.close()
    assert NotSent in found
