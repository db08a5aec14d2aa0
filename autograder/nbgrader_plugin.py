"""Preprocessors that make nbgrader's own commands go through the wall.

`nbgrader_config.py` names these preprocessors:

:class:`PublicCases`
    for `nbgrader generate_assignment`: checks that the notebook and `checks.py` agree and
    puts the public cases beside the released notebook;
:class:`DropLeftovers`
    for `nbgrader generate_assignment`: what a cleared answer leaves behind in its cell is not released;
:class:`ReadSubmissions`
    for `nbgrader autograde`, as its exporter: reads and repairs what students handed in;
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
import os
from dataclasses import replace
from fnmatch import fnmatch
from glob import glob
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import find_all_files
from traitlets import Float, Integer, Unicode

from coursekit.checks.cases import to_files
from coursekit.reporting import printable

from . import cases, fingerprint, records, spec
from .bundle import Bundle
from .conditioning import require_steady
from .course import STATE, Course
from .errors import Refused
from .fit import require_fit, require_locked_tasks, require_no_check, require_python
from .grade import grade, refuse
from .handed_in import found_in, is_ignored, is_plain
from .handout import handout_of, handouts_of, texts
from .kept_back import kept_back
from .restore import DropCopies, RestoreCells, course_of, notes
from .results import Submission
from .submitted import HandedIn, Unreadable, read_notebook
from .timestamp import TIME, time_handed_in
from .wall.box import Limits
from .wall.fields import drop_leftovers, keep_known
from .wall.sandbox import Setup

__all__ = [
    "DropCopies",
    "DropLeftovers",
    "KeepFields",
    "OnlyPages",
    "PublicCases",
    "ReadSubmissions",
    "RestoreCells",
    "WallExecute",
]

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
        # nbgrader has copied them with the other files of the folder.
        released = Path(course.format_path(course.release_directory, ".", slug))
        for path in kept_back_of(course, slug):
            (released / path).unlink(missing_ok=True)
        require_python(slug, name, nb.metadata)
        require_locked_tasks(slug, name, nb.cells)
        if checks is None:
            require_no_check(slug, nb.cells)
            return nb, resources
        # What stands in the other notebooks belongs to the same checks.
        source = Path(course.format_path(course.source_directory, ".", slug))
        notebooks = {path.stem: nbformat.read(path, as_version=4).cells for path in source.glob("*.ipynb")}
        require_fit(spec.load(checks), slug, {**notebooks, name: nb.cells})
        resources.setdefault("outputs", {}).update(public_files(checks, slug))
        return nb, resources


@functools.lru_cache(maxsize=1)
def public_files(checks: Bundle, slug: str) -> dict[str, bytes]:
    """Return the files with the public cases: the same for all notebooks of an assignment."""
    exercises = cases.public_of(checks)
    require_steady(spec.load(checks), exercises)
    return to_files(slug, exercises)


class ReadSubmissions(NotebookExporter):  # type: ignore[misc]
    """Read what students handed in as `autograder grade` does."""

    def from_filename(self, filename: str, resources: Any = None, **settings: Any) -> tuple[str, Any]:
        about = resources["nbgrader"]
        student, slug, name = about["student"], about["assignment"], about["notebook"]
        course = course_of(self)
        folder = submitted_folder(course, student, slug)
        if Path(filename).parent != folder:
            found: tuple[str, Any] = super().from_filename(filename, resources, **settings)
            return found
        try:
            nb = read_handed_in(course, student, slug, name).notebook
        except Unreadable as trouble:
            nb = notice(course, slug, name, str(trouble))
        found = self.from_notebook_node(nb, resources, **settings)
        return found


class KeepFields(NbGraderPreprocessor):  # type: ignore[misc]
    """Leave of a notebook its cells, and what nbgrader says of them."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        keep_known(nb)
        return nb, resources


