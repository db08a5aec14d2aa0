"""What nbgrader does with a submission, by nbgrader's own classes, and in one transaction.

nbgrader's Autograde reads a submission, sanitises it, runs it, and writes its grades cell by
cell.  A :class:`Recorder` takes this apart: what sanitising gives is graded somewhere else
meanwhile, and all that the gradebook learns about a submission, it learns at once.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .course import Course, quick_nbgrader
from .errors import Refused
from .results import Graded, Submission

quick_nbgrader()

import jsonschema  # noqa: E402
import nbformat  # noqa: E402
from nbconvert.exporters import Exporter, NotebookExporter  # noqa: E402
from nbconvert.writers import FilesWriter  # noqa: E402
from nbgrader.api import BaseCell, Comment, Grade, Gradebook, GradeCell, MissingEntry, SourceCell  # noqa: E402
from nbgrader.converters import Autograde, autograde, base  # noqa: E402
from nbgrader.nbgraderformat import common as nbgraderformat  # noqa: E402
from nbgrader.preprocessors import latesubmissions, overwritecells, overwritekernelspec, saveautogrades  # noqa: E402
from sqlalchemy.exc import OperationalError  # noqa: E402

from .nbgrader_plugin import WallExecute, compare_with_notebook, plain_files  # noqa: E402
from .spec import Assignment  # noqa: E402

# Where nbgrader opens a gradebook of its own, for each step again.
OPENING = (autograde, overwritecells, overwritekernelspec, saveautogrades, latesubmissions)
# What stops a class and not a submission.
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
WAIT_FOR_LOCK = 60  # seconds


class NotConverted(Exception):
    """nbgrader cannot work with a submission; the message says why."""


class Recorder:
    """Reads the submissions of one assignment and records their grades; a context manager.

    Parameters
    ----------
    course : Course
    slug : str
        The assignment.
    settings : dict
        Traits of `WallExecute`.
    """

    def __init__(self, course: Course, slug: str, settings: Mapping[str, Any]) -> None:
        self.course = course
        self.slug = slug
        self.graded: Mapping[str, Graded] = {}  # of the submission that is being recorded, by notebook
        # A function and not a bound method: traitlets copies its configuration, and with a method its object.
        self.api = course.api(WallExecute={**settings, "grader": lambda submission: self.graded[submission.name]})
        self.api.coursedir.assignment_id = slug
        self.converter = _Converter(self.api)
        self.execute = WallExecute(parent=self.converter)

    def __enter__(self) -> Recorder:
        directory = self.api.coursedir
        with trouble_of_the_machine(f"the gradebook {directory.db_url}"):
            self.gradebook = _Gradebook(directory.db_url, directory.course_id)
        self.restored = contextlib.ExitStack()
        for module in OPENING:
            self._replace(module, "Gradebook", lambda *anything: self.gradebook)
        self._replace(base, "find_all_files", plain_files)
        self._replace(nbgraderformat, "jsonschema", _Schemas())
        return self

    def __exit__(self, *exception: object) -> None:
        self.restored.close()
        self.gradebook.shut()

    def _replace(self, module: Any, name: str, new: Any) -> None:
        """Let nbgrader's `module` use `new`, until this recorder is left."""
        self.restored.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, new)

    def require_release(self, names: list[str], assignment: Assignment | None) -> None:
        """Refuse an assignment of which the gradebook knows nothing, or whose `checks.py` is not what was released."""
        for name in names:
            try:
                self.gradebook.find_notebook(name, self.slug)
            except MissingEntry:
                raise Refused(
                    f"{self.slug!r} has not been released here: run `autograder release {self.slug}` first"
                ) from None
            if assignment is not None and name == self.slug:
                released = nbformat.reads(self.blank("", name).content, as_version=4)
                try:
                    compare_with_notebook(assignment, self.slug, released)
                except Refused as error:
                    again = f"run `autograder release {self.slug}` again, or undo the change in checks.py"
                    raise Refused(f"what was released does not go with checks.py: {again}. {error}") from None

    def sanitised(self, student: str, name: str, nb: Any) -> Submission:
        """The notebook as nbgrader's sanitising preprocessors leave it, with the files beside it.

        Raises
        ------
        NotConverted
        """
        directory = self.api.coursedir  # which may say that submissions are somewhere else just now
        path = Path(directory.format_path(directory.submitted_directory, student, self.slug)) / f"{name}.ipynb"
        with self._undone(), contextlib.chdir(self.course.root):
            return self.execute.submission(*self.converter.sanitised(str(path), nb))

    def record(self, student: str, graded: Mapping[str, Graded]) -> None:
        """Put what was graded through the rest of nbgrader's Autograde, into `autograded/` and the gradebook.

        Raises
        ------
        NotConverted
            Nothing has been written then.
        """
        self.graded = graded
        try:
            with self._undone(), contextlib.chdir(self.course.root):
                self.converter.convert(student)
                self.gradebook.save()
        except BaseException:
            # As nbgrader does: what is not in the gradebook is not in the folder either.
            shutil.rmtree(self.course.folder("autograded", student, self.slug), ignore_errors=True)
            raise

    @contextlib.contextmanager
    def instead(self, student: str, notices: Mapping[str, str]) -> Iterator[None]:
        """While this lasts, nbgrader sees released notebooks with a notice in place of those named in `notices`."""
        coursedir = self.api.coursedir
        real = coursedir.submitted_directory
        with tempfile.TemporaryDirectory() as staging:
            coursedir.submitted_directory = staging
            try:
                folder = Path(coursedir.format_path(staging, student, self.slug))
                if len(notices) < len(self.course.notebooks(self.slug)):
                    shutil.copytree(self.course.folder("submitted", student, self.slug), folder)
                folder.mkdir(parents=True, exist_ok=True)
                for name, reason in notices.items():
                    nbformat.write(self.notice(name, reason), folder / f"{name}.ipynb")
                yield
            finally:
                coursedir.submitted_directory = real

    def blank(self, student: str, name: str) -> Submission:
        """The released notebook, as if `student` had handed it in."""
        text = (self.course.folder("release", ".", self.slug) / f"{name}.ipynb").read_text(encoding="utf-8")
        return Submission(student, self.slug, name, text)

    def notice(self, name: str, reason: str) -> Any:
        """The released notebook, which says in its first cell that the submission could not be graded."""
        nb = nbformat.reads(self.blank("", name).content, as_version=4)
        text = f"# This submission could not be graded\n\nThe reason: {reason}."
        text += "\n\nBelow is the assignment as it was released. Please hand your work in again."
        nb.cells.insert(0, nbformat.v4.new_markdown_cell(text))
        return nb

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        """What fails in here leaves the gradebook as it was, and ends this submission or, if it must, the run."""
        try:
            with trouble_of_the_machine(f"the gradebook {self.api.coursedir.db_url}"):
                yield
        except Refused:
            raise
        except Exception as error:  # whatever nbgrader makes of strange metadata
            first = (str(error).strip() or "no further message").splitlines()[0]
            raise NotConverted(f"{type(error).__name__}: {first[:300]}") from error
        finally:
            self.gradebook.undo()


