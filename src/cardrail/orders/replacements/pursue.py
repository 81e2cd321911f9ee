"""What is done about a claim: whoever sold us the code is asked, once, and what it answers is written down.

``pursue_replacement`` may be called at any time, by several workers at once, and again after a crash: where things stand is in the row.
As with purchases, the row says ASKING before the supplier is called, and no transaction is open meanwhile.

**Where a process may die.** Between the row and the call, or between the supplier's answer and our commit: the call counts as unknown
once it would have timed out. An unknown claim is never made a second time, because it may have been granted; it is looked after where the
connector can, and where it cannot, a human decides. After the commit: nothing is left to do.

**Who decides.** The supplier's yes: its code goes to the partner, or what it gives back is passed on. Its no goes to a human, who sees the
evidence (of a test order it is final). Where nobody can be asked, or nobody answered in time, the operator's policy: review (unless he set
another), another code from stock, or the money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from cardrail.kernel import CardrailError, Mode, Money, OrderId, PlainCode, currency, from_micros, to_micros
from cardrail.ledger import Purpose, TransferPurpose, book, supplier_account
from cardrail.orders import store as orders_store
from cardrail.orders.buying import SIMULATED
from cardrail.orders.errors import NothingToReplaceWith, RefundTooLarge
from cardrail.orders.journal import journal_entry
from cardrail.orders.locks import lock_order
from cardrail.orders.model import Order, OrderItem
from cardrail.orders.replacements import store
from cardrail.orders.replacements.allowance import is_allowed
from cardrail.orders.replacements.desk import ReplacementDesk
from cardrail.orders.replacements.held import with_successors
from cardrail.orders.replacements.model import CallState, Replacement, ReplacementState
from cardrail.orders.replacements.settle import Case
from cardrail.orders.replacements.tell import change
from cardrail.sourcing import (
    GRACE_SECONDS,
    Accepted,
    Attempt,
    AttemptState,
    Capabilities,
    Connector,
    Credited,
    Delivered,
    NotFound,
    NotSent,
    RateLimited,
    Refused,
    ReplacementOutcome,
    ReplaceRequest,
    SourcingError,
    Supplier,
    Unknown,
    find_supplier,
    load_attempt,
    load_attempts,
    micros,
    sound_claim,
)
from cardrail.storage import Tx, all_restores, audit_entry, open_restores
from cardrail.vault import (
    NEVER,
    Allocation,
    Lot,
    LotKind,
    load_lot_keys,
    load_lots,
    read_sealed,
    split_known_codes,
    stock_late_codes,
)

log = structlog.get_logger("cardrail.replace")

S: Final = ReplacementState
ACTOR: Final = "system"

ROUNDS_MAX: Final = 20
BEGIN_WITHIN_SECONDS: Final = 3.0
"""A call begins at most so long after its row was written; whoever was stopped in between does not call."""
AGAIN_SECONDS: Final = 30.0
"""How soon a supplier that was not reached is asked again, and how soon the first look comes; it doubles with each."""
AGAIN_SECONDS_MAX: Final = 6 * 3_600.0
FROZEN_SECONDS: Final = 60.0
UNJOURNALLED_SECONDS: Final = 30.0
"""How long whoever gave a code has for its line in the journal, before others write it."""
LOOKED_AFTER: Final = timedelta(days=90)
"""How long after it was asked a supplier's late answer is still looked for."""
RESTORED: Final = "the database was restored since: this code may have been replaced before"
PERHAPS_REFUNDED: Final = "as much as this unit cost was given back of its order, without a word for which unit"
LATE_SOURCE: Final = "late codes of "
"""How the source of a lot of late codes begins; the attempt that brought them follows."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Something to call the supplier for; ``code`` is the bad one, sealed, until the moment of the call."""

    how: str
    """replace | look."""
    one: Replacement
    supplier: Supplier
    request: Callable[[], ReplaceRequest]
    abilities: Capabilities


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call came to: an outcome, or why there is none."""

    outcome: ReplacementOutcome | None
    why: str = ""
    was_sent: bool = True
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Seller:
    """Who sold us a code, and in which purchase."""

    supplier: Supplier
    attempt: Attempt | None


def pursue_replacement(desk: ReplacementDesk, replacement_id: str) -> int | None:
    """Do all that can be done now, and say when (microseconds) to come back; None: nothing is open any more."""
    snapshot = desk.buying.catalog.refresh()
    for _ in range(ROUNDS_MAX):
        todo, journalled = desk.buying.write(lambda tx: _next(tx, desk, snapshot, replacement_id))
        journal_given(desk, journalled)
        if not isinstance(todo, _Ask):
            return todo
        answer = _call(desk, todo)
        journalled = desk.buying.write(lambda tx, ask=todo, came=answer: _receive(tx, desk, snapshot, ask, came))  # type: ignore[misc]
        journal_given(desk, journalled)
    return to_micros(desk.clock.now()) + micros(AGAIN_SECONDS)


def wake_replacements(desk: ReplacementDesk, limit: int = 200) -> int:
    """Pursue what is due; how many. Run from time to time: it also takes up what a process that died had begun."""
    journal_left_behind(desk)
    with desk.db.read() as tx:
        found = store.due(tx, to_micros(desk.clock.now()), limit)
    for one in found:
        try:
            pursue_replacement(desk, one)
        except Exception as error:  # its neighbours go on
            log.error("a replacement's visit failed", replacement_id=one, error=type(error).__name__)  # noqa: TRY400  # values in its text
    return len(found)


# --- what is to be done -----------------------------------------------------------------------------------------------


def open_case(tx: Tx, desk: ReplacementDesk, snapshot: Any, replacement_id: str, now: datetime) -> Case | None:
    """The replacement with its order, both locked; None if there is no such replacement."""
    seen = store.load_replacement(tx, replacement_id)
    if seen is None:
        return None
    order = lock_order(tx, seen.order_id)
    one = store.load_replacement(tx, replacement_id, lock=True)
    assert one is not None, replacement_id
    item = next(item for item in order.items if item.line == one.line)
    return Case(tx, desk, snapshot, order, item, one, now)


def _next(tx: Tx, desk: ReplacementDesk, snapshot: Any, replacement_id: str) -> tuple[_Ask | int | None, Order | None]:
    now = desk.clock.now()
    case = open_case(tx, desk, snapshot, replacement_id, now)
    if case is None:
        return None, None
    before = case.one.state
    todo = _due(case)
    if not isinstance(todo, _Ask) and case.one.wake_at != todo:
        store.save_replacement(tx, replace(case.one, wake_at=todo))
    return todo, case.order if case.one.state is S.REPLACED and before is not S.REPLACED else None


def _due(case: Case) -> _Ask | int | None:
    """The next call, or the moment of the next look."""
    one, at = case.one, case.at
    if not one.is_open and not one.is_looked_after:
        return None
    if one.mode is Mode.LIVE and open_restores(case.tx):
        return at + micros(FROZEN_SECONDS)  # what was claimed and given out since the backup is not known here
    if one.is_open and not case.is_standing:
        case.refuse("the order was taken back, or its money was", ACTOR)
        return _wake_of(case)
    if one.state is S.NEEDS_REVIEW and not one.is_looked_after:
        return None
    if one.state is S.REQUESTED or one.call is CallState.NOT_SENT:
        return _first(case)
    return _look(case)


def _first(case: Case) -> _Ask | int | None:
    """Ask whoever sold it, or decide without."""
    one, at = case.one, case.at
    if one.wake_at is not None and one.wake_at > at:
        return one.wake_at
    if one.state is S.ASKING_SUPPLIER and at >= one.deadline_at:
        _by_policy(case, "the supplier was not reached in time")
        return _wake_of(case)
    if _was_restored_since(case):
        case.review(RESTORED, ACTOR)
        return None
    if case.may_be_refunded:
        case.review(PERHAPS_REFUNDED, ACTOR)
        return None
    earlier = _still_asked(case)
    if earlier is not None:
        case.review(f"the supplier may have the earlier claim {earlier.id} for this code: it is not asked twice", ACTOR)
        return None
    found = seller_of(case.tx, case.order, case.item, one)
    abilities = None if found is None else _abilities(case.desk, found.supplier)
    if found is None or abilities is None or not abilities.can_replace:
        _by_policy(case, "nobody is known who sold it to us" if found is None else "its supplier takes no claims")
        return _wake_of(case)
    changes: dict[str, Any] = {
        "supplier_id": found.supplier.id,
        "attempt_id": None if found.attempt is None else found.attempt.id,
        "call": CallState.ASKING,
        "asked_at": at,
        "looks": one.looks + 1,
        "wake_at": at + micros(abilities.call_seconds + GRACE_SECONDS),
    }
    sentence = f"asked {found.supplier.name}"
    if one.state is S.REQUESTED:
        case.one = change(
            case.tx,
            case.desk.audit,
            case.order,
            one,
            S.ASKING_SUPPLIER,
            because=sentence,
            actor=ACTOR,
            now=case.now,
            **changes,
        )
    else:
        case.note(sentence, **changes)
    _audit_showing(case, found.supplier)
    return _Ask("replace", case.one, found.supplier, _request_of(case, found), abilities)


def _look(case: Case) -> _Ask | int | None:
    """A claim that the supplier has, or may have."""
    one, at = case.one, case.at
    if one.state is S.ASKING_SUPPLIER and at >= one.deadline_at:
        _by_policy(case, "the supplier has not decided in time")
        one = case.one
    supplier = _supplier_asked(case.tx, one)
    abilities = None if supplier is None else _abilities(case.desk, supplier)
    asked_at = one.asked_at or one.created_at
    if supplier is None or at > asked_at + LOOKED_AFTER // timedelta(microseconds=1):
        case.note("not looked after any longer", call=CallState.CLOSED)
        return None
    if abilities is None:
        return at + micros(FROZEN_SECONDS)
    if one.call is CallState.ASKING:
        over = asked_at + micros(abilities.call_seconds + GRACE_SECONDS)
        if at < over:
            return over
        case.note("the answer was lost", call=CallState.UNKNOWN, wake_at=at)
        one = case.one
    if not abilities.tells_replacements:
        if one.call is CallState.UNKNOWN and one.state is S.ASKING_SUPPLIER:
            case.review("nobody knows whether its supplier has the claim, and it cannot be asked", ACTOR)
        return one.deadline_at if case.one.state is S.ASKING_SUPPLIER else None
    if one.wake_at is not None and one.wake_at > at:
        return min(one.wake_at, one.deadline_at) if one.state is S.ASKING_SUPPLIER else one.wake_at
    # Nobody else looks before this call has ended.
    case.one = replace(one, looks=one.looks + 1, wake_at=at + micros(abilities.call_seconds + GRACE_SECONDS))
    store.save_replacement(case.tx, case.one)
    attempt = None if one.attempt_id is None else load_attempt(case.tx, one.attempt_id)
    return _Ask("look", case.one, supplier, _request_of(case, _Seller(supplier, attempt)), abilities)


def _wake_of(case: Case) -> int | None:
    """When what may still come is looked for; None where nothing may."""
    return (case.one.wake_at or case.at) if case.one.is_looked_after else None


def _was_restored_since(case: Case) -> bool:
    """Whether the order is older than a restore: then what became of its codes between backup and restore is not known here."""
    restores = all_restores(case.tx) if case.one.mode is Mode.LIVE else []
    return any(to_micros(one.restored_at) > case.order.created_at for one in restores)


def _still_asked(case: Case) -> Replacement | None:
    """An earlier claim for the same code, decided here, that the supplier has or may have."""
    code = (case.one.lot_id, case.one.seq)
    past = store.load_of_orders(case.tx, [case.order.id])
    return next((one for one in past if (one.lot_id, one.seq) == code and one.id != case.one.id and one.is_looked_after), None)


def _by_policy(case: Case, why: str) -> None:
    """Decide as the operator has set for claims that no supplier decides; of a restored database a human does, and where the partner has
    had more than his share."""
    policy = case.desk.policy.unasked
    if _was_restored_since(case):
        case.review(f"{why}; {RESTORED}", ACTOR)
    elif policy == "review":
        case.review(why, ACTOR)
    elif case.may_be_refunded:
        case.review(f"{why}; {PERHAPS_REFUNDED}", ACTOR)
    elif not is_allowed(case.tx, case.desk.policy, case.one, case.at):
        case.review(f"{why}; of this partner's codes so many were replaced or refunded unasked that somebody should look", ACTOR)
    elif policy == "refund":
        _refund(case, why)
    else:
        _from_stock(case, why)


def _from_stock(case: Case, why: str) -> None:
    try:
        case.replace_from_stock(why, ACTOR)
    except NothingToReplaceWith:
        case.review(f"{why}; there is none in stock", ACTOR)


def _refund(case: Case, why: str) -> None:
    try:
        case.refund(why, ACTOR)
    except RefundTooLarge:
        case.review(f"{why}; nothing of its price is left of the order's charge", ACTOR)


# --- who sold it ------------------------------------------------------------------------------------------------------


def seller_of(tx: Tx, order: Order, item: OrderItem, one: Replacement) -> _Seller | None:
    """Who sold us this code, and in which purchase, where that is known."""
    if order.mode is Mode.TEST:
        return _Seller(SIMULATED, None)
    for earlier in store.load_of_orders(tx, [order.id]):
        if (earlier.new_lot_id, earlier.new_seq) == (one.lot_id, one.seq) and earlier.source == "supplier":
            supplier = _supplier_asked(tx, earlier)
            attempt = None if earlier.attempt_id is None else load_attempt(tx, earlier.attempt_id)
            return None if supplier is None else _Seller(supplier, attempt)
    lot = load_lots(tx, [one.lot_id])[one.lot_id]
    is_late = lot.source is not None and lot.source.startswith(LATE_SOURCE)
    late = load_attempt(tx, str(lot.source).removeprefix(LATE_SOURCE)) if is_late else None
    if late is not None:  # else a late replacement: its lot says whose
        supplier = find_supplier(tx, late.supplier_id)
        return None if supplier is None else _Seller(supplier, late)
    supplier = find_supplier(tx, lot.supplier) if lot.supplier is not None else None
    if supplier is None or supplier.mode is not order.mode:
        return None
    if lot.kind is not LotKind.BOUND:
        return _Seller(supplier, None)
    lots = load_lots(tx, sorted({span.lot_id for span in item.allocations}))
    return _Seller(supplier, purchase_of(one.lot_id, one.seq, item.allocations, lots, load_attempts(tx, order.id), item.line))


def purchase_of(
    lot_id: str, seq: int, spans: Sequence[Allocation], lots: dict[str, Lot], attempts: Sequence[Attempt], line: int
) -> Attempt | None:
    """The purchase that brought this code: each brought one span, in the order of their answers. None where that does not add up."""
    seller = lots[lot_id].supplier
    bought = [
        one
        for one in attempts
        if one.line == line and one.supplier_id == seller and one.state is AttemptState.DELIVERED and one.delivered
    ]
    if len(bought) == 1:
        return bought[0]
    own = sorted(
        (one for one in spans if lots[one.lot_id].kind is LotKind.BOUND and lots[one.lot_id].supplier == seller),
        key=lambda one: (one.lot_id, one.first_seq),
    )
    bought.sort(key=lambda one: (one.answered_at or 0, one.n))
    if [one.count for one in own] != [one.delivered for one in bought]:
        return None
    at = [one for one, span in zip(bought, own, strict=True) if span.lot_id == lot_id and 0 <= seq - span.first_seq < span.count]
    return at[0] if at else None


def _supplier_asked(tx: Tx, one: Replacement) -> Supplier | None:
    if one.supplier_id is None:
        return None
    return SIMULATED if one.supplier_id == SIMULATED.id else find_supplier(tx, one.supplier_id)


def _abilities(desk: ReplacementDesk, supplier: Supplier) -> Capabilities | None:
    """What the supplier's connector can do; None where it cannot be built."""
    try:
        return desk.buying.connectors.of(supplier).capabilities
    except SourcingError as error:
        log.warning("a connector cannot be built", supplier=supplier.name, reason=error.code)
        return None


