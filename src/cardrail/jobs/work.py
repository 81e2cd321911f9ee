"""What there is to do, written down before anything starts: workflows and steps as plain functions, which the worker makes durable.

Until a worker runs, and in tests without one, a step is the function itself and a transaction step opens a transaction of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from cardrail.storage import Database, Tx

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Step:
    """A registered step: what its callers reach is ``call``, the plain function until the worker puts a durable one there."""

    name: str
    function: Callable[..., Any]
    call: Callable[..., Any]
    plain: Callable[..., Any]
    in_transaction: bool


@dataclass(slots=True)
class Work:
    """The workflows and steps of this process."""

    db: Database
    workflows: dict[str, Callable[..., Any]] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)

    def add_workflow(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        self._refuse_taken(name)
        self.workflows[name] = function
        return function

    def add_step(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        return self._add(Step(name, function, function, function, in_transaction=False))

    def add_tx_step(self, name: str, function: Callable[Concatenate[Tx, P], R]) -> Callable[P, R]:
        def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.db.transaction() as tx:
                return function(tx, *args, **kwargs)

        return self._add(Step(name, function, plain, plain, in_transaction=True))

    def _add(self, step: Step) -> Callable[..., Any]:
        self._refuse_taken(step.name)
        self.steps[step.name] = step

        @functools.wraps(step.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return step.call(*args, **kwargs)

        return call

    def _refuse_taken(self, name: str) -> None:
        if name in self.workflows or name in self.steps:
            raise ValueError(f"{name} is registered already")
