"""What every dialect stands on: routes without a framework, credentials, profiles, numbers in JSON. No dialect's own word is here."""

from cardrail.api.compat.dialect import Dialect, Mounts, load_profiles
from cardrail.api.compat.numbers import decimal_text, json_number, minor_of
from cardrail.api.compat.supply import Supply, load_supply
from cardrail.api.compat.surface import Answer, Call, Route, Surface, json_answer

__all__ = [
    "Answer",
    "Call",
    "Dialect",
    "Mounts",
    "Route",
    "Supply",
    "Surface",
    "decimal_text",
    "json_answer",
    "json_number",
    "load_profiles",
    "load_supply",
    "minor_of",
]
