"""A class: plan what there is to grade, fan it out, record it in nbgrader's gradebook.

Grading runs in worker processes; this process alone writes.  What it writes, nbgrader
writes: each submission goes through nbgrader's own Autograde converter, whose execution
step (:class:`autograder.nbgrader_plugin.WallExecute`) is handed the result that a worker
has made meanwhile.
"""

from __future__ import annotations

import glob
import json
import logging
import multiprocessing
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from .grade import Graded, Submission, grade, refuse
from .nbgrader_plugin import STATE, WallExecute, checks_text, key, save_record
from .spec import Refused, load
from .wall.sandbox import NoWall, why_no_wall

CONFIG = "nbgrader_config.py"
MAX_NOTEBOOK = 50 * 2**20

# nbgrader's own use of SQLAlchemy, which works and warns.
warnings.filterwarnings("ignore", category=SAWarning, module="nbgrader")

Progress = Callable[[int, int, str], None]


# -- the course ---------------------------------------------------------------------------


@dataclass
class Course:
    """An nbgrader course folder with its configuration."""

    root: Path
    config: Config

    @classmethod
    def at(cls, root: Path) -> Course:
        """The course in the folder `root`.

        Raises
        ------
        Refused
            If it is not a course folder.
        """
        root = root.resolve()
        if not (root / CONFIG).is_file():
            raise Refused(
                f"{root} is not a course folder: it has no {CONFIG}. "
                "Go to your course folder, or name it with --course DIR."
            )
        config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
        config.CourseDirectory.root = str(root)
        # nbgrader calls the `alembic` program by its bare name.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
        return cls(root, config)

    def api(self, **settings: dict[str, Any]) -> NbGraderAPI:
        """nbgrader's API on this course, with `settings` (class name to traits) on top of the configuration."""
        config = Config(self.config)
        for name, traits in settings.items():
            config[name].update(traits)
        logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what matters comes back in the result
        return NbGraderAPI(config=config)

    @property
    def directory(self) -> CourseDirectory:
        return CourseDirectory(config=self.config)

    def folder(self, step: str, student: str, slug: str) -> Path:
        """The folder of one of nbgrader's steps: ``"source"``, ``"release"``, ``"submitted"``, …"""
        directory = self.directory
        return Path(directory.format_path(getattr(directory, f"{step}_directory"), student, slug))

    def assignments(self) -> list[str]:
        """The names of the assignments that have a source notebook."""
        pattern = self.folder("source", ".", "*") / "*.ipynb"
        return sorted({Path(path).parent.name for path in glob.glob(str(pattern))})

    def require(self, slug: str) -> None:
        """Refuse an assignment that does not exist."""
        known = self.assignments()
        if slug not in known:
            place = self.folder("source", ".", "")
            raise Refused(f"there is no assignment {slug!r} in {place}; there is {', '.join(known) or 'none'}")


def must_succeed(result: dict[str, Any], what: str) -> None:
    """Refuse with nbgrader's own words if one of its steps failed."""
    if not result["success"]:
        raise Refused(f"{what} failed. nbgrader says:\n{complaint(result)}")


def complaint(result: dict[str, Any]) -> str:
    """The lines of nbgrader's log that say what went wrong."""
    lines = [line for part in ("log", "error") for line in str(result.get(part, "")).splitlines()]
    start = next((i for i, line in enumerate(lines) if "Refused:" in line), None)
    if start is not None:  # our own message, which may go on over several lines
        rest = [lines[start].split("Refused:", 1)[1].strip()]
        for line in lines[start + 1 :]:
            if not line.strip().startswith("- "):
                break
            rest.append("  " + line.strip())
        return "\n".join(rest)
    raised = [line for line in lines if re.match(r"\s*[\w.]+(Error|Exception|Entry)\b", line)]
    return "\n".join(raised[-1:] or [line for line in lines if "[ERROR]" in line][-3:] or lines[-3:])


