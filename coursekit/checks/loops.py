"""Finds a loop over the examples: compares how often lines run for few examples and for many.

A vectorised loss may loop over classes, of which there are ten, but not over examples,
of which there are many.  Its lines are counted in two calls, the second one with the rows
of its data repeated.  Repeated rows add no class and no feature, so a line that runs more
often for the added rows is in a loop over the examples.  Counts, unlike times, do not
depend on the load of the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .cases import Case, Step
from .lines import Line

ADDED = 128  # rows, at least: many more than there are classes
ENOUGH = 8  # rows, to take every branch of the code
CHUNK = 4  # a loop over chunks of this many rows is allowed


@dataclass(frozen=True)
class Experiment:
    """The same call with `rows` and with `rows + added` examples."""

    few: Case
    many: Case
    rows: int
    added: int


def experiment(case: Case, arguments: Collection[str]) -> Experiment | None:
    """Make two cases of the first call of `case` with rows in one of `arguments`; None if there is no such call."""
    for number, step in enumerate(case.steps):
        named = dict(zip(step.names, step.args, strict=False)) | dict(step.kwargs)
        rows = max((_rows(value) for name, value in named.items() if name in arguments), default=0)
        if rows:
            copies = 1 + -(-ADDED // rows)
            few = replace(step, expected=(), counted=True)
            many = _repeated(few, arguments, copies)
            before = case.steps[:number]
            few_case, many_case = (Case(case.title, (*before, last)) for last in (few, many))
            return Experiment(few_case, many_case, rows, rows * (copies - 1))
    return None


def first_loop(few: Sequence[Line], many: Sequence[Line], added: int) -> str | None:
    """Return the source of the first line that ran more often for the `added` rows, or None.

    >>> few = [Line("1", "for c in range(C):", 11), Line("2", "for i in range(N):", 5)]
    >>> many = [Line("1", "for c in range(C):", 11), Line("2", "for i in range(N):", 105)]
    >>> first_loop(few, many, 100)
    'for i in range(N):'
    """
    before = {line.place: line.times for line in few}
    grown = (line for line in many if CHUNK * (line.times - before.get(line.place, 0)) >= added)
    return next((line.source for line in grown), None)


def _rows(value: Any) -> int:
    return len(value) if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim) else 0


def _repeated(step: Step, arguments: Collection[str], copies: int) -> Step:
    """Repeat the rows of `arguments` in `step`."""

    def longer(name: str, value: Any) -> Any:
        if name not in arguments or not _rows(value):
            return value
        return value * copies if isinstance(value, list) else np.concatenate([value] * copies)

    names = (*step.names, *[""] * len(step.args))
    return replace(
        step,
        args=tuple(longer(name, value) for name, value in zip(names, step.args, strict=False)),
        kwargs={name: longer(name, value) for name, value in step.kwargs.items()},
    )
