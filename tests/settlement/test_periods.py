"""Periods of a partner's calendar: without a gap or an overlap, wherever clocks are put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardrail.settlement.periods import Schedule, period_around, period_end, zone_of

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive


@given(moment=MOMENTS, zone=st.sampled_from(ZONES), schedule=st.sampled_from(Schedule))
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(moment: datetime, zone: str, schedule: Schedule) -> None:
    begin, end = period_around(moment, schedule, zone)
    assert begin <= moment < end
    assert period_around(begin, schedule, zone) == (begin, end) == (begin, period_end(begin, schedule, zone))
    assert period_around(end, schedule, zone)[0] == end
    assert period_around(end - timedelta(microseconds=1), schedule, zone) == (begin, end)


@pytest.mark.parametrize(
    ("zone", "moment", "begin", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", 23),
        ("Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", 25),
        ("America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z", 23),  # there was no midnight
        ("America/Havana", "2026-11-01T12:00Z", "2026-11-01T04:00Z", 25),  # there are two
        ("Asia/Kolkata", "2026-03-29T12:00Z", "2026-03-28T18:30Z", 24),
    ],
)
def test_a_day_on_which_clocks_change_is_shorter_or_longer(zone: str, moment: str, begin: str, hours: int) -> None:
    first = datetime.fromisoformat(begin)
    assert period_around(datetime.fromisoformat(moment), Schedule.DAILY, zone) == (first, first + timedelta(hours=hours))


@given(begin=MOMENTS, zone=st.sampled_from(ZONES), schedule=st.sampled_from(Schedule))
def test_after_a_change_of_zone_or_schedule_the_next_period_is_short_and_ends_on_a_boundary(
    begin: datetime, zone: str, schedule: Schedule
) -> None:
    end = period_end(begin, schedule, zone)
    assert begin < end <= begin + timedelta(days=32)
    assert period_around(end, schedule, zone)[0] == end
    assert end.astimezone(zone_of(zone)).date() > begin.astimezone(zone_of(zone)).date()
