"""`cardrail backup`, `restore`, `restore-release` and `copy`: the database as a file, the way back, and the way to another database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from cardrail.bootstrap import Cardrail
from cardrail.cli.context import EXIT_REFUSED, EXIT_USAGE, err, open_context, out, refusals, settings, show_json
from cardrail.cli.serve import only_server
from cardrail.config import Settings
from cardrail.kernel import Money, SystemClock, currency, from_micros, rfc3339
from cardrail.orders import Release, freeze_restored, journal_since, release_restored
from cardrail.storage import (
    AuditLog,
    BackupInfo,
    Database,
    JournalIncomplete,
    JournalMissing,
    JournalReading,
    Progress,
    audit_entry,
    backup_database,
    copy_database,
    finish_restore,
    inspect_backup,
    journal_files,
    make_restorable,
    prepare_restore,
    read_attempts,
    read_journal,
)
from cardrail.storage.migrations import migrate
from cardrail.vault import Keyring, check_keys, service_key

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

LOST_SHOWN = 20
"""Lost orders that are printed; --json lists them all."""

KEYS_APART = "The master keys are not in it. Keep a copy of them in another place: without them no code in it can be opened."
WITHOUT_JOURNAL = (
    "Without the journal nobody knows what was sold after the backup: every code of it that the database still holds as stock "
    "will be sold a second time."
)


def backup(
    target: Annotated[str, typer.Argument(help="A new file, or a folder to make one in (with a / at its end if it is new).")],
    as_json: AsJson = False,
) -> None:
    """Write a backup while the server runs: one file, checked, mode 0600, codes sealed. Nothing is overwritten."""
    with open_context() as cardrail:
        name = f"cardrail-{cardrail.clock.now():%Y%m%d-%H%M%S}.backup"
        path = Path(target) / name if target.endswith("/") or Path(target).is_dir() else Path(target)
        with progress_bars() as progress:
            info = backup_database(cardrail.db, cardrail.clock, path, progress)
        details = {"file": path.name, "bytes": info.bytes, "taken_at": rfc3339(info.taken_at)}
        _audit(cardrail, "database.backed_up", details)
    if as_json:
        show_json({"path": str(path), "bytes": info.bytes, "taken_at": rfc3339(info.taken_at), "revision": info.revision})
    else:
        out.print(f"Backup of {rfc3339(info.taken_at)}: [bold]{path}[/bold], {info.bytes:,} bytes, integrity checked.")
    err.print(f"[yellow]{KEYS_APART}[/yellow]")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `cardrail backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Restore a backup into the configured, empty database. It starts frozen: no live code is sold before `restore-release`."""
    given = settings()
    with only_server(given), refusals():
        info, frozen = _restore(given, file)
    if as_json:
        show_json({"taken_at": rfc3339(info.taken_at), "from": info.backend, "is_frozen": True, "slices_frozen": frozen})
        return
    out.print(f"Restored as of {rfc3339(info.taken_at)}. {frozen} slices of live stock are frozen.")
    err.print(
        "[yellow]What was sold after that moment is unknown here. Give the journals to `cardrail restore-release`.[/yellow]"
    )


def _restore(given: Settings, file: Path) -> tuple[BackupInfo, int]:
    info = inspect_backup(file)
    given.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = Database(given.url, pool=2)
    try:
        make_restorable(target)
        beside = Path(str(target.url.database)).parent if target.is_sqlite else given.data_dir
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=beside) as folder:
            work = prepare_restore(file, Path(folder))
            try:
                frozen = freeze_restored(work, SystemClock(), _audit_log(work, given), info, actor="cli")
                with progress_bars() as progress:
                    finish_restore(work, target, progress)
            finally:
                work.close()
    finally:
        target.close()
    return info, frozen


