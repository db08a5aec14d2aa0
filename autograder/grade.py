"""Grade one submission: its bytes in, a graded record out.

:func:`grade` depends on nothing but its arguments, so it can run in another process or on another machine.  It
drives the notebook's cells behind the wall, answers each check cell with cases drawn for the student, and writes
that cell's outputs itself: what the student's process shows there cannot earn a point.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from coursekit.checks.cases import Case, Exercise, to_files
from coursekit.checks.judge import examine, inherited
from coursekit.checks.report import Report
from coursekit.checks.run import StepOutcome

from . import cases, notebook, spec, testcells
from .answers import with_read_mistakes
from .bundle import Bundle
from .marks import LIMIT, PROTOCOL, REFUSED, Marks
from .notebook import MAX_REASON, Cell, Notebook
from .results import ExerciseResult, Graded, Record, Submission
from .wall import server
from .wall.box import Box, BoxDied, Limits, OnCheck
from .wall.guard import Words, without_text
from .wall.noted import purpose
from .wall.oracle import Oracle
from .wall.outputs import Output
from .wall.sandbox import Setup
from .wall.server import ServerDied

MAX_RESTARTS = 3
MAX_ATTEMPTS = 3
PATIENCE = 3.0  # times that a call may take as long where its objects are on the other side of the wall
JUDGED_ELSEWHERE = (BoxDied, ServerDied, spec.Refused)

log = logging.getLogger(__name__)


def grade_all(jobs: Sequence[tuple[Any, ...]]) -> list[Graded]:
    """Call :func:`grade` for each notebook of a submission."""
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
    further: Mapping[str, Sequence[Exercise]] | None = None,
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
    further : dict, optional
        By exercise: more sets of cases, of which it has to pass each one too.

    Raises
    ------
    autograder.spec.Refused
        If `checks` cannot be used.
    autograder.wall.sandbox.NoWall
        If there is no bubblewrap.
    autograder.wall.server.ServerDied
        If the processes behind the wall are ended from outside, time and again.
    """
    nb: Notebook = json.loads(submission.content)
    assignment = _assignment(checks, submission.assignment)
    exercises = _exercises(submission, assignment, secret, nb)
    for attempt in range(1, 1 + MAX_ATTEMPTS):
        run = _Run(nb["cells"], assignment, exercises, limits, setup, submission.files)
        run.marks = Marks(submission.marks)
        run.further = further or {}
        try:
            run.all_cells()
            run.repeat_checks()
            break
        except ServerDied:  # somebody killed it, or memory ran out; the submission is run again from its first cell
            if attempt == MAX_ATTEMPTS:
                raise
    results = {name: _result(report) for name, report in run.reports.items()}
    lost = {run.place(i): why for i, why in run.lost.items()}
    seconds = round(time.monotonic() - run.started, 3)
    return _graded(submission, nb, exercises, results, "graded", lost, seconds, run.marks)


def recheck(
    submission: Submission,
    checks: Bundle,
    exercise: Exercise,
    results: Mapping[str, ExerciseResult],
    limits: Limits | None = None,
    setup: Setup | None = None,
) -> Report:
    """Run a submission up to the check of `exercise` and make that check again, with the cases it holds.

    `results` are those of the record; they say which other exercises were wrong.
    """
    exercises = {exercise.name: exercise}
    cells: list[Cell] = json.loads(submission.content)["cells"]
    last = next(i for i, cell in enumerate(cells) if notebook.checked(cell, exercises))
    others = {name: result for name, result in results.items() if name != exercise.name}
    assignment = _assignment(checks, submission.assignment)
    run = _Run(cells[: last + 1], assignment, exercises, limits, setup, submission.files, others)
    run.all_cells()
    run.repeat_checks()
    return run.reports[exercise.name]


def refuse(submission: Submission, checks: Bundle | None, secret: bytes, reason: str) -> Graded:
    """Give zero for every check of a submission that cannot be run, for the `reason` given."""
    nb: Notebook = json.loads(submission.content)
    exercises = _exercises(submission, _assignment(checks, submission.assignment), secret, nb)
    reports = {name: Report.unanswered(exercise, "not run", reason) for name, exercise in exercises.items()}
    for cell in nb["cells"]:
        if name := notebook.checked(cell, exercises):
            cell["outputs"] = notebook.check_outputs(reports[name], notebook.points(cell))
        elif notebook.is_test(cell):  # nbgrader gives full marks to a test cell that says nothing
            cell["outputs"] = [notebook.error("NotRun", reason)]
    results = {name: _result(report) for name, report in reports.items()}
    return _graded(submission, nb, exercises, results, f"refused: {reason}", {}, 0.0, Marks(submission.marks))


