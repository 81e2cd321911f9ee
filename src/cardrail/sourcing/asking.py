"""Asking a connector for what it tells: stock, costs, balances, a catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cardrail.kernel import CardrailError
from cardrail.sourcing.errors import OddAnswer

T = TypeVar("T")


def asked(call: str, ask: Callable[[], T]) -> T:
    """What the connector answers. Raises SupplierError's kinds; anything else that a foreign answer brings about is an OddAnswer."""
    try:
        return ask()
    except CardrailError:
        raise
    except Exception as error:  # whatever a connector trips over: the text of it may be the supplier's
        raise OddAnswer(call=call, because=type(error).__name__) from None
