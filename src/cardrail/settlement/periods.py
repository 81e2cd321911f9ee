"""Periods: a day, a week from Monday, or a month of the partner's calendar, as instants. No I/O."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

GRACE: Final = timedelta(minutes=10)
"""How long after its end a period waits for movements that were made before it and commit after it."""


class Schedule(StrEnum):
    """How often a partner's statements are closed."""

    DAILY = "daily"
    """At midnight."""
    WEEKLY = "weekly"
    """At the midnight before Monday (ISO 8601)."""
    MONTHLY = "monthly"
    """At the midnight before the first of the month."""


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name. "UTC" is known also where the machine has no time zone data (through the tzdata of Python itself)."""
    return ZoneInfo(name)


def first_day(day: date, schedule: Schedule) -> date:
    """The first day of the period that the day is in."""
    if schedule is Schedule.MONTHLY:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if schedule is Schedule.WEEKLY else day


def day_after(day: date, schedule: Schedule) -> date:
    """The first day of the next period."""
    first = first_day(day, schedule)
    if schedule is Schedule.MONTHLY:
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if schedule is Schedule.WEEKLY else 1)


def period_around(moment: datetime, schedule: Schedule, timezone: str) -> tuple[datetime, datetime]:
    """[from, to) of the period that the moment is in."""
    day = moment.astimezone(zone_of(timezone)).date()
    return _midnight(first_day(day, schedule), timezone), _midnight(day_after(day, schedule), timezone)


def period_end(begin: datetime, schedule: Schedule, timezone: str) -> datetime:
    """The end of a period that begins at ``begin``: the schedule's next boundary; a short one after a change of schedule or zone."""
    end = period_around(begin, schedule, timezone)[1]
    return end if end > begin else period_around(end + timedelta(hours=12), schedule, timezone)[1]


def _midnight(day: date, timezone: str) -> datetime:
    """The day's first instant; where midnight does not exist (a clock put forward), the instant that it would have been."""
    return datetime(day.year, day.month, day.day, tzinfo=zone_of(timezone)).astimezone(UTC)