def _audit_showing(case: Case, supplier: Supplier) -> None:
    """That the supplier is shown its own code is a reveal like any other; looks show it to nobody else."""
    row = [case.order.id, ACTOR, supplier.id, case.one.lot_id, case.one.seq, 1]
    entry = audit_entry(
        case.now,
        ACTOR,
        "code.revealed",
        subject=case.order.id,
        partner_id=case.order.partner_id,
        origin=supplier.id,
        details={"reveals": [row], "replacement": case.one.id},
    )
    case.desk.audit.append(case.tx, [entry])


def _request_of(case: Case, seller: _Seller) -> Callable[[], ReplaceRequest]:
    """The claim as the supplier gets it. The sealed code is read in this transaction, and opened by whoever calls, after the commit."""
    one, item, attempt = case.one, case.item, seller.attempt
    key = load_lot_keys(case.tx, [one.lot_id])[one.lot_id]
    seq = 0 if key.is_shared else one.seq
    sealed = read_sealed(case.tx, [Allocation(one.lot_id, one.seq, 1, NEVER, key.is_shared, item.denomination_id)])[
        one.lot_id, one.seq
    ]
    opener = case.desk.opener

    def request() -> ReplaceRequest:
        words = [one.evidence] if one.evidence else []
        return ReplaceRequest(
            reference=one.id,
            placed_reference=case.order.id if attempt is None else attempt.reference,
            supplier_order_id=None if attempt is None else attempt.supplier_order_id,
            supplier_sku=item.sku if attempt is None else attempt.supplier_sku,
            code=opener.open(one.lot_id, seq, item.denomination_id, key.wrapped_key, key.master_key, sealed),
            reason=one.reason.value,
            evidence="\n".join([*words, *one.links]) or None,
            face=Money(item.face_minor, currency(item.face_currency)),
            asked_at=None if one.asked_at is None else from_micros(one.asked_at),
        )

    return request


