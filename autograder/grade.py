"""One submission in, one graded record out.

:func:`grade` depends on nothing but its arguments, so it can run in another process or on
another machine.  It drives the notebook's cells behind the wall, answers each check cell
with fresh cases, and composes that cell's outputs itself: what the student's process shows
there cannot earn a point.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coursekit.checks.cases import Case, Exercise, to_files
from coursekit.checks.judge import examine, inherited
from coursekit.checks.report import Report
from coursekit.checks.run import StepOutcome
from coursekit.reporting import printable

from . import cases, spec, testcells
from .bundle import Bundle
from .fingerprint import digest
from .wall import server
from .wall.box import Box, BoxDied, Limits
from .wall.sandbox import Setup
from .wall.server import ServerDied

CHECK = "check_"
MAX_RESTARTS = 3
MAX_ATTEMPTS = 3
MAX_REASON = 300  # characters of a student's error that are quoted as the reason for something else

Cell = dict[str, Any]
log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Kept:
    """What stays of an earlier grading of the same notebook: results, and the outputs that show them, by exercise."""

    results: Mapping[str, dict[str, Any]]
    outputs: Mapping[str, list[dict[str, Any]]]

    @classmethod
    def of(cls, content: str, record: dict[str, Any], names: Iterable[str]) -> Kept:
        """Of the exercises `names`, from the graded notebook as JSON and its record."""
        cells = {_grade_id(cell): cell for cell in json.loads(content)["cells"]}
        kept = [name for name in names if CHECK + name in cells and name in record["exercises"]]
        return cls(
            {name: record["exercises"][name] for name in kept},
            {name: cells[CHECK + name].get("outputs", []) for name in kept},
        )


def grade_all(jobs: Sequence[tuple[Any, ...]]) -> list[Graded]:
    """:func:`grade` for each notebook of a submission."""
    return [grade(*job) for job in jobs]


def warm_up(checks: Bundle | None, setup: Setup) -> None:
    """Start what the first submission would otherwise wait for."""
    server.start(_setup(_assignment(checks, ""), setup))


def grade(
    submission: Submission,
    checks: Bundle | None,
    secret: bytes,
    limits: Limits | None = None,
    setup: Setup | None = None,
    kept: Kept | None = None,
) -> Graded:
    """Run and grade a submission.

    Parameters
    ----------
    submission : Submission
    checks : Bundle or None
        The assignment's `checks.py` with what it imports; None runs the notebook without checks.
    secret : bytes
        The course secret, from which the student's cases are drawn.
    limits, setup
        What the submission may use, and how it is walled in.
    kept : Kept, optional
        Exercises that are not checked again.

    Raises
    ------
    autograder.spec.Refused
        If `checks` cannot be used.
    autograder.wall.sandbox.NoWall
        If there is no bubblewrap.
    autograder.wall.server.ServerDied
        If the processes behind the wall are ended from outside, time and again.
    """
    notebook = json.loads(submission.content)
    assignment = _assignment(checks, submission.assignment)
    exercises = _exercises(submission, assignment, secret, notebook)
    references = {name: one.reference for name, one in assignment.described.items()}
    setup = _setup(assignment, setup or Setup())

    def with_mistakes(name: str) -> Exercise:
        return cases.fresh(assignment, name, secret, _drawn_for(submission, notebook))

    for attempt in range(1, 1 + MAX_ATTEMPTS):
        run = _Run(
            notebook["cells"], exercises, with_mistakes, references, limits or Limits(), setup, submission.files, kept
        )
        try:
            run.all_cells()
            break
        except ServerDied:  # somebody killed it, or memory ran out; the submission is run again from its first cell
            if attempt == MAX_ATTEMPTS:
                raise
    return _graded(submission, notebook, exercises, run.reports, "graded", run)


def recheck(
    submission: Submission,
    checks: Bundle,
    exercise: Exercise,
    results: Mapping[str, dict[str, Any]],
    limits: Limits | None = None,
    setup: Setup | None = None,
) -> Report:
    """Run a submission up to the check of `exercise` and make that check again, with the cases it holds.

    `results` are those of the record; they say which other exercises were wrong.
    """
    assignment = _assignment(checks, submission.assignment)
    references = {name: one.reference for name, one in assignment.described.items()}
    cells = json.loads(submission.content)["cells"]
    last = next(i for i, cell in enumerate(cells) if _checked(cell, {exercise.name: exercise}))
    own = {exercise.name: exercise}
    kept = Kept({name: result for name, result in results.items() if name != exercise.name}, {})
    run = _Run(
        cells[: last + 1],
        own,
        lambda name: exercise,
        references,
        limits or Limits(),
        _setup(assignment, setup or Setup()),
        submission.files,
        kept,
    )
    run.all_cells()
    return run.reports[exercise.name]


@functools.lru_cache(maxsize=4)
def _assignment(checks: Bundle | None, name: str) -> spec.Assignment:
    return spec.load(checks) if checks is not None else spec.Assignment(name)


def _setup(assignment: spec.Assignment, setup: Setup) -> Setup:
    if not assignment.described:
        return setup
    return replace(setup, forbidden=assignment.forbidden, withheld=tuple(assignment.withheld))


def refuse(submission: Submission, checks: Bundle | None, secret: bytes, reason: str) -> Graded:
    """The record of a submission that cannot be run, for the `reason` given: zero for every check, nothing run."""
    notebook = json.loads(submission.content)
    exercises = _exercises(submission, _assignment(checks, submission.assignment), secret, notebook)
    reports = {name: Report.unanswered(exercise, "not run", reason) for name, exercise in exercises.items()}
    for cell in notebook["cells"]:
        if name := _checked(cell, exercises):
            cell["outputs"] = _check_outputs(reports[name], _points(cell), [])
        elif cell["cell_type"] == "code" and _metadata(cell).get("grade") and not _metadata(cell).get("solution"):
            cell["outputs"] = [_error("NotRun", reason)]  # nbgrader gives full marks to a test cell that says nothing
    return _graded(submission, notebook, exercises, reports, f"refused: {reason}", None)


class _Run:
    """The cells of one notebook and what became of them."""

    def __init__(
        self,
        cells: list[Cell],
        exercises: dict[str, Exercise],
        with_mistakes: Callable[[str], Exercise],
        references: Mapping[str, Mapping[str, Any]],
        limits: Limits,
        setup: Setup,
        files: Mapping[str, bytes],
        kept: Kept | None,
    ) -> None:
        self.kept = kept or Kept({}, {})
        self.cells = cells
        self.exercises = exercises
        self.with_mistakes = with_mistakes
        self.references = references
        self.limits = limits
        self.setup = setup
        self.files = files
        self.reports: dict[str, Report] = {}
        self.lost: dict[int, str] = {}  # cells that ended their process, and why
        self.started = time.monotonic()

    def all_cells(self) -> None:
        """Run all cells; one that ends the process is left out and the rest is run again without it."""
        for cell in self.cells:
            if cell["cell_type"] == "code":  # an output is what this run has seen, or it is none
                cell["outputs"], cell["execution_count"] = [], None
        for _ in range(1 + MAX_RESTARTS):
            left = self.limits.notebook_seconds - (time.monotonic() - self.started)
            with Box(replace(self.limits, notebook_seconds=left), self.setup, self.files) as box:
                number = 0
                try:
                    for number, cell in enumerate(self.cells):
                        if cell["cell_type"] == "code" and number not in self.lost:
                            self._cell(box, number, cell)
                    return
                except BoxDied as died:
                    self._lose(number, died, box.outputs.cell)
                    death = died
            if time.monotonic() - self.started >= self.limits.notebook_seconds:
                break
        stopped = BoxDied(f"{death.reason}; after that, nothing was run any more", death.late)
        for later in range(number + 1, len(self.cells)):
            self._lose(later, stopped, [])

    def _cell(self, box: Box, number: int, cell: Cell) -> None:
        name = _checked(cell, self.exercises)
        if name is None:
            if not _source(cell).strip():
                return
            cell["outputs"] = box.run_cell(number, _source(cell), is_test=_is_test_cell(cell))
        elif name in self.kept.outputs:
            cell["outputs"] = self.kept.outputs[name]
        elif name in self.reports:  # after a restart, the checks that were answered stay answered
            cell["outputs"] = cell["outputs"] or _check_outputs(self.reports[name], _points(cell), [])
        else:
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
                self.reports[expected] = self._examined(box, exercise)
            return self.reports[expected].score

        return on_check

    def _examined(self, box: Box, exercise: Exercise) -> Report:
        try:
            report = self._report(box, exercise, {})
            wrong = [name for name in exercise.uses if not self._is_right(name)]
            if report.status in ("passed", "not written") or not wrong:
                return report
            # A mistake of an earlier exercise has cost its points there.
            stand_ins = {name: f for one in wrong for name, f in self.references[one].items()}
            again = self._report(box, exercise, stand_ins)
            return inherited(report, again, wrong)
        except (BoxDied, spec.Refused):
            raise
        except Exception as error:  # what came back was stranger than a comparison could bear: it costs this exercise
            log.exception("%s could not be judged", exercise.name)
            reason = f"What came back could not be judged ({type(error).__name__}: {str(error)[:MAX_REASON]})."
            return Report.unanswered(exercise, "not run", reason)

    def _report(self, box: Box, exercise: Exercise, stand_ins: Mapping[str, Any]) -> Report:
        outcomes = []

        def run(case: Case) -> list[StepOutcome]:
            outcomes.append(box.run_case(case, exercise.functions, stand_ins))
            return outcomes[-1]

        report = examine(exercise, run)
        if report.status in ("passed", "not written"):
            return report
        # Only now is it worth the time to find out what each known mistake would have given.
        self.exercises[exercise.name] = self.with_mistakes(exercise.name)
        again = iter(outcomes)
        return examine(self.exercises[exercise.name], lambda case: next(again))

    def _is_right(self, name: str) -> bool:
        kept = self.kept.results.get(name)
        return kept["status"] == "passed" if kept else name in self.reports and self.reports[name].passed

    def _unreached(self, name: str, printed: list[dict[str, Any]]) -> Report:
        """The report on a check cell that never asked for its check: most often because a cell above failed."""
        exercise = self.exercises[name]
        for function in exercise.functions:
            written = next((cell for cell in self.cells if _grade_id(cell) in (name, function)), None)
            if written is None:
                return Report.unanswered(exercise, "not defined", f"The cell of {function} is missing.")
            for output in written.get("outputs", []):
                if output["output_type"] == "error":
                    why = _quoted(output)
                    return Report.unanswered(
                        exercise, "not defined", f"{function} is not defined; its cell stopped with {why}"
                    )
        errors = [_quoted(output) for output in printed if output["output_type"] == "error"]
        if errors:
            return Report.unanswered(exercise, "not defined", f"The check could not be made: {errors[-1]}")
        return Report.unanswered(exercise, "not run", "The check in this cell did not reach the grader.")

    def _lose(self, number: int, death: BoxDied, printed: list[dict[str, Any]]) -> None:
        cell = self.cells[number]
        if cell["cell_type"] != "code":
            return
        self.lost[number] = death.reason
        name = _checked(cell, self.exercises)
        if name is None:
            cell["outputs"] = [
                *printed,
                _error("NotebookEnded", f"While this cell ran, the notebook's process {death.reason}."),
            ]
            for output in printed:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = number + 1
            return
        if name in self.kept.outputs:
            cell["outputs"] = self.kept.outputs[name]
            return
        if name not in self.reports:
            text = f"While this was checked, the notebook's process {death.reason}."
            self.reports[name] = Report.unanswered(self.exercises[name], "timeout" if death.late else "not run", text)
        cell["outputs"] = _check_outputs(self.reports[name], _points(cell), [])


# -- the parts of a notebook ----------------------------------------------------------------


def _exercises(
    submission: Submission, assignment: spec.Assignment, secret: bytes, notebook: dict[str, Any]
) -> dict[str, Exercise]:
    """The exercises that this notebook has a check cell for, with the student's own cases; without mistakes as yet."""
    asked = {_checked(cell, assignment.described) for cell in notebook["cells"]}
    return {
        name: cases.fresh(assignment, name, secret, _drawn_for(submission, notebook), mistakes=False)
        for name in assignment.described
        if name in asked
    }


