"""Alerts: what the operator should know, told once, to whom he said, and not in the middle of the night."""

from cardrail.alerts.errors import AlertError, AlertNotFound, InvalidAlertSetting
from cardrail.alerts.model import (
    KINDS,
    Alert,
    AlertState,
    Policy,
    QuietHours,
    Route,
    check_kinds,
    parse_quiet,
    parse_routes,
    sentence,
)
from cardrail.alerts.send import AlertDesk, HookPost, Note, check_routes, register_alerts
from cardrail.alerts.store import Send, list_alerts, load_alerts, open_counts, sends_about
from cardrail.alerts.watch import watch

__all__ = [
    "KINDS",
    "Alert",
    "AlertDesk",
    "AlertError",
    "AlertNotFound",
    "AlertState",
    "HookPost",
    "InvalidAlertSetting",
    "Note",
    "Policy",
    "QuietHours",
    "Route",
    "Send",
    "check_kinds",
    "check_routes",
    "list_alerts",
    "load_alerts",
    "open_counts",
    "parse_quiet",
    "parse_routes",
    "register_alerts",
    "sends_about",
    "sentence",
    "watch",
]
