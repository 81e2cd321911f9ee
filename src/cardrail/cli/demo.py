"""`cardrail demo`: a whole shop in one folder, made in seconds and found again the next time; then it serves.

With ``--json`` its standard output is exactly one line, printed once requests are accepted (DESIGN.md, section 13). With ``--walk`` it
also places an order over HTTP, as a partner would, and shows what came.
"""

from __future__ import annotations

import io
import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import msgspec
import typer
from rich.progress import Progress

from cardrail.access import ALL_SCOPES, KINDS, create_credential, create_key, create_partner, list_partners
from cardrail.bootstrap import Cardrail, opened
from cardrail.catalog import Offer, demo_catalogs, import_catalog, parse_rate, set_rate
from cardrail.cli.context import err, out, refusals
from cardrail.cli.serve import run
from cardrail.cli.setup import prepare
from cardrail.config import Settings
from cardrail.kernel import Mode, Money, PartnerId, Secret
from cardrail.ledger import By, credit
from cardrail.orders import StockBooks
from cardrail.vault import ImportOptions, ImportTarget, PurchaseCost, import_codes

PARTNER: Final = "Demo partner"
SKU_IN_STOCK: Final = "EGCGBAMZPV001"
"""Amazon Prime, 3 months: 599 rupees, 16 % off."""
SKU_RANGE: Final = "GVGBHIS001"
"""Himalaya, any amount from 100 to 100,000 rupees, 4.25 % off."""
STOCK: Final = ((SKU_IN_STOCK, None, 100_000), (SKU_RANGE, "500", 500), ("EGCGBEPON001", None, 500))
"""sku, face value where it is a range, codes."""
WALLET: Final = Money.parse("100000000.00", "INR")
DOLLARS: Final = Money.parse("1000000.00", "USD")
"""For the dialects whose prices are in dollars."""
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CREDENTIALS: Final = "demo.json"
ADDRESSES: Final = {
    "oneclickdz": {"base_url": "/compat/oneclickdz"},
    "foxreload": {
        "generic_url": "/compat/foxreload",
        "v1_url": "/compat/foxreload/v1",
        "public_url": "/compat/foxreload/api",
    },
    "finperks": {"base_url": "/compat/finperks/v1"},
    "starship": {"base_url": "/compat/starship"},
}
"""What a client of each dialect is given as its base URL, below ours."""
START_SECONDS: Final = 60.0


def demo(
    data: Annotated[Path, typer.Option("--data", help="Folder of the demo; made if missing, found again otherwise.")] = Path(
        ".demo"
    ),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    database: Annotated[str | None, typer.Option("--database-url", help="Another database than SQLite in the folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON once requests are accepted.")] = False,
    walk: Annotated[bool, typer.Option("--walk", help="Place an order over HTTP and show it.")] = False,
) -> None:
    """A whole shop in one folder: real catalog, sealed codes, a partner with money and keys; then serve it."""
    with refusals():
        given = Settings(data_dir=data, host=host, port=port, database_url=database)
        credentials = _prepare_shop(given)

    def ready(base_url: str) -> None:
        if as_json:
            shown = credentials | {"dialects": _at(base_url, credentials["dialects"])}
            typer.echo(msgspec.json.encode({"base_url": base_url} | shown).decode())
        else:
            threading.Thread(target=_tell, args=(base_url, credentials, walk), daemon=True).start()

    run(given, ready)


def _prepare_shop(given: Settings) -> dict[str, Any]:
    """Make the shop, or find it. The keys of its partner are kept beside the database, because this is a demo."""
    kept = given.data_dir / CREDENTIALS
    prepare(given)
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        if "dialects" not in found:  # a demo of an earlier release
            with opened(given, chain="cli") as cardrail:
                found["dialects"] = {name: _credential(cardrail, PartnerId(found["partner_id"]), name) for name in KINDS}
            kept.write_text(json.dumps(found))
        return found
    with opened(given, chain="cli") as cardrail, _progress() as progress:
        credentials = _make_shop(cardrail, progress)
    kept.touch(mode=0o600)
    kept.write_text(json.dumps(credentials))
    return credentials


def _progress() -> AbstractContextManager[Progress | None]:
    return Progress(console=err, transient=True) if err.is_terminal else nullcontext()


def _make_shop(cardrail: Cardrail, progress: Progress | None) -> dict[str, Any]:
    err.print("Making the demo shop: two real catalogs, 101,000 codes, a partner with a funded wallet.")
    db, clock, audit = cardrail.db, cardrail.clock, cardrail.audit
    for sheet in demo_catalogs():
        import_catalog(db, clock, audit, sheet.read_bytes(), actor="cli", source=sheet.name)
    for base, rate in (("EUR", "104.20"), ("USD", "88.60")):
        set_rate(db, clock, audit, base=base, quote="INR", rate_e10=parse_rate(rate), source="demo", actor="cli")
    for sku, face, count in STOCK:
        _stock(cardrail, sku, face, count, progress)
    with db.read() as tx:
        partner = next((one for one in list_partners(tx).items if one.name == PARTNER), None)
    if partner is None:
        partner = create_partner(db, clock, audit, name=PARTNER, currency="INR", country="IN", actor="cli")
    with db.transaction() as tx:
        by = By(clock.now(), "cli", audit, cardrail.settings.node_name)
        for mode in Mode:
            credit(tx, by, partner.id, WALLET, mode, reference=f"demo {mode.value}")
            credit(tx, by, partner.id, DOLLARS, mode, reference=f"demo {mode.value} USD")
    return {
        "partner_id": partner.id,
        "api_key": _key(cardrail, partner.id, Mode.LIVE).reveal(),
        "test_api_key": _key(cardrail, partner.id, Mode.TEST).reveal(),
        "sku_in_stock": SKU_IN_STOCK,
        "dialects": {name: _credential(cardrail, partner.id, name) for name in KINDS},
    }


