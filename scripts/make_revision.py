"""Write the next migration from the difference between the tables in the code and a freshly migrated SQLite file: `make revision M="…"`."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from cardrail.storage import Database
from cardrail.storage.migrations import migrate
from cardrail.storage.migrations.tables import metadata

FOLDER = Path(__file__).parent.parent / "src/cardrail/storage/migrations"


def main(message: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/empty.db")
        migrate(db)
        with db.transaction() as tx:
            config.attributes["connection"] = tx
            config.attributes["target_metadata"] = metadata
            command.revision(config, message=message, rev_id=revision, autogenerate=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
