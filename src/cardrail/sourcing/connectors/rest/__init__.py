"""A supplier that a file describes: any REST API that takes an order and tells what came of it."""

from cardrail.sourcing.connectors.rest.connector import KIND, RestSupplier
from cardrail.sourcing.connectors.rest.file import EXAMPLE

__all__ = ["EXAMPLE", "KIND", "RestSupplier"]
