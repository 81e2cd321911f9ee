"""`cardrail partner`: the businesses that buy through us."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Column, Table

from cardrail.access import (
    KEEP,
    InvalidLimits,
    Limits,
    Partner,
    PartnerChanges,
    change_partner,
    create_partner,
    get_partner,
    list_partners,
    resume_partner,
    suspend_partner,
)
from cardrail.bootstrap import Cardrail
from cardrail.catalog import PriceListNotFound
from cardrail.cli.context import err, open_context, out, show_json
from cardrail.delivery import erase_recipients
from cardrail.kernel import PartnerId, PriceListId
from cardrail.orders import erase_customer

app = typer.Typer(help="The businesses that buy through us.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
PartnerArg = Annotated[str, typer.Argument(help="The partner's id, par_…", metavar="PARTNER")]
LimitsOption = Annotated[
    str | None,
    typer.Option(help='Limits as a JSON object, for example {"orders_per_day_max": 500}; "none" takes them away.'),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the partner is called.")],
    *,
    currency: Annotated[str, typer.Option(help="Currency of its wallet, ISO 4217.")],
    timezone: Annotated[str, typer.Option(help="Its time zone, for statements.")] = "UTC",
    country: Annotated[str | None, typer.Option(help="Its country, ISO 3166, two letters.")] = None,
    price_list: Annotated[
        str | None, typer.Option(help="Its price list, by name or id; without one it pays the general prices.")
    ] = None,
    limits: LimitsOption = None,
    as_json: AsJson = False,
) -> None:
    """Create a partner."""
    with open_context() as ctx:
        partner = create_partner(
            ctx.db,
            ctx.clock,
            ctx.audit,
            name=name,
            currency=currency,
            timezone=timezone,
            country=country,
            price_list_id=None if price_list is None else _price_list(ctx, price_list),
            limits=_limits(limits),
            actor="cli",
        )
    _show(partner, as_json)


@app.command()
def show(partner: PartnerArg, as_json: AsJson = False) -> None:
    """Show a partner."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = get_partner(tx, PartnerId(partner))
    _show(found, as_json)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after this partner.")] = None,
    as_json: AsJson = False,
) -> None:
    """List partners in the order of their creation."""
    with open_context() as ctx, ctx.db.read() as tx:
        page = list_partners(tx, after, limit)
    if as_json:
        show_json({"items": [_plain(one) for one in page.items], "after": page.after})
        return
    table = Table(
        *[
            Column(name, overflow="fold", no_wrap=name in {"id", "subject"})
            for name in ("id", "name", "state", "currency", "price list", "limits")
        ],
        box=None,
    )
    for one in page.items:
        table.add_row(
            one.id, escape(one.name), one.state.value, one.currency, one.price_list_id or "", "yes" if one.limits else ""
        )
    out.print(table)
    if page.after:
        err.print(f"More: --after {page.after}")


@app.command("set")
def set_(
    partner: PartnerArg,
    *,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    currency: Annotated[str | None, typer.Option(help="Currency of its default wallet.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Its time zone.")] = None,
    country: Annotated[str | None, typer.Option(help='Its country; "none" takes it away.')] = None,
    price_list: Annotated[str | None, typer.Option(help='Its price list, by name or id; "none" for the general prices.')] = None,
    limits: LimitsOption = None,
    as_json: AsJson = False,
) -> None:
    """Change a partner; what is not given stays."""
    with open_context() as ctx:
        changes = PartnerChanges(
            name=KEEP if name is None else name,
            currency=KEEP if currency is None else currency,
            timezone=KEEP if timezone is None else timezone,
            country=KEEP if country is None else _or_none(country),
            price_list_id=KEEP if price_list is None else None if price_list == "none" else _price_list(ctx, price_list),
            limits=KEEP if limits is None else _limits(limits),
        )
        changed = change_partner(ctx.db, ctx.clock, ctx.audit, PartnerId(partner), changes, actor="cli")
    _show(changed, as_json)


@app.command()
def suspend(partner: PartnerArg, as_json: AsJson = False) -> None:
    """Refuse all of a partner's keys until it is resumed."""
    with open_context() as ctx:
        changed = suspend_partner(ctx.db, ctx.clock, ctx.audit, PartnerId(partner), actor="cli")
    _show(changed, as_json)


@app.command()
def resume(partner: PartnerArg, as_json: AsJson = False) -> None:
    """Let a suspended partner's keys work again."""
    with open_context() as ctx:
        changed = resume_partner(ctx.db, ctx.clock, ctx.audit, PartnerId(partner), actor="cli")
    _show(changed, as_json)


def _price_list(ctx: Cardrail, name_or_id: str) -> PriceListId:
    """The id of a price list that exists: with a mistyped one the partner would pay the general prices, and nobody would see why."""
    found = ctx.catalog.current().price_list(name_or_id)
    if found is None:
        raise PriceListNotFound(price_list=name_or_id)
    return found.id


def _or_none(text: str) -> str | None:
    return None if text == "none" else text


def _limits(text: str | None) -> Limits | None:
    """Limits from the command line; a name that does not exist is refused, since a mistyped limit would limit nothing."""
    if text is None or text == "none":
        return None
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
        limits = msgspec.convert(given, Limits)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidLimits(problem=str(error)) from None
    unknown = sorted(given.keys() - {one.name for one in fields(Limits)})
    if unknown:
        raise InvalidLimits(unknown=unknown[0])
    return limits


def _plain(partner: Partner) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(partner)
    return plain


def _show(partner: Partner, as_json: bool) -> None:
    if as_json:
        show_json(_plain(partner))
        return
    table = Table(show_header=False, box=None)
    for name, value in _plain(partner).items():
        table.add_row(name, escape(_cell(value)))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join([f"{limit} {maximum}" for limit, maximum in value.items() if maximum not in (None, {})])
    return "" if value is None else str(value)


@app.command("erase-customer")
def erase_customer_command(
    partner: PartnerArg,
    customer: Annotated[str, typer.Argument(help="The customer's id, as the partner's orders name it.", metavar="CUSTOMER")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a customer of a partner: his id, input fields and metadata go from every order; the books stay. It cannot be undone."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            get_partner(tx, PartnerId(partner))
        if not yes:
            typer.confirm("Erase this customer from all orders of the partner, for good?", abort=True, err=True)
        done = erase_customer(ctx.db, ctx.clock, ctx.audit, partner, customer, actor="cli", also=(erase_recipients,))
    if as_json:
        show_json({"orders": done.orders})
    else:
        out.print(f"Erased from {done.orders} orders.")