class _Gradebook(Gradebook):  # type: ignore[misc]
    """One gradebook for all steps, which writes when it is told to.

    nbgrader's steps ask for a notebook's cells one by one and commit after each.  Here those of a notebook
    are read together, and what a step has changed goes to the database when that is asked the next time.
    """

    def __init__(self, url: str, course_id: str) -> None:
        if url.startswith("sqlite:") and "?" not in url:
            url += f"?timeout={WAIT_FOR_LOCK}"
        super().__init__(url, course_id)
        self.changed = False
        self.read: dict[Any, dict[str, Any]] = {}  # what was read since the last change
        self.ask = self.db.query
        self.db.query = self._query
        self.db.commit = self._commit_later

    def find_source_cell(self, name: str, notebook: str, assignment: str) -> Any:
        found = self._together(SourceCell, notebook, assignment).get(name)
        return found or super().find_source_cell(name, notebook, assignment)

    def find_graded_cell(self, name: str, notebook: str, assignment: str) -> Any:
        found = self._together(GradeCell, notebook, assignment).get(name)
        return found or super().find_graded_cell(name, notebook, assignment)

    def find_grade(self, grade_cell: str, notebook: str, assignment: str, student: str) -> Any:
        found = self._together(Grade, notebook, assignment, student).get(grade_cell)
        return found or super().find_grade(grade_cell, notebook, assignment, student)

    def find_comment(self, solution_cell: str, notebook: str, assignment: str, student: str) -> Any:
        found = self._together(Comment, notebook, assignment, student).get(solution_cell)
        return found or super().find_comment(solution_cell, notebook, assignment, student)

    def _together(self, kind: Any, *of: str) -> dict[str, Any]:
        """All of one kind in a notebook, or in what a student has handed in of it, by the names of their cells."""
        if (kind, *of) not in self.read:
            if kind in (Grade, Comment):
                submitted = self.find_submission_notebook(*of)
                for one in (Grade, Comment):  # a step wants both, and changes them in turn
                    rows = self._query(BaseCell.name, one).join(one.cell).filter(one.notebook == submitted)
                    self.read[one, *of] = dict(rows.all())
            else:
                rows = self._query(kind.name, kind).filter(kind.notebook == self.find_notebook(*of))
                self.read[kind, *of] = dict(rows.all())
        return self.read[kind, *of]

    def _query(self, *entities: Any) -> Any:
        if self.changed:
            self._forget()
            self.db.flush()
            self.db.expire_all()
        return self.ask(*entities)

    def _commit_later(self) -> None:
        """What a commit does but for the commit: from the next query on, objects are read anew."""
        self.changed = True

    def _forget(self) -> None:
        self.changed = False
        self.read.clear()

    def close(self) -> None:
        """nbgrader's steps close what they opened; this stays open for the next."""

    def save(self) -> None:
        """Write everything since the last time, all or nothing."""
        self.db().commit()

    def undo(self) -> None:
        """Forget what has not been saved."""
        self._forget()
        self.db.remove()

    def shut(self) -> None:
        """Close it for good."""
        super().close()


