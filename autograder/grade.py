"""One submission in, one graded record out.

:func:`grade` depends on nothing but its arguments, so it can run in another process or on
another machine.  It drives the notebook's cells behind the wall, answers each check cell
with fresh cases, and composes that cell's outputs itself: what the student's process shows
there cannot earn a point.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coursekit.checks.cases import Exercise, to_files
from coursekit.checks.judge import examine
from coursekit.checks.report import Report, number, printable

from . import cases, spec
from .wall.sandbox import Box, BoxDied, Limits, Setup

CHECK = "check_"
MAX_RESTARTS = 3

Cell = dict[str, Any]


@dataclass(frozen=True)
class Submission:
    """A student's notebook, sanitised by nbgrader, as JSON; and the files that belong beside it."""

    student: str
    assignment: str
    name: str
    content: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Graded:
    """The executed notebook as JSON, the record of its grading, and the cases that it was graded on."""

    content: str
    record: dict[str, Any]
    cases: dict[str, bytes]


def grade(
    submission: Submission,
    checks: str | None,
    secret: bytes,
    limits: Limits | None = None,
    setup: Setup | None = None,
) -> Graded:
    """Run and grade a submission.

    Parameters
    ----------
    submission : Submission
    checks : str or None
        The text of the assignment's `checks.py`; None runs the notebook without checks.
    secret : bytes
        The course secret, from which the student's cases are drawn.
    limits, setup
        What the submission may use, and how it is walled in.

    Raises
    ------
    autograder.spec.Refused
        If `checks` cannot be used.
    autograder.wall.sandbox.NoWall
        If there is no bubblewrap.
    """
    notebook = json.loads(submission.content)
    exercises = _exercises(submission, checks, secret, notebook)
    if checks is not None:
        forbidden = spec.load(checks, "checks.py").forbidden
        setup = replace(setup or Setup(), forbidden=forbidden)
    run = _Run(notebook["cells"], exercises, limits or Limits(), setup or Setup(), submission.files)
    run.all_cells()
    return _graded(submission, notebook, exercises, run.reports, "graded", run)


def refuse(submission: Submission, checks: str | None, secret: bytes, reason: str) -> Graded:
    """The record of a submission that cannot be run, for the `reason` given: zero for every check, nothing run."""
    notebook = json.loads(submission.content)
    exercises = _exercises(submission, checks, secret, notebook)
    reports = {name: Report.unanswered(exercise, "not run", reason) for name, exercise in exercises.items()}
    for cell in notebook["cells"]:
        if name := _checked(cell, exercises):
            cell["outputs"] = _check_outputs(reports[name], _points(cell), [])
    return _graded(submission, notebook, exercises, reports, f"refused: {reason}", None)


class _Run:
    """The cells of one notebook and what became of them."""

    def __init__(
        self,
        cells: list[Cell],
        exercises: dict[str, Exercise],
        limits: Limits,
        setup: Setup,
        files: Mapping[str, bytes],
    ) -> None:
        self.cells = cells
        self.exercises = exercises
        self.limits = limits
        self.setup = setup
        self.files = files
        self.reports: dict[str, Report] = {}
        self.lost: dict[int, str] = {}  # cells that ended their process, and why
        self.code = "\n\n".join(_source(cell) for cell in cells if cell["cell_type"] == "code")
        self.started = time.monotonic()

    def all_cells(self) -> None:
        """Run all cells; one that ends the process is left out and the rest is run again without it."""
        while True:
            left = self.limits.notebook_seconds - (time.monotonic() - self.started)
            number = 0
            try:
                if left <= 0:
                    raise BoxDied(f"used up the {self.limits.notebook_seconds:g} s that a notebook may take")
                with Box(replace(self.limits, notebook_seconds=left), self.setup, self.files) as box:
                    for number, cell in enumerate(self.cells):
                        if cell["cell_type"] == "code" and number not in self.lost and _source(cell).strip():
                            self._cell(box, number, cell)
                return
            except BoxDied as death:
                self._lose(number, death.reason)
                if left <= 0 or len(self.lost) > MAX_RESTARTS:
                    for later in range(number + 1, len(self.cells)):
                        self._lose(later, f"{death.reason}; after that, nothing was run any more")
                    return

    def _cell(self, box: Box, number: int, cell: Cell) -> None:
        name = _checked(cell, self.exercises)
        if name is None:
            cell["outputs"] = box.run_cell(number, _source(cell))
        elif name not in self.reports:  # after a restart, the checks that were answered stay answered
            printed = box.run_cell(number, _source(cell), self._examiner(box, name))
            if name not in self.reports:
                self.reports[name] = self._unreached(name, printed)
            cell["outputs"] = _check_outputs(self.reports[name], _points(cell), printed)
        cell["execution_count"] = number + 1
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number + 1

    def _examiner(self, box: Box, expected: str) -> Callable[[str, int], float]:
        exercise = self.exercises[expected]

        def on_check(name: str, count: int) -> float:
            if name != expected or count != len(exercise.functions):
                return 0.0  # not the check of this cell: it is answered, and earns nothing
            if expected not in self.reports:
                self.reports[expected] = examine(
                    exercise, lambda case: box.run_case(case, exercise.functions), lambda: self.code
                )
            return self.reports[expected].score

        return on_check

    def _unreached(self, name: str, printed: list[dict[str, Any]]) -> Report:
        """The report on a check cell that never asked for its check: most often because a cell above failed."""
        exercise = self.exercises[name]
        for function in exercise.functions:
            written = next((cell for cell in self.cells if _grade_id(cell) in (name, function)), None)
            if written is None:
                return Report.unanswered(exercise, "not defined", f"The cell of {function} is missing.")
            for output in written.get("outputs", []):
                if output["output_type"] == "error":
                    why = f"{output['ename']}: {output['evalue']}"
                    return Report.unanswered(
                        exercise, "not defined", f"{function} is not defined; its cell stopped with {why}"
                    )
        errors = [f"{o['ename']}: {o['evalue']}" for o in printed if o["output_type"] == "error"]
        if errors:
            return Report.unanswered(exercise, "not defined", f"The check could not be made: {errors[-1]}")
        return Report.unanswered(exercise, "not run", "The check in this cell did not reach the grader.")

    def _lose(self, number: int, reason: str) -> None:
        if number >= len(self.cells) or self.cells[number]["cell_type"] != "code":
            return
        cell = self.cells[number]
        self.lost[number] = reason
        name = _checked(cell, self.exercises)
        if name is None:
            cell["outputs"] = [_error("NotebookEnded", f"While this cell ran, the notebook's process {reason}.")]
            return
        if name not in self.reports:
            status = "timeout" if "in time" in reason else "not run"
            text = f"While this was checked, the notebook's process {reason}."
            self.reports[name] = Report.unanswered(self.exercises[name], status, text)
        cell["outputs"] = _check_outputs(self.reports[name], _points(cell), [])


