"""What alerts refuse.

AlertError
├── InvalidAlertSetting
└── AlertNotFound
"""

from __future__ import annotations

from cardrail.kernel import CardrailError


class AlertError(CardrailError):
    """The alert cannot be used like this."""

    code = "alert_error"


class InvalidAlertSetting(AlertError):
    """A setting of alerts cannot be read."""

    code = "invalid_alert_setting"


class AlertNotFound(AlertError):
    """There is no such alert, or it is over."""

    code = "alert_not_found"
