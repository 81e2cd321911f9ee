"""Reconciling with suppliers: files that are taken or refused, differences that are found, named, and booked."""

from __future__ import annotations

import io
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cardrail.kernel import Mode, to_micros
from cardrail.ledger import Purpose, platform_balances, verify_ledger
from cardrail.settlement import (
    BadLines,
    BadStatementLine,
    DifferenceResolved,
    ImportedStatement,
    ImportReplaced,
    InvalidMapping,
    InvalidPeriod,
    InvalidResolution,
    Mapping,
    Match,
    MatchKind,
    OurPurchase,
    PurchaseState,
    Resolution,
    StatementImported,
    TheirLine,
    UnreadableStatement,
    assign_difference,
    compare,
    import_supplier_file,
    list_differences,
    list_supplier_statements,
    match_all,
    parse_mapping,
    read_statement,
    reconciled_orders,
    resolve_difference,
    run_matching,
)
from cardrail.storage import Database, metadata
from tests.build import NODE
from tests.memory import memory_peak
from tests.settlement.build import START, Ledgers

MAPPING = """
[columns]
our_reference = "Client ref"
their_reference = "Order"
amount = "Total"
state = "Status"
at = "Date"
[states]
completed = "delivered"
refunded = "refunded"
failed = "failed"
"""
HEADER = "Order,Client ref,Date,Total,Status\n"
D, R, P, F = PurchaseState.DELIVERED, PurchaseState.REFUNDED, PurchaseState.PENDING, PurchaseState.FAILED


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "gap"),
    [
        ((100, D), (100, D), MatchKind.EQUAL, 0),
        ((100, D), (120, D), MatchKind.AMOUNT, 20),
        ((100, D), (90, D), MatchKind.AMOUNT, -10),
        ((None, D), (90, D), MatchKind.AMOUNT, 90),
        ((100, D), (100, R), MatchKind.STATE, -100),
        ((100, R), (100, D), MatchKind.STATE, 100),
        ((100, P), (100, D), MatchKind.STATE, 0),
        ((None, F), (100, D), MatchKind.STATE, 100),
        ((None, F), (100, F), MatchKind.EQUAL, 0),
        ((100, R), (100, R), MatchKind.EQUAL, 0),
        ((100, D), None, MatchKind.ONLY_OURS, -100),
        ((100, R), None, MatchKind.ONLY_OURS, 0),
        ((100, P), None, MatchKind.ONLY_OURS, -100),
        ((None, F), None, None, 0),
        (None, (100, D), MatchKind.ONLY_THEIRS, 100),
        (None, (100, F), MatchKind.ONLY_THEIRS, 0),
    ],
)
def test_every_pair_of_sides_has_its_kind(
    ours: tuple[int | None, PurchaseState] | None,
    theirs: tuple[int, PurchaseState] | None,
    kind: MatchKind | None,
    gap: int,
) -> None:
    ours_ = OurPurchase("k", "att_1", "ord_1", *ours) if ours else None
    theirs_ = TheirLine("k", 2, *theirs) if theirs else None
    found = compare(ours_, theirs_)
    assert (found.kind if found else None, found.gap_minor if found else 0) == (kind, gap)


def planted(count: int, differences: int) -> tuple[list[OurPurchase], list[TheirLine], dict[str, MatchKind]]:
    """Two sides that agree but for so many differences of every kind, and which those are."""
    dice = random.Random(6)
    ours = [OurPurchase(f"ref-{n:07d}", f"att_{n}", f"ord_{n}", dice.randint(1, 99_999), D) for n in range(count)]
    theirs = [TheirLine(one.key, n + 2, one.amount_minor or 0, D) for n, one in enumerate(ours)]
    wrong: dict[str, MatchKind] = {}
    kinds = [MatchKind.AMOUNT, MatchKind.STATE, MatchKind.ONLY_OURS, MatchKind.ONLY_THEIRS]
    for place, n in enumerate(dice.sample(range(count), differences)):
        kind = wrong[ours[n].key] = kinds[place % 4]
        if kind is MatchKind.AMOUNT:
            theirs[n] = replace(theirs[n], amount_minor=theirs[n].amount_minor + dice.choice([-1, 1, 5_000]))
        elif kind is MatchKind.STATE:
            theirs[n] = replace(theirs[n], state=R)
        elif kind is MatchKind.ONLY_OURS:
            theirs[n] = replace(theirs[n], key="")
        else:
            ours[n] = replace(ours[n], key="")
    return [one for one in ours if one.key], [one for one in theirs if one.key], wrong


