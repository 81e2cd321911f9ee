"""`cardrail supplier rule`: rules that map a supplier's products at each sync, listed and taken back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.catalog import CatalogSnapshot
from cardrail.cli.context import open_context, out, show_json, table_of
from cardrail.kernel import currency, format_minor, from_micros, parse_minor, rfc3339
from cardrail.sourcing import MappingRule, add_rule, get_supplier, load_mappings, load_rules, remove_rule

app = typer.Typer(help="Rules that map products at each sync.", no_args_is_help=True)

ACTOR = "cli"

SupplierArg = Annotated[str, typer.Argument(help="The supplier's name or id, sup_…", metavar="SUPPLIER")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def add(
    supplier: SupplierArg,
    product: Annotated[str, typer.Argument(help="Our product's code: each of theirs becomes the sku of it that it fits.")],
    *,
    sku: Annotated[str | None, typer.Option(help="Theirs, with * and ?: STEAM-US-*")] = None,
    name: Annotated[str | None, typer.Option(help="Its name, with * and ?: 'steam*wallet*'")] = None,
    brand: Annotated[str | None, typer.Option(help="Its brand, as they write it.")] = None,
    country: Annotated[str | None, typer.Option(help="A country that it is for, such as US.")] = None,
    code: Annotated[str | None, typer.Option("--currency", help="Currency of its face value; --face needs it.")] = None,
    face: Annotated[str | None, typer.Option(help="Face values: 20, or 10-100.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule, and apply it at once. All that is given must hold. Currency, kind and face value must fit in any case."""
    low, high = _faces(face, code)
    with open_context() as ctx:
        rule, made = add_rule(
            ctx.db,
            ctx.clock,
            ctx.audit,
            ctx.catalog.current(),
            supplier,
            product,
            sku_like=sku,
            name_like=name,
            brand=brand,
            country=country,
            code=code,
            face_min_minor=low,
            face_max_minor=high,
            actor=ACTOR,
        )
        plain = _plain(rule, ctx.catalog.current(), len(made))
    if as_json:
        show_json({**plain, "mapped": [{"supplier_sku": one.product.supplier_sku, "sku": one.offer.sku} for one in made]})
        return
    for one in made:
        out.print(f"{escape(one.product.supplier_sku)} {escape(one.product.name)} is {escape(one.offer.sku)}")
    out.print(f"[bold]{rule.id}[/bold]: {len(made)} mapped. Take it back: cardrail supplier rule remove {rule.id}")


@app.command("list")
def list_(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """List a supplier's rules in the order in which they are tried, and how much each has mapped."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            one = get_supplier(tx, supplier)
            rules, mappings = load_rules(tx, one.id), load_mappings(tx, one.id)
        counts = {rule.id: sum(each.mapped_by == rule.id for each in mappings) for rule in rules}
        items = [_plain(rule, ctx.catalog.current(), counts[rule.id]) for rule in rules]
    if as_json:
        show_json({"supplier": one.id, "items": items})
        return
    table = table_of("rule", "when", "our product", "mapped")
    for each in items:
        when = ", ".join(f"{name} {value}" for name, value in each["when"].items())
        table.add_row(each["id"], escape(when), escape(each["product"]), str(each["count"]))
    out.print(table)


@app.command()
def remove(
    rule: Annotated[str, typer.Argument(help="The rule's id, mrl_…")],
    *,
    keep: Annotated[bool, typer.Option("--keep-mappings", help="What it has mapped stays mapped, as if by hand.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a rule back, with what it has mapped. What was bought by it stays known."""
    with open_context() as ctx:
        count = remove_rule(ctx.db, ctx.clock, ctx.audit, rule, keep=keep, actor=ACTOR)
    if as_json:
        show_json({"id": rule, "mappings": count, "kept": keep})
    else:
        out.print(f"{rule} is gone; {count} mappings {'stay' if keep else 'are undone'}.")


def _faces(text: str | None, code: str | None) -> tuple[int | None, int | None]:
    """Least and most, in minor units. Raises InvalidAmount, UnknownCurrency."""
    if text is None:
        return None, None
    if code is None:
        raise typer.BadParameter("name its --currency too", param_hint="--face")
    digits = currency(code).digits
    low, mark, high = text.partition("-")
    return parse_minor(low, digits), parse_minor(high if mark else low, digits)


def _plain(rule: MappingRule, snapshot: CatalogSnapshot, count: int) -> dict[str, Any]:
    product = snapshot.product(rule.product_id)
    names = {"sku_like": "sku", "name_like": "name", "brand": "brand", "country": "country", "currency": "currency"}
    facts = asdict(rule)
    when = {shown: facts[name] for name, shown in names.items() if facts[name] is not None}
    if rule.face_min_minor is not None and rule.face_max_minor is not None and rule.currency is not None:
        digits = currency(rule.currency).digits
        low, high = format_minor(rule.face_min_minor, digits), format_minor(rule.face_max_minor, digits)
        when["face"] = low if low == high else f"{low}-{high}"
    return {
        "id": rule.id,
        "when": when,
        "product": product.code if product is not None else rule.product_id,
        "count": count,
        "created_by": rule.created_by,
        "created_at": rfc3339(from_micros(rule.created_at)),
    }
