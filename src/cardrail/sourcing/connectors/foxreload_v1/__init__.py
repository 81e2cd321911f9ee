"""FoxReload V1 as a supplier (specs/foxreload.md, section 2.2): bearer key, idempotent by a key that is made of our reference."""

from cardrail.sourcing.connectors.foxreload_v1.connector import KIND, FoxReloadV1Supplier

__all__ = ["KIND", "FoxReloadV1Supplier"]
