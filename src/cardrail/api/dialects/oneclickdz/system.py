"""Whether we are there, and who the caller is (specs/oneclickdz.md, sections 2.1 and 2.2)."""

from __future__ import annotations

from typing import Final

from cardrail.access import Principal, get_partner
from cardrail.api.compat import Answer, Call
from cardrail.api.desk import Desk
from cardrail.api.dialects.oneclickdz.envelope import bare_success, success
from cardrail.api.dialects.oneclickdz.profile import OPERATORS, Profile
from cardrail.api.dialects.oneclickdz.wire import ApiKeyOut, PingOut, ValidatedOut
from cardrail.kernel import Mode, QueueFull, Unavailable
from cardrail.storage import read_version

KEY_HEADER: Final = "x-access-token"


class System:
    """The handlers."""

    def __init__(self, desk: Desk, profile: Profile) -> None:
        self._desk = desk
        self._profile = profile

    async def ping(self, call: Call) -> Answer:
        """Whether the database answers; and, as the vendor has it, how the mobile operators are."""
        told = self._profile.operators
        operators = {name: str(told.get(name, "down")) for name in OPERATORS}  # type: ignore[call-overload]  # one of the names
        return success(call, self._profile, PingOut("ok" if await self._is_well() else "error", operators))

    async def validate(self, call: Call) -> Answer:
        """The caller's account and key, with the key itself."""
        principal = call.principal

        def look() -> str:
            with self._desk.parts.db.read() as tx:
                return get_partner(tx, principal.partner_id).name

        username = await self._desk.read(look)
        key = ApiKeyOut(
            key=(call.header(KEY_HEADER) or "").strip(),
            is_enabled=True,
            type="SANDBOX" if principal.mode is Mode.TEST else "PRODUCTION",
            allowedips=_addresses(principal),
            scope="READ-WRITE" if "orders:write" in principal.scopes else "READ-ONLY",
        )
        return bare_success(ValidatedOut(username, key))

    async def _is_well(self) -> bool:
        def look() -> int:
            with self._desk.parts.db.read() as tx:
                return read_version(tx, "access")

        try:
            await self._desk.read(look)
        except (Unavailable, QueueFull):
            return False
        return True


def _addresses(principal: Principal) -> list[str]:
    """The key's networks; a single address without its prefix length."""
    return [str(one.network_address) if one.prefixlen == one.max_prefixlen else str(one) for one in principal.networks]
