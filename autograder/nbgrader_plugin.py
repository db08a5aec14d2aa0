"""Preprocessors that make nbgrader's own commands go through the wall.

`nbgrader_config.py` names these preprocessors:

:class:`PublicCases`
    for `nbgrader generate_assignment`: checks that the notebook and `checks.py` agree and
    puts the public cases beside the released notebook;
:class:`KeepFields`
    for `nbgrader autograde`: of what students can write into a notebook's fields, only the known ones stay;
:class:`DropCopies`
    for `nbgrader autograde`: of a cell that was copied, the last one counts;
:class:`RestoreCells`
    for `nbgrader autograde`: puts back the check cells that a student deleted;
:class:`WallExecute`
    for `nbgrader autograde`, in place of `Execute`: runs and grades behind the wall;
:class:`OnlyPages`
    for `nbgrader generate_feedback`: what was handed in beside the notebook is not copied for the student.
"""

from __future__ import annotations

import contextlib
import functools
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.converters import Autograde
from nbgrader.preprocessors import DeduplicateIds, NbGraderPreprocessor, OverwriteCells
from nbgrader.utils import find_all_files
from traitlets import Float, Integer, Unicode

from coursekit.checks.cases import to_files

from . import cases, fingerprint, records, spec
from .bundle import Bundle
from .conditioning import require_steady
from .course import STATE, Course
from .errors import Refused
from .fit import require_fit, require_no_check
from .grade import grade
from .handed_in import found_in, is_ignored, is_plain
from .handout import Handout
from .results import Mark, Submission
from .submitted import Unreadable, read_notebook
from .wall.box import Limits
from .wall.fields import keep_known
from .wall.sandbox import Setup

LIMITS = Limits()
MAX_FILES = 48 * 2**20
# What may lie in `autograded/`: formgrader's server shows that to the instructor, in pages that may do what they may.
# Browsers show these kinds as text or pictures, or save them.
INERT = {
    *(
        ".bmp",
        ".csv",
        ".dat",
        ".gif",
        ".ini",
        ".ipynb",
        ".jpeg",
        ".jpg",
        ".json",
        ".log",
        ".md",
        ".mat",
        ".npy",
        ".npz",
    ),
    *(".parquet", ".pkl", ".png", ".py", ".rst", ".toml", ".tsv", ".txt", ".webp", ".yaml", ".yml"),
}


class PublicCases(NbGraderPreprocessor):  # type: ignore[misc]
    """Add `cases.json` and `cases.npz` to what is released."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        course = course_of(self)
        slug, name = resources["nbgrader"]["assignment"], resources["nbgrader"]["notebook"]
        checks = checks_of(course, slug)
        if checks is None:
            require_no_check(slug, nb.cells)
            return nb, resources
        # nbgrader has copied them with the other files of the folder.
        for path in checks.own:
            Path(course.format_path(course.release_directory, ".", slug), path).unlink(missing_ok=True)
        # What stands in the other notebooks belongs to the same checks.
        source = Path(course.format_path(course.source_directory, ".", slug))
        notebooks = {path.stem: nbformat.read(path, as_version=4).cells for path in source.glob("*.ipynb")}
        require_fit(spec.load(checks), slug, {**notebooks, name: nb.cells})
        resources.setdefault("outputs", {}).update(public_files(checks, slug))
        return nb, resources


@functools.lru_cache(maxsize=1)
def public_files(checks: Bundle, slug: str) -> dict[str, bytes]:
    """Return the files with the public cases: the same for all notebooks of an assignment."""
    assignment = spec.load(checks)
    exercises = cases.public(assignment)
    require_steady(assignment, exercises)
    return to_files(slug, exercises)


class KeepFields(NbGraderPreprocessor):  # type: ignore[misc]
    """Leave of a notebook its cells, and what nbgrader says of them."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        keep_known(nb)
        return nb, resources


