"""What is logged, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from cardrail.access.credentials import KINDS
from cardrail.api import rim
from cardrail.api.errors import InternalFault, RouteNotFound
from cardrail.kernel import PlainCode, QueueFull, Secret
from cardrail.logs import configure_logs
from cardrail.vault import CodeUnreadable
from tests.api.build import Served

PLAIN = "PLAIN-CODE-8412"


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the configured log has written."""
    handlers = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    stream = io.StringIO()
    configure_logs(request.param, stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_a_secret_is_masked_by_type_by_key_and_by_look(lines: io.StringIO) -> None:
    token, operators = "cr_live_" + "A" * 40, "cr_op_" + "B" * 40
    structlog.get_logger("test").info(
        "event",
        one=Secret(PLAIN),
        two={"deep": [PlainCode(PLAIN)]},
        pin=PLAIN,
        three=f"Bearer {token} {operators}",
        four=PLAIN.encode(),
    )
    logging.getLogger("library").warning("a foreign line with %s", token)
    text = lines.getvalue()
    assert text.count("\n") == 2
    assert PLAIN not in text
    assert token not in text
    assert operators not in text
    assert text.count("***") >= 7


@pytest.mark.parametrize("dialect", sorted(KINDS))
def test_a_credential_of_a_dialect_is_masked_by_key_or_by_look(lines: io.StringIO, dialect: str) -> None:
    kind = KINDS[dialect]
    made = "Zk3" * 10
    named = {name: made for name in (kind.token, kind.password, kind.secret, kind.signing_secret) if name is not None}
    looks = [kind.token_prefix.format(mode="live") + made] if kind.token_prefix else []
    structlog.get_logger("test").info("event", **named, said=f"he sent {' '.join([*looks, 'whsec_' + made])}")
    assert made not in lines.getvalue()


def test_a_traceback_shows_where_and_no_values(lines: io.StringIO) -> None:
    def fails(code: str) -> None:
        raise ValueError(f"this quotes {code}")

    try:
        fails(PLAIN)
    except ValueError as error:
        structlog.get_logger("test").error("failed", exc_info=error)
    assert "test_logs.py" in lines.getvalue()
    assert "ValueError" in lines.getvalue()
    assert PLAIN not in lines.getvalue()


def test_codes_keys_and_bodies_of_real_requests_are_in_no_log(lines: io.StringIO, server: Served) -> None:
    placed = server.order("TEA", 3)
    revealed = server.live.get(f"/v1/orders/{placed['id']}/codes").json()
    server.client("cr_live_nonsense").get("/v1/me", headers={"X-Request-Id": "mine-77"})
    text = lines.getvalue()
    assert "mine-77" in text  # the control: requests are logged
    for secret in (server.key, "cr_live_nonsense", *[one["code"] for one in revealed["items"][0]["codes"]]):
        assert secret not in text


def test_a_line_carries_the_ids_of_its_request_and_partner(server: Served, lines: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request_id="req_1", partner_id="par_1")
    structlog.get_logger("test").info("event")
    structlog.contextvars.clear_contextvars()
    text = lines.getvalue()
    if text.startswith("{"):
        assert json.loads(text) | {"request_id": "req_1", "partner_id": "par_1"} == json.loads(text)
    assert "req_1" in text
    assert "par_1" in text


def test_a_500_is_logged_with_its_request_and_its_cause(
    lines: io.StringIO, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order whose codes cannot be opened: the vault's own error, which is ours and shows as internal_error."""

    def unreadable(*_: object) -> None:
        raise CodeUnreadable from KeyError("x")

    monkeypatch.setattr("cardrail.api.placing.open_codes", unreadable)
    monkeypatch.setattr("cardrail.api.v1.orders.open_codes", unreadable)
    placed = server.live.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}]}, headers={"X-Request-Id": "mine-1"})
    order = server.live.get("/v1/orders").json()["data"][0]["id"]
    shown = server.live.get(f"/v1/orders/{order}/codes", headers={"X-Request-Id": "mine-2"})
    assert [placed.status_code, shown.status_code] == [500, 500]
    text = lines.getvalue()
    for told in ("mine-1", "mine-2", "CodeUnreadable", "KeyError"):
        assert told in text
    assert text.count("request failed") == 2


def test_of_a_503_that_many_meet_one_line_a_second_is_logged(lines: io.StringIO) -> None:
    rim._noted.clear()
    for _ in range(100):
        rim.note_fault(QueueFull())
    assert lines.getvalue().count("QueueFull") == 1
    rim._noted["queue_full"] = float("-inf"), 99
    rim.note_fault(QueueFull())
    assert lines.getvalue().count("QueueFull") == 2
    assert "99" in lines.getvalue()


def test_a_refusal_is_not_logged_as_a_fault_and_our_own_faults_are(lines: io.StringIO) -> None:
    rim.note_fault(RouteNotFound())
    assert lines.getvalue() == ""
    rim.note_fault(InternalFault())
    assert "request failed" in lines.getvalue()


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logs("json", stream=Full())
    structlog.get_logger("test").error("nobody reads this")
    gone = io.StringIO()
    configure_logs("json", stream=gone)
    gone.close()
    structlog.get_logger("test").error("nor this")
    with pytest.raises(ValueError, match="closed file"):
        gone.getvalue()
