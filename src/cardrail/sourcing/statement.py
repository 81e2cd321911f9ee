"""A supplier's own account of what we bought, asked for over its protocol."""

from __future__ import annotations

from datetime import datetime

from cardrail.sourcing.asking import asked
from cardrail.sourcing.connector import StatementLine
from cardrail.sourcing.errors import NotSupported
from cardrail.sourcing.model import Supplier
from cardrail.sourcing.suppliers import Connectors


def supplier_lines(connectors: Connectors, supplier: Supplier, since: datetime, until: datetime) -> list[StatementLine]:
    """What it says of [since, until), in the order in which it says it. Read to its end: half a statement is none.

    Raises NotSupported where the protocol has none, SupplierError's kinds, InvalidSupplierConfig.
    """
    connector = connectors.of(supplier)
    if not connector.capabilities.has_statement:
        raise NotSupported(call="statement", supplier=supplier.name)
    return asked("statement", lambda: list(connector.statement(since, until)))