# --- the call ---------------------------------------------------------------------------------------------------------


def _call(desk: ReplacementDesk, ask: _Ask) -> _Answer:
    """Call the supplier. No transaction is open while it is called."""
    connector = desk.buying.connectors.of(ask.supplier)
    if ask.how == "look":
        return _looked(connector, ask)
    begun = to_micros(desk.clock.now())
    if begun > (ask.one.asked_at or 0) + micros(BEGIN_WITHIN_SECONDS):
        return _Answer(None, "this process was stopped before it could ask", was_sent=False)
    try:
        request = ask.request()
    except CardrailError as error:  # the bad code cannot be opened: nobody was asked
        return _Answer(None, f"not asked: {error.code}", was_sent=False)
    try:
        return _Answer(sound_claim(connector.replace(request)))
    except NotSent as error:
        return _Answer(None, f"not reached: {error.code}", was_sent=False)
    except RateLimited as error:
        wait = error.facts.get("retry_after_seconds")
        return _Answer(
            None, "too many requests", was_sent=False, wait_seconds=float(wait) if isinstance(wait, (int, float)) else None
        )
    except Exception as error:  # a fault of the connector proves nothing about the supplier
        log.warning("a claim's answer was lost", replacement_id=ask.one.id, error=type(error).__name__)
        return _Answer(Unknown(error.code if isinstance(error, SourcingError) else type(error).__name__))


