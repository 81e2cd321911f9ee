"""`cardrail supplier`: whom we buy from, what they sell, which of it is ours, and how they are doing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from cardrail.bootstrap import Cardrail
from cardrail.cli import supplier_rules, supplier_webhook
from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json, table_of
from cardrail.cli.supplier_in import check_given, given_config, given_secrets
from cardrail.cli.supplier_out import amount_out, attempt_out, health_out, kind_out, shelf_out, suggestion_out, supplier_out
from cardrail.kernel import Mode, Money, currency, to_micros
from cardrail.sourcing import (
    CONNECTORS,
    TIMINGS,
    KeptProduct,
    NewSupplier,
    Shelf,
    Supplier,
    SupplierState,
    SyncReport,
    TrialState,
    accept_costs,
    change_supplier,
    connector_kind,
    cost_words,
    create_supplier,
    face_words,
    get_supplier,
    list_suppliers,
    load_health,
    load_mappings,
    load_products,
    load_shelves,
    map_product,
    open_attempts,
    poll_balance,
    product_row,
    set_balance_alert,
    suggest,
    sync_supplier,
    try_supplier,
    unmap_product,
    unmapped,
)
from cardrail.sourcing.connectors.rest import EXAMPLE

app = typer.Typer(help="Suppliers: connect them, sync what they sell, map it to skus, watch them.", no_args_is_help=True)
app.add_typer(supplier_webhook.app, name="webhook")

app.add_typer(supplier_rules.app, name="rule")

ACTOR = "cli"
PAIRS_MAX = 100_000

SupplierArg = Annotated[str, typer.Argument(help="The supplier's name or id, sup_…", metavar="SUPPLIER")]
TheirSku = Annotated[str, typer.Argument(help="The product, as the supplier calls it.", metavar="THEIR_SKU")]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option("--config", "-c", help="name=text, or name:=JSON for a number, true or a list; repeat it. No secrets here."),
]
ConfigFile = Annotated[Path | None, typer.Option(help="The configuration as a JSON object.", exists=True, dir_okay=False)]
SecretsOption = Annotated[
    Path | None,
    typer.Option(help="File of the secrets, - for standard input: a JSON object, or the one secret as it is. Unset: asked for."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


# --- who they are -----------------------------------------------------------------------------------------------------


@app.command()
def kinds(as_json: AsJson = False) -> None:
    """List the protocols that suppliers may speak, and what each needs to be told."""
    if as_json:
        show_json({"items": [kind_out(one) for one in CONNECTORS.values()], "timings": dict(TIMINGS)})
        return
    for one in CONNECTORS.values():
        out.print(f"[bold]{one.name}[/bold]  {escape(one.title)}")
        for field in one.fields:
            notes = [word for word, is_so in (("secret", field.is_secret), ("optional", not field.is_required)) if is_so]
            notes += [f"{field.default} unless set"] if field.default is not None else []
            after = f" ({', '.join(notes)})" if notes else ""
            out.print(f"    {field.name}{after}: {escape(field.help)}")
    out.print("[bold]any of them[/bold]  In seconds, where you know the supplier better than its connector")
    for name, words in TIMINGS.items():
        out.print(f"    {name} (optional): {escape(words)}")


@app.command()
def template() -> None:
    """Print a file that describes a REST supplier, with a comment on everything. Change it, then `cardrail supplier add rest …`."""
    typer.echo(EXAMPLE, nl=False)


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="Its protocol; `cardrail supplier kinds` lists them.")],
    name: Annotated[str, typer.Argument(help="A name of your choice.")],
    *,
    code: Annotated[str, typer.Option("--currency", help="In which it charges us.")],
    mode: Annotated[Mode, typer.Option("--mode", help="live, or test: for test orders.")] = Mode.LIVE,
    config: ConfigOption = None,
    config_file: ConfigFile = None,
    secrets: SecretsOption = None,
    priority: Annotated[int, typer.Option(help="Lower is asked sooner, under the policy `priority`.")] = 100,
    weight: Annotated[int, typer.Option(min=0, help="Its share, under the policy `weighted`.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Connect a supplier. Nothing is asked of it yet: `cardrail supplier test` does. Its secrets are sealed, and never shown again."""
    with open_context() as ctx:
        found = connector_kind(kind)
        given = given_config(config, config_file)
        check_given(found, given)
        new = NewSupplier(name, kind, mode, currency(code).code, given, priority=priority, weight=weight)
        made = create_supplier(ctx.db, ctx.clock, ctx.audit, ctx.sealer, new, given_secrets(found, secrets), actor=ACTOR)
    if as_json:
        show_json(supplier_out(made))
        return
    out.print(f"[bold]{made.id}[/bold] {escape(made.name)}")
    out.print(f"Next: cardrail supplier test {escape(made.name)}")


