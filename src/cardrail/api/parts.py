"""What the API stands on, as it sees it: the installation that bootstrap builds, named by its parts.

Bootstrap is above every surface, so nobody here may import it; a protocol says what is needed instead.
"""

from __future__ import annotations

from typing import Protocol

from cardrail.access import AccessTokens, KeyCache, RateLimiter
from cardrail.catalog import CatalogCache
from cardrail.kernel import Clock, CursorSealer
from cardrail.orders import OrderRequest, Outcome, Shop
from cardrail.storage import AuditLog, Database, Lane
from cardrail.vault import CodeOpener, Keyring


class ApiSettings(Protocol):
    """The settings that the API reads."""

    @property
    def trusted_proxies(self) -> str: ...
    @property
    def body_bytes_max(self) -> int: ...
    @property
    def pool_size(self) -> int: ...
    @property
    def invalidate_window_hours(self) -> int: ...
    @property
    def invalidate_revealed(self) -> bool: ...


class Installation(Protocol):
    """One running Cardrail."""

    @property
    def settings(self) -> ApiSettings: ...
    @property
    def db(self) -> Database: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def keyring(self) -> Keyring: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def catalog(self) -> CatalogCache: ...
    @property
    def keys(self) -> KeyCache: ...
    @property
    def opener(self) -> CodeOpener: ...
    @property
    def shop(self) -> Shop: ...
    @property
    def lane(self) -> Lane[OrderRequest, Outcome]: ...
    @property
    def cursors(self) -> CursorSealer: ...
    @property
    def rates(self) -> RateLimiter: ...
    @property
    def tokens(self) -> AccessTokens: ...
