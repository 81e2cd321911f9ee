"""`cardrail route`: which supplier is asked first, and what a purchase must leave; for all, for a product, for one sku."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.bootstrap import Cardrail
from cardrail.cli.context import open_context, out, show_json, table_of
from cardrail.kernel import format_minor, from_micros, parse_minor, rfc3339
from cardrail.sourcing import DEFAULT_ROUTE, POLICIES, KeptRoute, clear_route, list_routes, list_suppliers, route_name, set_route

app = typer.Typer(help="How suppliers are chosen: policies and margin floors.", no_args_is_help=True)

ACTOR = "cli"

For = Annotated[
    str, typer.Argument(help=f"A sku, a product's code, or `{DEFAULT_ROUTE}`: everything that has no rule.", metavar="FOR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the rules that were set. Everything else is bought where it is cheapest."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            found = list_routes(tx)
            names = {one.id: one.name for one in list_suppliers(tx, with_retired=True)}
        items = [_plain(ctx, one, names) for one in found]
    if as_json:
        show_json({"items": items})
        return
    table = table_of("for", "policy", "supplier", "margin floor", "since")
    for one in items:
        table.add_row(
            escape(one["for"]), one["policy"], escape(one["supplier"] or ""), f"{one['margin_floor_percent']} %", one["since"]
        )
    out.print(table)


@app.command("set")
def set_(
    name: For,
    policy: Annotated[str, typer.Argument(help=f"One of {', '.join(POLICIES)}.")],
    *,
    supplier: Annotated[str | None, typer.Option(help="For pinned: this supplier or none.")] = None,
    floor: Annotated[
        str, typer.Option("--margin-floor", help="Percent of the price that a purchase must leave, such as 2.5.")
    ] = "0",
    as_json: AsJson = False,
) -> None:
    """Set a rule, instead of the one that was. The most specific one holds: of the sku, of its product, the default."""
    with open_context() as ctx:
        done = set_route(
            ctx.db,
            ctx.clock,
            ctx.audit,
            ctx.catalog.current(),
            name,
            policy,
            supplier=supplier,
            margin_floor_bps=parse_minor(floor, 2),
            actor=ACTOR,
        )
        with ctx.db.read() as tx:
            plain = _plain(ctx, done, {one.id: one.name for one in list_suppliers(tx, with_retired=True)})
    if as_json:
        show_json(plain)
    else:
        out.print(f"{escape(name)} is bought by {plain['policy']}{' ' + escape(plain['supplier']) if plain['supplier'] else ''}.")


@app.command()
def clear(name: For, as_json: AsJson = False) -> None:
    """Take a rule back: the next more general one holds again."""
    with open_context() as ctx:
        clear_route(ctx.db, ctx.clock, ctx.audit, ctx.catalog.current(), name, actor=ACTOR)
    if as_json:
        show_json({"for": name, "policy": None})
    else:
        out.print(f"{escape(name)} has no rule of its own any more.")


def _plain(ctx: Cardrail, one: KeptRoute, names: dict[str, str]) -> dict[str, Any]:
    return {
        "for": route_name(ctx.catalog.current(), one.key),
        "policy": one.route.policy,
        "supplier": names.get(one.route.supplier_id or "", one.route.supplier_id),
        "margin_floor_percent": format_minor(one.route.margin_floor_bps, 2),
        "since": rfc3339(from_micros(one.updated_at)),
    }