# -- the assignment ---------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _assignment(checks: Bundle | None, name: str) -> spec.Assignment:
    return spec.load(checks) if checks is not None else spec.Assignment(name)


def _setup(assignment: spec.Assignment, setup: Setup) -> Setup:
    if not assignment.described:
        return setup
    return replace(setup, forbidden=assignment.forbidden, withheld=tuple(assignment.withheld))


def _exercises(submission: Submission, assignment: spec.Assignment, secret: bytes, nb: Notebook) -> dict[str, Exercise]:
    """Draw the student's cases for the exercises that this notebook has a check cell for."""
    asked = {notebook.checked(cell, assignment.described) for cell in nb["cells"]}
    # Who hands in again may have printed the last cases: whatever is handed in is graded on others.
    drawn_for = f"{submission.student} {submission.handed_in}"
    return {name: cases.fresh(assignment, name, secret, drawn_for) for name in assignment.described if name in asked}


# -- the run ----------------------------------------------------------------------------------


class _Run:
    """The cells of one notebook and what became of them.

    Attributes
    ----------
    reports : dict
        The report on each exercise, by its name.
    printed : dict
        What check cells printed, by index.
    lost : dict
        Why the notebook's process ended, by the index of the cell that was running then.
    marks : Marks
        What an instructor should look at.
    started : float
        When the run began, by `time.monotonic`.
    """

    def __init__(
        self,
        cells: list[Cell],
        assignment: spec.Assignment,
        exercises: Mapping[str, Exercise],
        limits: Limits | None,
        setup: Setup | None,
        files: Mapping[str, bytes],
        known: Mapping[str, ExerciseResult] | None = None,
    ) -> None:
        self.cells = cells
        self.exercises = exercises
        self.references = {name: one.reference for name, one in assignment.described.items()}
        self.limits = limits or Limits()
        self.setup = _setup(assignment, setup or Setup())
        self.files = files
        self.known = known or {}  # results of exercises that are not checked in this run
        self.reports: dict[str, Report] = {}
        self.printed: dict[int, list[Output]] = {}
        self.lost: dict[int, str] = {}
        self.marks = Marks()
        self.further: Mapping[str, Sequence[Exercise]] = {}
        self.started = time.monotonic()

    def all_cells(self) -> None:
        """Run all cells; one that ends the process is left out and the rest is run again without it."""
        for cell in self.cells:
            if notebook.is_code(cell):  # outputs are what this run has seen
                cell["outputs"], cell["execution_count"] = [], None
        for _ in range(1 + MAX_RESTARTS):
            with self._box() as box:
                index = 0
                try:
                    for index, cell in enumerate(self.cells):
                        if notebook.is_code(cell) and index not in self.lost:
                            self._run_cell(box, index)
                    return
                except BoxDied as died:
                    if died.mark:
                        self.marks.add(died.mark, f"its process {died.reason}", self.place(index))
                    self._lose(index, died, box.outputs.cell)
                    death = died
            if self._left() <= 0:
                break
        stopped = BoxDied(f"{death.reason}; after that, nothing was run any more", death.late)
        for later in range(index + 1, len(self.cells)):
            self._lose(later, stopped, [])

    @contextlib.contextmanager
    def _box(self, patience: float = 1.0) -> Iterator[Box]:
        """Start a process for the notebook; when it has ended, mark what its warden has noted."""
        limits = replace(self.limits, notebook_seconds=self._left(), call_seconds=patience * self.limits.call_seconds)
        with Box(limits, self.setup, self.files) as box:
            yield box
        for name, count in box.noted.items():
            self.marks.add(REFUSED, f"called {name}, which {purpose(name)}", count=count)
        if box.crowded:
            self.marks.add(LIMIT, box.crowded)

    def place(self, index: int) -> str:
        """Name a cell."""
        return notebook.grade_id(self.cells[index]) or f"cell {index + 1}"

    def _left(self) -> float:
        """Return the seconds that are left for this notebook."""
        return self.limits.notebook_seconds - (time.monotonic() - self.started)

    def _run_cell(self, box: Box, index: int) -> None:
        cell = self.cells[index]
        source = notebook.source(cell)
        name = notebook.checked(cell, self.exercises)
        if name is not None:
            cell["outputs"] = self._check(box, index, name)
        elif source.strip():
            cell["outputs"] = box.run_cell(index, source, is_test=notebook.is_test(cell))
        else:
            return
        notebook.number_cell(cell, index + 1)

    def _check(self, box: Box, index: int, name: str) -> list[Output]:
        """Run the check cell of the exercise `name`, and compose its outputs."""
        cell = self.cells[index]
        printed: list[Output] = []
        if name not in self.reports:
            printed = box.run_cell(index, notebook.source(cell), self._examiner(box, name))
        elif cell["outputs"]:  # after a restart, the checks that were answered stay answered
            return cell["outputs"]
        if name not in self.reports:
            self.reports[name] = self._unreached(name, printed)
        self.printed[index] = printed
        return notebook.check_outputs(self.reports[name], notebook.points(cell), printed)

    def _examiner(self, box: Box, expected: str) -> Callable[[str, int], float]:
        """Answer the check of the exercise `expected`, once, with its score, and any other check with zero."""
        exercise = self.exercises[expected]

        def on_check(name: str, count: int) -> float:
            if name != expected or count != len(exercise.functions):
                self.marks.add(PROTOCOL, "its process asked for the check of another cell", notebook.CHECK + expected)
                return 0.0
            if expected not in self.reports:
                self.reports[expected] = self._examined(box, exercise)
            return self.reports[expected].score

        return on_check

    def _examined(self, box: Box, exercise: Exercise) -> Report:
        try:
            for one in (exercise, *self.further.get(exercise.name, ())):
                box.begin_check()
                report = examine(one, lambda case: box.run_case(case, exercise.functions))
                if not report.passed:
                    break
            return _drawn(report)
        except JUDGED_ELSEWHERE:
            raise
        except Exception as error:  # what came back was stranger than a comparison could bear: it costs this exercise
            log.exception("%s could not be judged", exercise.name)
            reason = f"What came back could not be judged ({type(error).__name__}: {str(error)[:MAX_REASON]})."
            return Report.unanswered(exercise, "not run", reason)

    # -- what an earlier mistake may have spoilt --------------------------------------------

    def repeat_checks(self) -> None:
        """Check again, with right functions in place of wrong ones, what an exercise that it uses may have spoilt.

        A mistake of an earlier exercise has cost its points there.  By now each exercise has a verdict on the
        student's own code, so that nothing which answers can be won for another one; and each cell has its outputs,
        so that nothing which is printed, shown or raised from now on is seen by anybody.
        """
        due = [name for name, report in self.reports.items() if report.verdicts and self._wrong(name)]
        spoilt = {name for name in due if not self.reports[name].passed and self.reports[name].status != "not written"}
        left = [name for name in self.exercises if name in spoilt]  # in the order in which they use each other
        asked: set[str] = set()
        while left:
            in_this_pass = self._repeat_in_one_pass(left)
            asked.update(in_this_pass)
            left = [name for name in left if name not in in_this_pass]
            if not in_this_pass:
                break
        for name in left:
            self.reports[name] = inherited(self.reports[name], None, self._wrong(name))
        for index, cell in enumerate(self.cells):
            checked = notebook.checked(cell, spoilt)
            if checked and cell["outputs"]:
                worth, printed = notebook.points(cell), self.printed.get(index, [])
                cell["outputs"] = notebook.check_outputs(self.reports[checked], worth, printed)
                notebook.number_cell(cell, index + 1)

    def _repeat_in_one_pass(self, due: Sequence[str]) -> list[str]:
        """Run the cells in a process of their own, and ask the checks in `due` that wait for no other one there.

        Return which were asked.
        """
        asked: list[str] = []
        where = [index for index, cell in enumerate(self.cells) if notebook.checked(cell, due)]
        if self._left() <= 0:
            return []

        def answering(box: Box, cell_of: str) -> OnCheck:
            def on_check(name: str, count: int) -> float:
                exercise = self.exercises[cell_of]
                waits = any(one in due and one not in asked for one in exercise.uses)
                as_it_should = name == cell_of and count == len(exercise.functions)
                if as_it_should and name in due and name not in asked and not waits:
                    asked.append(name)
                    self.reports[name] = self._repeated(box, exercise)
                return self.reports[cell_of].score if cell_of in self.reports else 0.0

            return on_check

        try:
            with self._box(PATIENCE) as box:
                for index, cell in enumerate(self.cells[: where[-1] + 1]):
                    if notebook.is_code(cell) and index not in self.lost and notebook.source(cell).strip():
                        name = notebook.checked(cell, self.exercises)
                        on_check = answering(box, name) if name else None
                        box.run_cell(index, notebook.source(cell), on_check, notebook.is_test(cell) and not name)
        except BoxDied as died:  # what is known stays
            if died.mark:
                self.marks.add(died.mark, "its process was ended while checks were repeated")
        return asked

    def _repeated(self, box: Box, exercise: Exercise) -> Report:
        """Return the better report: on the student's own code, or with right functions for wrong ones."""
        own, wrong = self.reports[exercise.name], self._wrong(exercise.name)
        oracle = Oracle({name: f for one in wrong for name, f in self.references[one].items()})
        words = Words(exercise, map(notebook.source, self.cells))

        def run(case: Case) -> list[StepOutcome]:
            return [without_text(outcome, words) for outcome in box.run_case(case, exercise.functions, oracle)]

        try:
            return _drawn(inherited(own, examine(exercise, run), wrong))
        except BoxDied:
            self.reports[exercise.name] = inherited(own, None, wrong)
            raise
        except JUDGED_ELSEWHERE:
            raise
        except Exception:  # as in `_examined`
            log.exception("%s could not be judged a second time", exercise.name)
            return inherited(own, None, wrong)

    def _wrong(self, name: str) -> list[str]:
        """Return the exercises that `name` uses and that are not right."""
        uses = self.exercises[name].uses
        here = {*self.exercises, *self.known}  # the others are in another notebook
        return [one for one in uses if one in here and not self._is_right(one)]

    def _is_right(self, name: str) -> bool:
        known = self.known.get(name)
        return known["status"] == "passed" if known else name in self.reports and self.reports[name].passed

    def _unreached(self, name: str, printed: list[Output]) -> Report:
        """Report on a check cell that never asked for its check: most often because a cell above failed."""
        exercise = self.exercises[name]
        for function in exercise.functions:
            written = next((cell for cell in self.cells if notebook.grade_id(cell) in (name, function)), None)
            if written is None:
                return Report.unanswered(exercise, "not defined", f"The cell of {function} is missing.")
            if errors := _errors(written.get("outputs", [])):
                reason = f"{function} is not defined; its cell stopped with {errors[0]}"
                return Report.unanswered(exercise, "not defined", reason)
        if errors := _errors(printed):
            return Report.unanswered(exercise, "not defined", f"The check could not be made: {errors[-1]}")
        return Report.unanswered(exercise, "not run", "The check in this cell did not reach the grader.")

    def _lose(self, index: int, death: BoxDied, printed: list[Output]) -> None:
        """Record that the process ended while the cell at `index` ran, or before it could."""
        cell = self.cells[index]
        if not notebook.is_code(cell):
            return
        self.lost[index] = death.reason
        name = notebook.checked(cell, self.exercises)
        if name is None:
            message = f"While this cell ran, the notebook's process {death.reason}."
            cell["outputs"] = [*printed, notebook.error("NotebookEnded", message)]
            for output in printed:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = index + 1
        else:
            if name not in self.reports:
                message = f"While this was checked, the notebook's process {death.reason}."
                status = "timeout" if death.late else "not run"
                self.reports[name] = Report.unanswered(self.exercises[name], status, message)
            cell["outputs"] = notebook.check_outputs(self.reports[name], notebook.points(cell))


