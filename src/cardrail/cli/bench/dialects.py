"""What a dialect's order costs beside a native one: processor time of the server per order, in interleaved pairs.

Requests are made beforehand, each with a reference or key of its own, and signed where the dialect signs; the same load generator sends
them. An order of FoxReload's public surface is created and then paid, so it is compared with a native order that is paid later, both steps
counted: creating is measured, then orders are created unmeasured and their payments measured.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from statistics import median
from typing import Any, Final

import msgspec
from rich.progress import Progress

from cardrail.access import ALL_SCOPES, create_credential
from cardrail.cli.bench.load import Ask
from cardrail.cli.bench.report import Row
from cardrail.cli.bench.site import SKU, Site, site
from cardrail.kernel import Mode

PAIRS: Final = 9
ORDERS: Final = 1_500
"""Of each run."""
CONNECTIONS: Final = 64
MORE_MAX: Final = 0.15

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """How one dialect's order is asked for."""

    path: str
    ask: Callable[[str], tuple[Headers, dict[str, Any]]]
    """From a fresh reference: headers and body."""
    later: bool = False
    """Whether it is compared with a native order that is paid later, and its payment is measured too."""
    pay: str = "/pay"
    """What follows an order's path to pay it."""
    sign: Callable[[str, bytes, Headers], Headers] | None = None


def dialects(rounds: int, progress: Progress) -> list[Row]:
    """A row per dialect: the median of nine pairs, or of as many as are asked for if that is fewer."""
    pairs = min(PAIRS, max(3, rounds * 3))
    with site() as place:
        ways = _ways(place)
        place.top_up(ORDERS * (pairs + 1) * len(ways) * 3)
        task = progress.add_task("dialects", total=pairs * len(ways))
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for way in ways.values():  # the first of each is not counted: connections, caches
            _run(place, way)
            _run(place, _native(place, later=way.later))
        for _ in range(pairs):
            for name, way in ways.items():
                own = _run(place, _native(place, later=way.later))
                found[name].append((_run(place, way), own))
                progress.advance(task)
    return [_row(name, one) for name, one in found.items()]


def _row(name: str, pairs: list[tuple[float, float]]) -> Row:
    more = median([theirs / own - 1 for theirs, own in pairs])
    return Row(
        name="dialects",
        what=f"processor time of an order through {name}, against a native one, median of {len(pairs)} interleaved pairs",
        target=f"≤ {MORE_MAX:.0%} more",
        measured=f"{more:+.0%}",
        met=more <= MORE_MAX,
        details={
            f"{name}, native": f"{median([one for one, _ in pairs]) * 1_000:.3f} ms, {median([own for _, own in pairs]) * 1_000:.3f} ms",
            f"pairs of {name}": ", ".join([f"{theirs / own - 1:+.0%}" for theirs, own in pairs]),
        },
    )


def _run(place: Site, way: Way) -> float:
    """Processor seconds of the server per order."""
    asks = [_request(place, way, f"{secrets.token_hex(8)}-{number}") for number in range(ORDERS)]
    cpu = _measured(place, asks)
    return cpu + _measured(place, _payments(place, way)) if way.later else cpu


def _payments(place: Site, way: Way) -> list[Ask]:
    """Requests to pay for as many orders, which are created here."""
    headers, _ = way.ask("")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if name != "idempotency-key"])

    def create(number: int) -> Ask:
        own, members = way.ask(f"{secrets.token_hex(8)}-{number}")
        body = msgspec.json.encode(members)
        order = _ask(place, "POST", way.path, own | {"content-type": "application/json"}, body)["id"]
        return Ask(
            f"POST {way.path}/{order}{way.pay} HTTP/1.1\r\nhost: 127.0.0.1:{place.port}\r\ncontent-type: application/json\r\n"
            f"content-length: 2\r\n{lines}\r\n{{}}"
        )

    with ThreadPoolExecutor(8) as creators:
        return list(creators.map(create, range(ORDERS)))


def _measured(place: Site, asks: list[Ask]) -> float:
    result, cpu = place.load(asks, seconds=60, count=ORDERS, connections=CONNECTIONS)
    if result.lost or result.statuses.keys() - {200, 201, 202}:
        raise RuntimeError(f"answers were {result.statuses}, {result.lost} lost; the first refusal: {result.refusal}")
    return cpu


def _request(place: Site, way: Way, reference: str) -> Ask:
    headers, members = way.ask(reference)
    body = msgspec.json.encode(members)
    if way.sign is not None:
        headers = headers | way.sign(way.path, body, headers)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return Ask(
        f"POST {way.path} HTTP/1.1\r\nhost: 127.0.0.1:{place.port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{lines}\r\n{body.decode()}"
    )


# --- the ways ---------------------------------------------------------------------------------------------------------


def _native(place: Site, *, later: bool) -> Way:
    more = {"payment": "later"} if later else {}

    def ask(reference: str) -> tuple[Headers, dict[str, Any]]:
        headers = {"authorization": f"Bearer {place.token}", "idempotency-key": reference}
        return headers, {"items": [{"sku": SKU, "quantity": 1}], **more}

    return Way("/v1/orders", ask, later=later)


def _ways(place: Site) -> dict[str, Way]:
    return {
        "OneClickDz": _oneclickdz(place),
        **_foxreload(place),
        "Finperks": _finperks(place),
        **_starship(place),
    }