class DropCopies(DeduplicateIds):  # type: ignore[misc]
    """Do what nbgrader's DeduplicateIds does, and remove the empty metadata that nbgrader then cannot read."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb, resources = super().preprocess(nb, resources)
        for cell in nb.cells:
            if cell.metadata.get("nbgrader") == {}:
                del cell.metadata["nbgrader"]
        return nb, resources


class RestoreCells(OverwriteCells):  # type: ignore[misc]
    """Do what nbgrader's OverwriteCells does, and restore deleted cells even where their neighbours are gone too."""

    def add_missing_grade_cells(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        notebook = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        points = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}
        solutions = {cell.name for cell in notebook.solution_cells}
        tasks = {cell.name for cell in notebook.task_cells}
        present = {_grade_id(cell) for cell in nb.cells}
        position = -1  # of the cell before, in the order of the source
        for source in notebook.source_cells:
            if source.name in present:
                position = next(i for i, cell in enumerate(nb.cells) if _grade_id(cell) == source.name)
            elif source.name in points:
                self.log.warning("Putting back the missing cell %s", source.name)
                cell = self.missing_cell_transform(
                    source, points[source.name], source.name in solutions, source.name in tasks
                )
                cell.id = uuid.uuid4().hex[:8]
                position += 1
                nb.cells.insert(position, cell)
        return nb, resources

    def add_missing_task_cells(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        return nb, resources  # they are restored with the others


class WallExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Run the notebook behind the wall, and grade its check cells there."""

    sandbox = Unicode("bwrap", help="bwrap, or none (for your own trusted samples only)").tag(config=True)
    cell_seconds = Float(LIMITS.cell_seconds, help="wall time of one cell").tag(config=True)
    call_seconds = Float(LIMITS.call_seconds, help="wall time of one call that a check makes").tag(config=True)
    notebook_seconds = Float(LIMITS.notebook_seconds, help="wall time of a whole notebook").tag(config=True)
    memory = Integer(LIMITS.memory, help="address space of a process, in bytes").tag(config=True)
    processes = Integer(LIMITS.processes, help="processes and threads").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        course = course_of(self)
        submission = self.submission(nb, resources)
        for line in overlooked(course.root, submission.assignment):
            self.log.warning("Look at this in the folder of submissions: %s", line)
        self.remove_copies(submission)
        graded = grade(*self.job(replace(submission, marks=self.marks(submission))))
        records.save(Path(course.root), graded.record, graded.cases)
        return nbformat.from_dict(json.loads(graded.content)), resources

    def submission(self, nb: Any, resources: Any) -> Submission:
        """Return what :func:`autograder.grade.grade` takes of a submission."""
        about = resources["nbgrader"]
        course = course_of(self)
        student, slug = about["student"], about["assignment"]
        submitted = Path(course.format_path(course.submitted_directory, student, slug))
        files = files_in(submitted, course.ignore) | self.instructors_files(slug)
        return Submission(
            student=student,
            assignment=slug,
            name=about["notebook"],
            content=json.dumps(nb),
            files=files,
            handed_in=fingerprint.of_submission(submitted),
        )

    def marks(self, submission: Submission) -> list[Mark]:
        """Say in what the notebook that was handed in is not what was released, which nbgrader has mended since."""
        student, slug, name = submission.student, submission.assignment, submission.name
        folder = Path(course_of(self).format_path(course_of(self).submitted_directory, student, slug))
        handout = handout_of(course_of(self), slug, name)
        try:
            return handout.marks(read_notebook(folder, name, student).cells) if handout else []
        except Unreadable:  # nbgrader has read it all the same
            return []

    def remove_copies(self, submission: Submission) -> None:
        """Remove what nbgrader has copied and should not: pages, and whatever a link in a submission leads to."""
        course = course_of(self)
        folders = (course.submitted_directory, course.autograded_directory)
        handed_in, copied = (
            Path(course.format_path(folder, submission.student, submission.assignment)) for folder in folders
        )
        own = self.instructors_files(submission.assignment)
        for name in set(find_all_files(str(handed_in))) - set(inert_files(str(handed_in))):
            copy = copied / Path(name).relative_to(handed_in)
            if str(copy.relative_to(copied)) not in own and copy.is_file():
                copy.unlink()

    def instructors_files(self, slug: str) -> dict[str, bytes]:
        """Return what the instructor put beside the source: it takes the place of what a student handed in."""
        course = course_of(self)
        own = files_in(Path(course.format_path(course.source_directory, ".", slug)), course.ignore)
        checks = checks_of(course, slug)
        left_out = {*self.exclude_overwriting().get(slug, []), *(checks.own if checks else ())}
        return {name: content for name, content in own.items() if name not in left_out}

    def exclude_overwriting(self) -> dict[str, list[str]]:
        """Return nbgrader's setting: by assignment, the files of which the student's own version stays."""
        found = self
        while found is not None:
            if isinstance(found, Autograde):
                return dict(found.exclude_overwriting)
            found = found.parent
        return {}

    def job(self, submission: Submission) -> tuple[Submission, Bundle | None, bytes, Limits, Setup]:
        """Return the arguments of :func:`autograder.grade.grade`."""
        course = course_of(self)
        limits = Limits(
            self.cell_seconds, self.call_seconds, self.notebook_seconds, self.memory, self.processes, LIMITS.disk
        )
        setup = Setup(self.sandbox, hide=(Path(course.root),))
        secret = cases.course_secret(Path(course.root) / STATE)
        return submission, checks_of(course, submission.assignment), secret, limits, setup


class OnlyPages(NbGraderPreprocessor):  # type: ignore[misc]
    """Remove from `feedback/` what nbgrader has copied there beside the page."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        course, about = course_of(self), resources["nbgrader"]
        folder = Path(course.format_path(course.feedback_directory, about["student"], about["assignment"]))
        pages = {f"{Path(name).stem}.html" for name in self.parent.parent.notebooks}
        for name in find_all_files(str(folder)):
            if str(Path(name).relative_to(folder)) not in pages:
                Path(name).unlink()
        return nb, resources


_said: set[tuple[str, str]] = set()


def overlooked(root: str, slug: str) -> list[str]:
    """Return what lies among the submissions and is not graded; nothing if that was asked for before."""
    if (root, slug) in _said:
        return []
    _said.add((root, slug))
    with contextlib.suppress(Refused):  # a course that our own commands refuse
        return Course.at(Path(root)).overlooked(slug)
    return []


# -- the course's folders -----------------------------------------------------------------


def course_of(component: Any) -> Any:
    """Return nbgrader's CourseDirectory, which some parent of `component` holds."""
    while component is not None:
        if getattr(component, "coursedir", None) is not None:
            return component.coursedir
        component = component.parent
    raise RuntimeError("this preprocessor works only inside an nbgrader converter")


def checks_of(course: Any, slug: str) -> Bundle | None:
    """Read the assignment's `checks.py` with what it imports; None if it has none."""
    return Bundle.read(Path(course.format_path(course.source_directory, ".", slug)))


def handout_of(course: Any, slug: str, name: str) -> Handout | None:
    """Read a released notebook; None if it is not here, for nbgrader can grade without it."""
    path = Path(course.format_path(course.release_directory, ".", slug), f"{name}.ipynb")
    return Handout(json.loads(path.read_text(encoding="utf-8"))["cells"]) if path.is_file() else None


def plain_files(folder: str, exclude: list[str] | None = None) -> list[str]:
    """Return what nbgrader's `find_all_files` finds and counts, without links, pipes and the like.

    nbgrader's own way lists a folder once for each file in it.
    """
    found = found_in(Path(folder)).paths
    return [str(path) for path in found if is_plain(path) and not is_ignored(path.relative_to(folder), exclude or [])]


def inert_files(folder: str, exclude: list[str] | None = None) -> list[str]:
    """Return those of the plain files in a submission that are nothing more when a browser opens them."""
    return [name for name in plain_files(folder, exclude) if Path(name).suffix.lower() in INERT]


def bounded(names: list[str]) -> list[str]:
    """Return the files without those for which, in the order of their names, there is no room: they are not copied."""
    found: list[str] = []
    room = MAX_FILES
    for name in sorted(names):
        if (size := Path(name).stat().st_size) <= room:
            room -= size
            found.append(name)
    return found


def files_in(folder: Path, ignore: list[str]) -> dict[str, bytes]:
    """Read the files beside the notebooks in `folder`, by relative name; links are not followed."""
    names = bounded(plain_files(str(folder), [*ignore, "*.ipynb"]))
    files: dict[str, bytes] = {}
    for path in map(Path, names):
        with contextlib.suppress(PermissionError):  # it is not there, then
            files[str(path.relative_to(folder))] = path.read_bytes()
    return files


def _grade_id(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