def differing(found: list[Match]) -> dict[str, MatchKind]:
    return {one.key: one.kind for one in found if one.kind is not MatchKind.EQUAL}


def test_exactly_the_planted_differences_are_found() -> None:
    ours, theirs, wrong = planted(2_000, 50)
    random.Random(1).shuffle(theirs)
    assert differing(list(match_all(ours, theirs))) == wrong


# --- reading ----------------------------------------------------------------------------------------------------------


def read(text: str | bytes, mapping: str = MAPPING, **facts: Any) -> list[TheirLine | BadStatementLine]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_statement(io.BytesIO(data), parse_mapping(mapping), "INR", **facts))


GOOD = "A1,r1,2026-01-10,12.50,completed\n"


def test_a_line_is_read_as_the_mapping_says() -> None:
    (line,) = read(HEADER + GOOD)
    assert line == TheirLine("r1", 2, 1250, D, "r1", "A1", None, to_micros(START.replace(hour=0)))


@pytest.mark.parametrize(
    ("line", "column", "problem"),
    [
        ('A1,r1,2026-01-10,"1,250.00",completed', "Total", "has a ','"),
        ("A1,r1,2026-01-10,12.505,completed", "Total", "not an amount"),
        ("A1,r1,2026-01-10,,completed", "Total", "not an amount"),
        ("A1,r1,2026-01-10,12.50 INR,completed", "Total", "not an amount"),
        ("A1,r1,10/01/2026,12.50,completed", "Date", "not a date"),
        ("A1,r1,2026-13-01,12.50,completed", "Date", "not a date"),
        ("A1,r1,2026-01-10,12.50,shipped", "Status", "none of the states"),
        ("A1,,2026-01-10,12.50,completed", "Client ref", "empty"),
        ("A1,r1,2026-01-10", None, "3 fields"),
        ('A1,"r1"x,2026-01-10,12.50,completed', None, "not CSV"),
        ("A1,r\x071,2026-01-10,12.50,completed", "Client ref", "cannot be printed"),
    ],
)
def test_a_bad_line_is_told_with_its_line_and_column(line: str, column: str | None, problem: str) -> None:
    before, bad, after = read(HEADER + GOOD.replace("r1", "r0") + line + "\n" + GOOD.replace("r1", "r9"))
    assert isinstance(before, TheirLine)
    assert isinstance(after, TheirLine)
    assert isinstance(bad, BadStatementLine)
    assert (bad.line, bad.column) == (3, column)
    assert problem in bad.problem


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"Order,Ref,Date,Total,Status\n", 1, "the header has the column 'Client ref' not"),
        (b"Order,Client ref,Client ref,Date,Total,Status\n", 1, "the header has the column 'Client ref' twice"),
        (b"", 1, "the header has the column"),
        (HEADER.encode("utf-16"), 1, "UTF-16"),
        (HEADER.encode() + "A1,caf\xe9,2026-01-10,1,completed\n".encode("latin-1"), 2, "byte 0xe9 is not utf-8"),
        (HEADER.encode() + b"A1,r\x00,2026-01-10,1,completed\n", 2, "zero byte"),
        (HEADER.encode() + b"x" * 70_000 + b"\n", 2, "a line of more than"),
    ],
)
def test_a_file_that_is_not_what_the_mapping_says_is_refused(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(UnreadableStatement) as refused:
        read(data)
    assert refused.value.facts["line"] == line
    assert reason in str(refused.value.facts["reason"])


@pytest.mark.parametrize("cut", ["A2,r2,2026-01-10,12", "A2,r2,2026-01-10,12.50,completed", 'A2,"r2'])
def test_half_a_line_at_the_end_is_never_taken_for_a_whole_one(cut: str) -> None:
    found = read(HEADER + GOOD + cut)
    assert "cut off" in found[-1].problem  # type: ignore[union-attr]
    allowed = read(HEADER + GOOD + "A2,r2,2026-01-10,12.50,completed", "final_newline = false\n" + MAPPING)
    assert all(isinstance(one, TheirLine) for one in allowed)


def test_other_ways_of_writing_are_read_where_the_mapping_names_them() -> None:
    mapping = 'delimiter = ";"\ndecimal = ","\ndate = "%d.%m.%Y"\nencoding = "cp1252"\nsign = -1\n' + MAPPING
    (line,) = read("Order;Client ref;Date;Total;Status\nA1;café;10.01.2026;-1250,5;Completed\n".encode("cp1252"), mapping)
    assert isinstance(line, TheirLine)
    assert (line.key, line.amount_minor, line.at) == ("café", 125050, to_micros(START.replace(hour=0)))


def test_a_date_outside_the_period_is_a_bad_line() -> None:
    """What a file with day and month exchanged looks like, where both are possible."""
    since, until = to_micros(START.replace(day=1, hour=0)), to_micros(START.replace(month=2, day=1, hour=0))
    bad, _ = read(HEADER + "A1,r1,2026-10-01,1,completed\n" + GOOD, since=since, until=until)
    assert isinstance(bad, BadStatementLine)
    assert "outside" in bad.problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "columns = 1",
        "[columns]\namount = 1",
        '[columns]\namount = "a"',
        MAPPING + "[more]\n",
        'timezone = "Nowhere"\n' + MAPPING,
    ],
)
def test_a_mapping_that_says_too_little_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidMapping):
        parse_mapping(text)


