"""Suppliers as an operator keeps them; and their connectors, built once and again when their row has changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from cardrail.access import SecretSealer
from cardrail.kernel import Clock, Mode, Secret, currency, new_id, to_micros
from cardrail.sourcing import store
from cardrail.sourcing.connector import TIMINGS, Capabilities, Connector, ConnectorKind, Setup
from cardrail.sourcing.errors import InvalidSupplierConfig, SupplierNotFound, SupplierOwesAnswers
from cardrail.sourcing.model import NewSupplier, Supplier, SupplierState
from cardrail.sourcing.registry import connector_kind
from cardrail.storage import AuditLog, Database, Tx, audit_entry, bump_version

SUPPLY_VERSION: Final = "supply"
"""Moves on when what can be bought on demand changes: a supplier's state, a mapping."""

SECONDS_MAX: Final = 30 * 86_400

_SECRETS: Final = "supplier"
_json = msgspec.json.Encoder(order="sorted")


def create_supplier(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    sealer: SecretSealer,
    new: NewSupplier,
    secrets: Mapping[str, Secret],
    *,
    actor: str,
) -> Supplier:
    """Write down a supplier; nothing is called. Raises UnknownConnector, InvalidSupplierConfig, SupplierNameTaken, UnknownCurrency."""
    kind = connector_kind(new.kind)
    currency(new.currency)
    check_fields(kind, new.config, secrets)
    now = clock.now()
    supplier = Supplier(
        id=new_id("sup"),
        name=new.name,
        kind=new.kind,
        mode=new.mode,
        state=SupplierState.ACTIVE,
        currency=new.currency,
        config=dict(new.config),
        secrets=None,
        priority=new.priority,
        weight=new.weight,
        created_at=to_micros(now),
        updated_at=to_micros(now),
    )
    supplier = replace(supplier, secrets=_seal(sealer, supplier.id, secrets))
    kind.make(Setup(supplier.id, new.mode, new.currency, supplier.config, secrets)).close()
    with db.transaction() as tx:
        store.insert_supplier(tx, supplier)
        _changed(tx, clock, audit, supplier, "supplier.created", actor, {"kind": new.kind, "mode": new.mode.value})
    return supplier


def change_supplier(
    db: Database,
    clock: Clock,
    audit: AuditLog,
    sealer: SecretSealer,
    name_or_id: str,
    *,
    actor: str,
    state: SupplierState | None = None,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Secret] | None = None,
    priority: int | None = None,
    weight: int | None = None,
) -> Supplier:
    """Change what is given; configuration and secrets are replaced whole.

    Raises SupplierNotFound, InvalidSupplierConfig, SupplierOwesAnswers (retired while purchases are open).
    """
    with db.transaction() as tx:
        known = store.find_supplier(tx, name_or_id, lock=True)
        if known is None:
            raise SupplierNotFound(supplier=name_or_id)
        if state is SupplierState.RETIRED and (waiting := store.open_attempts(tx, [known.id])):
            raise SupplierOwesAnswers(supplier=known.name, purchases=len(waiting))
        changed = replace(
            known,
            state=state or known.state,
            config=dict(config) if config is not None else known.config,
            secrets=_seal(sealer, known.id, secrets) if secrets is not None else known.secrets,
            priority=known.priority if priority is None else priority,
            weight=known.weight if weight is None else weight,
            updated_at=max(to_micros(clock.now()), known.updated_at + 1),
        )
        if config is not None or secrets is not None:
            opened = open_secrets(sealer, changed)
            kind = connector_kind(changed.kind)
            check_fields(kind, changed.config, opened)
            kind.make(Setup(changed.id, changed.mode, changed.currency, changed.config, opened)).close()
        store.update_supplier(tx, changed)
        what = {"state": changed.state.value, "config": config is not None, "secrets": secrets is not None}
        _changed(tx, clock, audit, changed, "supplier.changed", actor, what)
    return changed


def get_supplier(tx: Tx, name_or_id: str) -> Supplier:
    """Raises SupplierNotFound."""
    found = store.find_supplier(tx, name_or_id)
    if found is None:
        raise SupplierNotFound(supplier=name_or_id)
    return found


def check_fields(kind: ConnectorKind, config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> None:
    """Whether everything that the connector needs was given. Raises InvalidSupplierConfig."""
    for one in kind.fields:
        given: Mapping[str, Any] = secrets if one.is_secret else config
        if one.is_required and one.name not in given:
            raise InvalidSupplierConfig(field=one.name, reason="it is required")
    for name in TIMINGS.keys() & config.keys():
        seconds = config[name]
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= SECONDS_MAX:
            raise InvalidSupplierConfig(field=name, reason=f"a number of seconds, at most {SECONDS_MAX}")


def open_secrets(sealer: SecretSealer, supplier: Supplier) -> dict[str, Secret]:
    """The supplier's secrets, opened."""
    if supplier.secrets is None:
        return {}
    text = sealer.open(supplier.secrets, supplier.id, _SECRETS).reveal()
    return {name: Secret(value) for name, value in msgspec.json.decode(text, type=dict[str, str]).items()}


def _seal(sealer: SecretSealer, supplier_id: str, secrets: Mapping[str, Secret]) -> bytes | None:
    if not secrets:
        return None
    plain = _json.encode({name: value.reveal() for name, value in secrets.items()}).decode()
    return sealer.seal(Secret(plain), supplier_id, _SECRETS)


def _changed(tx: Tx, clock: Clock, audit: AuditLog, supplier: Supplier, action: str, actor: str, details: dict[str, Any]) -> None:
    bump_version(tx, SUPPLY_VERSION)
    audit.append(tx, [audit_entry(clock.now(), actor, action, subject=supplier.id, details={"name": supplier.name, **details})])


class Connectors:
    """The connectors of this process, one for each supplier; built again when the supplier's row has changed."""

    def __init__(self, sealer: SecretSealer) -> None:
        self._sealer = sealer
        self._built: dict[str, tuple[int, Connector]] = {}
        self._guard = threading.Lock()

    def of(self, supplier: Supplier) -> Connector:
        """The supplier's connector. Raises UnknownConnector, InvalidSupplierConfig."""
        with self._guard:
            known = self._built.get(supplier.id)
            if known is not None and known[0] == supplier.updated_at:
                return known[1]
            setup = Setup(
                supplier.id, Mode(supplier.mode), supplier.currency, supplier.config, open_secrets(self._sealer, supplier)
            )
            made = connector_kind(supplier.kind).make(setup)
            # The old one is not closed: a call of it may be under way, and its connections end by themselves.
            self._built[supplier.id] = (supplier.updated_at, made)
            return made

    def abilities(self, supplier: Supplier) -> Capabilities:
        """What its connector can do, with the times that the operator has set. Raises UnknownConnector, InvalidSupplierConfig."""
        told: dict[str, Any] = {name: float(supplier.config[name]) for name in TIMINGS if name in supplier.config}
        found = self.of(supplier).capabilities
        return replace(found, **told) if told else found

    def put(self, supplier: Supplier, connector: Connector) -> None:
        """Let this supplier be served by a connector that somebody else has built: a fake in a test, a proxy."""
        with self._guard:
            self._built[supplier.id] = (supplier.updated_at, connector)

    def close(self) -> None:
        with self._guard:
            for _, one in self._built.values():
                one.close()
            self._built.clear()