def _looked(connector: Connector, ask: _Ask) -> _Answer:
    """A look that fails says nothing about the claim."""
    try:
        return _Answer(sound_claim(connector.replacement(ask.request(), ask.one.supplier_claim_id)))
    except Exception as error:
        return _Answer(None, error.code if isinstance(error, SourcingError) else type(error).__name__)


# --- writing down what came -------------------------------------------------------------------------------------------


def _receive(tx: Tx, desk: ReplacementDesk, snapshot: Any, ask: _Ask, answer: _Answer) -> Order | None:
    """The order, if a code was given to it."""
    case = open_case(tx, desk, snapshot, ask.one.id, desk.clock.now())
    assert case is not None, ask.one.id
    outcome, was_open = answer.outcome, case.one.is_open
    if isinstance(outcome, Delivered):
        if case.one.call is not CallState.DELIVERED:
            _delivered(case, outcome)
        return _given(case, was_open=was_open)
    if (case.one.call, case.one.looks) != (ask.one.call, ask.one.looks):
        return None  # somebody else has asked meanwhile: this answer is out of date
    wake = case.at + micros(_again(case.one, answer.wait_seconds))
    if outcome is None and not answer.was_sent:
        case.note(answer.why, call=CallState.NOT_SENT, wake_at=wake)
    elif outcome is None:
        case.one = replace(case.one, wake_at=wake)
        store.save_replacement(tx, case.one)
    elif isinstance(outcome, Accepted):
        _accepted(case, outcome, wake)
    elif isinstance(outcome, Unknown):
        _unknown(case, outcome, wake)
    elif isinstance(outcome, NotFound):
        _absent(case, ask, wake)
    elif isinstance(outcome, Credited):
        _credited(case, outcome, ask.supplier)
    else:
        _refused(case, outcome)
    return _given(case, was_open=was_open)


