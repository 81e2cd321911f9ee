"""Documentation, health and meters: served by us alone, and true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import cardrail.bootstrap  # noqa: F401  # whoever has errors is imported
from cardrail.api import STATUS, description, is_operators, partner_errors
from cardrail.kernel import CardrailError, all_error_types
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
            assert answer.status_code in (200, 401), f"{method} {path}: {answer.status_code}"


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


def test_meters_count_requests_by_route_and_orders_by_state(server: Served) -> None:
    server.order()
    server.live.get("/v1/orders/ord_whatever")
    text = server.nobody.get("/metrics").text
    assert 'cardrail_http_requests_total{method="POST",route="/v1/orders",status="201"} 1.0' in text
    assert 'cardrail_orders_total{state="FULFILLED"} 1.0' in text
    assert "cardrail_lane_batch_orders_count 1.0" in text
    assert "cardrail_lane_waiting 0.0" in text
    assert "ord_whatever" not in text
