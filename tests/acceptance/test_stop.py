"""A server that is told to stop ends in good order."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.server import Place


@pytest.mark.parametrize(
    ("backend", "signal_number"),
    [
        ("sqlite", signal.SIGTERM),
        ("sqlite", signal.SIGINT),
        pytest.param("postgres", signal.SIGTERM, marks=pytest.mark.postgres),
    ],
    indirect=["backend"],
)
def test_a_server_that_is_told_to_stop_closes_its_database_and_ends_with_0(place: Place, signal_number: signal.Signals) -> None:
    place.stock(1)
    with place.serving() as server:
        with server.buyer() as buyer:
            assert buyer.order("k1").status == 201
        server.process.send_signal(signal_number)
        assert server.process.wait(60) == 0
    assert not list(place.home.rglob("*.db-wal"))
