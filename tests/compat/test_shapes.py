"""The shape checker itself: a checker that lets things through would prove nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from tests.compat.shapes import Anything, Either, Number, Only, fits, parse, problems, shape_of

ORDER = {"id": re.compile(r"[0-9a-f]{24}"), "state": Only("OPEN", "DONE"), "price": Number, "note?": str, "units": [{"n": int}]}
GOOD: dict[str, Any] = {"id": "65f0a1b2c3d4e5f60718293a", "state": "DONE", "price": Decimal("2.50"), "units": [{"n": 1}]}


def test_what_fits_has_no_problems() -> None:
    fits(GOOD, ORDER)
    fits(GOOD | {"note": "x"}, ORDER)
    fits([1, None, {"any": "thing"}], [Anything])
    fits({"a": 1, "b": 2}, {"a": int, "*": int})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "65F0a1b2c3d4e5f60718293a"}, "$.id"),
        ({"id": "65f0a1b2c3d4e5f60718293a\n"}, "$.id"),
        ({"state": "OTHER"}, "$.state"),
        ({"price": "2.50"}, "$.price"),
        ({"price": True}, "$.price"),
        ({"note": None}, "$.note"),
        ({"units": [{"n": 1}, {"n": Decimal("2.0")}]}, "$.units[1].n"),
        ({"units": [{}]}, "$.units[0].n is missing"),
        ({"units": {}}, "$.units"),
        ({"more": 1}, "$.more must not be there"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(change: dict[str, Any], problem: str) -> None:
    (found,) = problems(GOOD | change, ORDER)
    assert found.startswith(problem)


def test_a_missing_member_is_a_problem() -> None:
    assert problems({}, {"a": int, "b?": int}) == ["$.a is missing"]


def test_one_is_not_true_and_null_is_not_absent() -> None:
    assert problems(True, Only(1))
    assert problems(1, bool)
    assert problems(True, int)
    assert problems({"a": None}, {"a?": str})


def test_one_of_several_shapes_is_enough() -> None:
    fits(1, Either(int, None))
    assert problems("x", Either(int, None))


def test_an_array_may_have_a_length() -> None:
    fits([1, 2], [int, 2])
    assert problems([1], [int, 2]) == ["$ has 1 elements, not 2"]


def test_an_examples_shape_takes_the_example_and_no_more() -> None:
    example = parse('{"a": [{"b": 1.5, "c": null}], "d": [], "e": true}')
    fits(example, shape_of(example))
    assert problems(example | {"f": 1}, shape_of(example))
    assert problems({"a": []}, shape_of(example))
