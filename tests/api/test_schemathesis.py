"""What a machine makes of the description: whatever it sends, nothing is a 5xx and every answer is as described."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cardrail.api import description
from tests.api.build import Served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def _seeded(server: Served) -> dict[str, Any]:
    """The description with what exists in it, so that the machine gets past the front door; what it says of answers is unchanged."""
    described: dict[str, Any] = json.loads(description())
    placed = server.test.post("/v1/orders", json={"items": [{"sku": "TEST_OK", "quantity": 1}]}).json()
    unpaid = server.test.post("/v1/orders", json={"items": [{"sku": "TEA", "quantity": 1}], "payment": "later"}).json()
    quote = server.test.post("/v1/quotes", json={"items": [{"sku": "TEA", "quantity": 1}]}).json()
    hook = server.test.post("/v1/webhook-endpoints", json={"url": "https://shop.example/hook"}).json()
    sent = server.test.post(f"/v1/webhook-endpoints/{hook['id']}/test").json()
    known = {
        "endpoint_id": [hook["id"], "whe_nothing"],
        "event_id": [sent["event_id"], "evt_nothing"],
        "order_id": [placed["id"], unpaid["id"], "ord_nothing"],
        "quote_id": [quote["id"], "quo_nothing"],
        "sku": ["TEA", "SHOES", "BOOKS", "NOTHING"],
        "product": ["TEA", "NOTHING"],
    }
    for methods in described["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    parameter.pop("example")
                    parameter["schema"] = {"enum": known.get(parameter["name"], ["nothing"])}
    schemas = described["components"]["schemas"]
    for name in ("OrderItemIn", "QuoteItemIn"):
        item = schemas[name]["properties"]
        item["sku"] = {
            "enum": ["TEA", "BOOKS"] if name == "QuoteItemIn" else ["TEA", "BOOKS", "TEST_OK", "TEST_PARTIAL", "TEST_PENDING"]
        }
        item["quantity"]["maximum"] = 3
        item["face_value"] = {"type": "null"}
    schemas["OrderItemIn"]["properties"]["fields"] = {"enum": [None, {}]}
    order = schemas["OrderIn"]["properties"]
    order["items"]["maxItems"] = 3
    order["currency"] = schemas["QuoteIn"]["properties"]["currency"] = {"enum": [None, "INR"]}
    order["quote_id"] = {"type": "null"}
    order["max_price"] = {"enum": [None, {"amount": "100000.00", "currency": "INR"}, {"amount": "0.01", "currency": "INR"}]}
    schemas["SandboxBalanceIn"]["properties"]["balance"] = {
        "allOf": [{"$ref": "#/components/schemas/MoneyIn"}],
        "properties": {"currency": {"enum": ["USD"]}},
    }  # never the wallet that pays for the orders
    return described


def _mistakable(described: dict[str, Any]) -> dict[str, Any]:
    """What a request can be wrong about: operations that take a body or a query."""
    for methods in described["paths"].values():
        for method, operation in list(methods.items()):
            if "requestBody" not in operation and not any(one["in"] == "query" for one in operation["parameters"]):
                del methods[method]
    return described


def _placed(server: Served) -> tuple[int, int]:
    """(orders placed, calls to place one), as the server's own meters count them."""
    found = re.findall(
        r'cardrail_http_requests_total\{method="POST",route="/v1/orders",status="(\d+)"\} ([\d.]+)',
        server.nobody.get("/metrics").text,
    )
    counts = {status: int(float(count)) for status, count in found}
    return counts.get("200", 0) + counts.get("201", 0), sum(counts.values())


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_5xx_and_every_answer_is_as_described(server: Served, tmp_path: Path, mode: str, full_counts: bool) -> None:
    path = tmp_path / "openapi.json"
    seeded = _seeded(server)
    path.write_text(json.dumps(_mistakable(seeded) if mode == "negative" else seeded))
    before = _placed(server)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(path)),
            *("--url", server.url, "--header", f"Authorization: Bearer {server.test_key}"),
            *("--mode", mode, "--phases", "examples,fuzzing", "--checks", ",".join(CHECKS)),
            *(
                "--suppress-health-check",
                "filter_too_much",
                "--max-examples",
                "200" if full_counts else "10",
                "--seed",
                "20260101",
                "--workers",
                "1",
                "--no-color",
            ),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1_800,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    after = _placed(server)
    succeeded, calls = after[0] - before[0], after[1] - before[1]
    assert calls > 0
    if mode == "positive":
        assert succeeded / calls >= 0.2, f"{succeeded} of {calls} orders were placed"