def _drawn(report: Report) -> Report:
    """Return `report`, which can be shown and kept: if not, it fails here, where that costs one exercise."""
    report.text(), report.html(), json.dumps(report.to_dict())
    return report


def _errors(outputs: Sequence[Output]) -> list[str]:
    return [notebook.quoted(output) for output in outputs if output["output_type"] == "error"]


# -- the record -------------------------------------------------------------------------------


def _result(report: Report) -> ExerciseResult:
    return cast(ExerciseResult, report.to_dict())


def _graded(
    submission: Submission,
    nb: Notebook,
    exercises: Mapping[str, Exercise],
    checked: Mapping[str, ExerciseResult],
    status: str,
    lost_cells: dict[str, str],
    seconds: float,
    marks: Marks,
) -> Graded:
    """Put together what was graded; `checked` has the results of the `exercises`."""
    results: dict[str, ExerciseResult] = {}
    for cell in nb["cells"]:
        worth = notebook.points(cell)
        if name := notebook.checked(cell, exercises):
            results[name] = checked[name]
        elif notebook.is_test(cell):
            score = testcells.settle(cell, worth)
            results[notebook.grade_id(cell)] = {"status": "graded by its test", "score": score, "max": worth}
        elif notebook.metadata(cell).get("grade") or notebook.metadata(cell).get("task"):
            results[notebook.grade_id(cell)] = {"status": "graded by hand", "score": None, "max": worth}
    scored = [(result["score"], result["max"]) for result in results.values() if result["score"] is not None]
    record: Record = {
        "student": submission.student,
        "assignment": submission.assignment,
        "notebook": submission.name,
        "status": status,
        "score": sum(score for score, _ in scored),
        "max": sum(most for _, most in scored),
        "exercises": results,
        "lost_cells": lost_cells,
        "seconds": seconds,
        "marks": marks.list(),
        "notes": list(submission.notes),
    }
    if submission.notes:
        notebook.insert_notes(nb, submission.notes)
    used = tuple(with_read_mistakes(exercise) for exercise in exercises.values())
    return Graded(json.dumps(nb), record, to_files(submission.assignment, used) if used else {})
