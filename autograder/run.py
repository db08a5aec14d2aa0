"""A class: plan what there is to grade, fan it out, record it in nbgrader's gradebook.

Grading runs in worker processes, here or on other machines; this process alone writes.  What
was graded before, and of which nothing has changed, is not graded again: a run that was
killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import glob
import json
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import fingerprint, records
from .course import Course
from .errors import NoWall, Refused
from .records import Change
from .results import Graded, Kept, Record, Submission

if TYPE_CHECKING:
    from .gradebook import Recorder
    from .workers import Workers

MAX_NOTEBOOK = 50 * 2**20
MAX_ATTEMPTS = 3  # of grading a submission whose worker died
MAX_LATENESS = 120.0  # seconds beyond its own limits after which a worker is taken to be lost

Progress = Callable[[int, int, str], None]


class Unreadable(Exception):
    """What was handed in is no notebook that can be graded; the message says why."""


@dataclass(slots=True)
class Planned:
    """A submission to grade.

    Attributes
    ----------
    refused : dict
        Notebooks that cannot be graded, and why.
    key : str
        What its grade depends on, but for `checks.py`.
    kept : dict
        By notebook and exercise: what stays of the last grading, because only other exercises' checks changed.
    """

    student: str
    key: str
    refused: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    submissions: list[Submission] = field(default_factory=list)
    attempts: int = 0


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
        self.names = course.notebooks(slug)
        self.checks = course.checks(slug)
        self.unchanged: list[str] = []
        self.changes: list[Change] = []
        self.records: dict[tuple[str, str], Record] = {}

    def run(self, jobs: int = 0, progress: Progress | None = None) -> list[Record]:
        """Grade and record; gives the records, in the order of the students' names, without the cases that hold.

        `progress` is called after each submission with the number done, the number of all
        and the student's name.
        """
        with self._alone():
            self._require_release()
            todo = self.plan()
            if todo:
                self._grade(todo, jobs, progress or (lambda done, total, student: None))
        self.changes.sort()
        return [self.records[key] for key in sorted(self.records)]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One run at a time grades this assignment; a second one waits, and then finds little to do."""
        self.course.state.mkdir(exist_ok=True)
        with (self.course.state / f"{self.slug}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Another run is grading {self.slug}; waiting for its end.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # -- plan ---------------------------------------------------------------------------

    def plan(self) -> list[Planned]:
        """The submissions that have to be graded."""
        from .cases import course_secret

        of_all = fingerprint.of_assignment(self.course, self.slug, self.settings, course_secret(self.course.state))
        due, recorded = recorded_notebooks(self.course, self.slug)
        todo = []
        for student in self._students():
            folder = self.course.folder("submitted", student, self.slug)
            key = fingerprint.digest([of_all.encode(), fingerprint.of_submission(folder).encode(), due.encode()])
            planned = Planned(student, key)
            if self.again or not self._stands(planned, recorded.get(student, set())):
                todo.append(planned)
            else:
                self.unchanged.append(student)
        return todo

    def _students(self) -> list[str]:
        found = self.course.students(self.slug)
        for student in self.students or ():
            if student not in found:
                raise Refused(f"{student!r} has handed in nothing for {self.slug!r}")
        if not found:
            place = self.course.folder("submitted", "*", self.slug)
            raise Refused(f"nothing has been handed in for {self.slug!r}: no folder matches {place}")
        return [student for student in found if self.students is None or student in self.students]

    def _stands(self, planned: Planned, recorded: set[str]) -> bool:
        """Whether the last grading of a submission still holds; if only some of its exercises do, they are `kept`."""
        olds: list[Record] = []
        for name in self.names:
            old = records.load(self.course.root, self.slug, planned.student, name)
            if old is None or old.get("key") != planned.key or name not in recorded:
                return False
            if not (self.course.folder("autograded", planned.student, self.slug) / f"{name}.ipynb").is_file():
                return False
            olds.append(old)
        for old in olds:
            if old.get("checks") != self._checks_key and not self._same_exercises(planned, old):
                return False
        for old in olds:
            self.records[planned.student, old["notebook"]] = records.slim(old)
        return True

    def _same_exercises(self, planned: Planned, old: Record) -> bool:
        """Whether what `checks.py` says now is what it said about every exercise; the others are `kept`."""
        from .notebook import kept

        digests = old.get("digests") or {}
        if bool(digests) != bool(self._digests):
            return False  # there was no `checks.py`, or there is none any more
        same = {name for name in old["exercises"] if name in digests and digests[name] == self._digests.get(name)}
        if same == set(self._digests) & set(old["exercises"]) == set(digests):
            return True
        path = self.course.folder("autograded", planned.student, self.slug) / f"{old['notebook']}.ipynb"
        planned.kept[old["notebook"]] = kept(path.read_text(encoding="utf-8"), old, same)
        return False

    @functools.cached_property
    def _checks_key(self) -> str:
        return self.checks.digest if self.checks is not None else ""

    @functools.cached_property
    def _digests(self) -> dict[str, str]:
        """For each exercise, what `checks.py` says about it and about those that it uses, in one number."""
        if self.checks is None:
            return {}
        from coursekit.checks.cases import to_files

        from .cases import public
        from .spec import load

        exercises = {one.name: one for one in public(load(self.checks))}
        own = {name: fingerprint.digest(to_files(name, (one,)).values()) for name, one in exercises.items()}
        return {
            name: fingerprint.digest(own[used].encode() for used in (name, *one.uses))
            for name, one in exercises.items()
        }

    def _require_release(self) -> None:
        released = [self.course.folder("release", ".", self.slug) / f"{name}.ipynb" for name in self.names]
        if not all(path.is_file() for path in released):
            raise Refused(f"{self.slug!r} has not been released here: run `autograder release {self.slug}` first")

    # -- grade ----------------------------------------------------------------------------

    def _grade(self, todo: list[Planned], jobs: int, progress: Progress) -> None:
        from .grade import warm_up
        from .spec import load
        from .wall.sandbox import Setup, why_no_wall
        from .workers import workers

        # A broken one is told once, not for every student.
        assignment = load(self.checks) if self.checks is not None else None
        walled = self.settings.get("sandbox", "bwrap") != "none"
        if walled and self.scheduler is None and (trouble := why_no_wall()):
            raise NoWall(f"Grading needs its wall: {trouble}")
        with workers(min(jobs or 10**6, len(todo)) if jobs else 0, self.scheduler) as pool:
            setup = Setup(self.settings.get("sandbox", "bwrap"), hide=(self.course.root,))
            for _ in range(pool.count):  # while nbgrader is imported here
                pool.submit(warm_up, self.checks, setup)
            from .gradebook import Recorder

            with Recorder(self.course, self.slug, self.settings) as recorder:
                recorder.require_release(self.names, assignment)
                self._fan_out(deque(todo), pool, recorder, progress)

    def _fan_out(self, queue: deque[Planned], pool: Workers, recorder: Recorder, progress: Progress) -> None:
        from .workers import lost

        total, done = len(queue), 0
        # Those whose worker died: each is tried again alone, so that none is blamed for it.
        suspects: deque[Planned] = deque()
        running: dict[Future[list[Graded]], Planned] = {}

        def again(planned: Planned, reason: str) -> None:
            planned.attempts += 1
            if planned.attempts < MAX_ATTEMPTS:
                suspects.append(planned)
                return
            nonlocal done
            done += 1
            self._refuse(recorder, planned, dict.fromkeys(self.names, f"grading it failed in the grader: {reason}"))
            progress(done, total, planned.student)

        while queue or suspects or running:
            while (queue and not suspects and len(running) < 2 * pool.count) or (suspects and not running):
                planned = suspects.popleft() if suspects else queue.popleft()
                running[self._started(planned, pool, recorder)] = planned
            patience = 4 * recorder.execute.notebook_seconds + MAX_LATENESS
            finished, _ = wait(running, timeout=patience, return_when=FIRST_COMPLETED)
            if not finished:
                pool.restart()
                stuck, running = list(running.values()), {}
                for planned in stuck:
                    again(planned, "its worker did not answer any more")
                continue
            for future in finished:
                planned = running.pop(future)
                problem = None if future.cancelled() else future.exception()
                if future.cancelled() or lost(problem):
                    again(planned, "its worker died, time and again")
                    continue
                done += 1
                self._finish(recorder, planned, future, problem)
                planned.submissions.clear()  # a class of thousands would fill the memory with them
                progress(done, total, planned.student)

    def _started(self, planned: Planned, pool: Workers, recorder: Recorder) -> Future[list[Graded]]:
        """Begin to grade one submission, as far as it can be."""
        from .grade import grade_all
        from .gradebook import NotConverted

        if not planned.submissions and not planned.refused:
            for name in self.names:
                try:
                    nb = self._read(planned.student, name)
                    planned.submissions.append(recorder.sanitised(planned.student, name, nb))
                except Unreadable as trouble:
                    planned.refused[name] = str(trouble)
                except NotConverted as error:
                    planned.refused[name] = f"nbgrader cannot read the notebook ({error})"
        jobs = [(*recorder.execute.job(one), planned.kept.get(one.name)) for one in planned.submissions]
        return pool.submit(grade_all, jobs) if jobs else _done([])

    def _finish(
        self, recorder: Recorder, planned: Planned, future: Future[list[Graded]], problem: BaseException | None
    ) -> None:
        """Record what came of a submission; what cannot be recorded is refused."""
        from .gradebook import NotConverted

        if isinstance(problem, Refused | NoWall):
            raise problem
        if problem is not None:
            reason = f"grading it failed in the grader itself ({type(problem).__name__}: {problem})"
            self._refuse(recorder, planned, dict.fromkeys(self.names, reason))
            return
        graded = {one.record["notebook"]: one for one in future.result()}
        if planned.refused:
            self._refuse(recorder, planned, planned.refused, graded)
            return
        try:
            recorder.record(planned.student, graded)
        except NotConverted as error:
            reason = f"nbgrader could not convert it: {error}"
            self._refuse(recorder, planned, dict.fromkeys(self.names, reason))
        else:
            self._keep(planned, graded)

    def _refuse(
        self,
        recorder: Recorder,
        planned: Planned,
        reasons: dict[str, str],
        graded: Mapping[str, Graded] | None = None,
    ) -> None:
        """Record zero for the notebooks in `reasons`, and what was `graded` for the others."""
        from .grade import refuse
        from .gradebook import NotConverted

        student = planned.student

        def refused(submission: Submission) -> Graded:
            _, checks, secret, *_ = recorder.execute.job(submission)
            return refuse(submission, checks, secret, reasons[submission.name])

        def noticed(name: str) -> Submission:
            return recorder.sanitised(student, name, recorder.notice(name, reasons[name]))

        with recorder.instead(student, reasons):
            try:
                both = {**(graded or {}), **{name: refused(noticed(name)) for name in reasons}}
                recorder.record(student, both)
            except (
                NotConverted
            ) as error:  # not even that: it is told in the report and the table, and the class goes on
                for name in reasons:
                    reasons[name] += f"; nbgrader could not record that ({error})"
                both = {name: refused(recorder.blank(student, name)) for name in reasons}
        self._keep(planned, both)

    def _keep(self, planned: Planned, graded: Mapping[str, Graded]) -> None:
        """The last step of a grading, which makes it one that is not repeated."""
        from .gradebook import trouble_of_the_machine

        for name, one in graded.items():
            before = records.load(self.course.root, self.slug, planned.student, name)
            digests = {name: self._digests[name] for name in one.record["exercises"] if name in self._digests}
            record: Record = {**one.record, "key": planned.key, "checks": self._checks_key, "digests": digests}
            with trouble_of_the_machine("the record of a grading"):
                records.save(self.course.root, record, one.cases)
            self.records[planned.student, name] = records.slim(record)
            self.changes += records.changes(before, record)

    def _read(self, student: str, name: str) -> Any:
        """The notebook `name` of `student`.

        Raises
        ------
        Unreadable
            With the reason, in words for the student and the instructor.
        """
        import nbformat

        folder = self.course.folder("submitted", student, self.slug)
        path = folder / f"{name}.ipynb"
        if glob.has_magic(student):
            raise Unreadable("nbgrader cannot work with a student's name that holds any of * ? [: rename the folder")
        if path.is_symlink():
            raise Unreadable(f"{path.name} is a link, not a file")
        if not path.exists():
            others = ", ".join(sorted(p.name for p in folder.iterdir()))[:200]
            if not others:
                raise Unreadable(f"the folder that was handed in is empty; expected {path.name} in it")
            raise Unreadable(f"there is no {path.name} in what was handed in, only {others}: rename the notebook")
        if not path.is_file():
            raise Unreadable(f"{path.name} is not a file")
        if path.stat().st_size > MAX_NOTEBOOK:
            most = MAX_NOTEBOOK >> 20
            raise Unreadable(f"{path.name} is larger than {most} MB: clear its outputs and hand it in again")
        invalid: dict[str, Exception] = {}
        try:
            text = path.read_text(encoding="utf-8")
            if re.search(r"\\u[dD][89a-fA-F]", text):  # half of a surrogate pair can be written nowhere
                text = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
            nb = nbformat.reads(text, nbformat.current_nbformat, capture_validation_error=invalid)
        except Exception as error:  # whatever nbformat makes of a broken file
            invalid["ValidationError"] = error
        for what in invalid.values():
            first = (str(what).strip() or type(what).__name__).splitlines()[0]
            raise Unreadable(f"{path.name} is not a notebook that can be read ({type(what).__name__}: {first[:150]})")
        return nb


def recorded_notebooks(course: Course, slug: str) -> tuple[str, dict[str, set[str]]]:
    """When the assignment is due, and the notebooks that the gradebook holds, by student."""
    due = [str(when) for (when,) in _query(course.db_url, "SELECT duedate FROM assignment WHERE name = :slug", slug)]
    found: dict[str, set[str]] = {}
    for student, name in _query(course.db_url, SUBMITTED, slug):
        found.setdefault(student, set()).add(name)
    return "".join(due), found


SUBMITTED = """
    SELECT submitted_assignment.student_id, notebook.name
    FROM submitted_notebook
    JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
    JOIN assignment ON submitted_assignment.assignment_id = assignment.id
    JOIN notebook ON submitted_notebook.notebook_id = notebook.id
    WHERE assignment.name = :slug
"""


def _query(url: str, statement: str, slug: str) -> list[Any]:
    """The rows of a statement; none if there is no gradebook or it cannot be read, which whoever writes it will say."""
    path = url.removeprefix("sqlite:///")
    if path != url and "?" not in path:  # SQLAlchemy takes longer to import than all this if nothing has changed
        if not Path(path).is_file():
            return []
        try:
            with contextlib.closing(sqlite3.connect(path)) as database:
                return database.execute(statement, {"slug": slug}).fetchall()
        except sqlite3.Error:
            return []
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(statement), {"slug": slug}))
    except SQLAlchemyError:
        return []
    finally:
        engine.dispose()


def _done(result: Any) -> Future[Any]:
    """A future that is already done, for what need not be waited for."""
    future: Future[Any] = Future()
    future.set_result(result)
    return future
