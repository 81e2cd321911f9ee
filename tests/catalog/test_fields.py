"""Input fields are checked before anything is charged, and never slowly."""

from __future__ import annotations

import time

import pytest

from cardrail.catalog import InputField, InvalidField, InvalidPattern, MissingField, check_pattern
from cardrail.catalog.fields import check_fields, field_of

MOBILE = field_of("mobile_number", ["BD"])


@pytest.mark.parametrize("number", ["01712345678", "1712345678", "8801712345678", "+8801712345678"])
def test_numbers_of_the_country_are_taken(number: str) -> None:
    check_fields([MOBILE], {"mobile_number": number})


@pytest.mark.parametrize("number", ["0171234567", "017123456789", "+8801212345678", "01712345678\n", "x01712345678", "1" * 257])
def test_other_numbers_are_refused(number: str) -> None:
    with pytest.raises(InvalidField):
        check_fields([MOBILE], {"mobile_number": number})


def test_numbers_elsewhere_follow_e164() -> None:
    check_fields([field_of("mobile_number", ["FR"])], {"mobile_number": "+33612345678"})


@pytest.mark.parametrize("given", [None, {}, {"mobile_number": ""}])
def test_a_required_field_must_be_given(given: dict[str, str] | None) -> None:
    with pytest.raises(MissingField):
        check_fields([MOBILE], given)


def test_an_optional_field_may_be_absent() -> None:
    check_fields([InputField("note", required=False)], {})


def test_a_field_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(InvalidField):
        check_fields([], {"player_id": "7"})


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(.*)(.*)(.*)x", r"(\d+)*", "(?=a)a", r"(a)\1", "(", "a" * 501, "(a?){40}b"]
)
def test_a_pattern_that_could_be_slow_or_is_broken_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", [MOBILE.pattern, field_of("email", []).pattern, r"\d{6,12}", r"[A-Z0-9]{4}(-[A-Z0-9]{4}){3}", "(eu|us|asia)"]
)
def test_usual_patterns_are_taken(pattern: str) -> None:
    check_pattern(pattern)


def test_the_worst_pattern_that_is_taken_is_quick() -> None:
    pattern = ".*.*x"
    check_pattern(pattern)
    started = time.thread_time()
    with pytest.raises(InvalidField):
        check_fields([InputField("f", pattern=pattern)], {"f": "a" * 256})
    assert time.thread_time() - started < 0.25