@app.command()
def change(
    supplier: SupplierArg,
    *,
    config: ConfigOption = None,
    config_file: ConfigFile = None,
    secrets: SecretsOption = None,
    priority: Annotated[int | None, typer.Option(help="Lower is asked sooner, under the policy `priority`.")] = None,
    weight: Annotated[int | None, typer.Option(min=0, help="Its share, under the policy `weighted`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given. --config changes single names, --config-file replaces all of them, --secrets replaces all secrets."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            known = get_supplier(tx, supplier)
        kind = connector_kind(known.kind)
        changed = None
        if config or config_file is not None:
            changed = (
                given_config(config, config_file) if config_file is not None else {**known.config, **given_config(config, None)}
            )
            check_given(kind, changed)
        done = change_supplier(
            ctx.db,
            ctx.clock,
            ctx.audit,
            ctx.sealer,
            known.id,
            actor=ACTOR,
            config=changed,
            secrets=given_secrets(kind, secrets) if secrets is not None else None,
            priority=priority,
            weight=weight,
        )
    _done(done, f"{done.name} is changed.", as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List suppliers, how much of theirs is known, and how they are doing."""
    with open_context() as ctx, ctx.db.read() as tx:
        found = list_suppliers(tx, with_retired=True)
        shelves = load_shelves(tx)
        health = {one.id: load_health(tx, one.id) for one in found}
        now = to_micros(ctx.clock.now())
    if as_json:
        items = [
            {**supplier_out(one), **shelf_out(shelves.get(one.id)), "health": health_out(one, health[one.id], now)}
            for one in found
        ]
        show_json({"items": items})
        return
    table = table_of("name", "kind", "mode", "state", "products", "mapped", "held", "balance", "breaker")
    for one in found:
        shelf, state = shelves.get(one.id, Shelf()), health[one.id]
        counts = [str(shelf.products), str(shelf.mappings), str(shelf.held)]
        balance = amount_out(state.balance_minor, one.currency)
        table.add_row(escape(one.name), one.kind, one.mode.value, one.state.value, *counts, balance, state.breaker)
    out.print(table)


@app.command()
def show(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Show a supplier: its settings, never its secrets."""
    with open_context() as ctx, ctx.db.read() as tx:
        one = get_supplier(tx, supplier)
        shelf = load_shelves(tx).get(one.id)
        health = health_out(one, load_health(tx, one.id), to_micros(ctx.clock.now()))
    if as_json:
        show_json({**supplier_out(one), **shelf_out(shelf), "health": health})
        return
    out.print(f"[bold]{one.id}[/bold] {escape(one.name)}: {one.kind}, {one.mode.value}, {one.state.value}")
    _facts(
        {
            "charges in": one.currency,
            "priority": one.priority,
            "weight": one.weight,
            "secrets": "sealed" if one.secrets is not None else "none",
            **{f"config {name}": value for name, value in sorted(one.config.items())},
            **shelf_out(shelf),
        }
    )


@app.command("test")
def try_(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Ask the supplier everything that buys nothing, and say what works. Exit code 1 if something does not."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            one = get_supplier(tx, supplier)
        with err.status(f"Asking {escape(one.name)} …"):
            trials = try_supplier(ctx.buying.connectors.of(one), one.currency)
    if as_json:
        show_json({"supplier": one.id, "name": one.name, "trials": trials})
    else:
        for trial in trials:
            style = {TrialState.WORKS: "green", TrialState.FAILS: "red"}.get(trial.state, "dim")
            out.print(f"[{style}]{trial.call}: {trial.state.value.replace('_', ' ')}[/{style}], {escape(trial.words)}")
    if any(trial.state is TrialState.FAILS for trial in trials):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def enable(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Buy from it (again)."""
    _set_state(supplier, SupplierState.ACTIVE, "is bought from.", as_json=as_json)


@app.command()
def disable(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Buy nothing new from it. What is open there is still asked after."""
    _set_state(supplier, SupplierState.PAUSED, "gets no new orders.", as_json=as_json)


@app.command()
def retire(supplier: SupplierArg, yes: Yes = False, as_json: AsJson = False) -> None:
    """Be done with it: it is asked nothing any more, and left out of most lists. `enable` takes it back.

    Refused while purchases there are not resolved: `disable` it until they are.
    """
    if not yes and not as_json:
        typer.confirm(f"Retire {supplier}?", abort=True, err=True)
    _set_state(supplier, SupplierState.RETIRED, "is retired.", as_json=as_json)


# --- what they sell ---------------------------------------------------------------------------------------------------


@app.command()
def sync(
    supplier: SupplierArg,
    *,
    take_missing: Annotated[
        bool, typer.Option("--take-missing", help="Also believe a catalog that lacks more than half of what it had.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for catalog, stock and costs now, and say what changed. Workers do the same every hour."""
    with open_context() as ctx, _progress() as progress:
        task = progress.add_task("Asking", total=None)
        report = sync_supplier(
            ctx.db,
            ctx.clock,
            ctx.audit,
            ctx.buying.connectors,
            supplier,
            jump_bps=ctx.settings.supplier_cost_jump_percent * 100,
            actor=ACTOR,
            snapshot=ctx.catalog.current(),
            take_missing=take_missing,
            progress=lambda count: progress.update(task, description=f"{count} products"),
        )
    if as_json:
        show_json(report)
    else:
        _show_report(report)


@app.command("products")
def products_(
    supplier: SupplierArg,
    *,
    only_unmapped: Annotated[bool, typer.Option("--unmapped", help="Only what is no sku of ours yet.")] = False,
    only_held: Annotated[bool, typer.Option("--held", help="Only those whose cost jumped and waits.")] = False,
    find: Annotated[str, typer.Option(help="Only those with this in their name or sku.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 200,
    as_json: AsJson = False,
) -> None:
    """List what a supplier sells, as the last sync told it, and which sku of ours it is."""
    with open_context() as ctx, ctx.db.read() as tx:
        one = get_supplier(tx, supplier)
        found = list(unmapped(tx, one.id)) if only_unmapped else load_products(tx, one.id)
        skus = _skus(ctx, [mapping for mapping in load_mappings(tx, one.id) if mapping.is_enabled])
    wanted = find.casefold()
    found = [
        row
        for row in found
        if (not only_held or row.is_held) and (wanted in row.name.casefold() or wanted in row.supplier_sku.casefold())
    ]
    if as_json:
        items = [{**product_row(row), "skus": skus.get(row.supplier_sku, [])} for row in found[:limit]]
        show_json({"items": items, "count": len(found)})
        return
    table = Table(*_columns("their sku", "name", "face value", "cost", "stock", "our sku"), box=None)
    for row in found[:limit]:
        ours = " ".join(skus.get(row.supplier_sku, []))
        table.add_row(escape(row.supplier_sku), escape(row.name), face_words(row), cost_words(row), _stock(row), escape(ours))
    out.print(table)
    if len(found) > limit:
        err.print(f"{len(found) - limit} more: --limit, --find")


@app.command()
def accept(
    supplier: SupplierArg,
    their_skus: Annotated[list[str] | None, typer.Argument(help="Products whose new cost is right.", metavar="THEIR_SKU")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of its costs that wait.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say yes to costs that jumped: the products are bought again, at the new cost. `products --held` lists them."""
    if bool(their_skus) == everything:
        raise typer.BadParameter("name products, or give --all")
    with open_context() as ctx:
        accepted = accept_costs(ctx.db, ctx.clock, ctx.audit, supplier, None if everything else their_skus, actor=ACTOR)
    if as_json:
        show_json({"items": [product_row(one) for one in accepted]})
        return
    for one in accepted:
        out.print(f"{escape(one.supplier_sku)} costs {cost_words(one)}")
    if not accepted:
        out.print("No cost waits.")


# --- which of it is ours ----------------------------------------------------------------------------------------------


@app.command("map")
def map_(
    supplier: SupplierArg,
    their_sku: Annotated[str | None, typer.Argument(help="The product, as the supplier calls it.", metavar="THEIR_SKU")] = None,
    our_sku: Annotated[str | None, typer.Argument(help="Our sku that it is.", metavar="OUR_SKU")] = None,
    *,
    cost: Annotated[
        str | None, typer.Option(help="What one costs, in the supplier's currency, where it tells neither catalog nor cost.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Lines of THEIR_SKU,OUR_SKU: all or none.", exists=True, dir_okay=False)
    ] = None,
    suggestions: Annotated[
        bool, typer.Option("--suggest", help="Show what unmapped products may be, by name and face value.")
    ] = False,
    take: Annotated[bool, typer.Option("--take", help="With --suggest: map those that are sure.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which product of a supplier's is which sku of ours. Orders for the sku may then be bought there.

    One pair as arguments, many by --file, or what looks alike by --suggest.
    """
    ways = [their_sku is not None, file is not None, suggestions]
    if sum(ways) != 1 or (their_sku is None) != (our_sku is None) or (take and not suggestions) or (cost and not their_sku):
        raise typer.BadParameter("give THEIR_SKU and OUR_SKU, or --file, or --suggest")
    with open_context() as ctx:
        with ctx.db.read() as tx:
            one = get_supplier(tx, supplier)
        if suggestions:
            _suggest(ctx, one, take=take, as_json=as_json)
            return
        pairs = _pairs(file) if file is not None else [(their_sku or "", our_sku or "")]
        unit = Money.parse(cost, one.currency) if cost is not None else None
        _map(ctx, one, pairs, cost=unit)
    if as_json:
        show_json({"supplier": one.id, "mapped": [{"supplier_sku": theirs, "sku": ours} for theirs, ours in pairs]})
    else:
        out.print(f"{len(pairs)} mapped.")


@app.command()
def unmap(
    supplier: SupplierArg,
    their_sku: TheirSku,
    our_sku: Annotated[str | None, typer.Argument(help="Our sku; unset: all that it is.", metavar="OUR_SKU")] = None,
    as_json: AsJson = False,
) -> None:
    """End a mapping: nothing new is bought by it."""
    with open_context() as ctx:
        snapshot = ctx.catalog.current()
        ended = unmap_product(ctx.db, ctx.clock, ctx.audit, snapshot, supplier, their_sku, our_sku, actor=ACTOR)
        skus = [sku for some in _skus(ctx, ended).values() for sku in some]
    if as_json:
        show_json({"supplier": supplier, "unmapped": [{"supplier_sku": their_sku, "sku": sku} for sku in skus]})
    else:
        out.print(f"{escape(their_sku)} is not {escape(', '.join(skus))} any more.")


# --- how they are doing -----------------------------------------------------------------------------------------------


@app.command()
def balance(
    supplier: SupplierArg,
    *,
    alert_below: Annotated[str | None, typer.Option(help="From now on tell of a balance below this, in its currency.")] = None,
    no_alert: Annotated[bool, typer.Option("--no-alert", help="Tell only of a balance that is used up within a day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask what we have there, keep it, and say how long it will last as days have been going."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            one = get_supplier(tx, supplier)
            health = load_health(tx, one.id)
        if alert_below is not None or no_alert:
            below = Money.parse(alert_below, one.currency).minor if alert_below is not None else None
            health = set_balance_alert(ctx.db, ctx.clock, ctx.audit, one.id, below, actor=ACTOR)
        connector = ctx.buying.connectors.of(one)
        if connector.capabilities.has_balance:
            with err.status(f"Asking {escape(one.name)} …"):
                health = poll_balance(ctx.db, ctx.clock, connectors=ctx.buying.connectors, supplier=one)
        elif not as_json:
            err.print(f"{escape(one.name)} does not tell balances.")
        figures = health_out(one, health, to_micros(ctx.clock.now()))["balance"]
    if as_json:
        show_json({"supplier": one.id, **figures})
    else:
        _facts(figures)


@app.command()
def health(supplier: SupplierArg, as_json: AsJson = False) -> None:
    """Show what was measured: answers, latency, circuit breaker, bad codes, balance, and what is not resolved."""
    with open_context() as ctx, ctx.db.read() as tx:
        one = get_supplier(tx, supplier)
        found = health_out(one, load_health(tx, one.id), to_micros(ctx.clock.now()))
        waiting = open_attempts(tx, [one.id])
    if as_json:
        show_json({"supplier": one.id, **found, "unresolved": [attempt_out(each) for each in waiting]})
        return
    figures = found.pop("balance")
    _facts({**found, **{f"balance: {name}": value for name, value in figures.items()}, "unresolved purchases": len(waiting)})
    for each in waiting[:20]:
        out.print(f"  {each.id} {each.state.value} {each.quantity} x {escape(each.supplier_sku)} of {each.order_id}")


# --- parts ------------------------------------------------------------------------------------------------------------


def _set_state(supplier: str, state: SupplierState, words: str, *, as_json: bool) -> None:
    with open_context() as ctx:
        done = change_supplier(ctx.db, ctx.clock, ctx.audit, ctx.sealer, supplier, actor=ACTOR, state=state)
    _done(done, f"{done.name} {words}", as_json=as_json)


def _map(ctx: Cardrail, one: Supplier, pairs: list[tuple[str, str]], *, cost: Money | None = None) -> None:
    snapshot = ctx.catalog.current()
    map_product(ctx.db, ctx.clock, ctx.audit, snapshot, one.id, pairs, actor=ACTOR, cost=cost)
    offers = [offer for _, sku in pairs if (offer := snapshot.offer(sku)) is not None]
    from_stock = sorted({offer.sku for offer in offers if offer.sourcing == "stock"})
    if from_stock:
        names = escape(", ".join(from_stock[:10]))
        err.print(f"[yellow]Sold from stock only, until the catalog says on_demand or hybrid: {names}[/yellow]")


def _suggest(ctx: Cardrail, one: Supplier, *, take: bool, as_json: bool) -> None:
    with ctx.db.read() as tx:
        waiting = list(unmapped(tx, one.id))
    found = suggest(waiting, ctx.catalog.current())
    sure = [(each.product.supplier_sku, each.offer.sku) for each in found if each.is_sure]
    if take and sure:
        _map(ctx, one, sure)
    if as_json:
        show_json({"supplier": one.id, "items": [suggestion_out(each) for each in found], "mapped": len(sure) if take else 0})
        return
    table = Table(*_columns("their sku", "name", "face value", "our sku", "alike"), box=None)
    for each in found:
        product = each.product
        alike = f"{each.percent} %{', sure' if each.is_sure else ''}"
        table.add_row(escape(product.supplier_sku), escape(product.name), face_words(product), escape(each.offer.sku), alike)
    out.print(table)
    done = f"{len(sure)} mapped" if take else f"{len(sure)} sure: --take maps them"
    err.print(f"{len(found)} suggestions for {len(waiting)} unmapped products, {done}.")


def _pairs(file: Path) -> list[tuple[str, str]]:
    """Lines of THEIR_SKU,OUR_SKU; the last comma counts, because their skus may hold one."""
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        theirs, mark, ours = line.rpartition(",")
        if not mark or not theirs.strip() or not ours.strip() or len(pairs) >= PAIRS_MAX:
            raise typer.BadParameter(f"line {number} is not THEIR_SKU,OUR_SKU", param_hint="--file")
        pairs.append((theirs.strip(), ours.strip()))
    return pairs


def _skus(ctx: Cardrail, mappings: Iterable[Any]) -> dict[str, list[str]]:
    """Our skus by the supplier's."""
    snapshot = ctx.catalog.current()
    found: dict[str, list[str]] = {}
    for one in mappings:
        offer = snapshot.denomination(one.denomination_id)
        found.setdefault(one.supplier_sku, []).append(offer.sku if offer is not None else one.denomination_id)
    return found


def _show_report(report: SyncReport) -> None:
    for change in report.changes:
        out.print(f"{change.kind}: {escape(change.sku)} {escape(change.name)}: {escape(change.words)}")
    counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
    out.print(f"{report.listed} listed: {counts}, {report.restocked} with another stock.")
    if report.mapped:
        out.print(f"{report.mapped} mapped by rule.")
    if report.unusable:
        out.print(f"{report.unusable} cannot be kept: an unknown currency, or an amount that is none.")
    if report.withheld:
        out.print(
            f"[yellow]{report.withheld} are listed no more, most of what there was: left as they were. Right? --take-missing[/yellow]"
        )
    if report.counts["held"]:
        out.print(f"[yellow]Nothing is bought of what is held until: cardrail supplier accept {escape(report.supplier)}[/yellow]")


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True)


def _columns(*names: str) -> list[Column]:
    return [Column(name, overflow="fold", no_wrap=name.endswith("sku")) for name in names]


def _facts(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        said = escape(str(value)) if value is not None else "not known"
        out.print(f"{name if name.startswith('config ') else name.replace('_', ' ')}: {said}")


def _done(one: Supplier, sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json(supplier_out(one))
    else:
        out.print(escape(sentence))


def _stock(row: KeptProduct) -> str:
    return "none" if not row.is_available else "not told" if row.stock is None else str(row.stock)
