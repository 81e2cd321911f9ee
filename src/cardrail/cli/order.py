"""`cardrail order`: what an operator does with orders. Codes are never shown here; who needs them has an API key or the console."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from cardrail.bootstrap import Cardrail
from cardrail.cli.context import open_context, out, show_json, table_of
from cardrail.kernel import (
    InvalidAmount,
    Mode,
    OrderId,
    PartnerId,
    PlainCode,
    currency,
    format_minor,
    from_micros,
    parse_minor,
    rfc3339,
)
from cardrail.orders import (
    Buyer,
    CodeAt,
    InvalidationPolicy,
    Order,
    OrderError,
    OrderNotFound,
    OrderState,
    RefundPlan,
    SupplyStory,
    cancel_order,
    expire_unpaid,
    find_orders,
    invalidate_order,
    order_history,
    plan_refund,
    refund_order,
    resolve_as_delivered,
    resolve_as_failed,
    resolve_as_retry,
    send_to_review,
    supply_story,
)
from cardrail.storage import retrying

app = typer.Typer(help="Orders: look at them, refund, cancel, invalidate, review.", no_args_is_help=True)

OrderArgument = Annotated[str, typer.Argument(help="The order's id (ord_…).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Because = Annotated[str, typer.Option("--because", help="The reason; it stays in the order's history, which its partner reads.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_command(
    state: Annotated[OrderState | None, typer.Option(help="Only orders in this state.")] = None,
    partner: Annotated[str | None, typer.Option(help="Only this partner's (par_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest orders."""
    with open_context() as cardrail:
        found = find_orders(cardrail.db, state=state, partner_id=partner, limit=limit)
    if as_json:
        show_json([_plain(order) for order in found])
        return
    if not found:
        out.print("No orders." if not (state or partner) else "No such orders.")
        return
    table = table_of("order", "placed", "partner", "mode", "state", "items", "charged", "refunded")
    for order in found:
        table.add_row(
            order.id,
            f"{from_micros(order.created_at):%Y-%m-%d %H:%M:%S}",
            order.partner_id,
            order.mode.value,
            order.state.value,
            str(len(order.items)),
            _money(order.charged_minor, order.currency),
            _money(order.refunded_minor, order.currency),
        )
    out.print(table)


@app.command("show")
def show_command(order_id: OrderArgument, as_json: AsJson = False) -> None:
    """One order with its items and its history; no codes."""
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        history = order_history(cardrail.db, order.id)
        stories = supply_story(cardrail.db, order.id)
    if as_json:
        steps = [
            {"type": s.type, "from": s.from_state, "to": s.to_state, "because": s.reason, "actor": s.actor, "at": _at(s.at)}
            for s in history
        ]
        show_json({**_plain(order), "history": steps, "supply": [_plain_story(one) for one in stories]})
        return
    out.print(f"[bold]{order.id}[/bold]  {order.state.value}  {order.mode.value}  partner {order.partner_id}")
    out.print(
        f"placed {_at(order.created_at)}   reference {escape(order.reference or '-')}   customer {escape(order.customer_id or '-')}"
    )
    out.print(
        f"total {_money(order.total_minor, order.currency)}   charged {_money(order.charged_minor, order.currency)}"
        f"   refunded {_money(order.refunded_minor, order.currency)}"
    )
    table = table_of("line", "sku", "name", "state", "ordered", "delivered", "unit price", "charged")
    for item in order.items:
        price, charged = _money(item.unit_price_minor, order.currency), _money(item.charged_minor, order.currency)
        table.add_row(
            str(item.line), item.sku, escape(item.name), item.state.value, str(item.quantity), str(item.delivered), price, charged
        )
    out.print(table)
    for item in order.items:
        if item.refunded:
            out.print(f"paid back of line {item.line}: {_positions(item.refunded)}")
    for step in history:
        out.print(f"{_at(step.at)}  {step.type}  {escape(step.reason or '')}  by {step.actor}")
    for story in stories:
        waits = story.procurement
        out.print(f"[bold]line {waits.line}[/bold]: {waits.delivered} of {waits.quantity} from suppliers, {waits.state.value}")
        for at, sentence in story.told:
            out.print(f"  {_at(at)}  {escape(sentence)}")


