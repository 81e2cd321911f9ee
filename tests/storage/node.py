"""A process that writes events until it is killed: ``python -m tests.storage.node <url> <seed>``.

Nodes write about the same subjects, each step after the one before it, some with rests in their transactions, some rolled back.
"""

from __future__ import annotations

import random
import sys
import time
from functools import partial

import sqlalchemy as sa

from cardrail.kernel import Mode, new_event_id
from cardrail.storage import EVENT_SERIES, Database, Sequencer, Tx, events, in_tx, insert_events

SUBJECTS = 6


def main(url: str, seed: int) -> None:
    db, rng = Database(url, pool=4), random.Random(seed)
    Sequencer(db, [EVENT_SERIES], pass_seconds=0.01, sweep_seconds=0.1).start()
    while True:
        subjects = sorted(rng.sample(range(SUBJECTS), rng.randint(1, 3)))
        try:
            in_tx(db, partial(_write, subjects=subjects, rng=rng))
        except _Never:
            continue


def _write(tx: Tx, subjects: list[int], rng: random.Random) -> None:
    for subject in subjects:
        if tx.dialect.name == "postgresql":
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": subject})
        last = (
            tx.execute(sa.select(sa.func.max(events.c.subject_seq)).where(events.c.subject_id == f"ord_{subject}")).scalar() or 0
        )
        insert_events(tx, [_event(f"ord_{subject}", last + n) for n in range(1, rng.randint(2, 12))])
        if rng.random() < 0.3:
            time.sleep(rng.random() * 0.01)
    if rng.random() < 0.1:
        raise _Never


def _event(subject: str, step: int) -> tuple[object, ...]:
    return (new_event_id(), "order.fulfilled", "par_1", Mode.LIVE.value, subject, step, None, None, None, "test", 1, None)


class _Never(Exception):
    """A use case that changes its mind."""


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