# -- the parts of a notebook ----------------------------------------------------------------


def _exercises(
    submission: Submission, checks: str | None, secret: bytes, notebook: dict[str, Any]
) -> dict[str, Exercise]:
    """The exercises that this notebook has a check cell for, with the student's own cases."""
    if checks is None:
        return {}
    assignment = spec.load(checks, "checks.py")
    asked = {_grade_id(cell) for cell in notebook["cells"]}
    return {
        name: cases.fresh(assignment, name, secret, submission.student)
        for name in assignment.described
        if CHECK + name in asked
    }


def _metadata(cell: Cell) -> dict[str, Any]:
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def _grade_id(cell: Cell) -> str:
    return str(_metadata(cell).get("grade_id", ""))


def _points(cell: Cell) -> float:
    return float(_metadata(cell).get("points", 0))


def _checked(cell: Cell, exercises: Mapping[str, Exercise]) -> str | None:
    """The exercise that `cell` checks, if it is a check cell."""
    grade_id, metadata = _grade_id(cell), _metadata(cell)
    if not metadata.get("grade") or metadata.get("solution") or not grade_id.startswith(CHECK):
        return None
    name = grade_id.removeprefix(CHECK)
    return name if name in exercises else None


def _source(cell: Cell) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


# -- what is written into it ------------------------------------------------------------------


def _check_outputs(report: Report, points: float, printed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs of a check cell: what was printed, the report, the score as a float, and an error if it failed.

    nbgrader takes the first output that decides; that is the float.  Of what the student's
    process sent only printed text is kept, and not as stderr, which nbgrader scores as zero.
    """
    text = "".join(output["text"] for output in printed if output["output_type"] == "stream")
    outputs: list[dict[str, Any]] = []
    if text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": text[:10_000]})
    bundle = {"text/plain": report.text(), "text/html": report.html()}
    outputs.append({"output_type": "display_data", "data": bundle, "metadata": {}})
    score = points * report.score / report.points if report.points else 0.0
    result = {"text/plain": repr(float(score))}
    outputs.append({"output_type": "execute_result", "data": result, "metadata": {}, "execution_count": None})
    if not report.passed:
        outputs.append(_error("CheckFailed", report.summary()))
    return outputs


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": kind, "evalue": printable(message), "traceback": [printable(message)]}


def _graded(
    submission: Submission,
    notebook: dict[str, Any],
    exercises: dict[str, Exercise],
    reports: dict[str, Report],
    status: str,
    run: _Run | None,
) -> Graded:
    results: dict[str, Any] = {}
    for cell in notebook["cells"]:
        metadata = _metadata(cell)
        if name := _checked(cell, exercises):
            results[name] = reports[name].to_dict()
        elif metadata.get("grade"):
            by = "by hand" if metadata.get("solution") else "by nbgrader"
            results[_grade_id(cell)] = {"status": f"graded {by}", "score": None, "max": _points(cell)}
    checked = [result for result in results.values() if result["score"] is not None]
    record = {
        "student": submission.student,
        "assignment": submission.assignment,
        "notebook": submission.name,
        "status": status,
        "score": sum(result["score"] for result in checked),
        "max": sum(result["max"] for result in checked),
        "exercises": results,
        "lost_cells": {_grade_id(run.cells[i]) or f"cell {i + 1}": why for i, why in run.lost.items()} if run else {},
        "seconds": round(time.monotonic() - run.started, 3) if run else 0.0,
    }
    used = to_files(submission.assignment, tuple(exercises.values())) if exercises else {}
    return Graded(json.dumps(notebook), record, used)


def summary(record: Mapping[str, Any]) -> str:
    """A record in one line."""
    return f"{record['student']}: {number(record['score'])} of {number(record['max'])} ({record['status']})"
