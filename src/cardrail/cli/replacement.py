"""`cardrail replacement`: claims that a sold code is bad, and what an operator decides about them. Codes are never shown here."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.bootstrap import Cardrail
from cardrail.cli.context import open_context, out, show_json, table_of
from cardrail.kernel import OrderId, currency, format_minor, from_micros, rfc3339
from cardrail.orders import (
    CodeAt,
    Order,
    Replacement,
    ReplacementDecision,
    ReplacementNotFound,
    ReplacementState,
    find_orders,
    find_replacements,
    resolve_replacement,
    worth,
)
from cardrail.storage import retrying

app = typer.Typer(help="Bad codes: look at claims, and decide them.", no_args_is_help=True)

ReplacementArgument = Annotated[str, typer.Argument(help="The replacement's id (rpl_…).", metavar="REPLACEMENT")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

_ASKS = {
    ReplacementDecision.STOCK: "Give another code from stock for {code}?",
    ReplacementDecision.REFUND: "Refund {amount} for {code}?",
    ReplacementDecision.REFUSE: "Refuse the claim for {code}?",
}


@app.command("list")
def list_command(
    state: Annotated[ReplacementState | None, typer.Option(help="Only those in this state, for example NEEDS_REVIEW.")] = None,
    partner: Annotated[str | None, typer.Option(help="Only this partner's (par_…).")] = None,
    order: Annotated[str | None, typer.Option(help="Only of this order (ord_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest claims."""
    with open_context() as cardrail:
        found = find_replacements(
            cardrail.db, states=[state] if state is not None else (), partner_id=partner, order_id=order, limit=limit
        )
    if as_json:
        show_json([_plain(one) for one in found])
        return
    if not found:
        out.print("No such claims." if state or partner or order else "No claims.")
        return
    table = table_of("replacement", "claimed", "order", "code", "reason", "state", "because")
    for one in found:
        claimed = f"{from_micros(one.created_at):%Y-%m-%d %H:%M}"
        table.add_row(one.id, claimed, one.order_id, _place(one), one.reason.value, one.state.value, escape(one.because or "-"))
    out.print(table)


@app.command("show")
def show_command(replacement_id: ReplacementArgument, as_json: AsJson = False) -> None:
    """One claim with its evidence and its story; no codes."""
    with open_context() as cardrail:
        one, order = _get(cardrail, replacement_id)
    if as_json:
        show_json(_plain(one, order))
        return
    out.print(f"[bold]{one.id}[/bold]  {one.state.value}  {one.mode.value}  partner {one.partner_id}")
    out.print(f"order {one.order_id}  {_place(one)}  worth {_worth(one, order)}  code {one.lot_id}/{one.seq}")
    out.print(f"claimed {_at(one.created_at)} by {one.actor}: {one.reason.value}")
    if one.evidence:
        out.print(escape(one.evidence))
    for link in one.links:
        out.print(escape(link))
    for at, sentence in one.story:
        out.print(f"{_at(at)}  {escape(sentence)}")
    if one.is_open and not one.is_looked_after:
        out.print(f"Decide it: cardrail replacement resolve {one.id} --as stock|refund|refuse --because …")


@app.command("resolve")
def resolve_command(
    replacement_id: ReplacementArgument,
    decision: Annotated[
        ReplacementDecision,
        typer.Option("--as", help="stock: another code from stock; refund: the unit's price; refuse: neither."),
    ],
    because: Annotated[str, typer.Option("--because", help="The reason; the partner reads it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide a claim. What its supplier still sends becomes stock."""
    with open_context() as cardrail:
        one, order = _get(cardrail, replacement_id)
        if not yes:
            question = _ASKS[decision].format(amount=_worth(one, order), code=f"{_place(one)} of order {one.order_id}")
            typer.confirm(question, abort=True, err=True)
        done = retrying(lambda: resolve_replacement(cardrail.replacements, one.id, decision, because=because, actor="cli"))
    if as_json:
        show_json(_plain(done, order))
        return
    out.print(f"{done.id} is {done.state.value}.")


def _get(cardrail: Cardrail, replacement_id: str) -> tuple[Replacement, Order]:
    """The claim and its order. Raises ReplacementNotFound."""
    found = find_replacements(cardrail.db, ids=[replacement_id])
    if not found:
        raise ReplacementNotFound(replacement_id=replacement_id)
    (order,) = find_orders(cardrail.db, ids=[OrderId(found[0].order_id)])
    return found[0], order


def _place(one: Replacement) -> str:
    return f"line {one.line}, code {one.position}"


def _worth(one: Replacement, order: Order) -> str:
    """What its unit would be refunded with, or was."""
    item = next(item for item in order.items if item.line == one.line)
    minor = one.refunded_minor if one.position in item.refunded else worth(order, [CodeAt(one.line, one.position)])
    return f"{format_minor(minor, currency(order.currency).digits)} {order.currency}"


def _at(micros: int) -> str:
    return rfc3339(from_micros(micros))


def _plain(one: Replacement, order: Order | None = None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": one.id,
        "order_id": one.order_id,
        "line": one.line,
        "position": one.position,
        "partner_id": one.partner_id,
        "mode": one.mode.value,
        "state": one.state.value,
        "reason": one.reason.value,
        "evidence": one.evidence,
        "links": list(one.links),
        "because": one.because,
        "decided_by": one.decided_by,
        "supplier_id": one.supplier_id,
        "supplier_claim_id": one.supplier_claim_id,
        "call": None if one.call is None else one.call.value,
        "source": one.source,
        "code": {"lot_id": one.lot_id, "seq": one.seq},
        "new_code": None if one.new_lot_id is None else {"lot_id": one.new_lot_id, "seq": one.new_seq},
        "deadline_at": _at(one.deadline_at),
        "created_at": _at(one.created_at),
        "updated_at": _at(one.updated_at),
        "story": [{"at": _at(at), "text": sentence} for at, sentence in one.story],
    }
    if order is not None:
        digits = currency(order.currency).digits
        plain |= {"currency": order.currency, "refunded": format_minor(one.refunded_minor, digits), "worth": _worth(one, order)}
    return plain
