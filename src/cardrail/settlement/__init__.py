"""The books close themselves: statements, reconciliation, exports, and the daily proof that everything agrees."""

from cardrail.settlement.errors import (
    InvalidPeriod,
    InvalidSchedule,
    MovementsWaiting,
    PeriodOpen,
    SettlementError,
    StatementMismatch,
    StatementNotFound,
)
from cardrail.settlement.model import SoldItem, Statement, StatementLine, TaxRate
from cardrail.settlement.periods import GRACE, Schedule
from cardrail.settlement.reconciled import reconciled_orders
from cardrail.settlement.reconciliation import (
    Reconciliation,
    ReconciliationOrder,
    WalletPeriod,
    reconciliation,
    settlement_state,
)
from cardrail.settlement.statements import (
    DRAFT,
    Closing,
    LineMark,
    all_lines,
    canonical_bytes,
    close_due,
    close_statement,
    draft_statement,
    get_schedule,
    get_statement,
    lines_page,
    list_statements,
    sequence_now,
    set_schedule,
    statement_lines,
)
from cardrail.settlement.verify import STATEMENT_CHECKS

__all__ = [
    "DRAFT",
    "GRACE",
    "STATEMENT_CHECKS",
    "Closing",
    "InvalidPeriod",
    "InvalidSchedule",
    "LineMark",
    "MovementsWaiting",
    "PeriodOpen",
    "Reconciliation",
    "ReconciliationOrder",
    "Schedule",
    "SettlementError",
    "SoldItem",
    "Statement",
    "StatementLine",
    "StatementMismatch",
    "StatementNotFound",
    "TaxRate",
    "WalletPeriod",
    "all_lines",
    "canonical_bytes",
    "close_due",
    "close_statement",
    "draft_statement",
    "get_schedule",
    "get_statement",
    "lines_page",
    "list_statements",
    "reconciled_orders",
    "reconciliation",
    "sequence_now",
    "set_schedule",
    "settlement_state",
    "statement_lines",
]
