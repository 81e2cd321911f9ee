"""The formats that an endpoint may choose."""

from typing import Final

from cardrail.webhooks.formats.base import Facts, Format, Message
from cardrail.webhooks.formats.finperks import Finperks
from cardrail.webhooks.formats.foxreload import FoxReloadV1
from cardrail.webhooks.formats.standard import Standard
from cardrail.webhooks.formats.starship import Starship

FORMATS: Final[dict[str, Format]] = {one.name: one for one in (Standard(), FoxReloadV1(), Starship(), Finperks())}

__all__ = ["FORMATS", "Facts", "Format", "Message"]