def _drawn_for(submission: Submission, notebook: dict[str, Any]) -> str:
    """Whom cases are drawn for: who hands in again may have printed the last ones, so other code gets other cases."""
    code = [_source(cell).encode("utf-8", "replace") for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return f"{submission.student} {digest(code)}"


def _metadata(cell: Cell) -> dict[str, Any]:
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def _grade_id(cell: Cell) -> str:
    return str(_metadata(cell).get("grade_id", ""))


def _points(cell: Cell) -> float:
    return float(_metadata(cell).get("points", 0))


def _checked(cell: Cell, exercises: Mapping[str, Any]) -> str | None:
    """The exercise that `cell` checks, if it is a check cell."""
    grade_id, metadata = _grade_id(cell), _metadata(cell)
    if (
        cell["cell_type"] != "code"
        or not metadata.get("grade")
        or metadata.get("solution")
        or not grade_id.startswith(CHECK)
    ):
        return None
    name = grade_id.removeprefix(CHECK)
    return name if name in exercises else None


def _is_test_cell(cell: Cell) -> bool:
    """Whether nbgrader would score `cell` by its outputs."""
    metadata = _metadata(cell)
    return cell["cell_type"] == "code" and bool(metadata.get("grade")) and not metadata.get("solution")


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


def _quoted(output: dict[str, Any]) -> str:
    """The error in an output in one line, as part of a sentence."""
    return f"{output['ename']}: {output['evalue']}"[:MAX_REASON]


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
            kept = run.kept.results.get(name) if run else None
            results[name] = kept or reports[name].to_dict()
        elif _is_test_cell(cell):
            score = testcells.settle(cell, _points(cell))
            results[_grade_id(cell)] = {"status": "graded by its test", "score": score, "max": _points(cell)}
        elif metadata.get("grade"):
            results[_grade_id(cell)] = {"status": "graded by hand", "score": None, "max": _points(cell)}
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
