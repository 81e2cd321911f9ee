"""Documentation, health and meters: served by us alone, and true."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from pathlib import Path

import pytest
from litestar import get

import cardrail.bootstrap  # noqa: F401  # whoever has errors is imported
from cardrail.api import STATUS, description, is_operators, partner_errors
from cardrail.api.desk import check_described
from cardrail.api.readers import Readers
from cardrail.kernel import CardrailError, QueueFull, all_error_types
from cardrail.storage import Database
from cardrail.storage.migrations import newest_revision
from tests.api.build import Served

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def _ours() -> list[type[CardrailError]]:
    return [one for one in all_error_types() if one.__module__.startswith("cardrail.")]


@pytest.mark.parametrize("error", _ours(), ids=lambda one: one.__qualname__)
def test_every_error_has_a_status_or_is_the_operators_alone(error: type[CardrailError]) -> None:
    assert (error.code in STATUS) != is_operators(error)


def test_the_table_names_no_code_that_no_error_has() -> None:
    assert set(STATUS) <= {one.code for one in _ours()} | {CardrailError.code}


def test_the_page_of_errors_explains_every_code_with_its_status_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d+) \| (yes|no) \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
    retryable = {one.code: "yes" if one.retryable else "no" for one in partner_errors()}
    assert {(code, int(status), again) for code, status, again in rows} == {
        (code, STATUS[code], retryable[code]) for code in retryable
    }


def test_the_committed_description_is_the_one_that_is_served(server: Served) -> None:
    served = server.nobody.get("/openapi.json")
    assert served.content == description() == (REFERENCE / "openapi.json").read_bytes(), "make docs"


def test_the_description_names_every_route(server: Served) -> None:
    described = json.loads(description())
    page = (REFERENCE / "api.md").read_text()
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page, f"{method} {path} is not in docs/reference/api.md"
            template = re.sub(r"\{\w+\}", "x", path)
            answer = server.nobody.request(method.upper(), template)
            is_signed_link = path == "/v1/exports/{export_id}/file"  # its query is what lets in
            assert answer.status_code in ((400,) if is_signed_link else (200, 401)), f"{method} {path}: {answer.status_code}"


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
def test_the_documentation_loads_nothing_from_elsewhere(server: Served, path: str) -> None:
    page = server.nobody.get(path)
    assert page.status_code == 200
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert loaded
    assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in loaded)
    assert "<script>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for asset in loaded:
        assert server.nobody.get(asset).status_code == 200, asset


def test_the_page_of_errors_has_the_anchor_that_each_problem_names(server: Served) -> None:
    page = server.nobody.get("/docs/errors").text
    for one in partner_errors():
        assert f'id="{one.code}"' in page


def test_the_server_is_there_and_ready_and_does_not_say_what_it_runs_on(server: Served) -> None:
    for path in ("/healthz", "/readyz"):
        answer = server.nobody.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/docs/static/docs.css", "/c/-/claim.css", "/c/none"])
def test_a_text_names_its_charset_once(still_server: Served, path: str) -> None:
    """Prometheus 3 takes no meters whose media type it cannot read."""
    assert still_server.nobody.get(path).headers["content-type"].count("charset=") == 1


def test_meters_count_requests_by_route_and_orders_by_state(server: Served) -> None:
    server.order()
    server.live.get("/v1/orders/ord_whatever")
    text = server.nobody.get("/metrics").text
    assert 'cardrail_http_requests_total{method="POST",route="/v1/orders",status="201"} 1.0' in text
    assert 'cardrail_orders_total{state="FULFILLED"} 1.0' in text
    assert "cardrail_lane_batch_orders_count 1.0" in text
    assert "cardrail_lane_waiting 0.0" in text
    assert "ord_whatever" not in text


def test_readiness_is_asked_of_the_database_once_a_second(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def counted(db: Database) -> str | None:
        asked.append(db)
        return newest_revision()

    monkeypatch.setattr("cardrail.api.pages.current_revision", counted)
    assert {server.nobody.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(asked) <= 2


def test_a_route_without_a_description_does_not_start() -> None:
    @get("/bare")
    async def bare() -> None: ...

    with pytest.raises(TypeError):
        check_described([bare])


def test_beyond_so_many_waiting_reads_the_next_is_refused() -> None:
    async def crowd() -> list[object]:
        gate = threading.Event()
        with Readers(1, waiting_max=3) as readers:
            waiting = [asyncio.ensure_future(readers.run(gate.wait)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await readers.run(gate.wait)
            gate.set()
            return [*await asyncio.gather(*waiting), await readers.run(gate.wait)]

    assert asyncio.run(crowd()) == [True] * 4
