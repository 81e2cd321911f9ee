"""`cardrail catalog`: what is sold and what it costs."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.progress import Progress

from cardrail.bootstrap import Cardrail
from cardrail.catalog import (
    NEW_RULE,
    CatalogSnapshot,
    FxRate,
    ImportReport,
    InvalidPriceRule,
    Offer,
    PriceError,
    PriceRule,
    Product,
    ProductFilter,
    create_price_list,
    diff,
    export,
    import_catalog,
    parse_rate,
    remove_price_rule,
    restore,
    retire,
    set_barcode,
    set_price_rule,
    set_rate,
    show_rate,
)
from cardrail.cli.context import EXIT_NOT_FOUND, EXIT_REFUSED, err, open_context, out, show_json, table_of
from cardrail.kernel import Money, PriceListId, format_minor, parse_bps, rfc3339

app = typer.Typer(help="Products, prices and exchange rates.", no_args_is_help=True)
rate_app = typer.Typer(help="Exchange rates by date.", no_args_is_help=True)
price_app = typer.Typer(help="The rules that make prices; the most specific one wins.", no_args_is_help=True)
app.add_typer(rate_app, name="rate")
app.add_typer(price_app, name="price")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ACTOR = "cli"


@app.command("import")
def import_(
    *,
    file: Annotated[Path, typer.Argument(help="A CSV file; - is standard input.", allow_dash=True)],
    show_diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and write nothing.")] = False,
    markup: Annotated[str | None, typer.Option(help="Default markup on cost, in percent: 5%.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Import the good lines although others are bad.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the catalog to what a sheet says. Importing it again changes nothing."""
    data = _read(file)
    with open_context() as ctx:
        markup_bps = None if markup is None else _percent(markup)
        if show_diff:
            report = diff(ctx.db, data, markup_bps=markup_bps)
        else:
            with Progress(console=err, transient=True) as bar:
                task = bar.add_task("Reading", total=None)
                report = import_catalog(
                    ctx.db,
                    ctx.clock,
                    ctx.audit,
                    data,
                    actor=ACTOR,
                    source=file.name,
                    dry_run=dry_run,
                    skip_bad=skip_bad,
                    markup_bps=markup_bps,
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
    _show_report(report, as_json=as_json, with_diff=show_diff, dry_run=dry_run or show_diff)
    if report.is_stopped and not (skip_bad and (dry_run or show_diff)):
        raise typer.Exit(EXIT_REFUSED)


@app.command("list")
def list_(
    *,
    brand: Annotated[str | None, typer.Option(help="Slug or id.")] = None,
    category: Annotated[str | None, typer.Option(help="Slug or id.")] = None,
    country: Annotated[str | None, typer.Option(help="Where it redeems: IN.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the face value: INR.")] = None,
    kind: Annotated[str | None, typer.Option(help="code, link or topup.")] = None,
    search: Annotated[str | None, typer.Option(help="Words in name, brand, code or sku.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Retired ones too.")] = False,
    after: Annotated[str | None, typer.Option(help="Go on after this product id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List products."""
    wanted = ProductFilter(brand, category, country, currency, kind, search, None, retired)
    with open_context() as ctx:
        page = ctx.catalog.current().products(wanted, after=after, limit=limit)
    if as_json:
        show_json({"products": [_product_facts(one) for one in page.products], "after": page.after})
        return
    table = table_of("code", "name", "brand", "kind", "face value", "skus")
    for one in page.products:
        name = escape(one.name) + (" [dim](retired)[/dim]" if one.retired_at else "")
        table.add_row(one.code, name, escape(one.brand.name), one.kind, _faces(one), str(len(one.sellable)))
    out.print(table)
    if page.after:
        err.print(f"More: --after {page.after}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A product's code or id, or a sku.")],
    currency: Annotated[str | None, typer.Option(help="Show prices in this currency instead of the face value's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a product, its denominations and their default prices."""
    with open_context() as ctx:
        snapshot = ctx.catalog.current()
        product = _product(snapshot, name)
        facts = _product_facts(product)
        for offer, shown in zip(product.offers, facts["denominations"], strict=True):
            shown["price"] = _price(snapshot, offer, currency or product.currency.code)
    if as_json:
        show_json(facts)
        return
    for label in (
        "code",
        "id",
        "name",
        "brand",
        "category",
        "kind",
        "sourcing",
        "countries",
        "currency",
        "barcode",
        "retired_at",
    ):
        if facts[label]:
            out.print(f"{label:<12}{escape(str(facts[label]))}")
    for field in product.input_fields:
        out.print(f"{'input field':<12}{field.name} {escape(field.pattern)}")
    table = table_of("sku", "face value", "cost", "default price", "")
    for shown in facts["denominations"]:
        state = "" if shown["is_sellable"] else "retired"
        table.add_row(shown["sku"], shown["face_value"], shown["cost"] or "", shown["price"], state)
    out.print(table)


@app.command("retire")
def retire_(names: Annotated[list[str], typer.Argument(help="Product codes or skus.")], as_json: AsJson = False) -> None:
    """Take products or single skus off sale. What was sold stays."""
    with open_context() as ctx:
        done = retire(ctx.db, ctx.clock, ctx.audit, names, actor=ACTOR)
    _show_names([one.name for one in done if one.changed], "retired", as_json=as_json)


@app.command("restore")
def restore_(names: Annotated[list[str], typer.Argument(help="Product codes or skus.")], as_json: AsJson = False) -> None:
    """Bring retired products or skus back."""
    with open_context() as ctx:
        done = restore(ctx.db, ctx.clock, ctx.audit, names, actor=ACTOR)
    _show_names([one.name for one in done if one.changed], "restored", as_json=as_json)


class BarcodeKind(StrEnum):
    """What a code is drawn as."""

    QR = "QR"
    CODE128 = "CODE128"
    EAN13 = "EAN13"
    NONE = "none"


@app.command("barcode")
def barcode_(
    code: Annotated[str, typer.Argument(help="The product's code.")],
    kind: Annotated[BarcodeKind, typer.Argument(help="What its codes are shown as on the claim page, beside their text.")],
    as_json: AsJson = False,
) -> None:
    """Show a product's codes as QR or bar code too, for those who redeem them at a till."""
    wanted = None if kind is BarcodeKind.NONE else kind.value
    with open_context() as ctx:
        set_barcode(ctx.db, ctx.clock, ctx.audit, code, wanted, actor=ACTOR)
    if as_json:
        show_json({"code": code, "barcode": wanted})
    else:
        out.print(f"{code}: {kind.value}")


@app.command("export")
def export_(
    file: Annotated[Path | None, typer.Argument(help="Where to write; standard output without it.")] = None,
    format_: Annotated[str, typer.Option("--format", help="csv is the only one.")] = "csv",
) -> None:
    """Write what is on sale as a sheet that `catalog import` reads."""
    if format_ != "csv":
        raise typer.BadParameter("csv is the only format", param_hint="--format")
    with open_context() as ctx:
        lines = export(ctx.catalog.current())
        if file is None:
            sys.stdout.writelines(lines)
        else:
            with file.open("w", encoding="utf-8", newline="") as sheet:
                sheet.writelines(lines)


@app.command("list-create")
def list_create(name: Annotated[str, typer.Argument(help="The price list's name.")], as_json: AsJson = False) -> None:
    """Open a price list, for partners who share their prices."""
    with open_context() as ctx:
        made = create_price_list(ctx.db, ctx.clock, ctx.audit, name, actor=ACTOR)
    if as_json:
        show_json({"id": made.id, "name": made.name})
    else:
        out.print(f"{made.id}  {escape(made.name)}")


# --- rates ------------------------------------------------------------------------------------------------------------


@rate_app.command("set")
def rate_set(
    *,
    base: Annotated[str, typer.Argument(help="One unit of this currency …")],
    quote: Annotated[str, typer.Argument(help="… in this one …")],
    rate: Annotated[str, typer.Argument(help="… is this much: EUR INR 92.5.")],
    on: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="From this day on; today without it.")
    ] = None,
    margin: Annotated[str, typer.Option(help="Percent on top of what partners pay.")] = "0",
    source: Annotated[str, typer.Option(help="Where the rate comes from.")] = "manual",
    as_json: AsJson = False,
) -> None:
    """Say what a currency is worth from a day on."""
    with open_context() as ctx:
        saved = set_rate(
            ctx.db,
            ctx.clock,
            ctx.audit,
            actor=ACTOR,
            base=base.upper(),
            quote=quote.upper(),
            rate_e10=parse_rate(rate),
            on_date=on.date() if on else None,
            margin_bps=_percent(margin),
            source=source,
        )
    facts = _rate_facts(saved)
    if as_json:
        show_json(facts)
    else:
        out.print(f"1 {saved.base} = {facts['rate']} {saved.quote} from {saved.on_date}, margin {facts['margin_percent']} %")


@rate_app.command("list")
def rate_list(as_json: AsJson = False) -> None:
    """List all rates; for a pair, the newest that is not in the future holds."""
    with open_context() as ctx:
        rates = [_rate_facts(one) for one in ctx.catalog.current().fx_rates]
    if as_json:
        show_json(rates)
        return
    table = table_of("base", "quote", "from", "rate", "margin %", "source")
    for one in rates:
        table.add_row(one["base"], one["quote"], one["on_date"], one["rate"], one["margin_percent"], escape(one["source"]))
    out.print(table)


# --- price rules ------------------------------------------------------------------------------------------------------


@price_app.command("set")
def price_set(
    *,
    sku: Annotated[str | None, typer.Option(help="For this sku …")] = None,
    product: Annotated[str | None, typer.Option(help="… or this product …")] = None,
    partner: Annotated[str | None, typer.Option(help="… for this partner (id) …")] = None,
    price_list: Annotated[str | None, typer.Option("--list", help="… or this price list (name or id).")] = None,
    discount: Annotated[str | None, typer.Option(help="Percent off face value.")] = None,
    markup: Annotated[str | None, typer.Option(help="Percent on cost.")] = None,
    fixed: Annotated[str | None, typer.Option(help='An amount with its currency: "9.50 EUR".')] = None,
    rounding: Annotated[str, typer.Option(help="half_up, up or down.")] = "half_up",
    rounding_minor: Annotated[int, typer.Option(help="Round to a multiple of so many minor units.")] = 1,
    fee_minor: Annotated[int, typer.Option(help="A fee per unit, in minor units of the wallet.")] = 0,
    tax: Annotated[str, typer.Option(help="Percent on price and fee.")] = "0",
    allow_below_cost: Annotated[bool, typer.Option("--allow-below-cost", help="Sell even below cost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a price rule, or replace the one at the same place."""
    if (discount is not None) + (markup is not None) + (fixed is not None) != 1:
        raise typer.BadParameter("give exactly one of --discount, --markup, --fixed")
    with open_context() as ctx:
        snapshot = ctx.catalog.refresh()
        money = _money(fixed) if fixed is not None else None
        rule = PriceRule(
            id=NEW_RULE,
            partner_id=partner,
            price_list_id=_list_id(snapshot, price_list),
            product_id=_product(snapshot, product).id if product else None,
            denomination_id=_offer(snapshot, sku).denomination_id if sku else None,
            kind="fixed" if money else "discount" if discount is not None else "markup",
            value=money.minor if money else _percent(discount or markup or "0"),
            currency=money.currency if money else None,
            rounding=rounding,  # type: ignore[arg-type]  # checked by the use case
            rounding_minor=rounding_minor,
            fee_minor=fee_minor,
            tax_bps=_percent(tax),
            allow_below_cost=allow_below_cost,
        )
        saved = set_price_rule(ctx.db, ctx.clock, ctx.audit, rule, actor=ACTOR)
        facts = _rule_facts(ctx, saved)
    if as_json:
        show_json(facts)
    else:
        out.print(f"{saved.id}  {facts['for']}: {facts['price']}")


@price_app.command("list")
def price_list_(
    everything: Annotated[bool, typer.Option("--all", help="Also the discounts that imports made for single skus.")] = False,
    as_json: AsJson = False,
) -> None:
    """List price rules."""
    with open_context() as ctx:
        rules = ctx.catalog.current().rules
        shown = [one for one in rules if everything or not _is_imported(one)]
        facts = [_rule_facts(ctx, one) for one in shown]
    if as_json:
        show_json(facts)
        return
    table = table_of("id", "for", "price")
    for one in facts:
        table.add_row(one["id"], escape(one["for"]), one["price"])
    out.print(table)
    if len(shown) < len(rules):
        err.print(f"and {len(rules) - len(shown)} discounts of single skus (--all shows them)")


@price_app.command("remove")
def price_remove(rule_id: Annotated[str, typer.Argument(help="prc_…")], as_json: AsJson = False) -> None:
    """Take a price rule away; the next more general one then holds."""
    with open_context() as ctx:
        removed = remove_price_rule(ctx.db, ctx.clock, ctx.audit, rule_id, actor=ACTOR)
    _show_names([removed.id], "removed", as_json=as_json)


def _is_imported(rule: PriceRule) -> bool:
    """Whether it is a plain discount of one sku, as imports make them."""
    return rule.kind == "discount" and rule.denomination_id is not None and not rule.partner_id and not rule.price_list_id


# --- reading what was typed -------------------------------------------------------------------------------------------


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    if not file.is_file():
        _not_found(f"There is no file {file}.")
    return file.read_bytes()


def _percent(text: str) -> int:
    return parse_bps(text.strip().removesuffix("%").strip())


def _money(text: str) -> Money:
    amount, _, code = text.strip().partition(" ")
    if not code:
        raise InvalidPriceRule(reason='a fixed price is an amount with its currency: "9.50 EUR"')
    return Money.parse(amount, code.strip().upper())


def _offer(snapshot: CatalogSnapshot, sku: str) -> Offer:
    return snapshot.offer(sku) or _not_found(f"There is no sku {sku}.")


def _product(snapshot: CatalogSnapshot, name: str) -> Product:
    offer = snapshot.offer(name)
    found = snapshot.product_by_code(name) or snapshot.product(offer.product_id if offer else name)
    return found or _not_found(f"There is no product or sku {name}.")


def _list_id(snapshot: CatalogSnapshot, name: str | None) -> str | None:
    if name is None:
        return None
    found = snapshot.price_list(name) or _not_found(f"There is no price list {name}.")
    return found.id


def _not_found(message: str) -> NoReturn:
    err.print(f"[red]{escape(message)}[/red]")
    raise typer.Exit(EXIT_NOT_FOUND)


# --- showing ----------------------------------------------------------------------------------------------------------


def _show_report(report: ImportReport, *, as_json: bool, with_diff: bool, dry_run: bool) -> None:
    counts = {what: report.count(what) for what in ("added", "changed", "unchanged", "retired")}
    moved = [one for one in report.changes if one.what != "unchanged"]
    if as_json:
        show_json(
            {
                **counts,
                "written": report.written,
                "problem_count": report.problem_count,
                "problems": [{"line": one.line, "column": one.column, "message": one.message} for one in report.problems],
                "changes": [{"line": one.line, "code": one.code, "what": one.what, "details": one.details} for one in moved],
                "markup_percent": None if report.markup_bps is None else format_minor(report.markup_bps, 2),
            }
        )
        return
    for problem in report.problems:
        err.print(f"[red]{escape(str(problem))}[/red]")
    if report.problem_count > len(report.problems):
        err.print(f"[red]and {report.problem_count - len(report.problems)} more[/red]")
    if with_diff:
        for one in moved:
            out.print(f"{one.what:<10}{one.code}  {escape(one.name)}")
            for detail in one.details:
                out.print(f"          {escape(detail)}")
    words = ", ".join([f"{count} {what}" for what, count in counts.items() if count]) or "nothing"
    note = " (nothing was written)" if dry_run or report.is_stopped else ""
    out.print(f"{words}{note}")
    if report.markup_bps is not None:
        out.print(f"Default markup on cost: {format_minor(report.markup_bps, 2)} %")


def _show_names(names: list[str], what: str, *, as_json: bool) -> None:
    if as_json:
        show_json({what: names})
    else:
        out.print(f"{len(names)} {what}{': ' if names else ''}{', '.join(names)}")


def _product_facts(product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "code": product.code,
        "name": product.name,
        "brand": product.brand.name,
        "category": product.category.name if product.category else None,
        "kind": product.kind,
        "sourcing": product.sourcing,
        "countries": list(product.countries),
        "barcode": product.barcode,
        "currency": product.currency.code,
        "retired_at": rfc3339(product.retired_at) if product.retired_at else None,
        "denominations": [_offer_facts(one) for one in product.offers],
    }


def _offer_facts(offer: Offer) -> dict[str, Any]:
    cost = None
    if offer.cost_minor is not None:
        cost = str(Money(offer.cost_minor, offer.cost_currency or offer.currency))
    elif offer.cost_bps is not None:
        cost = f"{format_minor(offer.cost_bps, 2)} %"
    return {
        "sku": offer.sku,
        "id": offer.denomination_id,
        "type": offer.type,
        "face_value": _face(offer),
        "cost": cost,
        "is_sellable": offer.is_sellable,
    }


def _face(offer: Offer) -> str:
    digits = offer.currency.digits
    if offer.type == "fixed":
        return format_minor(offer.face_minor or 0, digits)
    low, high, step = [format_minor(one or 0, digits) for one in (offer.min_minor, offer.max_minor, offer.step_minor)]
    return f"{low} to {high} by {step}"


def _faces(product: Product) -> str:
    faces = [_face(offer) for offer in product.sellable[:4]]
    more = " …" if len(product.sellable) > 4 else ""
    return f"{', '.join(faces)}{more} {product.currency.code}"


def _price(snapshot: CatalogSnapshot, offer: Offer, code: str) -> str:
    """The default price; of a range, at its least face value."""
    face = offer.face_minor or offer.min_minor or 0
    try:
        price = snapshot.unit_price(offer, face, partner_id=None, price_list_id=None, currency=code)
    except PriceError as error:
        return error.message
    shown = str(Money(price.price_minor, price.currency))
    return shown if offer.type == "fixed" else f"{shown} for {format_minor(face, offer.currency.digits)}"


def _rate_facts(rate: FxRate) -> dict[str, str]:
    return {
        "base": rate.base,
        "quote": rate.quote,
        "on_date": rate.on_date,
        "rate": show_rate(rate.rate_e10),
        "margin_percent": format_minor(rate.margin_bps, 2),
        "source": rate.source,
    }


def _rule_facts(ctx: Cardrail, rule: PriceRule) -> dict[str, Any]:
    snapshot = ctx.catalog.current()
    product = snapshot.product(rule.product_id) if rule.product_id else None
    offer = snapshot.denomination(rule.denomination_id) if rule.denomination_id else None
    lists = {one.id: one.name for one in snapshot.price_lists}
    what = f"product {product.code}" if product else "everything"
    if offer is not None:
        what = f"sku {offer.sku}"
    who = f", partner {rule.partner_id}" if rule.partner_id else ""
    if rule.price_list_id:
        who = f", list {lists.get(PriceListId(rule.price_list_id), rule.price_list_id)}"
    return {
        "id": rule.id,
        "for": what + who,
        "kind": rule.kind,
        "price": _rule_words(rule),
        "value": rule.value,
        "currency": rule.currency.code if rule.currency else None,
        "rounding": rule.rounding,
        "rounding_minor": rule.rounding_minor,
        "fee_minor": rule.fee_minor,
        "tax_percent": format_minor(rule.tax_bps, 2),
        "allow_below_cost": rule.allow_below_cost,
    }


def _rule_words(rule: PriceRule) -> str:
    if rule.currency is not None:
        words = str(Money(rule.value, rule.currency))
    else:
        words = f"{format_minor(rule.value, 2)} % {'off face value' if rule.kind == 'discount' else 'on cost'}"
    if rule.rounding != "half_up" or rule.rounding_minor != 1:
        words += f", rounded {rule.rounding} to {rule.rounding_minor}"
    words += f", fee {rule.fee_minor}" if rule.fee_minor else ""
    words += f", tax {format_minor(rule.tax_bps, 2)} %" if rule.tax_bps else ""
    return words + (", below cost allowed" if rule.allow_below_cost else "")
