"""The wire protocols of others that we speak, a folder each; how to add one: docs/guides/add-a-dialect.md."""

from typing import Final

from cardrail.api.compat import Dialect
from cardrail.api.dialects import finperks, foxreload, oneclickdz, starship

DIALECTS: Final[tuple[Dialect, ...]] = (finperks.DIALECT, foxreload.DIALECT, oneclickdz.DIALECT, starship.DIALECT)
"""All of them, as they are served."""
