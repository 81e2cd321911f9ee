"""What settlement refuses.

SettlementError
├── StatementNotFound
├── PeriodOpen, MovementsWaiting
├── StatementMismatch
├── InvalidPeriod, InvalidSchedule
├── ExportError
│   ├── ExportNotFound, ExportNotReady, ExportGone
│   ├── InvalidExport, FormatUnavailable
│   └── InvalidLink
└── ReconcileError
    ├── InvalidMapping, UnreadableStatement, BadLines
    ├── SupplierStatementNotFound, StatementImported, ImportReplaced
    └── DifferenceNotFound, DifferenceResolved, InvalidResolution
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class SettlementError(CardrailError):
    """The books refuse it."""

    code = "settlement_error"


class StatementNotFound(SettlementError):
    """There is no such statement."""

    code = "statement_not_found"


class PeriodOpen(SettlementError):
    """The period is not over yet, or ended so recently that late movements may still arrive."""

    code = "period_open"


class MovementsWaiting(SettlementError):
    """Movements of the period have no position yet; the sequencer gives it within seconds while a server runs."""

    code = "movements_waiting"
    retryable = True


class StatementMismatch(SettlementError):
    """The movements do not add up to what the ledger says; nothing was closed. Run `cardrail verify`."""

    code = "statement_mismatch"


class InvalidPeriod(SettlementError):
    """A period begins before it ends, and both are RFC 3339 times or dates."""

    code = "invalid_period"


class InvalidSchedule(SettlementError):
    """Statements are closed daily, weekly or monthly."""

    code = "invalid_schedule"


class ExportError(SettlementError):
    """The export cannot be made."""

    code = "export_error"


class ExportNotFound(ExportError):
    """There is no such export."""

    code = "export_not_found"


class ExportNotReady(ExportError):
    """The export is still being written."""

    code = "export_not_ready"
    retryable = True


class ExportGone(ExportError):
    """The export's file has expired; ask for it again."""

    code = "export_gone"


class InvalidExport(ExportError):
    """What is asked for cannot be exported like this."""

    code = "invalid_export"


class FormatUnavailable(ExportError):
    """This format needs an extra that is not installed here."""

    code = "format_unavailable"


class InvalidLink(ExportError):
    """The link was not made by us, or its time is over; the export's own address gives a new one."""

    code = "invalid_link"


class ReconcileError(SettlementError):
    """The supplier's statement cannot be reconciled."""

    code = "reconcile_error"


class InvalidMapping(ReconcileError):
    """The mapping does not say how to read the file."""

    code = "invalid_mapping"


class UnreadableStatement(ReconcileError):
    """The file is not what the mapping says; nothing was imported."""

    code = "unreadable_statement"


class BadLines(ReconcileError):
    """Lines of the file cannot be taken; nothing was imported."""

    code = "bad_lines"


class SupplierStatementNotFound(ReconcileError):
    """There is no such supplier's statement."""

    code = "supplier_statement_not_found"


class StatementImported(ReconcileError):
    """This very file was imported already for this supplier."""

    code = "statement_imported"


class ImportReplaced(ReconcileError):
    """The same file was begun to be imported anew; this import ended, and left nothing."""

    code = "import_replaced"


class DifferenceNotFound(ReconcileError):
    """There is no such difference."""

    code = "difference_not_found"


class DifferenceResolved(ReconcileError):
    """The difference is resolved already."""

    code = "difference_resolved"


class InvalidResolution(ReconcileError):
    """A difference cannot be resolved like this."""

    code = "invalid_resolution"