def _credential(cardrail: Cardrail, partner_id: PartnerId, dialect: str) -> dict[str, str]:
    """Live and test credentials of a dialect, without its rate limit; the test ones' names begin with test_."""
    parts: dict[str, str] = {}
    for mode, prefix in ((Mode.LIVE, ""), (Mode.TEST, "test_")):
        issued = create_credential(
            cardrail.db,
            cardrail.clock,
            cardrail.audit,
            cardrail.sealer,
            partner_id,
            mode,
            dialect,
            name="demo",
            scopes=ALL_SCOPES,
            requests_per_minute=0,
            actor="cli",
        )
        parts |= {prefix + name: one.reveal() for name, one in issued.fields.items()}
    return parts


def _at(base_url: str, dialects: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Each dialect's credentials with the addresses that its clients are given."""
    return {
        name: {member: base_url + path for member, path in ADDRESSES[name].items()} | credentials
        for name, credentials in dialects.items()
    }


def _key(cardrail: Cardrail, partner_id: PartnerId, mode: Mode) -> Secret:
    _, token = create_key(
        cardrail.db, cardrail.clock, cardrail.audit, partner_id, mode, name="demo", scopes=ALL_SCOPES, actor="cli"
    )
    return token


def _stock(cardrail: Cardrail, sku: str, face: str | None, count: int, progress: Progress | None) -> None:
    offer = cardrail.catalog.current().offer(sku)
    assert offer is not None
    face_minor = cardrail.catalog.current().face_of(offer, Money.parse(face, offer.currency).minor if face else None)
    text = "\n".join([_made_up_code() for _ in range(count)]).encode()
    import_codes(
        cardrail.db,
        cardrail.clock,
        cardrail.keyring,
        cardrail.audit,
        io.BytesIO(text),
        ImportTarget(offer.brand_id, offer.denomination_id, face_minor),
        ImportOptions(source_name="demo", supplier="demo", cost=_cost(offer, face_minor), progress=_bar(progress, sku)),
        on_open=StockBooks(cardrail.clock, cardrail.settings.node_name).opened,
    )


def _cost(offer: Offer, face_minor: int) -> PurchaseCost:
    """Three quarters of face value."""
    return PurchaseCost(offer.currency.code, each_minor=face_minor * 3 // 4)


def _bar(progress: Progress | None, sku: str) -> Callable[[str, int, int | None], None] | None:
    if progress is None:
        return None
    task = progress.add_task(sku)

    def show(step: str, done: int, total: int | None) -> None:
        progress.update(task, description=f"{sku}: {step}", completed=done, total=total)

    return show


def _made_up_code() -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return f"{body[:4]}-{body[4:8]}-{body[8:12]}-{body[12:]}"


# --- the walk ---------------------------------------------------------------------------------------------------------


def _tell(base_url: str, credentials: dict[str, Any], walk: bool) -> None:
    """Print how to go on; with ``walk`` place a first order over HTTP, as a partner would."""
    key = credentials["api_key"]
    if walk:
        _walk(base_url, key)
    out.print("\nTry it yourself:\n")
    bearer = f"-H 'Authorization: Bearer {key}'"
    out.print(f"  curl -s {bearer} {base_url}/v1/balances", soft_wrap=True)
    out.print(f"  curl -s {bearer} '{base_url}/v1/products?limit=3'", soft_wrap=True)
    order = json.dumps({"items": [{"sku": SKU_RANGE, "quantity": 2, "face_value": {"amount": "500", "currency": "INR"}}]})
    out.print(
        f"  curl -s {bearer} -H 'Content-Type: application/json' -H 'Idempotency-Key: my-second-order' -d '{order}' {base_url}/v1/orders",
        soft_wrap=True,
    )
    out.print(f"\nServing on {base_url} (documentation: {base_url}/docs). Ctrl-C stops.")


def _walk(base_url: str, key: str) -> None:
    with httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=START_SECONDS) as client:
        before = _balance(client)
        started = time.perf_counter()
        answer = client.post(
            "/v1/orders",
            json={"items": [{"sku": SKU_IN_STOCK, "quantity": 2}]},
            headers={"Idempotency-Key": f"demo-{secrets.token_hex(8)}"},
        )
        took = (time.perf_counter() - started) * 1_000
        answer.raise_for_status()
        order = answer.json()
        after = _balance(client)
    item = order["items"][0]
    out.print(f"\nBalance before  {before}")
    out.print(f"Order           {order['id']}  {order['state']}  in {took:.1f} ms")
    out.print(
        f"                {item['quantity']} x {item['name']} at {_text(item['unit_price'])} (face value {_text(item['face_value'])})"
    )
    for one in item["codes"]:
        out.print(f"                code {one['code']}")
    out.print(f"Charged         {_text(order['charged'])}")
    out.print(f"Balance after   {after}")


def _balance(client: httpx2.Client) -> str:
    found = client.get("/v1/balances").raise_for_status().json()["data"]
    return _text(next(one["available"] for one in found if one["currency"] == "INR"))


def _text(money: dict[str, str]) -> str:
    return f"{money['amount']} {money['currency']}"