# --- in the database --------------------------------------------------------------------------------------------------

Import = Callable[..., ImportedStatement]


@pytest.fixture
def take(ledgers: Ledgers, tmp_path: Path) -> Import:
    """Import a file of these lines as the supplier acme's."""

    def work(text: str | bytes, mapping: Mapping | None = None, **facts: Any) -> ImportedStatement:
        path = tmp_path / "statement.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        world = ledgers.world
        given = {"supplier": "acme", "currency": "INR", "actor": "test", **facts}
        return import_supplier_file(world.db, world.clock, world.audit, path, mapping or parse_mapping(MAPPING), **given)

    return work


def a_supplier(db: Database) -> None:
    """The supplier that attempts point to."""
    row = {"id": "sup_acme", "name": "acme", "kind": "simulated", "mode": "live", "state": "active", "currency": "INR"}
    table = metadata.tables["suppliers"]
    with db.transaction() as tx:
        tx.execute(sa.insert(table), row | {"config": "{}", "created_at": 1, "updated_at": 1})


def attempts(db: Database, purchases: list[OurPurchase]) -> None:
    """What we asked of acme, as sourcing would have written it."""
    states = {D: "delivered", R: "invalidated", P: "unknown", F: "refused"}
    rows: list[dict[str, Any]] = [
        {
            "id": one.purchase_id,
            "order_id": one.order_id,
            "line": 1,
            "n": 1,
            "mode": "live",
            "supplier_id": "sup_acme",
            "supplier_sku": "x",
            "denomination_id": "den_x",
            "face_minor": 100,
            "quantity": 1,
            "reference": one.key,
            "state": states[one.state],
            "supplier_order_id": f"their-{one.key}",
            "delivered": 1 if one.state is D else 0,
            "max_cost_minor": one.amount_minor or 1,
            "cost_minor": one.amount_minor,
            "cost_currency": "INR",
            "asked_at": to_micros(START),
            "look_at": to_micros(START),
            "deadline_at": to_micros(START),
        }
        for one in purchases
    ]
    table = metadata.tables["attempts"]
    needed = [one for one in table.c if not one.nullable and one.server_default is None and one.name not in rows[0]]
    others: dict[str, Any] = {
        one.name: 1 if isinstance(one.type, sa.BigInteger) else "x" for one in needed
    }  # what does not matter here
    with db.transaction() as tx:
        tx.execute(sa.insert(table), [others | row for row in rows])


