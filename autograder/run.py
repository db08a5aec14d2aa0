"""Grade a class: plan what there is to grade, hand it to workers, record it in nbgrader's gradebook.

Grading runs in worker processes, here or on other machines; this process alone writes.  What was graded before, and
of which nothing has changed, is not graded again: a run that was killed resumes where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import scores
from .course import Course
from .errors import NoWall
from .plan import Planned, Planner
from .records import Change
from .results import Record

Progress = Callable[[int, int, str], None]


class ClassRun:
    """Grades all submissions of one assignment.

    Parameters
    ----------
    course : Course
    slug : str
        The assignment.
    settings : dict
        Traits of `WallExecute` that this run sets (``sandbox``, ``cell_seconds``, …).
    students : list of str, optional
        Whom to grade; all by default.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers then do the grading.
    again : bool
        Grade also what has not changed since it was graded.

    Attributes
    ----------
    unchanged : list of str
        After a run: the students whose grades were there already.
    changes : list of Change
        After a run: the scores that were different before.
    late : dict
        After a run: by how many seconds submissions were late, by student.
    """

    def __init__(
        self,
        course: Course,
        slug: str,
        settings: Mapping[str, Any] | None = None,
        students: list[str] | None = None,
        scheduler: str | None = None,
        again: bool = False,
    ) -> None:
        course.require(slug)
        self.course = course
        self.slug = slug
        self.settings = dict(settings or {})
        self.students = students
        self.scheduler = scheduler
        self.again = again
        self.unchanged: list[str] = []
        self.changes: list[Change] = []
        self.late: dict[str, float] = {}

    def run(self, jobs: int = 0, progress: Progress | None = None) -> list[Record]:
        """Grade and record; return the records, in the order of the students' names, without the cases that hold.

        `progress` is called after each submission with the number done, the number of all and the student's name.
        """
        with self._alone():
            plan = Planner(self.course, self.slug, self.settings).plan(self.students, self.again)
            self.unchanged = list(plan.standing)
            found = {(one["student"], one["notebook"]): one for records in plan.standing.values() for one in records}
            if plan.todo:
                found |= self._grade(plan.todo, jobs, progress or (lambda done, total, student: None))
            if scores.may_be_late(self.course, self.slug):
                from .gradebook import Recorder

                with Recorder(self.course, self.slug, self.settings) as recorder:
                    self.late = recorder.settle_lateness({student for student, _ in found})
        return [found[key] for key in sorted(found)]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one run at a time grade this assignment; a second one waits, and then finds little to do."""
        self.course.state.mkdir(exist_ok=True)
        with (self.course.state / f"{self.slug}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Another run is grading {self.slug}; waiting for its end.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _grade(self, todo: list[Planned], jobs: int, progress: Progress) -> dict[tuple[str, str], Record]:
        """Grade what is planned; return the records by student and notebook."""
        from .dispatch import Dispatch
        from .grade import warm_up
        from .spec import load
        from .wall.sandbox import Setup, why_no_wall
        from .workers import workers

        checks = self.course.checks(self.slug)
        assignment = load(checks) if checks is not None else None  # a broken one is told once, not for every student
        setup = Setup(self.settings.get("sandbox", "bwrap"), hide=(self.course.root,))
        if setup.kind != "none" and self.scheduler is None and (trouble := why_no_wall()):
            raise NoWall(f"Grading needs its wall: {trouble}")
        with workers(min(jobs, len(todo)), self.scheduler) as pool:
            for _ in range(pool.count):  # while nbgrader is imported here
                pool.submit(warm_up, checks, setup)
            from .gradebook import Recorder
            from .recording import Recording

            with Recorder(self.course, self.slug, self.settings) as recorder:
                recorder.require_release(self.course.notebooks(self.slug), assignment)
                recording = Recording(recorder, checks)
                prepared = (recording.prepare(planned) for planned in todo)
                seconds = 4 * recorder.execute.notebook_seconds
                dispatch = Dispatch(prepared, lambda one: one.start(pool), pool, seconds)
                for done, (one, future) in enumerate(dispatch, start=1):
                    recording.finish(one, future)
                    progress(done, len(todo), one.planned.student)
        self.changes = sorted(recording.changes)
        return recording.records