@app.command("refund")
def refund_command(  # noqa: PLR0917  # the command's options
    order_id: OrderArgument,
    because: Because,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            help="A unit to pay back: its position among the codes of its line, 3, or of line 2, 2:3. May be given several times.",
            metavar="[LINE:]POSITION",
        ),
    ] = None,
    quantity: Annotated[
        int | None, typer.Option(min=1, help="How many units to pay back: the last ones that were not paid back yet.")
    ] = None,
    line: Annotated[int | None, typer.Option(min=1, help="With --quantity: of this line only.")] = None,
    amount: Annotated[
        str | None,
        typer.Option(
            help="In the order's currency; all that is left of the charge unless given. If it is just what the last units were charged, "
            "these are paid back; any other amount is a rebate."
        ),
    ] = None,
    rebate: Annotated[
        bool, typer.Option("--rebate", help="The amount is a rebate on the whole order, and pays back no unit in particular.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(help="Your own name for this refund: under the same one, an order is refunded once, so it can be repeated."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give money back, for named units or as a rebate. The codes stay the partner's; use invalidate to take them back too.

    A unit is paid back once. A claim that its code is bad ends with it, and none is taken any more.
    """
    if sum([bool(unit), quantity is not None, amount is not None]) > 1:
        raise typer.BadParameter("give --unit, --quantity or --amount, one of them")
    if (line is not None and quantity is None) or (rebate and amount is None):
        raise typer.BadParameter("--line goes with --quantity, and --rebate with --amount")
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        minor = None if amount is None else _minor(amount, order.currency)
        units = [_unit(one, order) for one in unit or ()]
        wish: dict[str, Any] = {"units": units, "quantity": quantity, "line": line, "is_rebate": rebate}
        if not yes:
            plan = _planned(order, minor, wish, may_repeat=reference is not None)
            shown = "Refund" if plan is None else f"Refund {_money(plan.amount_minor, order.currency)} of"
            typer.confirm(f"{shown} order {order.id}{'' if plan is None else _told(plan)}?", abort=True, err=True)
            if plan is not None:  # what was agreed to, and nothing else
                minor, wish = plan.amount_minor, {"units": plan.units, "is_rebate": not plan.units}
        node = cardrail.settings.node_name
        done = retrying(
            lambda: refund_order(
                cardrail.db,
                cardrail.clock,
                cardrail.audit,
                order.id,
                minor,
                node=node,
                because=because,
                actor="cli",
                reference=reference,
                **wish,
            )
        )
    given = done.refunded_minor - order.refunded_minor
    if given:
        _say(done, f"Refunded {_money(given, order.currency)}{_told(_new_units(order, done))}.", as_json)
    else:
        _say(done, f"Refunded under {escape(reference or '')} before; nothing moved.", as_json)


def _planned(order: Order, minor: int | None, wish: dict[str, Any], *, may_repeat: bool) -> RefundPlan | None:
    """What is about to be refunded; None where it cannot be, unless it was under the same reference."""
    try:
        return plan_refund(order, minor, **wish)
    except OrderError:
        if may_repeat:
            return None
        raise


def _unit(text: str, order: Order) -> CodeAt:
    """3, where the order has one line, or 2:3."""
    line, _, position = text.rpartition(":")
    if not position.isdecimal() or not (line.isdecimal() if line else len(order.items) == 1):
        raise typer.BadParameter(f"{text}: a unit is the position of its code; of an order with several lines, line:position")
    return CodeAt(int(line) if line else order.items[0].line, int(position))


def _new_units(before: Order, after: Order) -> RefundPlan:
    """What was paid back between the two."""
    was = {(item.line, position) for item in before.items for position in item.refunded}
    units = [CodeAt(item.line, one) for item in after.items for one in item.refunded if (item.line, one) not in was]
    return RefundPlan(tuple(units), after.refunded_minor - before.refunded_minor)


def _told(plan: RefundPlan) -> str:
    """Which units those are, in words."""
    if not plan.units:
        return ", as a rebate"
    lines = {one.line: [unit.position for unit in plan.units if unit.line == one.line] for one in plan.units}
    return ": " + "; ".join(f"line {line}, {_positions(positions)}" for line, positions in lines.items())


def _positions(positions: Sequence[int]) -> str:
    """1, 2, 3, 7 as "units 1 to 3, 7"."""
    spans: list[list[int]] = []
    for one in positions:
        if spans and one == spans[-1][1] + 1:
            spans[-1][1] = one
        else:
            spans.append([one, one])
    words = [str(first) if first == last else f"{first} to {last}" for first, last in spans]
    return ("unit " if len(positions) == 1 else "units ") + ", ".join(words)


@app.command("cancel")
def cancel_command(order_id: OrderArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Withdraw an order that has not started; its money is free again."""
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        if not yes:
            typer.confirm(f"Cancel order {order.id}?", abort=True, err=True)
        done = retrying(lambda: cancel_order(cardrail.db, cardrail.clock, _owner(order), order.id))
    _say(done, "Cancelled.", as_json)


@app.command("invalidate")
def invalidate_command(
    order_id: OrderArgument,
    because: Because,
    allow_revealed: Annotated[bool, typer.Option(help="Even if its codes were seen: their cost is written off.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take an order back: its charge is returned, unseen codes go back to stock. The operator is bound by no window."""
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        if not yes:
            typer.confirm(f"Invalidate order {order.id}?", abort=True, err=True)
        policy = InvalidationPolicy(window=timedelta(days=36_500), allow_revealed=allow_revealed)
        node = cardrail.settings.node_name
        done = retrying(
            lambda: invalidate_order(
                cardrail.db, cardrail.clock, cardrail.audit, _owner(order), order.id, policy, node=node, because=because
            )
        )
    _say(done, "Invalidated.", as_json)


@app.command("review")
def review_command(order_id: OrderArgument, because: Because, as_json: AsJson = False) -> None:
    """Put an order's unfinished items aside for a decision; nothing is bought for them meanwhile."""
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        done = retrying(
            lambda: send_to_review(cardrail.db, cardrail.clock, cardrail.audit, order.id, because=because, actor="cli")
        )
    _say(done, "In review.", as_json)


class Answer(StrEnum):
    """What became of the items in review."""

    FAILED = "failed"
    DELIVERED = "delivered"
    RETRY = "retry"


@app.command("resolve")
def resolve_command(
    order_id: OrderArgument,
    because: Because,
    answer: Annotated[Answer, typer.Option("--as", help="failed: nothing came. delivered: --codes came. retry: buy again.")] = (
        Answer.FAILED
    ),
    codes: Annotated[
        typer.FileText | None, typer.Option(help="File with a line for each code: code,pin,serial; - reads standard input.")
    ] = None,
    line: Annotated[int | None, typer.Option(help="Which item the codes are for; the only one in review unless given.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Decide what became of the items in review. What is missing then is not charged; codes that come late become stock."""
    if (answer is Answer.DELIVERED) != (codes is not None):
        raise typer.BadParameter("--codes goes with --as delivered, and only with it")
    with open_context() as cardrail:
        order = the_order(cardrail, order_id)
        if not yes:
            question = "Retry only if the supplier says that nothing was bought. " if answer is Answer.RETRY else ""
            typer.confirm(f"{question}Resolve order {order.id} as {answer.value}?", abort=True, err=True)
        place = (cardrail.db, cardrail.clock, cardrail.audit)
        if codes is not None:
            given = [_code(text) for text in codes if text.strip()]
            reviewed = line or _only_line_in_review(order)
            catalog = cardrail.catalog.refresh()
            done = retrying(
                lambda: resolve_as_delivered(
                    *place, cardrail.shop.books, catalog, order.id, line=reviewed, codes=given, because=because, actor="cli"
                )
            )
        else:
            resolve = resolve_as_retry if answer is Answer.RETRY else resolve_as_failed
            done = retrying(lambda: resolve(*place, order.id, because=because, actor="cli"))
    _say(done, "Resolved.", as_json)


def _code(text: str) -> PlainCode:
    """A code from its line: code, PIN, serial."""
    code, pin, serial, *_ = [*(part.strip() or None for part in text.strip().split(",")), None, None]
    return PlainCode(code, pin, serial)


def _only_line_in_review(order: Order) -> int:
    lines = [item.line for item in order.items if item.state is OrderState.NEEDS_REVIEW]
    if len(lines) != 1:
        raise typer.BadParameter(f"{len(lines)} items are in review: say which with --line")
    return lines[0]


@app.command("expire")
def expire_command(as_json: AsJson = False) -> None:
    """Cancel unpaid orders whose time is over. A running server does this by itself."""
    with open_context() as cardrail:
        count = retrying(lambda: expire_unpaid(cardrail.db, cardrail.clock))
    if as_json:
        show_json({"cancelled": count})
    else:
        out.print(f"{count} unpaid orders cancelled.")


def the_order(cardrail: Cardrail, order_id: str) -> Order:
    """Whose-ever it is. Raises OrderNotFound."""
    found = find_orders(cardrail.db, ids=[OrderId(order_id)])
    if not found:
        raise OrderNotFound(order_id=order_id)
    return found[0]


def _owner(order: Order) -> Buyer:
    """The order's own partner, acting through the command line."""
    return Buyer(PartnerId(order.partner_id), Mode(order.mode), order.currency, "cli")


def _minor(amount: str, code: str) -> int:
    try:
        return parse_minor(amount, currency(code).digits)
    except InvalidAmount as error:
        raise typer.BadParameter(f"{amount} is no amount in {code}") from error


def _money(minor: int, code: str) -> str:
    return f"{format_minor(minor, currency(code).digits)} {code}"


def _at(micros: int) -> str:
    return rfc3339(from_micros(micros))


def _say(order: Order, sentence: str, as_json: bool) -> None:
    if as_json:
        show_json(_plain(order))
    else:
        out.print(f"{sentence} Order {order.id} is {order.state.value}.")


def _plain_story(story: SupplyStory) -> dict[str, Any]:
    waits = story.procurement
    return {
        "line": waits.line,
        "state": waits.state.value,
        "quantity": waits.quantity,
        "delivered": waits.delivered,
        "route": [{"at": _at(at), "text": sentence} for at, sentence in waits.trace],
        "attempts": [
            {
                "id": one.id,
                "supplier": story.names.get(one.supplier_id, one.supplier_id),
                "supplier_sku": one.supplier_sku,
                "reference": one.reference,
                "supplier_order_id": one.supplier_order_id,
                "state": one.state.value,
                "quantity": one.quantity,
                "delivered": one.delivered,
                "cost": None if one.cost_minor is None else _money(one.cost_minor, one.cost_currency),
                "story": [{"at": _at(at), "text": sentence} for at, sentence in one.story],
            }
            for one in story.attempts
        ],
    }


def _plain(order: Order) -> dict[str, Any]:
    code = order.currency
    return {
        "id": order.id,
        "partner_id": order.partner_id,
        "mode": order.mode.value,
        "state": order.state.value,
        "currency": code,
        "total": format_minor(order.total_minor, currency(code).digits),
        "charged": format_minor(order.charged_minor, currency(code).digits),
        "refunded": format_minor(order.refunded_minor, currency(code).digits),
        "reference": order.reference,
        "customer_id": order.customer_id,
        "created_at": _at(order.created_at),
        "updated_at": _at(order.updated_at),
        "items": [
            {
                "line": item.line,
                "sku": item.sku,
                "name": item.name,
                "state": item.state.value,
                "quantity": item.quantity,
                "delivered": item.delivered,
                "unit_price": format_minor(item.unit_price_minor, currency(code).digits),
                "charged": format_minor(item.charged_minor, currency(code).digits),
                "refunded_units": list(item.refunded),
            }
            for item in order.items
        ],
    }
