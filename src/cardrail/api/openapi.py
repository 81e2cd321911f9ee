"""The API described in OpenAPI 3.1, made from the routes' own descriptions and the wire types: `docs/reference/openapi.json` is this.

Member descriptions are the strings below the members of the wire types.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from cardrail import __version__
from cardrail.api import wire, wire_settlement, wire_webhooks
from cardrail.api.desk import OPERATION, Operation
from cardrail.api.errors import STATUS
from cardrail.api.wire import END, OrderIn, OrderOut, ProblemOut

ALWAYS: Final = ("internal_error", "unavailable")
WITH_KEY: Final = (
    "missing_credentials",
    "invalid_api_key",
    "api_key_revoked",
    "api_key_expired",
    "invalid_access_token",
    "address_not_allowed",
    "partner_suspended",
    "too_many_requests",
    "too_many_failures",
)
WITH_BODY: Final = (
    "malformed_body",
    "invalid_body",
    "unknown_member",
    "missing_member",
    "wrong_type",
    "invalid_header",
    "body_too_large",
    "unsupported_media_type",
)
WITH_ITEMS: Final = ("invalid_quantity", "no_items", "too_many_items")

PLACING: Final = Operation(
    "Place an order",
    OrderOut,
    tag="Orders",
    scope="orders:write",
    body=OrderIn,
    errors=(
        "unknown_sku",
        "too_many_units",
        "wrong_currency",
        "unknown_currency",
        "invalid_amount",
        "face_value_required",
        "invalid_face_value",
        "missing_field",
        "invalid_field",
        "price_unavailable",
        "no_exchange_rate",
        "below_cost",
        "price_changed",
        "quote_not_found",
        "quote_expired",
        "quote_used",
        "quote_mismatch",
        "out_of_stock",
        "insufficient_funds",
        "limit_exceeded",
        "idempotency_conflict",
        "reference_used",
        "credential_changed",
        "queue_full",
        "outcome_unknown",
    ),
    description="What is in stock is in the answer, codes included where the key may see them, and is charged in the same moment. "
    "Send an `Idempotency-Key` (or a `reference`): the same order sent again under it is the same order, for ever, charged once.",
    examples={
        "one_unit": {"items": [{"sku": "TEST_OK", "quantity": 1}], "reference": "invoice-1001"},
        "a_range": {
            "items": [{"sku": "EXAMPLE-RANGE", "quantity": 2, "face_value": {"amount": "25.00", "currency": "USD"}}],
            "partial": "refuse",
            "max_price": {"amount": "50.00", "currency": "USD"},
        },
        "with_input": {
            "items": [{"sku": "EXAMPLE-TOPUP", "quantity": 1, "fields": {"player_id": "12345678"}}],
            "customer_id": "c-17",
        },
    },
)
"""Placing orders is no route of the framework, so it is described here."""

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable characters that bind this request to one order, for ever.",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
}
_REQUEST_ID: Final = {"description": "Names the request in our log.", "schema": {"type": "string"}}
_PATH_DESCRIPTIONS: Final = {
    "alert_id": ("The alert's id.", "alr_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "endpoint_id": ("The webhook endpoint's id.", "whe_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "event_id": ("The event's id.", "evt_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "order_id": ("The order's id.", "ord_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "replacement_id": ("The replacement's id.", "rpl_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "claim_id": ("The claim's id.", "clm_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "message_id": ("The message's id.", "msg_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "quote_id": ("The quote's id.", "quo_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "product": ("The product's id or code.", "prd_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "sku": ("The denomination's sku.", "EXAMPLE-SKU"),
    "statement_id": ("The statement's id, or `draft` for the present period.", "stm_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
    "export_id": ("The export's id.", "exp_01K0ABCDEFGHJKMNPQRSTVWXYZ"),
}


def describe_api(routes: Iterable[HTTPRouteHandler]) -> dict[str, Any]:
    """The whole description, as JSON can hold it. It depends on nothing but this release."""
    operations = [("/v1/orders", "post", 201, PLACING)]
    for route in routes:
        operation = route.opt.get(OPERATION)
        if operation is not None and not operation.is_page:
            path, verb = next(iter(route.paths)), next(iter(route.http_methods))
            operations.append((path, str(verb).lower(), route.status_code or 200, operation))
    types = {ProblemOut, *(one for _, _, _, operation in operations for one in _types_of(operation))}
    ordered = sorted(types, key=str)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for path, method, status, operation in sorted(operations, key=lambda one: (one[0], one[1])):
        template = path.replace(":str}", "}")
        paths.setdefault(template, {})[method] = _operation(template, method, status, operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cardrail API",
            "version": __version__,
            "description": "Gift cards and digital goods, paid from a prepaid balance. Amounts are decimal texts with their currency, "
            "times are RFC 3339 in UTC, lists go on from `next_cursor`. Every refusal is a problem of RFC 9457 with a stable `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"header": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _described(name, schema) for name, schema in sorted(components.items())},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`cr_live_…`, `cr_test_…`) or a short-lived token.",
                },
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the operator's own programs (`cr_op_…`); no partner has one.",
                },
            },
        },
    }


def _types_of(operation: Operation) -> list[Any]:
    return [one for one in (operation.answer, operation.body) if one is not None and not isinstance(one, str)]


def _operation(path: str, method: str, status: int, operation: Operation, by_type: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(path, method),
        "summary": operation.summary,
        "description": _description(operation),
        "tags": [operation.tag],
        "parameters": _parameters(path, operation),
        "responses": _responses(status, operation, by_type),
    }
    if operation is PLACING:
        again = described["responses"]["201"]
        described["responses"] = {
            "200": {**again, "description": "The order that this key or reference is bound to."},
            **described["responses"],
        }
        described["parameters"].append(_IDEMPOTENCY_KEY)
    if operation.takes_key:
        again = {**described["responses"]["201"], "description": "What this key was bound to before, as it stands now."}
        described["responses"] = {"200": again, **described["responses"]}
        binds = "1 to 255 printable characters that bind this request, for ever."
        described["parameters"].append({**_IDEMPOTENCY_KEY, "description": binds})
    if operation.body is not None:
        content: dict[str, Any] = {"schema": by_type[operation.body]}
        if operation.examples:
            content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        described["requestBody"] = {"required": not operation.body_is_optional, "content": {"application/json": content}}
    if operation.is_public:
        described["security"] = []
    if operation.is_operator:
        described["security"] = [{"operator": []}]
    return described


def _operation_id(path: str, method: str) -> str:
    words = [word.strip("{}") for word in path.removeprefix("/v1").strip("/").split("/")]
    return "_".join([method, *words]).replace(".", "_")


def _description(operation: Operation) -> str:
    needs = f"Needs the scope `{operation.scope}`." if operation.scope else "" if operation.is_public else "Any key will do."
    return " ".join([part for part in (operation.description, needs) if part])


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for word in path.split("/"):
        if word.startswith("{"):
            name = word.strip("{}")
            description, example = _PATH_DESCRIPTIONS[name]
            found.append(
                {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "description": description,
                    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
                    "example": example,
                }
            )
    if operation.query is not None:
        found += _query_parameters(operation.query)
    return found


def _query_parameters(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([query])
    schema = _plain(components[query.__name__])
    found = []
    for name, member in schema["properties"].items():
        kept = [one for one in member.pop("anyOf", [{}]) if one.get("type") != "null"]
        merged = {**(kept[0] if kept else {}), **member}
        if merged.get("default") is None:
            merged.pop("default", None)
        description = merged.pop("description", None)
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": merged}
        found.append({**parameter, "description": description} if description else parameter)
    return found


def _responses(status: int, operation: Operation, by_type: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": operation.summary, "headers": {"X-Request-Id": _REQUEST_ID}}
    if isinstance(operation.answer, str):
        good["content"] = {operation.answer: {"schema": {"type": "string"}}}
    elif operation.answer is not None:
        good["content"] = {"application/json": {"schema": by_type[operation.answer]}}
    for media in operation.also:
        good["content"][media] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {str(status): good}
    if operation.tag == "Catalog" and operation.answer in _CACHED:
        found["304"] = {"description": "The copy you have is the newest."}
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys([*_codes(operation)]):
        by_status.setdefault(STATUS[code], []).append(code)
    for one, codes in sorted(by_status.items()):
        found[str(one)] = {
            "description": f"{HTTPStatus(one).phrase}: {', '.join([f'`{code}`' for code in codes])}.",
            "headers": {"X-Request-Id": _REQUEST_ID},
            "content": {"application/problem+json": {"schema": by_type[ProblemOut]}},
        }
    return found


_CACHED: Final = (wire.CatalogOut, wire.ListOut[wire.ProductOut], wire.ProductOut)


def _codes(operation: Operation) -> list[str]:
    codes = list(operation.errors)
    if operation.query is not None or operation.tag == "Catalog":
        codes.append("invalid_query")
    if operation.body is not None:
        codes += WITH_BODY
        if "items" in operation.body.__struct_fields__:
            codes += WITH_ITEMS
    if not operation.is_public:
        codes += WITH_KEY
        if operation.scope is not None:
            codes.append("scope_missing")
    return [*codes, *ALWAYS]


# --- the schemas ------------------------------------------------------------------------------------------------------


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a wire type with its members' descriptions; a problem may have further members, nothing else may."""
    schema = _plain(schema)
    for member, text in _member_docs(name).items():
        described = schema.get("properties", {}).get(member)
        if described is not None and "description" not in described:
            if "$ref" in described:
                schema["properties"][member] = {"allOf": [described], "description": text}
            else:
                described["description"] = text
    schema["title"] = name
    return schema


def _plain(schema: Any) -> Any:
    """The schema with patterns as ECMA 262 reads them: there, an end is an end."""
    if isinstance(schema, dict):
        return {
            key: value.replace(END, "$").replace("\\x00", "\\u0000")
            if key == "pattern" and isinstance(value, str)
            else _plain(value)
            for key, value in schema.items()
        }
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _member_docs(name: str) -> dict[str, str]:
    return _all_member_docs().get(name, {})


@cache
def _all_member_docs() -> dict[str, dict[str, str]]:
    """Class → member → the string below it, read from the source of the wire types."""
    found: dict[str, dict[str, str]] = {}
    for node in [node for module in (wire, wire_settlement, wire_webhooks) for node in ast.parse(inspect.getsource(module)).body]:
        if isinstance(node, ast.ClassDef):
            docs = found[node.name] = {}
            for member, text in zip(node.body, node.body[1:], strict=False):
                is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and is_text:
                    docs[member.target.id] = inspect.cleandoc(str(text.value.value))  # type: ignore[attr-defined]  # checked above
    return found