def a_file(lines: list[TheirLine]) -> str:
    words = {D: "completed", R: "refunded", F: "failed"}
    return HEADER + "".join(
        f"their-{one.key},{one.key},2026-01-10,{one.amount_minor // 100}.{one.amount_minor % 100:02d},{words[one.state]}\n"
        for one in lines
    )


@pytest.mark.prove
def test_a_file_is_matched_order_by_order_and_what_agrees_is_reconciled(
    ledgers: Ledgers, take: Import, full_counts: bool, proved: Callable[[str], None]
) -> None:
    count = 100_000 if full_counts else 400
    world = ledgers.world
    ours, theirs, wrong = planted(count, 50 if full_counts else 20)
    a_supplier(world.db)
    attempts(world.db, ours)
    imported = take(a_file(theirs))
    assert (imported.statement.lines, imported.bad) == (len(theirs), [])
    done = run_matching(world.db, world.clock, world.audit, imported.statement.id, actor="test")
    with world.db.read() as tx:
        found = list_differences(tx, done.id)
        sample = [one for one in ours if one.key not in wrong][:100]
        reconciled = reconciled_orders(tx, [one.order_id or "" for one in sample])
        different = reconciled_orders(tx, [one.order_id or "" for one in ours if one.key in wrong])
    assert {one.key: MatchKind(one.kind) for one in found} == wrong
    assert all(one.reason for one in found)
    assert done.counts == {**Counter(kind.value for kind in wrong.values()), "equal": count - len(wrong)}
    assert (len(reconciled), different) == (len(sample), set())
    proved(f"{world.db.backend}: exactly {len(wrong)} planted differences found among {count:,} purchases")


