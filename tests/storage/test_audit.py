"""The audit log: what was written is what is read, and whatever is done to it afterwards is found."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardrail.kernel import FrozenClock, InvalidCursor, PlainCode, Secret
from cardrail.storage import (
    Anchor,
    AuditBreak,
    AuditFilter,
    AuditLog,
    Database,
    Tx,
    anchor_heads,
    audit_entry,
    list_audit,
    verify_audit,
)
from cardrail.storage.audit_tables import audit, audit_anchors, audit_heads

KEY = b"k" * 32
FIELDS = [column.name for column in audit.c if not column.primary_key]


def write(db: Database, clock: FrozenClock, count: int = 5, chain: str = "main/lane") -> None:
    """Append ``count`` rows, one transaction each."""
    log = AuditLog(KEY, chain)
    for i in range(count):
        clock.advance(seconds=1)
        entry = audit_entry(
            clock.now(), "key_1", "code.revealed", f"ord_{i}", partner_id="par_1", origin="192.0.2.1", details={"n": i}
        )
        with db.transaction() as tx:
            log.append(tx, [entry])


def breaks(db: Database, kept: Anchor | None = None) -> list[AuditBreak]:
    with db.read() as tx:
        return verify_audit(tx, KEY, kept=kept)


def places(db: Database) -> set[tuple[str, str]]:
    return {(found.chain, found.place) for found in breaks(db)}


def cut_end(tx: Tx, rows: int, chain: str = "main/lane") -> None:
    """Take the last rows off a chain, and make its head say so as well as somebody without the key can."""
    last = tx.execute(sa.select(sa.func.max(audit.c.seq)).where(audit.c.chain == chain)).scalar_one()
    tx.execute(sa.delete(audit).where(audit.c.chain == chain, audit.c.seq > last - rows))
    end = tx.execute(sa.select(audit.c.hash).where(audit.c.chain == chain, audit.c.seq == last - rows)).scalar_one()
    tx.execute(sa.update(audit_heads).where(audit_heads.c.chain == chain).values(seq=last - rows, hash=end))


def test_what_is_appended_is_listed_newest_first_and_verifies(db: Database) -> None:
    clock = FrozenClock()
    write(db, clock, 3)
    with db.read() as tx:
        page = list_audit(tx, AuditFilter())
    assert [row.seq for row in page.items] == [3, 2, 1]
    assert page.items[0].entry == audit_entry(
        clock.now(), "key_1", "code.revealed", "ord_2", partner_id="par_1", origin="192.0.2.1", details={"n": 2}
    )
    assert breaks(db) == []


def test_an_empty_log_verifies(db: Database) -> None:
    assert breaks(db) == []


def test_several_entries_of_one_append_are_numbered_in_order(db: Database) -> None:
    entries = [audit_entry(FrozenClock().now(), "cli", f"thing.{i}") for i in range(300)]
    with db.transaction() as tx:
        AuditLog(KEY, "cli").append(tx, entries)
        AuditLog(KEY, "cli").append(tx, [])
    with db.read() as tx:
        rows = list_audit(tx, AuditFilter(), limit=1_000).items
    assert {row.seq: row.entry.action for row in rows} == {i + 1: f"thing.{i}" for i in range(300)}
    assert breaks(db) == []


def test_a_rolled_back_entry_leaves_no_gap(db: Database) -> None:
    write(db, FrozenClock(), 2)
    entry = audit_entry(FrozenClock().now(), "cli", "thing.done")
    with db.transaction() as tx, tx.begin_nested() as savepoint:
        AuditLog(KEY, "main/lane").append(tx, [entry])
        savepoint.rollback()
    write(db, FrozenClock(), 1)
    assert breaks(db) == []


def test_writers_of_one_chain_that_has_no_head_yet_wait_for_each_other(db: Database) -> None:
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        write(db, FrozenClock(), 5, "shared")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as tx:
        assert sorted(row.seq for row in list_audit(tx, AuditFilter()).items) == list(range(1, 21))
    assert breaks(db) == []


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seq=st.integers(1, 5), data=st.data())
def test_a_changed_field_of_any_row_is_found(db: Database, field: str, seq: int, data: st.DataObject) -> None:
    if _count(db) == 0:
        write(db, FrozenClock())
    column = audit.c[field]
    here = (audit.c.chain == "main/lane") & (audit.c.seq == seq)
    kinds: dict[type, st.SearchStrategy[object]] = {
        int: st.integers(0, 2**62),
        str: st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        bytes: st.binary(),
    }
    with db.transaction() as tx:
        old = tx.execute(sa.select(column).where(here)).scalar_one()
        new = data.draw(kinds[column.type.python_type].filter(lambda one: one != old))
        tx.execute(sa.update(audit).where(here).values({field: new}))
    assert ("main/lane", str(seq)) in places(db)
    with db.transaction() as tx:
        tx.execute(sa.update(audit).where(here).values({field: old}))
    assert breaks(db) == []


def _count(db: Database) -> int:
    with db.read() as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one())


@pytest.mark.parametrize("field", ["subject", "partner_id", "origin", "details"])
def test_a_field_that_was_emptied_is_found(db: Database, field: str) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.update(audit).where(audit.c.seq == 4).values({field: None}))
    assert places(db) == {("main/lane", "4")}


def test_a_text_moved_from_one_field_to_the_next_is_found(db: Database) -> None:
    with db.transaction() as tx:
        AuditLog(KEY, "cli").append(tx, [audit_entry(FrozenClock().now(), "ab", "c")])
        tx.execute(sa.update(audit).values(actor="a", action="bc"))
    assert places(db) == {("cli", "1")}


@pytest.mark.parametrize("seq", [1, 3])
def test_a_row_taken_out_is_found(db: Database, seq: int) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.delete(audit).where(audit.c.seq == seq))
    assert breaks(db) == [AuditBreak("main/lane", str(seq), f"rows {seq} to {seq} are missing")]


def test_a_row_taken_out_is_found_when_the_later_ones_move_up(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.delete(audit).where(audit.c.seq == 3))
        for seq in (4, 5):
            tx.execute(sa.update(audit).where(audit.c.seq == seq).values(seq=seq - 1))
        tx.execute(sa.update(audit_heads).values(seq=4))
    assert ("main/lane", "3") in places(db)


def test_two_rows_that_changed_places_are_found(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            tx.execute(sa.update(audit).where(audit.c.seq == old).values(seq=new))
    assert {("main/lane", "2"), ("main/lane", "3")} <= places(db)


def test_a_row_put_at_the_end_without_the_key_is_found(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        AuditLog(b"another key", "main/lane").append(tx, [audit_entry(FrozenClock().now(), "cli", "thing.done")])
    assert places(db) == {("main/lane", "6")}


def test_rows_moved_to_another_chain_are_found(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.update(audit).values(chain="cli"))
        tx.execute(sa.update(audit_heads).values(chain="cli"))
    assert ("cli", "1") in places(db)


def test_an_end_cut_off_is_found_by_the_head(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.delete(audit).where(audit.c.seq > 3))
    assert breaks(db) == [AuditBreak("main/lane", "3", "the chain should end with row 5, as its head says")]


def test_an_end_cut_off_is_found_though_the_head_was_moved_too(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        cut_end(tx, 2)
    assert places(db) == {("main/lane", "3")}


@pytest.mark.parametrize("table", [audit, audit_heads], ids=["rows", "head"])
def test_a_chain_that_lost_its_rows_or_its_head_is_found(db: Database, table: sa.Table) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        tx.execute(sa.delete(table))
    assert len(breaks(db)) == 1


def test_a_chain_set_back_to_an_older_copy_is_found_by_its_anchor(db: Database) -> None:
    clock = FrozenClock()
    write(db, clock, 3)
    with db.read() as tx:
        older = tx.execute(sa.select(audit_heads)).one()._asdict()
    write(db, clock, 2)
    with db.transaction() as tx:
        anchor_heads(tx, clock, KEY)
    write(db, clock, 2)
    assert breaks(db) == []
    with db.transaction() as tx:
        tx.execute(sa.delete(audit).where(audit.c.seq > 3))
        tx.execute(sa.update(audit_heads).values(older))
    assert [found.problem for found in breaks(db)] == ["the chain was anchored at row 5 on 2026-01-01; its end was cut off"]


def test_a_whole_chain_taken_away_is_found_by_its_anchor(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        anchor_heads(tx, FrozenClock(), KEY)
        tx.execute(sa.delete(audit))
        tx.execute(sa.delete(audit_heads))
    assert len(breaks(db)) == 2


def test_an_anchor_is_made_once_a_day_and_leans_on_the_one_before(db: Database) -> None:
    clock = FrozenClock()
    anchors = []
    for _day in range(3):
        write(db, clock, 2)
        with db.transaction() as tx:
            anchors.append(anchor_heads(tx, clock, KEY))
        write(db, clock, 1)
        with db.transaction() as tx:
            assert anchor_heads(tx, clock, KEY) == anchors[-1]
        clock.advance(days=1)
    assert [anchor.day for anchor in anchors] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert breaks(db, kept=anchors[0]) == breaks(db, kept=anchors[2]) == []
    with db.transaction() as tx:
        tx.execute(sa.delete(audit_anchors).where(audit_anchors.c.day == "2026-01-02"))
    assert places(db) == {("anchors", "2026-01-03")}


def test_a_changed_anchor_is_found(db: Database) -> None:
    write(db, FrozenClock())
    with db.transaction() as tx:
        anchor_heads(tx, FrozenClock(), KEY)
        tx.execute(sa.update(audit_anchors).values(heads="{}"))
    assert places(db) == {("anchors", "2026-01-01")}


def test_a_log_that_was_wholly_set_back_is_found_by_an_anchor_kept_elsewhere(db: Database) -> None:
    clock = FrozenClock()
    with db.transaction() as tx:
        kept = anchor_heads(tx, clock, KEY)
        tx.execute(sa.delete(audit_anchors))
    assert breaks(db) == []
    assert [found.chain for found in breaks(db, kept=kept)] == ["anchors"]


def test_with_the_wrong_key_everything_is_a_break_but_not_an_endless_list(db: Database) -> None:
    with db.transaction() as tx:
        AuditLog(KEY, "cli").append(tx, [audit_entry(FrozenClock().now(), "cli", "thing.done")] * 1_500)
    with db.read() as tx:
        assert len(verify_audit(tx, b"another key")) == 1_000


@pytest.mark.parametrize("secret", [Secret("s3cret"), PlainCode("AAAA-BBBB")])
def test_a_secret_in_the_details_is_refused(db: Database, secret: object) -> None:
    entry = audit_entry(FrozenClock().now(), "cli", "code.revealed", details={"code": secret})
    with pytest.raises(TypeError), db.transaction() as tx:
        AuditLog(KEY, "cli").append(tx, [entry])


# --- listing -----------------------------------------------------------------------------------------------------------


def actions(db: Database, filters: AuditFilter) -> list[str]:
    with db.read() as tx:
        return [row.entry.action for row in list_audit(tx, filters).items]


@pytest.fixture
def mixed(db: Database) -> FrozenClock:
    """Four entries, a minute apart."""
    clock = FrozenClock()
    reveals = {"reveals": [["ord_7", "key_1", "192.0.2.1", "lot_1", 5, 2], ["ord_8", "key_2", None, "lot_1", 7, 1]]}
    entries = [
        audit_entry(clock.now(), "cli", "key.created", "key_1", partner_id="par_1"),
        audit_entry(clock.now() + timedelta(minutes=1), "cli", "key.revoked", "key_1", partner_id="par_1"),
        audit_entry(clock.now() + timedelta(minutes=2), "system", "code.revealed", details=reveals),
        audit_entry(clock.now() + timedelta(minutes=3), "cli", "partner.created", "par_2", partner_id="par_2"),
    ]
    with db.transaction() as tx:
        AuditLog(KEY, "cli").append(tx, entries)
    return clock


def test_entries_are_found_by_partner_action_subject_and_time(db: Database, mixed: FrozenClock) -> None:
    assert actions(db, AuditFilter(partner_id="par_1")) == ["key.revoked", "key.created"]
    assert actions(db, AuditFilter(action="key.created")) == ["key.created"]
    assert actions(db, AuditFilter(action="key.")) == ["key.revoked", "key.created"]
    assert actions(db, AuditFilter(subject="par_2")) == ["partner.created"]
    assert actions(db, AuditFilter(since=mixed.now() + timedelta(minutes=3))) == ["partner.created"]
    assert actions(db, AuditFilter(until=mixed.now() + timedelta(minutes=1))) == ["key.created"]
    assert actions(db, AuditFilter(partner_id="par_1", action="partner.created")) == []


@pytest.mark.usefixtures("mixed")
def test_a_reveal_inside_a_batch_row_is_found_by_its_order(db: Database) -> None:
    assert actions(db, AuditFilter(subject="ord_7")) == ["code.revealed"]
    assert actions(db, AuditFilter(subject="ordX7")) == []
    assert actions(db, AuditFilter(subject="ord_")) == []


def test_pages_follow_one_another_without_a_row_twice(db: Database) -> None:
    entry = audit_entry(FrozenClock().now(), "cli", "thing.done")
    with db.transaction() as tx:
        for chain in ("a/1", "b"):
            AuditLog(KEY, chain).append(tx, [entry] * 5)
    seen, after = [], None
    with db.read() as tx:
        while True:
            page = list_audit(tx, AuditFilter(), after, limit=3)
            seen += [(row.chain, row.seq) for row in page.items]
            after = page.after
            if after is None:
                break
    assert seen == [(chain, seq) for chain in ("b", "a/1") for seq in range(5, 0, -1)]


@pytest.mark.parametrize("after", ["", "x", "1/x/cli", "-1/2/cli"])
def test_a_cursor_that_is_none_is_refused(db: Database, after: str) -> None:
    with pytest.raises(InvalidCursor), db.read() as tx:
        list_audit(tx, AuditFilter(), after)
