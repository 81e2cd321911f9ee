"""`cardrail codes`: what is in the vault. No command prints a code, and none takes one as an argument."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cardrail.bootstrap import Cardrail
from cardrail.catalog import Offer, UnknownSku
from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json, table_of
from cardrail.kernel import Mode, Money, currency, format_minor, from_micros, parse_minor, rfc3339, to_micros
from cardrail.orders import StockBooks
from cardrail.storage import in_tx
from cardrail.vault import (
    NEVER,
    CodeException,
    FoundCode,
    ImportOptions,
    ImportReport,
    ImportTarget,
    InvalidImport,
    Lot,
    LotKind,
    LotState,
    PurchaseCost,
    block_code,
    clean_imports,
    count_unsold,
    find_code,
    import_codes,
    list_lots,
    parse_expiry,
    revoke_code,
    set_stock_threshold,
    stock_counts,
    unblock_code,
    undo_import,
)

app = typer.Typer(help="Codes in stock: import, count, block, find.", no_args_is_help=True)

ACTOR: Final = "cli"
SHOWN_MAX: Final = 20
"""Bad lines and duplicates that are printed; --json lists a thousand."""
_SUPPLIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
LotArgument = Annotated[str, typer.Argument(metavar="LOT", help="A lot's id: lot_…")]
SeqArgument = Annotated[int, typer.Argument(metavar="SEQ", min=0, help="The code's number in the lot.")]
Reason = Annotated[str | None, typer.Option(help="Kept with the code and in the audit log.")]


@app.command("import")
def import_(
    *,
    file: Annotated[
        Path, typer.Argument(help="CSV with a header, or one code a line; gzip too; - is standard input.", allow_dash=True)
    ],
    sku: Annotated[str, typer.Option(help="What the codes are.")],
    face: Annotated[str | None, typer.Option(help="Face value, where the sku is sold as a range: 500")] = None,
    cost: Annotated[str | None, typer.Option(help="What each code cost: 95.00")] = None,
    lot_cost: Annotated[str | None, typer.Option(help="What all of them cost together: 9500.00")] = None,
    cost_currency: Annotated[str | None, typer.Option(help="Currency of the cost; unset: the sku's.")] = None,
    supplier: Annotated[str | None, typer.Option(help="Whose account the cost is booked to; unset: the bank.")] = None,
    mode: Annotated[Mode, typer.Option(help="live or test")] = Mode.LIVE,
    expires: Annotated[str | None, typer.Option(help="Expiry of codes without their own: 2027-12-31")] = None,
    shared: Annotated[bool, typer.Option("--shared", help="One code that every buyer gets.")] = False,
    skip_duplicates: Annotated[
        bool, typer.Option("--skip-duplicates", help="Import the rest where codes are there already.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import a file of codes: all of it, or nothing."""
    expires_at = _expiry(expires)
    if supplier is not None and not _SUPPLIER.fullmatch(supplier):
        raise typer.BadParameter("letters, digits, dots, dashes and underscores, at most 64", param_hint="--supplier")
    with open_context() as ctx, _opened(file) as source, _progress() as progress:
        offer = _offer(ctx, sku)
        options = ImportOptions(
            mode=mode,
            source_name=None if str(file) == "-" else file.name,
            supplier=supplier,
            cost=_cost(offer, cost, lot_cost, cost_currency),
            expires_at=expires_at,
            is_shared=shared,
            skip_duplicates=skip_duplicates,
            dry_run=dry_run,
            actor=ACTOR,
            progress=progress,
        )
        target = ImportTarget(offer.brand_id, offer.denomination_id, _face(ctx, offer, face))
        on_open = _books(ctx).opened
        try:
            report = import_codes(ctx.db, ctx.clock, ctx.keyring, ctx.audit, source, target, options, on_open=on_open)
        except InvalidImport as error:
            _show_report(error.report, error.message, as_json=as_json)
            raise typer.Exit(EXIT_REFUSED) from None
    _show_report(report, None, as_json=as_json)
    if dry_run and (report.bad.count or (report.duplicates.count and not skip_duplicates)):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def lots(
    sku: Annotated[str | None, typer.Option(help="Only lots of this sku.")] = None,
    state: Annotated[LotState | None, typer.Option(help="loading, open or undone")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List lots, the newest first."""
    with open_context() as ctx:
        denomination_id = _offer(ctx, sku).denomination_id if sku else None
        snapshot = ctx.catalog.current()
        with ctx.db.read() as tx:
            found = list_lots(tx, state=state, denomination_id=denomination_id, limit=limit)
            unsold = count_unsold(tx, [lot.id for lot in found])
        rows = [_lot_facts(lot, snapshot.denomination(lot.denomination_id), unsold.get(lot.id, 0)) for lot in found]
    if as_json:
        show_json({"lots": rows})
        return
    table = table_of("lot", "kind", "state", "mode", "sku", "codes", "unsold", "cost", "supplier", "created")
    for row in rows:
        count = "–" if row["kind"] == LotKind.SHARED else str(row["unsold"])
        cost = f"{row['cost']['amount']} {row['cost']['currency']}" if row["cost"] else ""
        table.add_row(
            row["id"],
            row["kind"],
            row["state"],
            row["mode"],
            escape(row["sku"]),
            str(row["count"]),
            count,
            cost,
            escape(row["supplier"] or ""),
            row["created_at"],
        )
    out.print(table)


@app.command()
def stock(
    sku: Annotated[str | None, typer.Argument(help="A sku; unset: everything in stock.")] = None,
    mode: Annotated[Mode, typer.Option(help="live or test")] = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """Count the codes that can be sold now."""
    with open_context() as ctx:
        snapshot = ctx.catalog.current()
        with ctx.db.read() as tx:
            ids = (
                [_offer(ctx, sku).denomination_id]
                if sku
                else sorted({lot.denomination_id for lot in list_lots(tx, limit=1_000_000)})
            )
            counts = stock_counts(tx, mode, ids, to_micros(ctx.clock.now()))
        rows = [_stock_facts(snapshot.denomination(one), one, face, count) for (one, face), count in sorted(counts.items())]
    if as_json:
        show_json({"mode": mode.value, "stock": rows})
        return
    table = table_of("sku", "face value", "available")
    for row in rows:
        table.add_row(escape(row["sku"]), f"{row['face_value']} {row['currency']}", str(row["available"]))
    out.print(table)


@app.command()
def undo(lot: LotArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Take back a whole import of which nothing was sold; its codes can then be imported again."""
    if not yes:
        typer.confirm(f"Remove all codes of {lot}?", err=True, abort=True)
    with open_context() as ctx:
        undone = undo_import(ctx.db, ctx.clock, ctx.audit, lot, actor=ACTOR, on_undo=_books(ctx).undone)
    _done({"lot": undone.id, "count": undone.count}, f"Import undone: {undone.count} codes removed.", as_json=as_json)


@app.command()
def block(lot: LotArgument, seq: SeqArgument, reason: Reason = None, as_json: AsJson = False) -> None:
    """Take an unsold code off sale; its cost is written off."""
    with open_context() as ctx:
        block_code(ctx.db, ctx.clock, ctx.audit, lot, seq, actor=ACTOR, reason=reason, on_write_off=_books(ctx).blocked)
    _done({"lot": lot, "seq": seq, "state": "BLOCKED"}, "Blocked.", as_json=as_json)


@app.command()
def unblock(lot: LotArgument, seq: SeqArgument, as_json: AsJson = False) -> None:
    """Put a blocked code back on sale."""
    with open_context() as ctx:
        unblock_code(ctx.db, ctx.clock, ctx.audit, lot, seq, actor=ACTOR, on_return=_books(ctx).unblocked)
    _done({"lot": lot, "seq": seq, "state": "AVAILABLE"}, "On sale again.", as_json=as_json)


@app.command()
def revoke(lot: LotArgument, seq: SeqArgument, reason: Reason = None, as_json: AsJson = False) -> None:
    """Record that a sold code is no longer honoured."""
    with open_context() as ctx:
        revoke_code(ctx.db, ctx.clock, ctx.audit, lot, seq, actor=ACTOR, reason=reason)
    _done({"lot": lot, "seq": seq, "state": "REVOKED"}, "Revoked.", as_json=as_json)


@app.command()
def threshold(
    sku: Annotated[str, typer.Argument(help="The denomination's sku.")],
    count: Annotated[int, typer.Argument(min=0, help="Fewer than so many is low; 0 takes the threshold away.")],
    as_json: AsJson = False,
) -> None:
    """Tell (event stock.low) when fewer than COUNT codes of a sku are left to sell."""
    with open_context() as ctx:
        offer = ctx.catalog.current().offer(sku)
        if offer is None:
            raise UnknownSku(sku=sku)
        denomination_id = offer.denomination_id
        in_tx(
            ctx.db,
            lambda tx: set_stock_threshold(tx, ctx.clock.now(), ctx.audit, denomination_id, sku, count, actor=ACTOR),
        )
    _done({"sku": sku, "threshold": count}, f"Threshold of {sku}: {count}", as_json=as_json)


@app.command()
def find(as_json: AsJson = False) -> None:
    """Read a code from standard input and say where it lies and how it stands. It is neither printed nor kept."""
    asked = sys.stdin.isatty()
    code = typer.prompt("Code", hide_input=True, err=True) if asked else sys.stdin.readline(1_024).strip()
    if not code:
        raise typer.BadParameter("give the code on standard input")
    with open_context() as ctx, ctx.db.read() as tx:
        found = find_code(tx, ctx.keyring, code)
        snapshot = ctx.catalog.current()
        rows = [_found_facts(one, snapshot.denomination(one.lot.denomination_id)) for one in found]
    if as_json:
        show_json({"found": rows})
    elif not rows:
        err.print("No such code.")
    for row in [] if as_json else rows:
        out.print(f"{row['lot']} {row['seq']}  {row['sku']}  [bold]{row['state']}[/bold]  expires {row['expires_at'] or 'never'}")
        for fact in row["history"]:
            out.print(f"  {fact['at']} {fact['kind']} by {escape(fact['actor'])} {escape(fact['reason'] or '')}")
    if not rows:
        raise typer.Exit(3)


@app.command()
def clean(
    lot: Annotated[str | None, typer.Argument(metavar="LOT", help="Clean this lot, however young.")] = None,
    older_than: Annotated[int, typer.Option(min=0, help="Minutes since the import began.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Remove what imports left that died while loading. None of it was ever for sale."""
    with open_context() as ctx:
        cleaned = clean_imports(ctx.db, ctx.clock, ctx.audit, actor=ACTOR, older_than=timedelta(minutes=older_than), lot_id=lot)
    _done({"cleaned": [one.id for one in cleaned]}, f"{len(cleaned)} lots cleaned.", as_json=as_json)


# --- options --------------------------------------------------------------------------------------------------------------


def _offer(ctx: Cardrail, sku: str) -> Offer:
    offer = ctx.catalog.current().offer(sku)
    if offer is None:
        raise UnknownSku(sku=sku)
    return offer


def _face(ctx: Cardrail, offer: Offer, face: str | None) -> int:
    return ctx.catalog.current().face_of(offer, None if face is None else parse_minor(face, offer.currency.digits))


def _cost(offer: Offer, each: str | None, whole: str | None, code: str | None) -> PurchaseCost | None:
    if each is not None and whole is not None:
        raise typer.BadParameter("give the cost of each code or of the whole lot, not both", param_hint="--lot-cost")
    text = each if each is not None else whole
    if text is None:
        return None
    unit = currency(code) if code else offer.cost_currency or offer.currency
    minor = Money.parse(text, unit).minor
    if minor < 0:
        raise typer.BadParameter("a cost is not negative", param_hint="--cost")
    return PurchaseCost(unit.code, each_minor=minor) if each is not None else PurchaseCost(unit.code, whole_minor=minor)


def _expiry(text: str | None) -> int:
    try:
        return parse_expiry(text) if text else NEVER
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{error.strerror}: {file}", param_hint="FILE") from None
    with source:
        yield source


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on standard error for each stage of the import."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage.capitalize(), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield report


# --- results --------------------------------------------------------------------------------------------------------------


def _show_report(report: ImportReport, refusal: str | None, *, as_json: bool) -> None:
    if as_json:
        show_json(_report_facts(report, refusal))
        return
    for line in report.bad.listed[:SHOWN_MAX]:
        err.print(f"line {line.line}: {line.problem}")
    for one in report.duplicates.listed[:SHOWN_MAX]:
        err.print(f"line {one.line}: {_WHERE[one.where]}")
    hidden = max(0, report.bad.count - SHOWN_MAX) + max(0, report.duplicates.count - SHOWN_MAX)
    if hidden:
        err.print(f"… and {hidden} more; --json lists them.")
    if refusal:
        err.print(f"[red]{refusal}[/red] Bad lines: {report.bad.count}, duplicates: {report.duplicates.count}.")
        return
    cost = f", cost {_amount(report.cost_minor, report.cost_currency)}" if report.cost_currency else ""
    skipped = f", {report.duplicates.count} duplicates" if report.duplicates.count else ""
    if report.lot is None:
        bad = f", {report.bad.count} bad lines" if report.bad.count else ""
        out.print(f"Dry run: {report.count} codes could be imported{skipped}{bad}{cost}. Nothing was stored.")
    else:
        out.print(f"Imported {report.count} codes as {report.lot.id}{skipped}{cost}.")


_WHERE: Final = {
    "file": "the same code is further up in this file",
    "vault": "the code is in the vault already",
    "loading": "the code is in an import that has not ended; if that one died, run `cardrail codes clean`",
}


def _report_facts(report: ImportReport, refusal: str | None) -> dict[str, Any]:
    return {
        "lot": report.lot.id if report.lot else None,
        "dry_run": report.dry_run,
        "refused": refusal,
        "count": report.count,
        "cost": _money(report.cost_minor, report.cost_currency),
        "slices": [{"expires_at": _moment(expiry), "count": count} for expiry, count in report.expiries],
        "bad_lines": {
            "count": report.bad.count,
            "listed": [{"line": one.line, "problem": one.problem} for one in report.bad.listed],
        },
        "duplicates": {
            "count": report.duplicates.count,
            "listed": [{"line": one.line, "where": one.where} for one in report.duplicates.listed],
        },
    }


def _lot_facts(lot: Lot, offer: Offer | None, unsold: int) -> dict[str, Any]:
    return {
        "id": lot.id,
        "kind": lot.kind.value,
        "state": lot.state.value,
        "mode": lot.mode.value,
        "sku": offer.sku if offer else lot.denomination_id,
        "face_minor": lot.face_minor,
        "count": lot.count,
        "unsold": None if lot.kind is LotKind.SHARED else unsold,
        "cost": _money(lot.cost_minor, lot.cost_currency),
        "supplier": lot.supplier,
        "source": lot.source,
        "created_by": lot.created_by,
        "created_at": rfc3339(from_micros(lot.created_at)),
    }


def _stock_facts(offer: Offer | None, denomination_id: str, face_minor: int, count: int) -> dict[str, Any]:
    return {
        "sku": offer.sku if offer else denomination_id,
        "face_value": format_minor(face_minor, offer.currency.digits) if offer else str(face_minor),
        "currency": offer.currency.code if offer else "",
        "available": count,
    }


def _found_facts(found: FoundCode, offer: Offer | None) -> dict[str, Any]:
    return {
        "lot": found.lot.id,
        "seq": found.seq,
        "sku": offer.sku if offer else found.lot.denomination_id,
        "state": found.state.value,
        "expires_at": _moment(found.expires_at),
        "history": [_exception_facts(one) for one in found.exceptions],
    }


def _exception_facts(one: CodeException) -> dict[str, Any]:
    return {"kind": one.kind, "reason": one.reason, "actor": one.actor, "at": rfc3339(from_micros(one.at))}


def _moment(micros: int) -> str | None:
    return None if micros >= NEVER else rfc3339(from_micros(micros))


def _money(minor: int, code: str | None) -> dict[str, str] | None:
    return {"amount": format_minor(minor, currency(code).digits), "currency": code} if code else None


def _amount(minor: int, code: str) -> str:
    return f"{format_minor(minor, currency(code).digits)} {code}"


def _done(facts: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json(facts)
    else:
        out.print(sentence)


def _books(ctx: Cardrail) -> StockBooks:
    return StockBooks(ctx.clock, ctx.settings.node_name)
