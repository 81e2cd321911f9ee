"""What the vault refuses. No fact ever holds a code, a PIN or a piece of one.

VaultError
├── KeyProblem             KeyFileExists, KeyFileUnreadable, KeyFileExposed, InvalidKeyText, MissingMasterKey, WrongMasterKey,
│                          KeyNumberTaken
├── KeyInUse, NoNewMasterKey
├── CodeUnreadable         CodeMissing
├── StockMoved
├── LotNotFound            CodeNotFound
├── LotNotOpen             LotAlreadySold, LotHasBlocked
├── CodeAlreadySold, CodeNotSold, CodeNotBlocked, CodeRevoked, CodeAlreadyInStock
├── DuplicateBoundCode
└── ImportRefused          EmptyImport, MissingHeader, UnknownColumn, DamagedFile, TooManyCodes, ImportOvertaken,
                           InvalidImport, SharedImport
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardrail.kernel import CardrailError

if TYPE_CHECKING:
    from cardrail.vault.import_codes import ImportReport


class VaultError(CardrailError):
    """The vault cannot do this."""

    code = "vault_error"


class KeyProblem(VaultError):
    """The master keys cannot be used."""

    code = "key_problem"


class KeyFileExists(KeyProblem):
    """There is a key file already, and it is never overwritten: with it would go every code in the vault."""

    code = "key_file_exists"


class KeyFileUnreadable(KeyProblem):
    """The key file cannot be read. Without it no code can be opened: restore it from where it was kept."""

    code = "key_file_unreadable"


class KeyFileExposed(KeyProblem):
    """The key file can be read by others on this machine. Set its mode to 0600."""

    code = "key_file_exposed"


class InvalidKeyText(KeyProblem):
    """A master key is written as number:base64 of 32 bytes, each number once."""

    code = "invalid_key_text"


class MissingMasterKey(KeyProblem):
    """The database needs a master key that is not at hand. Put that number back into the key file or CARDRAIL_MASTER_KEYS."""

    code = "missing_master_key"


class WrongMasterKey(KeyProblem):
    """A master key at hand is not the one that the database was sealed with. Use the key file that belongs to this database."""

    code = "wrong_master_key"


class KeyNumberTaken(KeyProblem):
    """The key file has a master key of that number already: another rotation is on its way. Wait for it, then try again."""

    code = "key_number_taken"


class KeyInUse(VaultError):
    """The master key still wraps something, or is the current one. Rotate first."""

    code = "key_in_use"


class NoNewMasterKey(VaultError):
    """The keys come from the environment, which gives no newer one. Add a key with a higher number there, then rotate."""

    code = "no_new_master_key"


class CodeUnreadable(VaultError):
    """The sealed code does not open: its row was changed or moved, or the key is not its own."""

    code = "code_unreadable"


class CodeMissing(CodeUnreadable):
    """A code that was sold is not in the vault."""

    code = "code_missing"


class StockMoved(VaultError):
    """A slice was moved by somebody else; nothing was taken from it."""

    code = "stock_moved"
    retryable = True


class MasterKeyNotFound(VaultError):
    """There is no master key of this number."""

    code = "master_key_not_found"


class LotNotFound(VaultError):
    """There is no such lot."""

    code = "lot_not_found"


class CodeNotFound(LotNotFound):
    """There is no such code in the vault."""

    code = "code_not_found"


class LotNotOpen(VaultError):
    """The lot is still loading, or its import was undone."""

    code = "lot_not_open"


class LotAlreadySold(LotNotOpen):
    """Codes of this lot were sold, so its import cannot be undone."""

    code = "lot_already_sold"


class LotHasBlocked(LotNotOpen):
    """Codes of this lot are blocked; unblock them, then undo the import."""

    code = "lot_has_blocked"


class CodeAlreadySold(VaultError):
    """The code was sold; it can be revoked, but no longer blocked."""

    code = "code_already_sold"


class CodeNotSold(VaultError):
    """The code was never sold; block it instead."""

    code = "code_not_sold"


class CodeRevoked(VaultError):
    """The code was revoked, and never goes on sale again."""

    code = "code_revoked"


class CodeNotBlocked(VaultError):
    """The code is not blocked."""

    code = "code_not_blocked"


class CodeAlreadyInStock(VaultError):
    """Some of these codes are for sale already."""

    code = "code_already_in_stock"


class DuplicateBoundCode(VaultError):
    """A supplier delivered a code that is in the vault already."""

    code = "duplicate_bound_code"


class ImportRefused(VaultError):
    """The import was refused; nothing was stored."""

    code = "import_refused"


class InvalidImport(ImportRefused):
    """Some lines cannot be imported; nothing was stored."""

    code = "invalid_import"

    def __init__(self, report: ImportReport, **facts: object) -> None:
        super().__init__(**facts)
        self.report = report
        """The import's report: lines and what is wrong with them."""


class EmptyImport(ImportRefused):
    """There is no code to import."""

    code = "empty_import"


class MissingHeader(ImportRefused):
    """The first line holds separators but is no header. Name the columns: code, pin, serial, url, expires_at."""

    code = "missing_header"


class UnknownColumn(ImportRefused):
    """The header names a column that is not code, pin, serial, url or expires_at, or names one twice."""

    code = "unknown_column"


class DamagedFile(ImportRefused):
    """The file cannot be decompressed or read to its end."""

    code = "damaged_file"


class TooManyCodes(ImportRefused):
    """The file holds more codes than one import takes; split it."""

    code = "too_many_codes"


class ImportOvertaken(ImportRefused):
    """Somebody else imported one of these codes, or cleaned this import, while it was loading. Import the file again."""

    code = "import_overtaken"


class SharedImport(ImportRefused):
    """A shared code is one code, and has no cost of its own to split over its buyers."""

    code = "shared_import"