class _Schemas:
    """In place of the module jsonschema, which checks the schema itself whenever it checks a cell."""

    def __init__(self) -> None:
        self.validators: dict[str, Any] = {}

    def validate(self, instance: Any, schema: Any) -> None:
        """Raise jsonschema's ValidationError if `instance` is not what `schema` says."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            kind = jsonschema.validators.validator_for(schema)
            kind.check_schema(schema)
            self.validators[key] = kind(schema)
        error = jsonschema.exceptions.best_match(self.validators[key].iter_errors(instance))
        if error is not None:
            raise error


class _Converter(Autograde):  # type: ignore[misc]
    """nbgrader's Autograde, with a step of its own for what comes before a notebook is run."""

    def __init__(self, api: Any) -> None:
        super().__init__(coursedir=api.coursedir, parent=api)
        self.force = self.create_student = True
        self.writer = FilesWriter(parent=self, config=self.config)
        # What comes out is validated, and not also what goes from one preprocessor to the next.
        self.sanitizer = Exporter(parent=self, config=self.config, optimistic_validation=True)
        self.exporter = NotebookExporter(parent=self, config=self.config, optimistic_validation=True)
        for exporter, preprocessors in (
            (self.sanitizer, self.sanitize_preprocessors),
            (self.exporter, self.autograde_preprocessors),
        ):
            for preprocessor in preprocessors:
                exporter.register_preprocessor(preprocessor)

    def sanitised(self, path: str, nb: Any) -> tuple[Any, Any]:
        found: tuple[Any, Any] = self.sanitizer.from_notebook_node(nb, self.init_single_notebook_resources(path))
        return found

    def convert(self, student: str) -> None:
        """nbgrader's `convert_notebooks` for one submission; what goes wrong is raised."""
        folder = self._format_source(self.coursedir.assignment_id, student)
        self.notebooks = sorted(glob.glob(f"{glob.escape(folder)}/*.ipynb"))
        self.writer.build_directory = ""  # it makes a folder only if that is another one than before
        if self.init_destination(self.coursedir.assignment_id, student):
            self.run_pre_convert_hook()
            self.init_assignment(self.coursedir.assignment_id, student)
            for path in self.notebooks:
                self.convert_single_notebook(path)
            self.set_permissions(self.coursedir.assignment_id, student)
            self.run_post_convert_hook()

    def convert_single_notebook(self, notebook_filename: str) -> None:
        # WallExecute puts the graded notebook, which was sanitised before it was graded, in the place of this one.
        resources = self.init_single_notebook_resources(notebook_filename)
        nb = nbformat.v4.new_notebook()
        output, resources = self.exporter.from_notebook_node(nb, resources)
        self.write_single_notebook(output, resources)
        # The gradebook will say that it is there, even after a power cut.
        with Path(self.writer.build_directory, resources["unique_key"] + ".ipynb").open() as written:
            os.fsync(written.fileno())


@contextlib.contextmanager
def trouble_of_the_machine(what: str) -> Iterator[None]:
    """Errors that are no submission's fault become refusals, which end the run; it can be taken up again."""
    again = "What was recorded stays; run the same command again when that is mended."
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:  # nbgrader wraps some of them
            if isinstance(cause, OperationalError):
                raise Refused(f"{what} cannot be used: {cause.orig}. {again}") from error
            if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
                raise Refused(f"cannot write {cause.filename or what}: {cause.strerror}. {again}") from error
            cause = cause.__cause__ or cause.__context__
        raise