def _audit_log(db: Database, given: Settings) -> AuditLog:
    """The audit chain of the restored database, once the master keys at hand have proved to be its own."""
    text = given.master_keys
    keyring = Keyring.from_text(text.get_secret_value()) if text is not None else Keyring.from_file(given.key_path)
    with db.transaction() as tx:
        check_keys(tx, keyring, SystemClock())
        return AuditLog(service_key(tx, keyring, "audit"), f"{given.node_name}/cli")


def restore_release(
    journal: Annotated[list[Path] | None, typer.Option(help="A folder of journal files; once for each node's.")] = None,
    without_journal: Annotated[bool, typer.Option("--without-journal", help="There is no journal any more.")] = False,
    accept_gaps: Annotated[bool, typer.Option("--accept-gaps", help="Go on though the journal is incomplete.")] = False,
    accept_imports: Annotated[
        bool,
        typer.Option("--accept-imports", help="Go on though codes were imported meanwhile: none of them is one that was sold."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a restored database sell again, without what the journals say was sold after its backup. Doing it twice is harmless."""
    if bool(journal) == without_journal:
        err.print("[red]Give the folders of the journals (--journal), or --without-journal.[/red]")
        raise typer.Exit(EXIT_USAGE)
    with open_context() as cardrail:
        since = journal_since(cardrail.db)
        reading = JournalReading()
        if without_journal:
            _confirm_without(yes or dry_run)
            report = _release(cardrail, None, (), dry_run, accept_imports)
        else:
            files = journal_files(journal or [], since)
            if not files:
                raise JournalMissing(folders=", ".join(map(str, journal or [])), since=rfc3339(since))
            for _ in read_journal(files, 0, reading):
                pass
            if not reading.is_complete and not accept_gaps and not dry_run:
                raise JournalIncomplete(unreadable_lines=reading.damaged, orders_missing=reading.missing, option="--accept-gaps")
            begin = int(since.timestamp() * 1_000_000)
            entries = read_journal(files, begin, JournalReading())
            report = _release(cardrail, entries, read_attempts(files, begin), dry_run, accept_imports)
    _show_release(report, reading, as_json=as_json)


def _release(cardrail: Cardrail, entries: Any, attempts: Any, dry_run: bool, accept_imports: bool) -> Release:
    with err.status("Comparing the journal with the database"):
        return release_restored(
            cardrail.db,
            cardrail.clock,
            cardrail.audit,
            entries,
            node=cardrail.settings.node_name,
            actor="cli",
            dry_run=dry_run,
            accept_imports=accept_imports,
            attempts=attempts,
        )


def _confirm_without(is_confirmed: bool) -> None:
    err.print(f"[red]{WITHOUT_JOURNAL}[/red]")
    if not is_confirmed and typer.prompt('Type "sell again" to go on', err=True) != "sell again":
        err.print("Nothing was changed.")
        raise typer.Exit(EXIT_REFUSED)


def _show_release(report: Release, reading: JournalReading, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "taken_at": rfc3339(report.taken_at),
                "is_released": report.is_released,
                "was_frozen": report.was_frozen,
                "journal": reading,
                "codes_sold": report.codes_sold,
                "codes_withdrawn": report.codes_withdrawn,
                "codes_revoked": report.codes_revoked,
                "codes_withheld": report.held,
                "imported_since": report.imported_since,
                "written_off": {code: _amount(amount, code) for code, amount in report.written_off.items()},
                "slices_released": report.slices_released,
                "attempts_restored": report.attempts_restored,
                "attempts_lost": [
                    {
                        "supplier_id": one.supplier_id,
                        "reference": one.attempt_id,
                        "order_id": one.order_id,
                        "quantity": one.quantity,
                    }
                    for one in report.attempts_lost
                ],
                "unknown_lots": report.unknown_lots,
                "lost_orders": [
                    {
                        "order_id": one.order_id,
                        "partner_id": one.partner_id,
                        "charged": {"amount": _amount(one.charged_minor, one.currency), "currency": one.currency},
                        "placed_at": rfc3339(from_micros(one.placed_at)),
                        "codes": one.codes,
                    }
                    for one in report.lost_orders
                ],
            }
        )
        return
    out.print(
        f"Since the backup of {rfc3339(report.taken_at)} the journal knows {report.codes_sold:,} codes sold that this database did not."
    )
    out.print(f"{report.codes_withdrawn:,} of them were in stock here and are taken out for good.")
    for code, amount in report.written_off.items():
        out.print(f"Written off: {_amount(amount, code)} {code}.")
    _show_lost(report)
    for lot_id, spans in report.unknown_lots.items():
        listed = ", ".join(f"{first + 1}–{end}" for first, end in spans)
        err.print(
            f"[yellow]Lot {lot_id} came after the backup, and its codes {listed} are sold: leave them out if you import it again.[/yellow]"
        )
    for one in report.held[:LOST_SHOWN]:
        err.print(
            f"[yellow]Order {one.order_id} of {one.partner_id} does not show {one.codes} codes of lot {one.lot_id} any more: "
            "another order got them.[/yellow]"
        )
    if len(report.held) > LOST_SHOWN:
        err.print(f"[yellow]… and {len(report.held) - LOST_SHOWN:,} more; --json lists them all.[/yellow]")
    if report.imported_since:
        lots = ", ".join(report.imported_since)
        err.print(
            f"[red]Imported since the restore, and perhaps with sold codes in them: {lots}. Take them back: cardrail codes undo.[/red]"
        )
    if report.is_released:
        out.print(f"Released: {report.slices_released} slices are for sale again.")
    if report.attempts_restored:
        out.print(f"{report.attempts_restored} purchases made after the backup are asked about at their suppliers.")
    for lost in report.attempts_lost[:LOST_SHOWN]:
        err.print(
            f"[yellow]Ask supplier {lost.supplier_id} for order {lost.attempt_id}: {lost.quantity} codes for {lost.order_id}, "
            "which is lost.[/yellow]"
        )
    out.print("Dry run: nothing was changed.")


def _show_lost(report: Release) -> None:
    if not report.lost_orders:
        return
    out.print(
        f"{len(report.lost_orders):,} orders were answered for and are not in this database; their charge is back in the wallets:"
    )
    for one in report.lost_orders[:LOST_SHOWN]:
        out.print(
            f"  {one.order_id}  {one.partner_id}  {_amount(one.charged_minor, one.currency)} {one.currency}  {one.codes} codes"
        )
    if len(report.lost_orders) > LOST_SHOWN:
        out.print(f"  … and {len(report.lost_orders) - LOST_SHOWN:,} more; --json lists them all.")


def _amount(minor: int, code: str) -> str:
    return Money(minor, currency(code)).amount


def copy(
    to: Annotated[str, typer.Option("--to", help="URL of the empty database to copy into.")],
    as_json: AsJson = False,
) -> None:
    """Copy everything into another, empty database. Stop the servers first: what they write meanwhile is not copied."""
    with only_server(settings()), open_context() as cardrail:
        target = Database(to, pool=2)
        try:
            migrate(target)
            with progress_bars() as progress:
                rows = copy_database(cardrail.db, target, progress)
        finally:
            target.close()
        _audit(cardrail, "database.copied", {"to": target.backend, "rows": sum(rows.values())})
    if as_json:
        show_json({"rows": rows})
    else:
        out.print(
            f"Copied {sum(rows.values()):,} rows of {len(rows)} tables. Point CARDRAIL_DATABASE_URL at the copy and start again."
        )


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A bar for what is copied now, on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=err, transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(name: str, done: int, total: int) -> None:
            bars.update(task, description=name, completed=done, total=total)

        yield show


def _audit(cardrail: Cardrail, action: str, details: dict[str, Any]) -> None:
    with cardrail.db.transaction() as tx:
        cardrail.audit.append(tx, [audit_entry(cardrail.clock.now(), "cli", action, details=details)])
