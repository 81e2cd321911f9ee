"""`cardrail ledger`: what partners have, what moved, and an operator's credits, corrections and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from cardrail.access import Partner, get_partner
from cardrail.bootstrap import Cardrail
from cardrail.cli.context import EXIT_REFUSED, err, open_context, out, show_json
from cardrail.kernel import Mode, Money, PartnerId, TransferId, currency, format_minor
from cardrail.ledger import (
    Balance,
    By,
    Movement,
    PlatformBalance,
    Transfer,
    balances,
    credit,
    debit,
    get_transfer,
    list_transfers,
    platform_balances,
    reverse,
    set_balance_threshold,
    set_credit_limit,
)
from cardrail.storage import Tx, in_tx

app = typer.Typer(help="Balances and transfers: look at them, credit, correct, set limits, reverse.", no_args_is_help=True)

NODE = "cli"
"""The command line's own part of the platform accounts, so that it waits for no server's orders."""

PartnerArg = Annotated[str, typer.Argument(help="The partner's id, par_…", metavar="PARTNER")]
AmountArg = Annotated[str, typer.Argument(help="A plain decimal: 250, 99.50.", metavar="AMOUNT")]
CurrencyOption = Annotated[str | None, typer.Option("--currency", help="Currency of the wallet; unset: the partner's own.")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="Which of the two wallets.")]
ReferenceOption = Annotated[
    str | None, typer.Option("--reference", help="Makes it safe to repeat: one reference, one transfer for each wallet.")
]
AllowDebt = Annotated[bool, typer.Option("--allow-debt", help="Go beyond what is available; sales stop until it is repaid.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("balances")
def balances_command(
    partner: Annotated[str | None, typer.Argument(help="The partner's id; unset: the operator's own accounts.")] = None,
    at: Annotated[datetime | None, typer.Option(help="As it was at this moment, in UTC (needs a partner).")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a partner's wallets, or the operator's own accounts."""
    if partner is None:
        if at is not None:
            raise typer.BadParameter("--at needs a partner")
        with open_context() as ctx, ctx.db.read() as tx:
            own = platform_balances(tx)
        _show_platform(own, as_json)
        return
    with open_context() as ctx, ctx.db.read() as tx:
        get_partner(tx, PartnerId(partner))
        found = balances(tx, partner, at=_utc(at))
    _show_wallets(found, as_json, is_past=at is not None)


