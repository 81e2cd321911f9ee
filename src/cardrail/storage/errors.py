"""What can go wrong with copies, backups and the journal.

StorageError
├── CopyRefused
│   ├── DatabaseNotEmpty
│   └── SchemaMismatch
├── BackupError
│   ├── BackupExists
│   ├── BackupUnwritable
│   ├── BackupMissing
│   ├── BackupUnreadable
│   ├── BackupDamaged
│   ├── BackupTooNew
│   ├── NotADatabase
│   └── NotRestored
└── JournalError
    ├── JournalMissing
    └── JournalIncomplete
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class StorageError(CardrailError):
    """A copy, a backup or a journal cannot be used."""

    code = "storage_error"


class CopyRefused(StorageError):
    """The database cannot be copied."""

    code = "copy_refused"


class DatabaseNotEmpty(CopyRefused):
    """The target holds data already; nothing was written to it. Copy or restore into a fresh database."""

    code = "database_not_empty"


class SchemaMismatch(CopyRefused):
    """Both databases must be at this release's schema; run `cardrail migrate` on the one that is not."""

    code = "schema_mismatch"


class BackupError(StorageError):
    """A backup cannot be made or used."""

    code = "backup_error"


class BackupExists(BackupError):
    """There is a file of that name already; a backup never overwrites."""

    code = "backup_exists"


class BackupUnwritable(BackupError):
    """The backup file cannot be written there."""

    code = "backup_unwritable"


class BackupMissing(BackupError):
    """There is no such backup file."""

    code = "backup_not_found"


class BackupUnreadable(BackupError):
    """The file is not a backup that `cardrail backup` made."""

    code = "backup_unreadable"


class BackupDamaged(BackupError):
    """The backup does not pass its integrity check; use another one."""

    code = "backup_damaged"


class BackupTooNew(BackupError):
    """The backup was made by a newer release; restore it with that one."""

    code = "backup_too_new"


class NotADatabase(BackupError):
    """There is no database to back up yet; run `cardrail init` first."""

    code = "no_database"


class NotRestored(BackupError):
    """This database was not restored from a backup: there is nothing to release."""

    code = "not_restored"


class JournalError(StorageError):
    """The journal of allocations cannot be used."""

    code = "journal_error"


class JournalMissing(JournalError):
    """The folder holds no journal files; give the folder that the running instance wrote to."""

    code = "journal_missing"


class JournalIncomplete(JournalError):
    """The journal has lines that cannot be read, or says itself that orders are missing from it. Accept that only on purpose."""

    code = "journal_incomplete"
