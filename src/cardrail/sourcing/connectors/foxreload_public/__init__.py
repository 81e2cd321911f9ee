"""FoxReload's public API as a supplier (specs/foxreload.md, section 2.3): orders are created, then paid from the balance, then polled."""

from cardrail.sourcing.connectors.foxreload_public.connector import KIND, FoxReloadPublicSupplier

__all__ = ["KIND", "FoxReloadPublicSupplier"]