def _given(case: Case, *, was_open: bool) -> Order | None:
    """The order, where its replacement was given just now."""
    return case.order if was_open and case.one.state is S.REPLACED else None


def _again(one: Replacement, wait_seconds: float | None) -> float:
    if wait_seconds is not None:
        return max(wait_seconds, 1.0)
    first = 1.0 if one.mode is Mode.TEST else AGAIN_SECONDS
    return float(min(first * 2 ** min(one.looks - 1, 20), AGAIN_SECONDS_MAX))


def _accepted(case: Case, outcome: Accepted, wake: int) -> None:
    if outcome.poll_after_seconds is not None:
        wake = case.at + micros(outcome.poll_after_seconds)
    changes = {"call": CallState.ACCEPTED, "supplier_claim_id": outcome.supplier_order_id, "wake_at": wake}
    if case.one.call is CallState.ACCEPTED:
        case.one = replace(case.one, wake_at=wake, supplier_claim_id=outcome.supplier_order_id)
        store.save_replacement(case.tx, case.one)
        return
    case.note(f"the supplier has the claim as {outcome.supplier_order_id}", **changes)


def _unknown(case: Case, outcome: Unknown, wake: int) -> None:
    known = outcome.supplier_order_id or case.one.supplier_claim_id
    if case.one.call in (CallState.UNKNOWN, CallState.ACCEPTED):
        case.one = replace(case.one, wake_at=wake, supplier_claim_id=known)
        store.save_replacement(case.tx, case.one)
        return
    case.note(
        f"nobody knows whether the supplier has it: {outcome.why}", call=CallState.UNKNOWN, supplier_claim_id=known, wake_at=wake
    )