def test_matching_by_their_numbers_finds_the_same(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    ours, theirs, wrong = planted(60, 8)
    a_supplier(world.db)
    attempts(world.db, ours)
    mapping = parse_mapping('match_by = "their_reference"\n' + MAPPING)
    one = take(a_file(theirs), mapping).statement
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        assert {found.key.removeprefix("their-"): MatchKind(found.kind) for found in list_differences(tx, one.id)} == wrong


def test_a_purchase_of_another_period_is_not_missed_and_a_line_about_it_is_compared(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    a_supplier(world.db)
    attempts(world.db, [OurPurchase("early", "att_1", "ord_1", 500, D), OurPurchase("other", "att_2", "ord_2", 500, D)])
    later = to_micros(START.replace(day=20))
    text = HEADER + "x,early,2026-01-25,5.00,completed\n"
    one = take(text, since=later).statement
    done = run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    assert {kind: count for kind, count in done.counts.items() if count} == {"equal": 1}


def test_stock_is_matched_by_the_invoice_that_its_import_named(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    world.stock("TEA", ["a", "b"], cost="80", supplier="acme", source_name="invoice-1")
    world.stock("TEA", ["c"], cost="80", supplier="acme", source_name="invoice-2")
    mapping = parse_mapping('match_by = "their_reference"\n' + MAPPING)
    one = take(HEADER + "invoice-1,,2026-01-10,160.00,completed\ninvoice-2,,2026-01-10,85.00,completed\n", mapping).statement
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        (found,) = list_differences(tx, one.id)
    assert (found.key, found.kind, found.gap_minor, found.reason) == ("invoice-2", "amount", 500, "500 minor units more there")


def test_bad_lines_refuse_the_whole_file_or_are_listed(ledgers: Ledgers, take: Import) -> None:
    text = HEADER + GOOD + "A2,r2,2026-01-10,x,completed\n" + GOOD
    with pytest.raises(BadLines) as refused:
        take(text)
    assert (refused.value.facts["count"], refused.value.facts["line"], refused.value.facts["column"]) == (2, 3, "Total")
    with ledgers.world.db.read() as tx:
        for name in ("supplier_statements", "supplier_lines"):
            assert tx.execute(sa.select(sa.func.count()).select_from(metadata.tables[name])).scalar_one() == 0
    imported = take(text, refuse_bad=False)
    assert (imported.statement.lines, imported.statement.refused) == (1, 2)
    assert [(one.line, one.column) for one in imported.bad] == [(3, "Total"), (4, "Client ref")]


def test_the_same_file_is_imported_once(ledgers: Ledgers, take: Import) -> None:
    take(HEADER + GOOD)
    with pytest.raises(StatementImported):
        take(HEADER + GOOD)
    with ledgers.world.db.read() as tx:
        assert len(list_supplier_statements(tx)) == 1


def test_what_an_import_that_died_left_is_taken_away_by_the_next(ledgers: Ledgers, take: Import) -> None:
    with pytest.raises(UnreadableStatement):
        take(HEADER.encode() + GOOD.encode() * 1 + b"\xff\n")
    take(HEADER + GOOD)


@pytest.mark.prove
def test_a_file_of_any_length_is_taken_in_pieces_and_a_line_that_comes_twice_is_told_however_far_the_first(
    ledgers: Ledgers, tmp_path: Path, full_counts: bool, proved: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1_000_000 if full_counts else 400
    if not full_counts:
        monkeypatch.setattr("cardrail.settlement.reconcile.WRITTEN", 50)
    world, path, last = ledgers.world, tmp_path / "theirs.csv", f"A0,r{0:07d},2026-01-10,1.50,completed\n"
    with path.open("w") as file:
        file.write(HEADER)
        for n in range(count):
            file.write(f"A{n},r{n * 7_919 % count:07d},2026-01-10,{n % 999 + 1}.50,completed\n")
    told: list[tuple[int, int]] = []
    facts: dict[str, Any] = {"supplier": "acme", "currency": "INR", "actor": "test"}
    books = world.db, world.clock, world.audit
    began, before = time.monotonic(), memory_peak(anew=True)
    imported = import_supplier_file(
        *books, path, parse_mapping(MAPPING), **facts, progress=lambda done, read: told.append((done, read))
    )
    seconds, grown = time.monotonic() - began, (memory_peak() - before) // 1024
    assert (imported.statement.lines, imported.bad) == (count, [])
    assert told[-1] == (count, path.stat().st_size)
    assert grown <= 100  # of which 64 are the cache of SQLite
    with path.open("a") as file:
        file.write(last)
    with pytest.raises(BadLines) as refused:
        import_supplier_file(*books, path, parse_mapping(MAPPING), **facts)
    assert (refused.value.facts["count"], refused.value.facts["line"], refused.value.facts["column"]) == (
        1,
        count + 2,
        "Client ref",
    )
    assert [one.problem for one in refused.value.facts["lines"]] == ["the same as line 2"]  # type: ignore[attr-defined]
    with world.db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(metadata.tables["supplier_lines"])).scalar_one() == count
    began = time.monotonic()
    done = run_matching(world.db, world.clock, world.audit, imported.statement.id, actor="test")
    assert done.counts["only_theirs"] == count
    proved(
        f"{world.db.backend}: {count:,} lines taken in {seconds:.0f} s (+{grown} MB), {time.monotonic() - began:.0f} s matched"
    )


def test_of_two_imports_of_one_file_at_once_one_is_taken_whole(ledgers: Ledgers, take: Import) -> None:
    """The second begins while the first reads: the first ends, and takes nothing of the second with it."""
    begun: list[ImportedStatement] = []

    def second(_done: int, _read: int) -> None:
        if not begun:
            begun.append(take(text))

    text = HEADER + GOOD + GOOD.replace("r1", "r2")
    with pytest.raises((ImportReplaced, StatementImported)):
        take(text, progress=second)
    with ledgers.world.db.read() as tx:
        assert [one.lines for one in list_supplier_statements(tx)] == [2]
        assert tx.execute(sa.select(sa.func.count()).select_from(metadata.tables["supplier_lines"])).scalar_one() == 2


def platform(ledgers: Ledgers, purpose: Purpose) -> int:
    with ledgers.world.db.read() as tx:
        return sum(one.balance_minor for one in platform_balances(tx) if one.purpose is purpose)


@pytest.mark.parametrize(
    ("resolution", "account"),
    [
        (Resolution.WRITE_OFF, Purpose.WRITE_OFFS),
        (Resolution.CLAIM, Purpose.CLAIMS),
        (Resolution.CORRECTION, Purpose.COST_OF_GOODS),
    ],
)
def test_a_resolution_is_booked_and_its_order_counts_as_reconciled(
    ledgers: Ledgers, take: Import, resolution: Resolution, account: Purpose
) -> None:
    world = ledgers.world
    a_supplier(world.db)
    attempts(world.db, [OurPurchase("r1", "att_1", "ord_1", 1000, D)])
    one = take(HEADER + GOOD).statement
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        (found,) = list_differences(tx, one.id)
        assert reconciled_orders(tx, ["ord_1"]) == set()
    assign_difference(world.db, world.clock, world.audit, found.id, "anna", actor="test")
    done = resolve_difference(world.db, world.clock, world.audit, found.id, resolution, node=NODE, actor="test", note="agreed")
    assert (done.owner, done.state, done.resolution, done.transfer_id is not None) == ("anna", "resolved", resolution.value, True)
    assert (platform(ledgers, account), platform(ledgers, Purpose.SUPPLIER)) == (250, -250)
    with world.db.read() as tx:
        assert reconciled_orders(tx, ["ord_1", "ord_2"]) == {"ord_1"}
        assert verify_ledger(tx) == []
    with pytest.raises(DifferenceResolved):
        resolve_difference(world.db, world.clock, world.audit, found.id, resolution, node=NODE, actor="test")
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")  # what was resolved stays resolved
    with world.db.read() as tx:
        assert [(kept.id, kept.state) for kept in list_differences(tx, one.id)] == [(found.id, "resolved")]
        assert reconciled_orders(tx, ["ord_1"]) == {"ord_1"}


def test_what_differs_still_keeps_its_owner_when_it_is_matched_again(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    a_supplier(world.db)
    attempts(world.db, [OurPurchase("r1", "att_1", "ord_1", 1000, D), OurPurchase("r2", "att_2", "ord_2", 1000, D)])
    one = take(HEADER + GOOD + GOOD.replace("r1", "r2")).statement
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        first, second = list_differences(tx, one.id)
    for found in (first, second):
        assign_difference(world.db, world.clock, world.audit, found.id, "anna", actor="test")
    table = metadata.tables["attempts"]
    with world.db.transaction() as tx:  # what was told of one is right now, and of the other is wrong in another way
        tx.execute(sa.update(table).where(table.c.id == first.purchase_id).values(cost_minor=1250))
        tx.execute(sa.update(table).where(table.c.id == second.purchase_id).values(cost_minor=1249))
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        (still,) = list_differences(tx, one.id)
    assert (still.id, still.owner, still.gap_minor, still.created_at) == (second.id, "anna", 1, second.created_at)


def test_a_period_that_ends_before_it_begins_is_refused(ledgers: Ledgers, take: Import) -> None:
    with pytest.raises(InvalidPeriod):
        take(HEADER + GOOD, since=2, until=1)


def test_what_they_charge_too_little_cannot_be_claimed_and_is_kept_by_a_write_off(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    a_supplier(world.db)
    attempts(world.db, [OurPurchase("r1", "att_1", "ord_1", 1500, D)])
    one = take(HEADER + GOOD).statement
    run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    with world.db.read() as tx:
        (found,) = list_differences(tx, one.id)
    with pytest.raises(InvalidResolution):
        resolve_difference(world.db, world.clock, world.audit, found.id, Resolution.CLAIM, node=NODE, actor="test")
    resolve_difference(world.db, world.clock, world.audit, found.id, Resolution.WRITE_OFF, node=NODE, actor="test")
    assert (platform(ledgers, Purpose.WRITE_OFFS), platform(ledgers, Purpose.SUPPLIER)) == (-250, 250)


def test_modes_never_meet(ledgers: Ledgers, take: Import) -> None:
    world = ledgers.world
    a_supplier(world.db)
    attempts(world.db, [OurPurchase("r1", "att_1", "ord_1", 1250, D)])
    one = take(HEADER + GOOD, mode=Mode.TEST).statement
    done = run_matching(world.db, world.clock, world.audit, one.id, actor="test")
    assert (done.counts["only_theirs"], done.counts["equal"]) == (1, 0)
