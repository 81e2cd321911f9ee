"""`cardrail verify`: the books, the vault, the orders, the statements and the audit log, each checked against the others."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json
from cardrail.settlement import book_checks
from cardrail.storage import Finding


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Compute everything again and compare; exit code 1 if anything is not as it must be. Nothing is changed, nobody waits."""
    findings: list[Finding] = []
    ran: list[dict[str, object]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with open_context() as ctx, ctx.db.read() as tx, Progress(*columns, console=err, transient=True) as progress:
        checks = book_checks(ctx.audit)
        task = progress.add_task("", total=len(checks))
        for check in checks:
            progress.update(task, description=check.title)
            found = check.run(tx)
            findings += found
            ran.append({"name": check.name, "title": check.title, "findings": len(found)})
            if not as_json:
                progress.console.print(f"{'[red]✗[/red]' if found else '[green]✓[/green]'} {check.title}")
            progress.advance(task)
    if as_json:
        show_json({"checks": ran, "findings": findings})
    else:
        for one in findings:
            err.print(
                f"[red]{one.check}: {escape(one.subject)}: expected {escape(one.expected)}; found {escape(one.found)}[/red]"
            )
        out.print(f"{len(findings)} findings" if findings else f"Everything agrees: {len(ran)} checks.")
    if findings:
        raise typer.Exit(EXIT_REFUSED)
