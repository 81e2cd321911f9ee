"""The formats that an endpoint may choose."""

from typing import Final

from cardrail.webhooks.formats.base import Facts, Format, Message
from cardrail.webhooks.formats.standard import Standard

FORMATS: Final[dict[str, Format]] = {one.name: one for one in (Standard(),)}

__all__ = ["FORMATS", "Facts", "Format", "Message"]
