"""GET /ping (specs/finperks.md, section 2.0): whether the API is there and the request is signed as it must be."""

from __future__ import annotations

from cardrail.api.compat import Answer, Call, json_answer
from cardrail.api.dialects.finperks.surface import finperks


async def ping(call: Call) -> Answer:
    """A word from the profile."""
    return json_answer(finperks(call).profile.ping_body)