@app.command()
def transactions(
    partner: PartnerArg,
    *,
    mode: ModeOption = Mode.LIVE,
    code: CurrencyOption = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time, in UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a partner's transfers, the newest first."""
    with open_context() as ctx, ctx.db.read() as tx:
        get_partner(tx, PartnerId(partner))
        page = list_transfers(tx, partner, mode, currency=code, since=_utc(since), until=_utc(until), after=after, limit=limit)
    if as_json:
        show_json({"items": [_plain(one) for one in page.items], "after": page.after})
        return
    table = _table("time", "id", "what", "change", "balance", "reference")
    for one in page.items:
        held = f" ({_decimal(one.amount_minor, one.currency)})" if one.wallet_change_minor == 0 else ""
        after = "" if one.wallet_after_minor is None else _decimal(one.wallet_after_minor, one.currency)
        table.add_row(
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            one.id,
            f"{one.purpose.value}{held}",
            f"{_decimal(one.wallet_change_minor, one.currency)} {one.currency}",
            after,
            escape(one.order_id or one.reference or ""),
        )
    out.print(table)
    if page.after:
        err.print(f"More: --after {page.after}")


@app.command("credit")
def credit_command(
    partner: PartnerArg,
    amount: AmountArg,
    *,
    code: CurrencyOption = None,
    reference: ReferenceOption = None,
    mode: ModeOption = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """Add money that was received to a partner's wallet; it repays debt first."""
    with open_context() as ctx:

        def work(tx: Tx) -> Movement:
            money = _money(get_partner(tx, PartnerId(partner)), amount, code)
            return credit(tx, _by(ctx), partner, money, mode, reference=reference)

        _show_movement(in_tx(ctx.db, work), as_json)


@app.command("debit")
def debit_command(
    partner: PartnerArg,
    amount: AmountArg,
    *,
    code: CurrencyOption = None,
    reference: ReferenceOption = None,
    mode: ModeOption = Mode.LIVE,
    allow_debt: AllowDebt = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take money from a partner's wallet: a correction, or a payout."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            money = _money(get_partner(tx, PartnerId(partner)), amount, code)
        _confirm(f"Take {money} from {partner} ({mode.value})?", yes=yes)
        work = _debiting(ctx, partner, money, mode, reference, allow_debt=allow_debt)
        _show_movement(in_tx(ctx.db, work), as_json)


def _debiting(ctx: Cardrail, partner: str, money: Money, mode: Mode, reference: str | None, *, allow_debt: bool) -> Any:
    return lambda tx: debit(tx, _by(ctx), partner, money, mode, reference=reference, allow_debt=allow_debt)


@app.command("threshold")
def threshold_command(
    partner: PartnerArg,
    amount: AmountArg,
    *,
    code: CurrencyOption = None,
    mode: ModeOption = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """Tell the partner (event balance.low) when less than AMOUNT may be spent; 0 takes the threshold away."""
    with open_context() as ctx:

        def work(tx: Tx) -> Money:
            money = _money(get_partner(tx, PartnerId(partner)), amount, code)
            set_balance_threshold(tx, _by(ctx), partner, money, mode)
            return money

        money = in_tx(ctx.db, work)
        if as_json:
            show_json({"partner": partner, "mode": mode.value, "threshold": money.amount, "currency": money.currency.code})
        else:
            out.print(f"Threshold of {partner} ({mode.value}): {money}")


@app.command("limit")
def limit_command(
    partner: PartnerArg,
    amount: AmountArg,
    *,
    code: CurrencyOption = None,
    mode: ModeOption = Mode.LIVE,
    as_json: AsJson = False,
) -> None:
    """Let a partner's wallet go below zero by up to AMOUNT; 0 takes the limit away."""
    with open_context() as ctx:

        def work(tx: Tx) -> list[Balance]:
            money = _money(get_partner(tx, PartnerId(partner)), amount, code)
            set_credit_limit(tx, _by(ctx), partner, money, mode)
            return [one for one in balances(tx, partner, mode) if one.currency == money.currency.code]

        _show_wallets(in_tx(ctx.db, work), as_json)


@app.command("reverse")
def reverse_command(
    transfer: Annotated[str, typer.Argument(help="The transfer's id, trf_…", metavar="TRANSFER")],
    *,
    allow_debt: AllowDebt = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Undo a credit or debit by a transfer with its sides swapped. Once; what belongs to an order is refunded instead."""
    with open_context() as ctx:
        with ctx.db.read() as tx:
            found = get_transfer(tx, TransferId(transfer))
        amount = Money(found.amount_minor, currency(found.currency))
        _confirm(f"Reverse the {found.purpose.value} of {amount} of {found.partner_id or 'the operator'}?", yes=yes)
        made = in_tx(ctx.db, lambda tx: reverse(tx, _by(ctx), found.id, allow_debt=allow_debt))
        _show_movement(made, as_json)


# --- what comes in ----------------------------------------------------------------------------------------------------


def _by(ctx: Cardrail) -> By:
    return By(ctx.clock.now(), "cli", ctx.audit, NODE)


def _money(partner: Partner, amount: str, code: str | None) -> Money:
    return Money.parse(amount, code or partner.currency)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _confirm(question: str, *, yes: bool) -> None:
    if not yes and not typer.confirm(question, err=True):
        err.print("Nothing was changed.")
        raise typer.Exit(EXIT_REFUSED)


# --- what goes out ----------------------------------------------------------------------------------------------------


def _decimal(minor: int, code: str) -> str:
    return format_minor(minor, currency(code).digits)


def _table(*names: str) -> Table:
    return Table(*[Column(name, overflow="fold", no_wrap=name in {"id", "change", "balance"}) for name in names], box=None)


def _plain(one: Transfer) -> dict[str, Any]:
    after = one.wallet_after_minor
    return {
        "id": one.id,
        "purpose": one.purpose,
        "phase": one.phase,
        "debit": one.debit,
        "credit": one.credit,
        "amount": _decimal(one.amount_minor, one.currency),
        "change": _decimal(one.wallet_change_minor, one.currency),
        "currency": one.currency,
        "mode": one.mode,
        "partner_id": one.partner_id,
        "order_id": one.order_id,
        "hold_id": one.hold_id,
        "reverses": one.reverses,
        "reference": one.reference,
        "balance_after": None if after is None else _decimal(after, one.currency),
        "created_at": one.created_at,
    }


def _show_movement(made: Movement, as_json: bool) -> None:
    one = made.transfer
    if as_json:
        show_json({**_plain(one), "is_new": made.is_new})
        return
    if not made.is_new:
        err.print(
            "[yellow]This reference was used before for the same amount: nothing was changed, here is the first transfer.[/yellow]"
        )
    after = "" if one.wallet_after_minor is None else f"; balance {_decimal(one.wallet_after_minor, one.currency)} {one.currency}"
    out.print(f"{one.id}: {one.purpose.value} of {_decimal(one.amount_minor, one.currency)} {one.currency}{after}")


def _show_wallets(found: list[Balance], as_json: bool, *, is_past: bool = False) -> None:
    """A past moment knows no credit limit and no debt, so it shows none."""
    names = ("balance", "held") if is_past else ("balance", "held", "credit_limit", "debt", "available")
    rows = []
    for one in found:
        figures = [getattr(one, f"{name}_minor") for name in names]
        rows.append(
            {
                "currency": one.currency,
                "mode": one.mode.value,
                **{n: _decimal(f, one.currency) for n, f in zip(names, figures, strict=True)},
            }
        )
    if as_json:
        show_json({"items": rows})
        return
    table = _table("currency", "mode", *[name.replace("_", " ") for name in names])
    for row in rows:
        table.add_row(*row.values())
    out.print(table)


def _show_platform(found: list[PlatformBalance], as_json: bool) -> None:
    rows = [
        {
            "account": one.purpose.value,
            "owner": one.owner,
            "currency": one.currency,
            "mode": one.mode.value,
            "debits": _decimal(one.debits_minor, one.currency),
            "credits": _decimal(one.credits_minor, one.currency),
            "balance": _decimal(one.balance_minor, one.currency),
        }
        for one in found
    ]
    if as_json:
        show_json({"items": rows})
        return
    table = _table("account", "owner", "currency", "mode", "debits", "credits", "balance")
    for row in rows:
        table.add_row(*[escape(cell) for cell in row.values()])
    out.print(table)
