"""The simulated supplier: every outcome on purpose, offline and the same each time. Test orders are bought here."""

from cardrail.sourcing.connectors.simulated.connector import KIND, SimulatedSupplier

__all__ = ["KIND", "SimulatedSupplier"]
