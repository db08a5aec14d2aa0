"""An assignment as its tests see it: cases drawn for a student, and the report on what somebody wrote."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from programs import REPOSITORY

from autograder import cases
from autograder.bundle import Bundle
from coursekit.checks.cases import Case, Exercise, Expected
from coursekit.checks.judge import examine
from coursekit.checks.report import Report
from coursekit.checks.run import StepOutcome, run_case

SECRET = b"the tests' own course secret, 0123456789abcdef"


class Assessed:
    """The assignment `slug`: `folder` holds its notebook and checks.py, `released` what students get."""

    def __init__(self, slug: str) -> None:
        self.folder = REPOSITORY / "solutions" / slug
        self.released = REPOSITORY / "assignments" / slug
        checks = Bundle.read(self.folder).load()
        self.assignment = checks.assignment
        self._package = checks.__package__
        self.exercise = functools.cache(self._exercise)

    def module(self, name: str) -> Any:
        """The module `name`.py beside checks.py, which imports it."""
        return sys.modules[f"{self._package}.{name}"]

    def _exercise(self, name: str, student: str) -> Exercise:
        return cases.fresh(self.assignment, name, SECRET, student)

    def graded(self, name: str, source: str, student: str, leave_out: int = 0) -> Report:
        """Report on `source`, a cell that defines the functions of the exercise `name`; see `examined`."""
        namespace = defined(source)
        functions = {function: namespace[function] for function in self.assignment.described[name].functions}
        return self.examined(name, functions, student, leave_out)

    def examined(self, name: str, functions: Mapping[str, Any], student: str, leave_out: int = 0) -> Report:
        """Report on `functions`, by name, on the student's cases but for the last `leave_out`."""
        exercise = self.exercise(name, student)
        exercise = replace(exercise, cases=exercise.cases[: len(exercise.cases) - leave_out])
        limit = sys.getrecursionlimit()  # each submission has a process of its own, so what one sets is not for others
        try:
            return examine(exercise, lambda case: run_case(case, functions))
        finally:
            sys.setrecursionlimit(limit)

    def answers(self, name: str, student: str, change: Callable[[Expected], Any]) -> Report:
        """Report on somebody who returns `change(expected)` wherever something is expected to be returned."""

        def run(made: Case) -> list[StepOutcome]:
            outcomes = []
            for step in made.steps:
                outcomes.append(StepOutcome(returned=_returned(step.expected, change), lines=[]))
            return outcomes

        return examine(self.exercise(name, student), run)


assessed = functools.cache(Assessed)


def defined(source: str) -> dict[str, Any]:
    """Run `source` as a cell; gives what it defines."""
    namespace: dict[str, Any] = {"np": np, "numpy": np, "__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace


def codes(report: Report) -> tuple[str, ...]:
    """List the codes of everything that is found."""
    return tuple(finding.code for finding in report.findings)


def items(exercise: Exercise) -> list[Expected]:
    """List everything that is expected in the cases of an exercise."""
    return [item for case in exercise.cases for step in case.steps for item in step.expected]


def _returned(expected: Sequence[Expected], change: Callable[[Expected], Any]) -> Any:
    """Return what has to be returned, put together from `change(item)` of each item."""
    tree: dict[Any, Any] = {}

    def value(item: Expected) -> Any:
        return None if item.compare == "anything" else change(item)

    for item in expected:
        if item.where != "returned":
            continue
        if not item.at:
            return value(item)
        branch = tree
        for key in item.at[:-1]:
            branch = branch.setdefault(key, {})
        branch[item.at[-1]] = value(item)
    return tuple(tree.values()) if all(isinstance(key, int) for key in tree) else tree
