"""One submission on its way: read, handed to the workers, and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from . import records
from .bundle import Bundle
from .cases import course_secret
from .dispatch import GivenUp
from .errors import NotConverted, NoWall, Refused
from .grade import grade_all, refuse
from .gradebook import Recorder, trouble_of_the_machine
from .handout import texts
from .plan import Planned
from .records import Change
from .results import Graded, Mark, Record, Submission
from .submitted import Unreadable, read_notebook
from .workers import Workers


@dataclass(frozen=True)
class Prepared:
    """A submission that was read.

    Attributes
    ----------
    planned : Planned
    jobs : list
        The arguments of :func:`~autograder.grade.grade` for each notebook that can be graded.
    refused : dict
        The notebooks that cannot be graded, and why.
    marks : dict
        What an instructor should look at in each notebook, before it is graded.
    """

    planned: Planned
    jobs: list[tuple[Any, ...]]
    refused: dict[str, str]
    marks: dict[str, list[Mark]] = field(default_factory=dict)

    def start(self, pool: Workers) -> Future[list[Graded]]:
        """Begin to grade what can be graded."""
        if self.jobs:
            return pool.submit(grade_all, self.jobs)
        nothing: Future[list[Graded]] = Future()
        nothing.set_result([])
        return nothing


class Recording:
    """Prepares the submissions of an assignment, and records what became of them.

    Attributes
    ----------
    records : dict
        By student and notebook, without the cases that hold.
    changes : list of Change
        The scores that were different before.
    """

    def __init__(self, recorder: Recorder, checks: Bundle | None) -> None:
        self.recorder = recorder
        self.course, self.slug = recorder.course, recorder.slug
        self.names = self.course.notebooks(self.slug)
        self.checks = checks
        self.tests = texts(recorder.handouts)
        self.records: dict[tuple[str, str], Record] = {}
        self.changes: list[Change] = []

    def prepare(self, planned: Planned) -> Prepared:
        """Read the notebooks of a submission, as far as they can be."""
        prepared = Prepared(planned, [], {})
        folder = self.course.folder("submitted", planned.student, self.slug)
        for name in self.names:
            try:
                found = read_notebook(folder, name, planned.student, self.tests)
                prepared.marks[name] = self.recorder.marks(name, found.notebook)
                submission = self.recorder.sanitised(planned.student, name, found.notebook)
            except Unreadable as trouble:
                prepared.refused[name] = str(trouble)
            except NotConverted as error:
                prepared.refused[name] = f"nbgrader cannot read the notebook ({error})"
            else:
                marked = replace(self.recorder.execute.completed(submission, found), marks=prepared.marks[name])
                prepared.jobs.append(self.recorder.execute.job(marked))
        return prepared

    def finish(self, prepared: Prepared, future: Future[list[Graded]]) -> None:
        """Record what came of a submission; what cannot be recorded is refused.

        Raises
        ------
        Refused, NoWall
            What ends the run: it is no fault of the submission.
        """
        problem = future.exception()
        if isinstance(problem, Refused | NoWall):
            raise problem
        if problem is not None:
            told = f": {problem}" if isinstance(problem, GivenUp) else f" itself ({type(problem).__name__}: {problem})"
            self._refuse(prepared, dict.fromkeys(self.names, f"grading it failed in the grader{told}"), {})
            return
        graded = {one.record["notebook"]: one for one in future.result()}
        if prepared.refused:
            self._refuse(prepared, prepared.refused, graded)
            return
        try:
            self._record(prepared.planned, graded)
        except NotConverted as error:
            self._refuse(prepared, dict.fromkeys(self.names, f"nbgrader could not convert it: {error}"), {})

    def _refuse(self, prepared: Prepared, reasons: Mapping[str, str], graded: Mapping[str, Graded]) -> None:
        """Record zero for the notebooks in `reasons`, and what was `graded` for the others."""
        student = prepared.planned.student
        try:
            notices = {name: self.recorder.notice(student, name, reason) for name, reason in reasons.items()}
            refused = {name: self._refused(prepared, notice, reasons[name]) for name, notice in notices.items()}
            self._record(prepared.planned, {**graded, **refused})
        except NotConverted as error:  # not even that: it is told in the report and the table, and the class goes on
            why = f"nbgrader could not record that ({error})"
            blanks = {name: self.recorder.blank(student, name) for name in reasons}
            refused = {
                name: self._refused(prepared, blank, f"{reasons[name]}; {why}") for name, blank in blanks.items()
            }
            self._keep(student, refused, {name: one.record for name, one in refused.items()}, self._before(student))

    def _refused(self, prepared: Prepared, blank: Submission, reason: str) -> Graded:
        submission = replace(blank, marks=prepared.marks.get(blank.name, ()))
        return refuse(submission, self.checks, course_secret(self.course.state), reason)

    def _record(self, planned: Planned, graded: Mapping[str, Graded]) -> None:
        before = self._before(planned.student)
        kept = self.recorder.record(planned, graded, before)
        self._keep(planned.student, graded, kept, before)

    def _before(self, student: str) -> dict[str, Record]:
        """Return the records of the last grading, by notebook."""
        found = {name: records.load(self.course.root, self.slug, student, name) for name in self.names}
        return {name: record for name, record in found.items() if record is not None}

    def _keep(
        self, student: str, graded: Mapping[str, Graded], kept: Mapping[str, Record], before: Mapping[str, Record]
    ) -> None:
        """Save the records: the last step of a grading, after which it is not repeated."""
        for name, record in kept.items():
            with trouble_of_the_machine("the record of a grading"):
                records.save(self.course.root, record, graded[name].cases)
            self.records[student, name] = records.slim(record)
            self.changes += records.changes(before.get(name), record)
