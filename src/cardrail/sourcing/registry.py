"""Which connectors there are. A new one is a folder under ``connectors`` and a line here."""

from __future__ import annotations

from typing import Final

from cardrail.sourcing.connector import ConnectorKind
from cardrail.sourcing.connectors.finperks import KIND as FINPERKS
from cardrail.sourcing.connectors.foxreload_public import KIND as FOXRELOAD_PUBLIC
from cardrail.sourcing.connectors.foxreload_v1 import KIND as FOXRELOAD_V1
from cardrail.sourcing.connectors.oneclickdz import KIND as ONECLICKDZ
from cardrail.sourcing.connectors.rest import KIND as REST
from cardrail.sourcing.connectors.simulated import KIND as SIMULATED
from cardrail.sourcing.connectors.starship import KIND as STARSHIP
from cardrail.sourcing.errors import UnknownConnector

CONNECTORS: Final[dict[str, ConnectorKind]] = {
    kind.name: kind
    for kind in (
        SIMULATED,
        FINPERKS,
        FOXRELOAD_PUBLIC,
        FOXRELOAD_V1,
        ONECLICKDZ,
        REST,
        STARSHIP,
    )
}  # fmt: skip


def connector_kind(name: str) -> ConnectorKind:
    """The connector of this name. Raises UnknownConnector."""
    found = CONNECTORS.get(name)
    if found is None:
        raise UnknownConnector(kind=name, known=", ".join(sorted(CONNECTORS)))
    return found
