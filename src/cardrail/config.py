"""Every setting, in one frozen class. A setting comes from the environment as CARDRAIL_<NAME>; the command line may override it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator may set. Defaults are safe for one machine."""

    model_config = SettingsConfigDict(env_prefix="CARDRAIL_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path("cardrail-data"), description="Folder of the database file, the key file and the backups."
    )
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; unset: SQLite in the data folder.")
    key_file: Path | None = Field(
        default=None, description="File of master keys, mode 0600; unset: master.keys in the data folder."
    )
    master_keys: SecretStr | None = Field(default=None, description="Master keys as 1:base64,2:base64, instead of a key file.")
    node: str | None = Field(
        default=None, description="Name of this process in ledger and audit chains; unset: main, or host:port on PostgreSQL."
    )

    host: str = Field(default="127.0.0.1", description="Address that the server listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the server listens on.")
    trusted_proxies: str = Field(default="", description="Blank-separated networks whose X-Forwarded-For is believed.")

    dialect_hosts: str = Field(
        default="",
        description="Blank-separated host=dialect: requests to that host are that dialect's, at its vendor's own paths.",
    )
    dialect_profiles: Path | None = Field(
        default=None, description="TOML file with a section per dialect: overrides of what its vendor leaves open."
    )

    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Where recipients and suppliers reach this server: the beginning of claim links and of addresses for webhooks.",
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="Mail server, smtp://user:password@host:587 or smtps://…; unset: no e-mail."
    )
    mail_from: str = Field(default="", description="Address that e-mail comes from.")
    telegram_token: SecretStr | None = Field(default=None, description="Token of your Telegram bot; unset: no Telegram.")
    telegram_url: str = Field(default="https://api.telegram.org", description="Where Telegram's Bot API is.")
    messages_with_codes: bool = Field(
        default=False, description="Whether a partner may have the codes themselves written into messages."
    )
    brand_name: str = Field(default="", max_length=80, description="Your name on claim pages and in messages.")
    brand_contact: str = Field(
        default="", max_length=120, description="Whom recipients may ask: an address or a number, shown as text."
    )
    brand_color: str = Field(
        default="#1d4ed8",
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="Your colour on claim pages and in messages; what is written on it is white or near black, as can be read.",
    )
    brand_logo: Path | None = Field(default=None, description="Picture file (PNG, JPEG, WebP, GIF) for claim pages.")

    lane_queue_max: int = Field(
        default=4_096, ge=1, description="Orders that may wait; beyond it the answer is 503 with Retry-After."
    )
    lane_batch_max: int = Field(default=256, ge=1, le=1_024, description="Orders in one transaction.")
    lane_codes_max: int = Field(default=2_000, ge=1, description="Codes in one transaction.")
    body_bytes_max: int = Field(default=262_144, ge=1_024, description="Largest request body.")
    rate_limit_storage: str = Field(
        default="memory://", description="Where rate limits are counted: memory://, redis://…, valkey://…"
    )
    operator_requests_per_minute: int = Field(
        default=600, ge=0, description="Requests that each operator's key may make in a minute; 0: no limit."
    )
    journal_fsync: Literal["second", "always"] = Field(
        default="second", description="When the allocation journal is flushed to disk."
    )
    pool_size: int = Field(default=20, ge=2, description="Database connections of one process.")

    invalidate_window_hours: int = Field(
        default=24, ge=0, description="How long after it was placed an order may be invalidated."
    )
    invalidate_revealed: bool = Field(
        default=False, description="Whether orders whose codes were revealed may be invalidated, at our loss."
    )
    replacement_window_days: int = Field(
        default=60, ge=0, le=3_650, description="How long after its delivery a code may be claimed to be bad."
    )
    replacement_policy: Literal["review", "stock", "refund"] = Field(
        default="review",
        description="What to do about a bad code where no supplier decides: ask an operator, give one from stock, or refund it.",
    )
    replacement_patience_hours: int = Field(
        default=240, ge=1, description="How long a supplier's answer to a claim is waited for."
    )
    replacement_claims_max: int = Field(default=3, ge=1, le=20, description="Claims for one unit of an order, all in all.")
    replacement_unasked_bps: int = Field(
        default=200,
        ge=0,
        le=10_000,
        description="Part of the units that a partner bought in the last 30 days, in 1/10,000, that the policies `stock` and `refund` "
        "decide by themselves; claims beyond it wait for an operator.",
    )
    replacement_unasked_least: int = Field(
        default=5, ge=0, description="So many codes of a partner those policies decide in any case."
    )
    unpaid_order_minutes: int = Field(default=30, ge=1, description="How long an unpaid order waits for its payment.")
    routing_policy: Literal["cheapest", "fastest", "weighted", "priority"] = Field(
        default="cheapest", description="Whom to buy from first, where no route was set for a product."
    )
    margin_floor_bps: int = Field(
        default=0, ge=0, lt=10_000, description="Part of the price, in 1/10,000, that a purchase from a supplier must leave."
    )
    supplier_patience_seconds: float = Field(
        default=60.0, ge=0, description="How long an item waits for suppliers that are only busy, before it is given up."
    )
    supplier_cost_jump_percent: int = Field(
        default=20, ge=0, le=1_000, description="By how much a supplier's cost may change before an operator is asked."
    )
    supplier_statements_daily: bool = Field(
        default=False,
        description="Whether yesterday's statement of each supplier that has one is fetched and matched each night.",
    )
    hold_deadline_hours: int = Field(default=72, ge=1, description="Age at which an open hold is reported.")
    webhook_networks: str = Field(
        default="",
        description="Blank-separated networks that webhook endpoints may live in beside the public internet, and be reached by plain HTTP.",
    )
    webhook_retry_seconds: str = Field(
        default="5 300 1800 7200 18000 36000 86400 172800",
        pattern=r"^\s*[0-9.]*[1-9][0-9.]*(\s+[0-9.]*[1-9][0-9.]*)*\s*$",
        description="Blank-separated waits after each failed attempt of a webhook.",
    )
    webhook_disable_hours: int = Field(
        default=120, ge=1, description="An endpoint where everything failed for so long is disabled."
    )
    webhook_timeout_seconds: float = Field(default=10.0, gt=0, le=60, description="Time for one attempt, all in all.")
    webhook_concurrency: int = Field(default=8, ge=1, le=64, description="Attempts at one endpoint at a time, of one worker.")
    webhook_connections_max: int = Field(default=256, ge=1, le=2_048, description="Attempts at a time of one worker.")
    webhook_rate_max: int = Field(default=0, ge=0, description="Attempts a second of one worker; 0: no bound.")
    webhooks_paused: bool = Field(
        default=False, description="Send no webhooks for now: events wait, nothing is lost, and orders pay nothing for it."
    )
    webhook_retain_days: int = Field(default=90, ge=1, description="How long deliveries and their attempts are kept.")
    alert_routes: SecretStr | None = Field(
        default=None,
        description="Blank-separated kinds=target: whom to tell of what. Kinds are comma-separated or *; a target is mailto:…, "
        "telegram:… or https://…; unset: alerts are only listed.",
    )
    alert_webhook_secret: SecretStr | None = Field(
        default=None, description="Secret (whsec_…) that alerts to a URL are signed with, by Standard Webhooks."
    )
    alert_quiet: str = Field(
        default="", description="When only urgent alerts go out, such as 22:00-07:00 Europe/Berlin; the rest follows at its end."
    )
    alert_urgent: str = Field(
        default="supplier.down supplier.balance_low order.review books.drift",
        description="Blank-separated kinds of alerts that go out in the quiet period too.",
    )
    alert_reminder_hours: float = Field(
        default=24.0, ge=0, description="After how long an alert that nobody acknowledged is told again; 0: never."
    )
    alert_retain_days: int = Field(default=90, ge=1, description="How long alerts that are over are kept.")
    log_format: str = Field(default="console", pattern="^(console|json)$", description="console or json.")

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'cardrail.db').absolute()}"

    @property
    def key_path(self) -> Path:
        """Where the key file is, unless the keys come from the environment."""
        return self.key_file or self.data_dir / "master.keys"

    @property
    def node_name(self) -> str:
        """This process's name in platform accounts and audit chains."""
        if self.node:
            return self.node
        return "main" if self.url.startswith("sqlite") else f"{socket.gethostname()}:{self.port}"
