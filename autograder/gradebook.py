"""Read submissions as nbgrader does, and write their grades into its gradebook.

`nbgrader autograde` opens the gradebook anew in each of its steps and commits after each cell.  A :class:`Recorder`
does the same work for a class of thousands: it reads what was released once, and writes all that the gradebook
learns about a submission in one transaction.

Of nbgrader it uses `Gradebook` and its models, `Autograde` (its settings, hooks, folders and permissions) and the
preprocessors that the course's configuration names, an instructor's own included.  In place of nbgrader's
preprocessors that open the gradebook stand those of :mod:`autograder.released`, and :meth:`Recorder._save_grades`,
which does what `SaveAutoGrades` and `AssignLatePenalties` do.  When nbgrader changes what these do, this has to
follow; `tests/autograder/test_same_scores.py` compares the scores of both.  An instructor's own preprocessor that
reads a submission's grades in the gradebook finds those of the last grading.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .course import Course, quick_nbgrader
from .errors import NotConverted, Refused
from .fit import require_fit, require_no_check
from .results import Graded, Mark, Submission

quick_nbgrader()

import nbformat  # noqa: E402
from nbconvert.exporters import Exporter  # noqa: E402
from nbconvert.writers import FilesWriter  # noqa: E402
from nbgrader import utils  # noqa: E402
from nbgrader.api import (  # noqa: E402
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.converters import Autograde  # noqa: E402
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades  # noqa: E402
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError  # noqa: E402
from traitlets.utils.importstring import import_item  # noqa: E402

from .handout import handouts_of  # noqa: E402
from .nbgrader_plugin import (  # noqa: E402
    WallExecute,
    bounded,
    inert_files,
    kept_back_of,
    notice,
    plain_files,
)
from .released import FASTER_STEPS, Released, entry  # noqa: E402
from .spec import Assignment  # noqa: E402

# What stops a class and not a submission.
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
WAIT_FOR_LOCK = 60  # seconds


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
        self.api = course.api(WallExecute=dict(settings))
        self.api.coursedir.assignment_id = slug
        with course.well_configured():
            self.autograde = Autograde(coursedir=self.api.coursedir, parent=self.api)
            self.autograde.force = True
            self.execute = WallExecute(parent=self.autograde)

    def __enter__(self) -> Recorder:
        coursedir = self.api.coursedir
        with trouble_of_the_machine(f"the gradebook {coursedir.db_url}"):
            url = coursedir.db_url
            if url.startswith("sqlite:") and "?" not in url:
                url += f"?timeout={WAIT_FOR_LOCK}"
            self.gradebook = Gradebook(url, coursedir.course_id)
            self.released = Released.read(self.gradebook, self.slug)
        self.handouts = handouts_of(coursedir, self.slug)
        before = [import_item(step) for step in self.autograde.sanitize_preprocessors]
        after = [import_item(step) for step in self.autograde.autograde_preprocessors]
        after = after[after.index(WallExecute) + 1 :]  # the notebook comes from there
        self.sanitiser = self._exporter(before)
        self.finisher = self._exporter(after)
        self.autograde.exporter = self.finisher
        self.penalties = [step(parent=self.autograde) for step in after if issubclass(step, AssignLatePenalties)]
        return self

    def __exit__(self, *exception: object) -> None:
        self.gradebook.close()

    # -- what was released ------------------------------------------------------------------

    def require_release(self, names: list[str], assignment: Assignment | None) -> None:
        """Refuse an assignment of which the gradebook knows nothing, or whose `checks.py` is not what was released."""
        if missing := [name for name in names if name not in self.released.notebooks]:
            what = f"{self.slug!r}" if missing == names else f"{missing[0]}.ipynb of {self.slug!r}"
            raise Refused(f"{what} has not been released here: run `autograder release {self.slug}` first")
        released = {name: json.loads(self.blank("", name).content)["cells"] for name in names}
        if assignment is None:
            for cells in released.values():
                require_no_check(self.slug, cells)
            return
        try:
            require_fit(assignment, self.slug, released)
        except Refused as error:
            again = f"run `autograder release {self.slug}` again, or undo the change in checks.py"
            raise Refused(f"what was released does not go with checks.py: {again}. {error}") from None

    def blank(self, student: str, name: str) -> Submission:
        """Return the released notebook, as if `student` had handed it in."""
        text = (self.course.folder("release", ".", self.slug) / f"{name}.ipynb").read_text(encoding="utf-8")
        return Submission(student, self.slug, name, text)

    def notice(self, student: str, name: str, reason: str) -> Submission:
        """Return the released notebook with a first cell that says why what `student` handed in could not be graded.

        Raises
        ------
        NotConverted
        """
        with self._converting():
            nb = notice(self.api.coursedir, self.slug, name, reason)
            sanitised, _ = self._through(self.sanitiser, student, name, nb)
        return Submission(student, self.slug, name, json.dumps(sanitised))

    # -- a submission -----------------------------------------------------------------------

    def sanitised(self, student: str, name: str, nb: Any) -> Submission:
        """Return the notebook as nbgrader's sanitising preprocessors leave it, and the files that were handed in.

        Raises
        ------
        NotConverted
        """
        with self._converting():
            return self.execute.submission(*self._through(self.sanitiser, student, name, nb))

    def marks(self, name: str, nb: Any) -> list[Mark]:
        """Say in what a notebook, as it was handed in, is not what was released.

        Raises
        ------
        NotConverted
        """
        handout = self.handouts.get(name)
        with self._converting():
            return handout.marks(nb.cells) if handout else []

    def finished(self, student: str, name: str, graded: Graded) -> Any:
        """Return a graded notebook as nbgrader's steps after the grading leave it; nothing is written.

        Raises
        ------
        NotConverted
        """
        with self._converting():
            return self._through(self.finisher, student, name, nbformat.from_dict(json.loads(graded.content)))[0]

    def record(self, student: str, graded: Mapping[str, Graded]) -> None:
        """Put graded notebooks through the rest of nbgrader's steps, into `autograded/` and the gradebook.

        Parameters
        ----------
        student : str
        graded : dict
            By the notebook's name.

        Raises
        ------
        NotConverted
            Nothing has been written then.
        """
        try:
            with self._converting():
                self._record(student, graded)
        except BaseException:
            # As nbgrader does: what is not in the gradebook is not in the folder either.
            shutil.rmtree(self.course.folder("autograded", student, self.slug), ignore_errors=True)
            raise

    def _record(self, student: str, graded: Mapping[str, Graded]) -> None:
        handed_in = self.course.folder("submitted", student, self.slug)
        self.autograde.notebooks = [str(handed_in / f"{name}.ipynb") for name in sorted(graded)]
        if not self.autograde.init_destination(self.slug, student):
            return
        self.autograde.run_pre_convert_hook()
        folder = self.course.folder("autograded", student, self.slug)
        folder.mkdir(parents=True, exist_ok=True)
        self._copy_files(lambda *where: bounded(inert_files(*where)), handed_in, folder)
        students_own = self.autograde.exclude_overwriting.get(self.slug, [])
        source = self.course.folder("source", ".", self.slug)
        self._copy_files(plain_files, source, folder, but={*students_own, *kept_back_of(self.api.coursedir, self.slug)})
        notebooks = {}
        for name, one in graded.items():
            nb = nbformat.from_dict(json.loads(one.content))
            notebooks[name], resources = self._through(self.finisher, student, name, nb)
            self._write(folder, name, notebooks[name], resources)
        self.autograde.set_permissions(self.slug, student)
        self._save_grades(student, notebooks, handed_in)
        self.autograde.run_post_convert_hook()

    def _copy_files(
        self, find: Callable[[str, list[str]], list[str]], source: Path, target: Path, but: Iterable[str] = ()
    ) -> None:
        for path in map(Path, find(str(source), [*self.api.coursedir.ignore, "*.ipynb"])):
            name = path.relative_to(source)
            if str(name) not in but:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).unlink(missing_ok=True)
                shutil.copy(path, target / name)

    def _write(self, folder: Path, name: str, nb: Any, resources: Any) -> None:
        writer = FilesWriter(parent=self.autograde, build_directory=str(folder))
        resources["output_extension"] = ".ipynb"
        writer.write(nbformat.v4.writes(nb) + "\n", resources, notebook_name=name)
        # The gradebook will say that it is there, even after a power cut.
        with (folder / f"{name}.ipynb").open() as written:
            os.fsync(written.fileno())

    # -- the gradebook ----------------------------------------------------------------------

    def _save_grades(self, student: str, notebooks: Mapping[str, Any], handed_in: Path) -> None:
        """Write all that the gradebook learns about a submission, or nothing."""
        timestamp = self.api.coursedir.get_existing_timestamp(str(handed_in))
        with self._transaction():
            self.gradebook.update_or_create_student(student)
            submission = self.gradebook.update_or_create_submission(
                self.slug, student, **({"timestamp": timestamp} if timestamp else {})
            )
            for notebook in submission.notebooks:
                if notebook.name in notebooks:
                    self._save_scores(notebook, notebooks[notebook.name])
                    self._save_late_penalty(submission, notebook)
                else:  # it was not handed in
                    for grade in notebook.grades:
                        grade.auto_score, grade.needs_manual_grade = 0, False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Let the methods of the gradebook, which commit, join one transaction."""
        session = self.gradebook.db
        with self.gradebook.engine.begin() as connection:
            if connection.dialect.name == "sqlite":  # or two runs could read what the other one is about to write
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            session.remove()
            session.configure(bind=connection, join_transaction_mode="rollback_only")
            try:
                yield
                session.flush()
            finally:
                session.remove()
                session.configure(bind=self.gradebook.engine)

    def _save_scores(self, notebook: SubmittedNotebook, nb: Any) -> None:
        """Save scores and comments, as `SaveAutoGrades` does: what a person has given stays."""
        grades, comments = self._by_cell(Grade, notebook), self._by_cell(Comment, notebook)
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if utils.is_grade(cell):
                grade = entry(grades, name)
                grade.auto_score, _ = utils.determine_grade(cell, self.autograde.log)
                grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
            if utils.is_solution(cell) or utils.is_task(cell):
                unchanged = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
                answered = utils.is_task(cell) or not unchanged
                entry(comments, name).auto_comment = None if answered else "No response."

    def _by_cell(self, kind: type[Any], notebook: SubmittedNotebook) -> dict[str, Any]:
        """Return the grades or the comments of a notebook, by the names of their cells."""
        rows = self.gradebook.db.query(BaseCell.name, kind).join(kind.cell).filter(kind.notebook == notebook)
        return dict(rows.all())

    def _save_late_penalty(self, submission: SubmittedAssignment, notebook: SubmittedNotebook) -> None:
        """Save the penalty of a late submission, as `AssignLatePenalties` does: from zero to the score."""
        for step in self.penalties:
            notebook.late_submission_penalty = None
            late = submission.total_seconds_late
            if late > 0:
                self.gradebook.db.flush()
                self.gradebook.db.refresh(notebook)  # the database adds up the score
                step.init_plugin()
                penalty = step.plugin_inst.late_submission_penalty(submission.student.id, notebook.score, late)
                if penalty is not None:
                    notebook.late_submission_penalty = min(max(penalty, 0), notebook.score)

    # -- nbgrader's steps -------------------------------------------------------------------

    def _exporter(self, steps: list[Any]) -> Exporter:
        """Return nbconvert's exporter that runs `steps`; it validates what comes out, and not what comes between."""
        exporter = Exporter(parent=self.autograde, config=self.autograde.config, optimistic_validation=True)
        for step in steps:
            if isinstance(step, type) and issubclass(step, SaveAutoGrades | AssignLatePenalties):
                continue  # see _save_grades
            own = FASTER_STEPS.get(step)
            exporter.register_preprocessor(own(self.released, parent=exporter) if own else step)
        return exporter

    def _through(self, exporter: Exporter, student: str, name: str, nb: Any) -> tuple[Any, Any]:
        """Return a notebook and its resources as the steps of `exporter` leave them."""
        about = {"student": student, "assignment": self.slug, "notebook": name, "db_url": self.api.coursedir.db_url}
        resources = {"unique_key": name, "output_files_dir": f"{name}_files", "nbgrader": about}
        found: tuple[Any, Any] = exporter.from_notebook_node(nb, resources)
        return found

    @contextlib.contextmanager
    def _converting(self) -> Iterator[None]:
        """Say whose fault it is when a step fails: the machine's, which ends the run, or the submission's."""
        try:
            with (
                trouble_of_the_machine(f"the gradebook {self.api.coursedir.db_url}"),
                contextlib.chdir(self.course.root),
            ):
                yield
        except Refused:
            raise
        except Exception as error:  # whatever nbgrader makes of strange metadata
            first = (str(error).strip() or "no further message").splitlines()[0]
            raise NotConverted(f"{type(error).__name__}: {first[:300]}") from error


@contextlib.contextmanager
def trouble_of_the_machine(what: str) -> Iterator[None]:
    """Turn errors that are no submission's fault into refusals, which end the run; it can be taken up again."""
    again = "What was recorded stays; run the same command again when that is mended."
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:  # nbgrader wraps some of them
            if isinstance(cause, DatabaseError) and not isinstance(cause, DataError | IntegrityError):
                raise Refused(f"{what} cannot be used: {cause.orig}. {again}") from error
            if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
                raise Refused(f"cannot write {cause.filename or what}: {cause.strerror}. {again}") from error
            cause = cause.__cause__ or cause.__context__
        raise