def _absent(case: Case, ask: _Ask, wake: int) -> None:
    """The supplier has no such claim: believed once it can no longer be on its way."""
    settled = (case.one.asked_at or 0) + micros(ask.abilities.settle_seconds)
    if case.at < settled:
        case.one = replace(case.one, wake_at=min(wake, settled))
        store.save_replacement(case.tx, case.one)
        return
    case.note("the supplier has no such claim", call=CallState.ABSENT)
    if case.one.state is S.ASKING_SUPPLIER:
        _by_policy(case, "the claim did not reach the supplier")


def _refused(case: Case, outcome: Refused) -> None:
    """Its no ends the claim of a test order; of a live one somebody looks at the evidence."""
    case.note(f"the supplier refused: {outcome.reason[:300]}", call=CallState.REFUSED)
    if case.one.state is not S.ASKING_SUPPLIER:
        return
    if case.one.mode is Mode.TEST:
        case.refuse("the supplier refused", ACTOR)
    else:
        case.review("the supplier refused", ACTOR)


def _credited(case: Case, outcome: Credited, supplier: Supplier) -> None:
    """The supplier confirmed it, and gives its cost back: so do we, or give another code where the operator would rather."""
    given = outcome.amount
    case.note("the supplier gives its cost back" + ("" if given is None else f": {given}"), call=CallState.CREDITED)
    if given is not None and given.minor > 0 and supplier.id != SIMULATED.id:
        account = supplier_account(supplier.id, given.currency.code, case.order.mode)
        _book_purchase(case, account, Purpose.WRITE_OFFS if case.is_written_off else Purpose.COST_OF_GOODS, given)
    if not case.one.is_open:
        return
    if not case.is_standing:
        case.refuse("the order was taken back, or its money was", ACTOR)
    elif _was_restored_since(case):
        case.review(f"the supplier confirmed it and gave its cost back; {RESTORED}", ACTOR)
    elif case.may_be_refunded:
        case.review(f"the supplier confirmed it and gave its cost back; {PERHAPS_REFUNDED}", ACTOR)
    elif case.desk.policy.unasked == "stock":
        try:
            case.replace_from_stock("the supplier confirmed it and gave its cost back", ACTOR)
        except NothingToReplaceWith:
            _refund(case, "the supplier confirmed it and gave its cost back")
    else:
        _refund(case, "the supplier confirmed it and gave its cost back")


