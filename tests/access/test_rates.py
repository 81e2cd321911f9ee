"""Rate limits: how many requests a minute, and what the caller is told."""

from __future__ import annotations

import pytest
import time_machine

from cardrail.access import RateLimiter


def test_requests_beyond_the_limit_are_refused_until_the_minute_is_over() -> None:
    with time_machine.travel("2026-01-01T12:00:00Z", tick=False) as now:
        limiter = RateLimiter()
        rates = [limiter.hit("key_1", 3) for _ in range(4)]
        assert [(rate.allowed, rate.remaining) for rate in rates if rate] == [(True, 2), (True, 1), (True, 0), (False, 0)]
        now.shift(61)
        again = limiter.hit("key_1", 3)
        assert again is not None
        assert again.allowed


def test_the_header_fields_are_those_of_the_draft() -> None:
    with time_machine.travel("2026-01-01T12:00:00Z", tick=False) as now:
        limiter = RateLimiter()
        limiter.hit("key_1", 2)
        now.shift(20)
        first, second = limiter.hit("key_1", 2), limiter.hit("key_1", 2)
    assert first is not None
    assert second is not None
    assert first.headers() == {"RateLimit-Policy": '"requests";q=2;w=60', "RateLimit": '"requests";r=0;t=40'}
    assert second.headers() == {**first.headers(), "Retry-After": "40"}


def test_keys_are_counted_apart_and_a_changed_limit_starts_anew() -> None:
    limiter = RateLimiter()
    for key, limit in (("key_1", 1), ("key_2", 1), ("key_1", 2)):
        rate = limiter.hit(key, limit)
        assert rate is not None
        assert rate.allowed


def test_without_a_limit_nothing_is_counted() -> None:
    assert RateLimiter().hit("key_1", None) is None


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),  # one caller has a whole /64
        (None, "", "192.0.2.1"),
    ],
)
def test_failed_authentications_block_an_address(address: str | None, same: str, other: str) -> None:
    with time_machine.travel("2026-01-01T12:00:00Z", tick=False) as now:
        limiter = RateLimiter(failures_per_minute=3)
        for _ in range(3):
            assert limiter.blocked_seconds(address) == 0
            limiter.count_failure(address)
        assert limiter.blocked_seconds(address) == limiter.blocked_seconds(same) == 60
        assert limiter.blocked_seconds(other) == 0
        now.shift(61)
        assert limiter.blocked_seconds(address) == 0
