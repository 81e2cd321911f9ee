"""Finperks v1 as a supplier (specs/finperks.md): signed requests, one card an order, idempotent by our reference."""

from cardrail.sourcing.connectors.finperks.connector import KIND, FinperksSupplier

__all__ = ["KIND", "FinperksSupplier"]
