"""Does a supplier work? Everything is asked that buys nothing, and each answer said in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from cardrail.kernel import CardrailError
from cardrail.sourcing.connector import Connector, SupplierProduct


class TrialState(StrEnum):
    """How one call went."""

    WORKS = "works"
    FAILS = "fails"
    NOT_OFFERED = "not_offered"


@dataclass(frozen=True, slots=True)
class Trial:
    """One call that was tried."""

    call: str
    state: TrialState
    words: str
    error: str | None = None
    """The refusal's code."""


def try_supplier(connector: Connector, account_currency: str) -> list[Trial]:
    """Ask for the balance, the catalog's beginning, a stock and a cost. Nothing is bought, nothing is kept."""
    able = connector.capabilities
    seen: list[SupplierProduct] = []

    def balance() -> str:
        told = connector.balance()
        words = ", ".join(f"{one.amount} {one.currency.code}" for one in told) or "none told"
        ours = any(one.currency.code == account_currency for one in told)
        return words if ours or not told else f"{words}; none in {account_currency}, in which it is said to charge us"

    def catalog() -> str:
        seen.extend(islice(connector.catalog(), 3))
        return f"begins with {', '.join(f'{one.name} ({one.sku})' for one in seen)}" if seen else "is empty"

    def stock() -> str:
        told = connector.stock([seen[0].sku])
        return f"{told[seen[0].sku]} of {seen[0].sku}" if seen[0].sku in told else f"does not know {seen[0].sku}"

    trials = [_tried("balance", able.has_balance, balance), _tried("catalog", able.has_catalog, catalog)]
    if seen:
        trials.append(_tried("stock", able.has_stock, stock))
    return trials


def _tried(call: str, offered: bool, ask: Callable[[], str]) -> Trial:
    if not offered:
        return Trial(call, TrialState.NOT_OFFERED, "its connector has no such call")
    try:
        return Trial(call, TrialState.WORKS, ask())
    except CardrailError as error:
        return Trial(call, TrialState.FAILS, str(error), error.code)
    except Exception as error:  # foreign data: whatever a connector trips over
        return Trial(call, TrialState.FAILS, f"its answer could not be read ({type(error).__name__})", "supplier_odd_answer")