class DropLeftovers(NbGraderPreprocessor):  # type: ignore[misc]
    """Remove from a released notebook what belonged to solutions: pictures, notes in the metadata, widgets' states."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb.metadata.pop("widgets", None)
        for cell in nb.cells:
            drop_leftovers(cell)
        return nb, resources


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
        if checks_of(course, submission.assignment) is None:
            require_no_check(submission.assignment, nb.cells)
        self.remove_copies(submission)
        student, slug, name = submission.student, submission.assignment, submission.name
        try:
            found = read_handed_in(course, student, slug, name)
        except Unreadable as trouble:
            _, checks, secret, *_ = self.job(submission)
            graded = refuse(submission, checks, secret, str(trouble))
        else:
            handout = handout_of(course, slug, name)
            marks = handout.marks(found.notebook.cells) if handout else []
            graded = grade(*self.job(replace(self.completed(submission, found), marks=marks)))
        records.save(Path(course.root), graded.record, graded.cases)
        return nbformat.from_dict(json.loads(graded.content)), resources

    def submission(self, nb: Any, resources: Any) -> Submission:
        """Return what :func:`autograder.grade.grade` takes of a submission."""
        about = resources["nbgrader"]
        course = course_of(self)
        student, slug = about["student"], about["assignment"]
        submitted = submitted_folder(course, student, slug)
        # Other notebooks are there for `%run`: the student's own, or else as they were released.
        released = Path(course.format_path(course.release_directory, ".", slug))
        notebooks = notebooks_in(released, course.ignore) | notebooks_in(submitted, course.ignore)
        notebooks.pop(f"{about['notebook']}.ipynb", None)
        files = notebooks | files_in(submitted, course.ignore) | self.instructors_files(slug)
        return Submission(
            student=student,
            assignment=slug,
            name=about["notebook"],
            content=json.dumps(nb),
            files=files,
            handed_in=fingerprint.of_submission(submitted),
        )

    def completed(self, submission: Submission, found: HandedIn) -> Submission:
        """Add to a submission the files that lie beside its notebook in another place, and notes for the student."""
        files = {**submission.files, **found.files} if found.files else submission.files
        own = self.instructors_files(submission.assignment) if found.files else {}
        said = [*found.notes, *notes(found.notebook.cells, json.loads(submission.content)["cells"])]
        return replace(submission, files={**files, **own}, notes=[*said, *self.left_out(submission)])

    def left_out(self, submission: Submission) -> list[str]:
        """Say which files were too large to lie beside the notebook."""
        course, slug = course_of(self), submission.assignment
        handed_in = submitted_folder(course, submission.student, slug)
        names = too_large(plain_files(str(handed_in), [*course.ignore, "*.ipynb"]))
        own = {*too_large_of(course, slug), *(str(Path(name).relative_to(handed_in)) for name in names)}
        most = f"all files together may have {MAX_FILES >> 20} MB"
        return [f"the file {printable(name)[:100]} was too large to be there: {most}" for name in sorted(own)]

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
        source = Path(course.format_path(course.source_directory, ".", slug))
        own = read_files(own_files(str(source), [*course.ignore, "*.ipynb"]), source)
        left_out = {*self.exclude_overwriting().get(slug, []), *kept_back_of(course, slug)}
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
        secret = cases.course_secret(Path(course.root) / STATE)
        return submission, checks_of(course, submission.assignment), secret, *self.bounds()

    def bounds(self) -> tuple[Limits, Setup]:
        """Return what a submission may use, and how it is walled in."""
        limits = Limits(
            self.cell_seconds, self.call_seconds, self.notebook_seconds, self.memory, self.processes, LIMITS.disk
        )
        return limits, Setup(self.sandbox, hide=(Path(course_of(self).root).resolve(),))


class OnlyPages(NbGraderPreprocessor):  # type: ignore[misc]
    """Remove from `feedback/` what nbgrader has copied there beside the page, and `release_feedback` does not read."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        course, about = course_of(self), resources["nbgrader"]
        folder = Path(course.format_path(course.feedback_directory, about["student"], about["assignment"]))
        needed = {f"{Path(name).stem}.html" for name in self.parent.parent.notebooks} | {TIME, "submission_secret.txt"}
        for name in find_all_files(str(folder)):
            if str(Path(name).relative_to(folder)) not in needed:
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


def submitted_folder(course: Any, student: str, slug: str) -> Path:
    """Return the folder of what a student handed in."""
    return Path(course.format_path(course.submitted_directory, student, slug))


def read_handed_in(course: Any, student: str, slug: str, name: str) -> HandedIn:
    """Return the notebook `name` that a student has handed in."""
    tests = texts(handouts_of(course, slug)) or None
    return read_notebook(submitted_folder(course, student, slug), name, student, tests)


def find_submissions(autograde: Any) -> None:
    """Find the folders in which something was handed in, for nbgrader's `Autograde`.

    Its own method, of which this takes the place, finds those that hold a notebook directly, by its name.
    """
    course = autograde.coursedir
    names = [name for name in handouts_of(course, course.assignment_id) if fnmatch(name, course.notebook_id)]
    pattern = autograde._format_source(course.assignment_id, course.student_id)
    folders = [folder for folder in glob(pattern) if Path(folder).is_dir()]
    if not names or not folders:
        STRICT_SEARCH(autograde)  # which says what is missing
    else:
        autograde.notebooks = []
        autograde.assignments = {folder: [str(Path(folder, f"{name}.ipynb")) for name in names] for folder in folders}


