"""Client partners: the companies that an intermediary orders for (specs/finperks.md, section 2.5)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from cardrail.access import (
    ClientPartner,
    ClientPartnerEvent,
    change_client_partner,
    decide_client_partner,
    get_client_partner,
    list_client_partners,
    register_client_partner,
)
from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.finperks.render import moment
from cardrail.api.dialects.finperks.surface import body_of
from cardrail.api.dialects.finperks.wire import ClientPartnerChangeIn, EventIn, NewClientPartnerIn, given_details
from cardrail.api.errors import RouteNotFound
from cardrail.kernel import Mode, to_micros


async def create(call: Call) -> Answer:
    """Register a company; it is pending until the operator decides."""
    parts, principal = call.desk.parts, call.principal
    wanted = await body_of(call, NewClientPartnerIn)
    details = {name: value for name, value in given_details(wanted).items() if value is not None}
    made = await call.desk.write(
        lambda: register_client_partner(
            parts.db,
            parts.clock,
            parts.audit,
            principal.partner_id,
            principal.mode,
            name=wanted.name,
            details=details,
            actor=principal.api_key_id,
            origin=call.origin,
        )
    )
    return json_answer(_out(made), 201)


async def list_all(call: Call) -> Answer:
    """All of the client's, in the order of their registration."""
    db, principal = call.desk.parts.db, call.principal

    def look() -> list[ClientPartner]:
        with db.read() as tx:
            return list_client_partners(tx, principal.partner_id, principal.mode)

    return json_answer([_out(one) for one in await call.desk.read(look)])


async def show(call: Call) -> Answer:
    """One of them. Raises ClientPartnerNotFound."""
    db, principal, wanted = call.desk.parts.db, call.principal, call.params["id"]

    def look() -> ClientPartner:
        with db.read() as tx:
            return get_client_partner(tx, principal.partner_id, principal.mode, wanted)

    return json_answer(_out(await call.desk.read(look)))


async def change(call: Call) -> Answer:
    """Keep a company's data current. Raises ClientPartnerNotFound."""
    parts, principal = call.desk.parts, call.principal
    given = await body_of(call, ClientPartnerChangeIn)
    changed = await call.desk.write(
        lambda: change_client_partner(
            parts.db,
            parts.clock,
            parts.audit,
            principal.partner_id,
            principal.mode,
            call.params["id"],
            name=None if given.name is UNSET else given.name,
            details=given_details(given),
            actor=principal.api_key_id,
            origin=call.origin,
        )
    )
    return json_answer(_out(changed))


async def trigger_event(call: Call) -> Answer:
    """Decide in the operator's place, in the sandbox only. Raises ClientPartnerNotFound, ClientPartnerEventRefused."""
    parts, principal = call.desk.parts, call.principal
    if principal.mode is not Mode.TEST:
        raise RouteNotFound
    event = ClientPartnerEvent((await body_of(call, EventIn)).event)
    await call.desk.write(
        lambda: decide_client_partner(
            parts.db,
            parts.clock,
            parts.audit,
            call.params["id"],
            event,
            partner_id=principal.partner_id,
            mode=principal.mode,
            actor=principal.api_key_id,
            origin=call.origin,
        )
    )
    return Answer(204, b"", [(b"cache-control", b"no-store")])


def _out(one: ClientPartner) -> dict[str, Any]:
    """Our details have the request's own names, so they go back as they came."""
    known = {"id": one.id, "name": one.name, "state": one.state.value, "created_at": moment(to_micros(one.created_at))}
    return {**one.details, **known}