def _credential(place: Site, dialect: str) -> dict[str, str]:
    one = place.cardrail
    issued = create_credential(
        one.db,
        one.clock,
        one.audit,
        one.sealer,
        place.partner_id,
        Mode.LIVE,
        dialect,
        name="bench",
        scopes=ALL_SCOPES,
        requests_per_minute=0,
        actor="bench",
    )
    return {name: secret.reveal() for name, secret in issued.fields.items()}


def _oneclickdz(place: Site) -> Way:
    root = "/compat/oneclickdz/v3/gift-cards"
    headers = {"x-access-token": _credential(place, "oneclickdz")["api_key"]}
    shelves = _ask(place, "GET", f"{root}/catalog", headers)["data"]["categories"]
    product = next(one["id"] for shelf in shelves for one in shelf["products"] if one["title"] == "Bench card")
    kind = _ask(place, "GET", f"{root}/checkProduct/{product}", headers)["data"]["types"][0]["id"]

    def ask(reference: str) -> tuple[Headers, dict[str, Any]]:
        return headers | {"idempotency-key": reference}, {"productId": product, "typeId": kind, "quantity": 1}

    return Way(f"{root}/placeOrder", ask)


def _foxreload(place: Site) -> dict[str, Way]:
    key = _credential(place, "foxreload")["api_key"]
    bearer = {"authorization": f"Bearer {key}"}
    shelf = _ask(place, "GET", "/compat/foxreload/api/products/search?query=Bench", {"x-api-key": key})
    public = next(one["id"] for one in shelf if "Bench" in one["name"])

    def generic(reference: str) -> tuple[Headers, dict[str, Any]]:
        return bearer, {"sku": SKU, "quantity": 1, "reference": reference}

    def v1(reference: str) -> tuple[Headers, dict[str, Any]]:
        return bearer | {"idempotency-key": reference}, {"sku": SKU, "quantity": 1, "currency": "USD"}

    def created(reference: str) -> tuple[Headers, dict[str, Any]]:
        return {"x-api-key": key}, {"items": [{"itemId": public, "quantity": 1}], "idempotencyKey": reference}

    return {
        "FoxReload, generic": Way("/compat/foxreload/orders", generic),
        "FoxReload V1": Way("/compat/foxreload/v1/orders", v1),
        "FoxReload, public": Way("/compat/foxreload/api/orders", created, later=True),
    }


def _finperks(place: Site) -> Way:
    issued = _credential(place, "finperks")
    root = "/compat/finperks/v1"

    def signed(method: str, path: str, body: bytes, key: str) -> Headers:
        date = format_datetime(datetime.now(UTC), usegmt=True)
        lines = (f"127.0.0.1:{place.port}", method, path, "", date, key, hashlib.sha256(body).hexdigest())
        signature = hmac.new(issued["client_secret"].encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        return {"date": date, "authorization": f"FP1-HMAC-SHA256 KeyId={issued['client_id']}, Signature={signature}"}

    listed = _ask(place, "GET", f"{root}/products", signed("GET", f"{root}/products", b"", ""))
    products = listed if isinstance(listed, list) else next(one for one in listed.values() if isinstance(one, list))
    product = next(one for one in products if one["name"] == "Bench card")

    def ask(reference: str) -> tuple[Headers, dict[str, Any]]:
        body = {
            "product_code": product["code"],
            "customer": {"id": "bench"},
            "country": product["countries"][0] if product["countries"] else "US",
            "face_value": {"currency": "USD", "amount": "10.0"},
            "processing_mode": "sync",
            "delivery_method": {"type": product["delivery_methods"][0]},
        }
        return {"idempotency-key": reference}, body

    def sign(path: str, body: bytes, headers: Headers) -> Headers:
        return signed("POST", path, body, headers["idempotency-key"])

    return Way(f"{root}/orders", ask, sign=sign)


def _starship(place: Site) -> dict[str, Way]:
    issued = _credential(place, "starship")
    login = msgspec.json.encode({"username": issued["username"], "password": issued["password"]})
    tokens = _ask(place, "POST", "/compat/starship/auth/login", {"content-type": "application/json"}, login)
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    shelf = _ask(place, "GET", "/compat/starship/api/v1/products?limit=100", bearer)
    product = next(one["id"] for one in shelf if one["name"] == "Bench card")

    def first(reference: str) -> tuple[Headers, dict[str, Any]]:
        return bearer, {"product_id": product, "denomination": 10, "quantity": 1, "ref": reference}

    def second(reference: str) -> tuple[Headers, dict[str, Any]]:
        keyed = {"x-api-key": issued["api_key"], "x-api-secret": issued["api_secret"], "idempotency-key": reference}
        return keyed, {"product_id": product, "denomination": 10, "quantity": 1}

    path = "/compat/starship/api/v1/orders"
    return {"Starship, first generation": Way(path, first), "Starship, second generation": Way(path, second)}


def _ask(place: Site, method: str, path: str, headers: Headers, body: bytes | None = None) -> Any:
    connection = HTTPConnection("127.0.0.1", place.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in {200, 201}:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:300]!r}")
        return msgspec.json.decode(text)
    finally:
        connection.close()
