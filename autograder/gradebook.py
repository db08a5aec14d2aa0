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
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import notebook as cells
from .course import Course, quick_nbgrader
from .errors import NotConverted, Refused
from .fit import require_fit, require_no_check
from .plan import Planned
from .results import Graded, Mark, Record, Submission

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
    own_files,
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
        with self.course.well_configured():
            before = [import_item(step) for step in self.autograde.sanitize_preprocessors]
            after = [import_item(step) for step in self.autograde.autograde_preprocessors]
            late = [step(parent=self.autograde) for step in after if issubclass(step, AssignLatePenalties)]
            self.penalties = [step for step in late if step.plugin_class]  # it is imported here
        after = after[after.index(WallExecute) + 1 :]  # the notebook comes from there
        self.sanitiser = self._exporter(before)
        self.finisher = self._exporter(after)
        self.autograde.exporter = self.finisher
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

    def record(self, planned: Planned, graded: Mapping[str, Graded], before: Mapping[str, Record]) -> dict[str, Record]:
        """Put graded notebooks through the rest of nbgrader's steps, into `autograded/` and the gradebook.

        Parameters
        ----------
        planned : Planned
        graded : dict
            By the notebook's name.
        before : dict
            The records of the last grading, by the notebook's name.

        Returns
        -------
        dict
            The records as they have to be kept: with the hash of what they depend on, and with what was written.

        Raises
        ------
        NotConverted
            Nothing has been written then.
        """
        try:
            with self._converting():
                notebooks = self._write_files(planned.student, graded)
                kept = self._save_grades(planned, notebooks, graded, before)
                self.autograde.run_post_convert_hook()
                return kept
        except BaseException:
            # As nbgrader does: what is not in the gradebook is not in the folder either.
            shutil.rmtree(self.course.folder("autograded", planned.student, self.slug), ignore_errors=True)
            raise

    def _write_files(self, student: str, graded: Mapping[str, Graded]) -> dict[str, Any]:
        """Write what belongs into `autograded/`; return the notebooks."""
        handed_in = self.course.folder("submitted", student, self.slug)
        self.autograde.notebooks = [str(handed_in / f"{name}.ipynb") for name in sorted(graded)]
        self.autograde.init_destination(self.slug, student)
        self.autograde.run_pre_convert_hook()
        folder = self.course.folder("autograded", student, self.slug)
        folder.mkdir(parents=True, exist_ok=True)
        self._copy_files(lambda *where: bounded(inert_files(*where)), handed_in, folder)
        students_own = self.autograde.exclude_overwriting.get(self.slug, [])
        source = self.course.folder("source", ".", self.slug)
        self._copy_files(own_files, source, folder, but={*students_own, *kept_back_of(self.api.coursedir, self.slug)})
        notebooks = {}
        for name, one in graded.items():
            nb = nbformat.from_dict(json.loads(one.content))
            notebooks[name], resources = self._through(self.finisher, student, name, nb)
            self._write(folder, name, notebooks[name], resources)
        self.autograde.set_permissions(self.slug, student)
        return notebooks

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

    def _save_grades(
        self,
        planned: Planned,
        notebooks: Mapping[str, Any],
        graded: Mapping[str, Graded],
        before: Mapping[str, Record],
    ) -> dict[str, Record]:
        """Write all that the gradebook learns about a submission, or nothing; return the records to keep."""
        student, kept = planned.student, {}
        handed_in = self.course.folder("submitted", student, self.slug)
        timestamp = self.api.coursedir.get_existing_timestamp(str(handed_in))
        with self._transaction():
            self.gradebook.update_or_create_student(student)
            submission = self.gradebook.update_or_create_submission(
                self.slug, student, **({"timestamp": timestamp} if timestamp else {})
            )
            for notebook in submission.notebooks:
                if one := graded.get(notebook.name):
                    nb = notebooks[notebook.name]
                    seen = cells.seen(nb.cells, one.record, planned.handed_in)
                    then = before[notebook.name].get("seen", {}) if notebook.name in before else {}
                    changed = {name for name in seen if seen[name] != then.get(name)}
                    written = self._save_scores(notebook, nb, changed)
                    kept[notebook.name] = one.record | {"key": planned.key, "written": written, "seen": seen}
                else:  # it was not handed in
                    for grade in notebook.grades:
                        grade.auto_score, grade.needs_manual_grade = 0, False
        return kept

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

    def _save_scores(self, notebook: SubmittedNotebook, nb: Any, changed: Container[str]) -> dict[str, float | None]:
        """Save scores and comments, as `SaveAutoGrades` does; return the scores.

        What a person has given stays, and waits to be looked at again only where something has `changed`.
        """
        grades, comments = self._by_cell(Grade, notebook), self._by_cell(Comment, notebook)
        for name in grades.keys() - {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells}:
            grades[name].auto_score = 0.0  # the course's configuration does not put back what was removed
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if utils.is_grade(cell):
                entry(grades, name).auto_score, _ = utils.determine_grade(cell, self.autograde.log)
            if utils.is_solution(cell) or utils.is_task(cell):
                unchanged = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
                answered = utils.is_task(cell) or not unchanged
                entry(comments, name).auto_comment = None if answered else "No response."
        for name, grade in grades.items():
            if grade.manual_score is None:
                grade.needs_manual_grade = grade.auto_score is None
            elif name in changed:
                grade.needs_manual_grade = True
        return {name: grade.auto_score for name, grade in grades.items()}

    def _by_cell(self, kind: type[Any], notebook: SubmittedNotebook) -> dict[str, Any]:
        """Return the grades or the comments of a notebook, by the names of their cells."""
        rows = self.gradebook.db.query(BaseCell.name, kind).join(kind.cell).filter(kind.notebook == notebook)
        return dict(rows.all())

    def settle_lateness(self, students: Container[str]) -> dict[str, float]:
        """Save the penalties of late submissions, as `AssignLatePenalties` does; return how late they are, in seconds.

        A penalty depends on what changes without any grading: due date, extensions, points given by hand, the plugin.
        So it is made anew in each run.

        Raises
        ------
        Refused
            If the course's plugin fails.
        """
        late: dict[str, float] = {}
        with self._converting(), self._transaction():
            for submission in self.gradebook.assignment_submissions(self.slug):
                student = submission.student.id
                if student in students:
                    seconds = submission.total_seconds_late if submission.assignment.duedate else 0
                    if seconds > 0:
                        late[student] = seconds
                    for notebook in submission.notebooks if self.penalties else ():
                        notebook.late_submission_penalty = self._penalty(student, notebook.score, seconds)
        return late

    def _penalty(self, student: str, score: float, seconds: float) -> float | None:
        """Return the penalty for a notebook, from zero to its score; None if there is none."""
        for step in self.penalties:
            if seconds > 0:
                try:
                    step.init_plugin()
                    penalty = step.plugin_inst.late_submission_penalty(student, score, seconds)
                    return None if penalty is None else min(max(float(penalty), 0.0), score)
                except Exception as error:
                    name = f"{type(step.plugin_inst).__module__}.{type(step.plugin_inst).__qualname__}"
                    raise Refused(
                        f"the penalty for handing in late cannot be made: {name} fails for {student!r} with a score of "
                        f"{score:g} and {seconds:g} s ({type(error).__name__}: {error}). All else was recorded"
                    ) from error
        return None

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