# nbgrader has no setting for these.
STRICT_SEARCH = Autograde.init_notebooks
Autograde.init_notebooks = find_submissions
CourseDirectory.get_existing_timestamp = lambda course, folder: time_handed_in(Path(folder))[0]


def notice(course: Any, slug: str, name: str, reason: str) -> Any:
    """Return the released notebook with a first cell that says why what was handed in could not be graded."""
    path = Path(course.format_path(course.release_directory, ".", slug), f"{name}.ipynb")
    nb = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    text = f"# This submission could not be graded\n\nThe reason: {reason}."
    text += "\n\nBelow is the assignment as it was released. Please hand your work in again."
    nb.cells.insert(0, nbformat.v4.new_markdown_cell(text))
    return nb


def checks_of(course: Any, slug: str) -> Bundle | None:
    """Read the assignment's `checks.py` with what it imports; None if it has none."""
    return Bundle.read(Path(course.format_path(course.source_directory, ".", slug)))


def kept_back_of(course: Any, slug: str) -> set[str]:
    """Return the files beside the source that are neither handed out nor there while a notebook is graded."""
    folder = Path(course.format_path(course.source_directory, ".", slug))
    return {name for name, _ in kept_back(folder, checks_of(course, slug))}


def plain_files(folder: str, exclude: list[str] | None = None) -> list[str]:
    """Return what nbgrader's `find_all_files` finds and counts, without links, pipes and what may not be read.

    nbgrader's own way lists a folder once for each file in it.
    """
    found = [path for path in found_in(Path(folder)).paths if is_plain(path)]
    counted = [path for path in found if not is_ignored(path.relative_to(folder), exclude or [])]
    return [str(path) for path in counted if os.access(path, os.R_OK, effective_ids=True)]


def inert_files(folder: str, exclude: list[str] | None = None) -> list[str]:
    """Return those of the plain files in a submission that are nothing more when a browser opens them."""
    return [name for name in plain_files(folder, exclude) if Path(name).suffix.lower() in INERT]


def own_files(folder: str, exclude: list[str] | None = None) -> list[str]:
    """Return the files in an instructor's folder; what a link leads to is one of them, as nbgrader copies it."""
    found = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return [str(path) for path in found if not is_ignored(path.relative_to(folder), exclude or [])]


def too_large(names: list[str]) -> list[str]:
    """Return the files for which there is no room beside a notebook: the largest ones, until the others fit."""
    sizes = {name: Path(name).stat().st_size for name in names}
    total, found = sum(sizes.values()), []
    for name in sorted(names, key=lambda one: (-sizes[one], one)):
        if total <= MAX_FILES:
            break
        found.append(name)
        total -= sizes[name]
    return sorted(found)


def too_large_of(course: Any, slug: str) -> list[str]:
    """Return which of an instructor's files for `slug` are too large to lie beside a notebook when it is graded."""
    folder = Path(course.format_path(course.source_directory, ".", slug))
    found = too_large(own_files(str(folder), [*course.ignore, "*.ipynb"]))
    return [str(Path(name).relative_to(folder)) for name in found]


def bounded(names: list[str]) -> list[str]:
    """Return the files for which there is room."""
    left_out = set(too_large(names))
    return [name for name in sorted(names) if name not in left_out]


def files_in(folder: Path, ignore: list[str]) -> dict[str, bytes]:
    """Read the files beside the notebooks in `folder`, by relative name; links are not followed."""
    return read_files(plain_files(str(folder), [*ignore, "*.ipynb"]), folder)


def notebooks_in(folder: Path, ignore: list[str]) -> dict[str, bytes]:
    """Read the notebooks in `folder`, by relative name; links are not followed."""
    return read_files([name for name in plain_files(str(folder), ignore) if name.endswith(".ipynb")], folder)


def read_files(names: list[str], folder: Path) -> dict[str, bytes]:
    """Read files in `folder`, by relative name, as far as there is room for them."""
    files: dict[str, bytes] = {}
    for path in map(Path, bounded(names)):
        with contextlib.suppress(PermissionError):  # it is not there, then
            files[str(path.relative_to(folder))] = path.read_bytes()
    return files
