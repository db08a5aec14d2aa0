"""An assignment as its tests see it: cases drawn for a student, and the report on what somebody wrote."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autograder import cases, spec
from coursekit.checks.cases import Case, Exercise, Expected
from coursekit.checks.judge import examine
from coursekit.checks.report import Report
from coursekit.checks.run import StepOutcome, run_case

SECRET = b"the tests' own course secret, 0123456789abcdef"
REPOSITORY = Path(__file__).resolve().parents[2]


class Assessed:
    """The assignment `slug`: `folder` holds its notebook and checks.py, `released` what students get."""

    def __init__(self, slug: str) -> None:
        self.folder = REPOSITORY / "solutions" / slug
        self.released = REPOSITORY / "assignments" / slug
        self.assignment = spec.load((self.folder / "checks.py").read_text(encoding="utf-8"), "checks.py")
        self.exercise = functools.cache(self._exercise)

    def _exercise(self, name: str, student: str) -> Exercise:
        return cases.fresh(self.assignment, name, SECRET, student)

    def graded(self, name: str, source: str, student: str) -> Report:
        """The report on `source`, a cell that defines the function `name`."""
        namespace: dict[str, Any] = {"np": np, "numpy": np}
        exec(compile(source, "<cell>", "exec"), namespace)
        functions = {name: namespace[name]}
        return examine(self.exercise(name, student), lambda case: run_case(case, functions), lambda: source)

    def answers(self, name: str, student: str, change: Callable[[Expected], Any]) -> Report:
        """The report on somebody who returns `change(expected)` wherever something is expected to be returned."""

        def run(made: Case) -> list[StepOutcome]:
            outcomes = []
            for step in made.steps:
                values = [change(item) for item in step.expected if item.where == "returned"]
                outcomes.append(StepOutcome(returned=values[0] if len(values) == 1 else tuple(values)))
            return outcomes

        return examine(self.exercise(name, student), run, lambda: None)
