"""A worker to kill: `python -m tests.jobs.worker_process URL FOLDER`. Its step leaves a mark, and hangs while FOLDER/hang is there."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from cardrail.storage import Database
from tests.jobs.build import some_jobs


def main(url: str, folder: Path) -> None:
    def reach_outside(subject: str) -> None:
        with (folder / "marks").open("a") as marks:
            marks.write(f"{subject}\n")
        while (folder / "hang").exists():
            time.sleep(0.02)

    db = Database(url)
    jobs = some_jobs(db, reach_outside)
    jobs.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    (folder / "started").touch()
    try:
        while True:
            time.sleep(0.1)
    finally:
        jobs.stop(0)
        db.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