def _delivered(case: Case, outcome: Delivered) -> None:
    """The new code goes to the partner; where nobody waits for it any more it becomes stock."""
    new, known = split_known_codes(case.tx, case.desk.buying.books.keyring, case.brand_id, outcome.codes)
    expires_at = NEVER if outcome.expires_at is None else to_micros(outcome.expires_at)
    gives = case.one.is_open and case.is_standing and bool(new)
    mine, late = (new[:1], new[1:]) if gives else ([], new)
    cost = outcome.cost
    per_code = 0 if cost is None or not new else cost.minor // len(new)
    sentence = f"the supplier sent {len(outcome.codes)} codes" if len(outcome.codes) != 1 else "the supplier sent another code"
    case.note(sentence, call=CallState.DELIVERED)
    if known:
        case.note(f"{len(known)} of them were in the vault already: they are not given out again")
    supplier_id = case.one.supplier_id or ""
    if mine:
        case.replace_by_supplier(mine[0], expires_at, "the supplier replaced it", ACTOR)
        if cost is not None and cost.minor - per_code * len(late) > 0:
            account = supplier_account(supplier_id, cost.currency.code, case.order.mode)
            _book_purchase(case, Purpose.COST_OF_GOODS, account, replace(cost, minor=cost.minor - per_code * len(late)))
    if late and not case.is_topup:
        _stock_late(case, late, supplier_id, expires_at, per_code * len(late), cost)
    if case.one.is_open:
        if not case.is_standing:
            case.refuse("the order was taken back, or its money was", ACTOR)
        else:
            case.review("the supplier sent no code that we did not have already", ACTOR)


def _stock_late(
    case: Case, codes: Sequence[PlainCode], supplier_id: str, expires_at: int, cost_minor: int, cost: Money | None
) -> None:
    code = cost.currency.code if cost is not None else case.order.currency
    lot = stock_late_codes(
        case.tx,
        case.desk.buying.books.keyring,
        mode=case.order.mode,
        brand_id=case.brand_id,
        denomination_id=case.item.denomination_id,
        face_minor=case.item.face_minor,
        codes=codes,
        supplier=supplier_id,
        source=f"late codes of {case.one.id}",
        cost_minor=cost_minor,
        cost_currency=code,
        now=case.at,
        actor=ACTOR,
        expires_at=expires_at,
    )
    if cost_minor:
        account = supplier_account(supplier_id, code, case.order.mode)
        _book(case, Purpose.STOCK, account, cost_minor, code, TransferPurpose.STOCK_IN, lot.id)
    case.note(f"{len(codes)} codes came when nobody waited for them, and are in stock now")


def _book_purchase(case: Case, debit: Any, credit: Any, amount: Money) -> None:
    _book(case, debit, credit, amount.minor, amount.currency.code, TransferPurpose.PURCHASE, case.one.id)


def _book(case: Case, debit: Any, credit: Any, minor: int, code: str, purpose: TransferPurpose, reference: str) -> None:
    book(
        case.tx,
        debit=debit,
        credit=credit,
        amount_minor=minor,
        currency=code,
        mode=case.order.mode,
        node=case.desk.node,
        purpose=purpose,
        now=case.now,
        reference=reference,
        order_id=case.order.id,
    )


# --- outside the database ---------------------------------------------------------------------------------------------


def journal_given(desk: ReplacementDesk, order: Order | None) -> None:
    """What was given out is kept outside of the database too, so that a restored backup does not sell it again.

    A process that dies before its line is written has left a row with the code; ``journal_left_behind`` finds it, in whatever process.
    """
    if order is not None:
        _journal(desk, order.id)


def journal_left_behind(desk: ReplacementDesk) -> int:
    """Write the lines of codes that were given a while ago by a process that has not written them; how many orders'."""
    if desk.buying.journal is None:
        return 0
    with desk.db.read() as tx:
        found = store.unjournalled(tx, to_micros(desk.clock.now()) - micros(UNJOURNALLED_SECONDS))
    for order_id in found:
        try:
            _journal(desk, order_id)
        except Exception as error:  # its neighbours go on
            log.error("a replacement was not journalled", order_id=order_id, error=type(error).__name__)  # noqa: TRY400  # values in its text
    return len(found)


def _journal(desk: ReplacementDesk, order_id: OrderId) -> None:
    """The order's line, written again with all codes that it has now; then nobody need write it for them any more."""
    with desk.db.read() as tx:
        waiting = store.unjournalled_of(tx, order_id)
        (known,) = orders_store.load_orders(tx, [order_id])
        with_successors(tx, [known], keep_replaced=True)
    desk.buying.write_journal([journal_entry(known, to_micros(desk.clock.now()))])
    if waiting and desk.buying.journal is not None:
        desk.buying.write(lambda tx: store.mark_journalled(tx, waiting))