# -- grading a class ------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A submission to grade; `refused` says why it cannot be."""

    student: str
    refused: str | None = None


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
    """

    def __init__(
        self, course: Course, slug: str, settings: dict[str, Any] | None = None, students: list[str] | None = None
    ) -> None:
        course.require(slug)
        self.course = course
        self.slug = slug
        self.settings = dict(settings or {})
        self.students = students
        # A function and not the bound method: traitlets copies its configuration, and with a method its object.
        self.api = course.api(WallExecute={**self.settings, "grader": lambda submission: self._result(submission)})
        self.execute = WallExecute(parent=self.api)
        self.futures: dict[str, Future[Graded]] = {}
        self.refusals: dict[str, str] = {}
        self.records: dict[str, dict[str, Any]] = {}
        if self.execute.sandbox == "bwrap" and (trouble := why_no_wall()):
            raise NoWall(f"Grading needs its wall: {trouble}")
        self._require_release()

    def run(self, jobs: int = 0, progress: Progress | None = None) -> list[dict[str, Any]]:
        """Grade and record; gives the records in the order of the students' names.

        `progress` is called after each submission with the number done, the number of all
        and the student's name.
        """
        plan = self.plan()
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=context) as pool:
            waiting = {self._start(pool, planned): planned for planned in plan}
            for done, finished in enumerate(as_completed(waiting), start=1):
                student = waiting[finished].student
                self._record(student, finished)
                if progress:
                    progress(done, len(plan), student)
        return [self.records[planned.student] for planned in plan]

    # -- plan ---------------------------------------------------------------------------

    def plan(self) -> list[Planned]:
        """All submissions, and what is wrong with those that cannot be graded."""
        base = self.course.folder("submitted", "*", self.slug)
        found = sorted(Path(path).parent.name for path in glob.glob(str(base)) if Path(path).is_dir())
        if self.students is not None:
            for student in self.students:
                if student not in found:
                    raise Refused(f"{student!r} has handed in nothing for {self.slug!r}")
            found = [student for student in found if student in self.students]
        if not found:
            raise Refused(f"nothing has been handed in for {self.slug!r}: no folder matches {base}")
        return [Planned(student, self._trouble(student)) for student in found]

    def _trouble(self, student: str) -> str | None:
        """Why the notebook of `student` cannot be graded, in words for the student and the instructor."""
        folder = self.course.folder("submitted", student, self.slug)
        path = folder / f"{self.slug}.ipynb"
        if glob.has_magic(student):
            return "nbgrader cannot work with a student's name that holds any of * ? [: rename the folder"
        if not path.is_file():
            others = sorted(p.name for p in folder.iterdir())
            if not others:
                return f"the folder that was handed in is empty; expected {path.name} in it"
            return f"there is no {path.name} in what was handed in, only {', '.join(others)[:200]}: rename the notebook"
        if path.is_symlink():
            return f"{path.name} is a link, not a file"
        if path.stat().st_size > MAX_NOTEBOOK:
            return f"{path.name} is larger than {MAX_NOTEBOOK >> 20} MB: clear its outputs and hand it in again"
        try:
            nb = nbformat.read(path, as_version=nbformat.current_nbformat)
            nbformat.validate(nb)
        except (nbformat.ValidationError, nbformat.reader.NotJSONError, RecursionError, ValueError, KeyError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            return f"{path.name} is not a notebook that can be read ({type(error).__name__}: {first[:150]})"
        except Exception as error:  # whatever nbformat makes of a broken file
            return f"{path.name} is not a notebook that can be read ({type(error).__name__})"
        return None

    def _released(self) -> Path:
        return self.course.folder("release", ".", self.slug) / f"{self.slug}.ipynb"

    def _require_release(self) -> None:
        directory = self.course.directory
        try:
            with Gradebook(directory.db_url, directory.course_id) as gradebook:
                gradebook.find_notebook(self.slug, self.slug)
            known = True
        except MissingEntry:
            known = False
        if not known or not self._released().is_file():
            raise Refused(f"{self.slug!r} has not been released here: run `autograder release {self.slug}` first")
        text = checks_text(directory, self.slug)
        if text is not None:
            load(text, f"{self.slug}/checks.py")  # a broken checks.py is told once, not for every student

    # -- fan out ------------------------------------------------------------------------

    def _start(self, pool: Executor, planned: Planned) -> Future[Graded]:
        """Begin to grade one submission, if it can be."""
        if planned.refused is None:
            try:
                submission = self._sanitised(planned.student)
            except Exception as error:  # whatever nbgrader makes of strange metadata
                first = (str(error).strip() or "no further message").splitlines()[0]
                reason = f"nbgrader cannot read the notebook ({type(error).__name__}: {first[:150]})"
                planned = Planned(planned.student, reason)
            else:
                future = pool.submit(grade, *self.execute.job(submission))
                self.futures[key(submission)] = future
                return future
        self.refusals[planned.student] = str(planned.refused)
        return done_future()

    def _sanitised(self, student: str) -> Submission:
        """The submission as nbgrader's sanitising preprocessors leave it."""
        path = self.course.folder("submitted", student, self.slug) / f"{self.slug}.ipynb"
        converter = Autograde(coursedir=self.api.coursedir, parent=self.api)
        exporter = NotebookExporter(parent=converter, config=converter.config)
        for preprocessor in converter.sanitize_preprocessors:
            exporter.register_preprocessor(preprocessor, enabled=True)
        about = {
            "student": student,
            "assignment": self.slug,
            "notebook": self.slug,
            "db_url": self.api.coursedir.db_url,
        }
        content, resources = exporter.from_filename(str(path), resources={"nbgrader": about})
        return self.execute.submission(nbformat.reads(content, as_version=4), resources)

    def _result(self, submission: Submission) -> Graded:
        """What `WallExecute` asks for: the result that a worker has made, or the refusal."""
        if submission.student in self.refusals:
            _, checks, secret, _, _ = self.execute.job(submission)
            graded = refuse(submission, checks, secret, self.refusals[submission.student])
        else:
            future = self.futures.get(key(submission))
            graded = future.result() if future else self.execute.grade_now(submission)
        self.records[submission.student] = graded.record
        return graded

    # -- record -------------------------------------------------------------------------

    def _record(self, student: str, finished: Future[Graded]) -> None:
        """Put one result through nbgrader, into the gradebook and `autograded/`; what fails becomes a refusal."""
        problem = finished.exception()
        if isinstance(problem, Refused | NoWall):
            raise problem
        if problem is not None:
            self.refusals[student] = f"grading it failed in the grader itself ({type(problem).__name__}: {problem})"
        if student not in self.refusals:
            result = self.api.autograde(self.slug, glob.escape(student), force=True)
            if result["success"] and student in self.records:
                return
            self.refusals[student] = f"nbgrader could not convert it: {complaint(result)[:500]}"
        with self._placeholder(student):
            result = self.api.autograde(self.slug, glob.escape(student), force=True)
        if not result["success"]:  # not even that: it is told in the report and the table, and the class goes on
            self.refusals[student] += f"; nbgrader could not record that ({complaint(result)[:300]})"
            blank = Submission(student, self.slug, self.slug, self._released().read_text(encoding="utf-8"))
            save_record(self.course.directory, self._result(blank))

    @contextmanager
    def _placeholder(self, student: str) -> Iterator[None]:
        """While this lasts, nbgrader sees the released notebook with a notice in place of what `student` handed in."""
        nb = nbformat.read(self._released(), as_version=4)
        notice = f"# This submission could not be graded\n\nThe reason: {self.refusals[student]}."
        notice += "\n\nBelow is the assignment as it was released. Please hand your work in again."
        nb.cells.insert(0, nbformat.v4.new_markdown_cell(notice))
        coursedir = self.api.coursedir
        real = coursedir.submitted_directory
        with tempfile.TemporaryDirectory() as staging:
            coursedir.submitted_directory = staging
            try:
                folder = Path(coursedir.format_path(staging, student, self.slug))
                folder.mkdir(parents=True)
                nbformat.write(nb, folder / f"{self.slug}.ipynb")
                yield
            finally:
                coursedir.submitted_directory = real


def done_future() -> Future[Any]:
    """A future that is already done, for what need not be waited for."""
    future: Future[Any] = Future()
    future.set_result(None)
    return future


def read_records(course: Course, slug: str) -> list[dict[str, Any]]:
    """The records of the last grading of each submission that is there, by student.

    Raises
    ------
    Refused
        If a record is damaged.
    """
    records = []
    for path in sorted((course.root / STATE / "records" / slug).glob("*/*.json")):
        student = path.parent.name
        if path.name == "cases.json" or not course.folder("submitted", student, slug).is_dir():
            continue
        try:
            records.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise Refused(f"{path} is damaged ({error}): grade {student!r} again, which renews it") from error
    return records
