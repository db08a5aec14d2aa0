"""Change the gradebook when other cells of an assignment are graded than those that were handed in.

nbgrader refuses to release then, for grades might be lost.  Here those of all cells that stay are kept, with their
comments; cells that are new get an empty grade for everybody, and the next run of `grade` fills it.
"""

from __future__ import annotations

import contextlib
import copy
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from coursekit.reporting import number

from .converters import generate_assignment
from .course import Course, quick_nbgrader
from .errors import Refused

quick_nbgrader()

from nbgrader.api import (  # noqa: E402
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    MissingEntry,
    Notebook,
    SolutionCell,
    SourceCell,
    SubmittedNotebook,
    TaskCell,
)

FIELDS: dict[type[Any], tuple[str, ...]] = {
    GradeCell: ("max_score", "cell_type"),
    TaskCell: ("max_score", "cell_type"),
    SolutionCell: (),
    SourceCell: ("cell_type", "locked", "source", "checksum"),
}


@dataclass
class Difference:
    """In what the cells of a new release are not those of the gradebook.

    Attributes
    ----------
    renamed : dict
        The new names of notebooks, by the old ones.
    added, gone : list of str
        What there is now and was not before, and the other way round, each in words.
    """

    renamed: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        names = [f"{old}.ipynb is called {new}.ipynb now" for old, new in self.renamed.items()]
        return [*names, *(f"new: {one}" for one in self.added), *(f"gone: {one}" for one in self.gone)]


def adapt(course: Course, slug: str, allowed: bool, with_copy: bool = False) -> list[str]:
    """Let an assignment be released that has been handed in, also where other cells are graded now.

    With `with_copy`, a gradebook that is changed is kept as it was.

    Returns
    -------
    list of str
        What was changed in the gradebook, to be told.

    Raises
    ------
    Refused
        If there are other cells and it is not `allowed` to change the gradebook, or if the release fails.
    """
    with Gradebook(course.db_url, course.directory.course_id) as gradebook:
        if not _has_submissions(gradebook, slug):
            return []
        with _released_aside(course, slug) as new:
            different = difference(gradebook, new, slug)
            lines = [f"  - {line}" for line in different.lines()]
            if lines and not allowed:
                told = "\n".join(lines)
                raise Refused(
                    f"{slug!r} has been handed in, and other cells are graded now:\n{told}\n"
                    f"`autograder release {slug} --migrate` changes the gradebook too. All other points and comments "
                    f"stay, and `autograder grade {slug}` then grades everybody's work as it was handed in."
                )
            if not lines:
                return []
            aside = course.state / f"gradebook-{datetime.now():%Y-%m-%d-%H%M%S-%f}.db"
            copied = with_copy and copy_gradebook(course.db_url, aside)
            migrate(gradebook, new, slug, different.renamed)
    where = f" It is kept as it was in {aside}." if copied else ""
    return ["Changed the gradebook:", *lines, f"Run `autograder grade {slug}` now.{where}"]


def _has_submissions(gradebook: Gradebook, slug: str) -> bool:
    try:
        return bool(gradebook.find_assignment(slug).submissions)
    except MissingEntry:
        return False


@contextlib.contextmanager
def _released_aside(course: Course, slug: str) -> Iterator[Gradebook]:
    """Release an assignment into its folder and into an empty gradebook, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="gradebook-") as folder:
        config = copy.deepcopy(course.config)
        config.CourseDirectory.db_url = url = f"sqlite:///{folder}/gradebook.db"
        generate_assignment(replace(course, config=config), slug)
        with Gradebook(url, course.directory.course_id) as gradebook:
            yield gradebook


def difference(gradebook: Gradebook, new: Gradebook, slug: str) -> Difference:
    """Say in what the cells of an assignment in the gradebook `new` are not those in `gradebook`."""
    before, now = _cells(gradebook, slug), _cells(new, slug)
    found = Difference(_renamed(before, now))
    moved = {found.renamed.get(name, name): cells for name, cells in before.items()}
    several = len({*moved, *now}) > 1
    for one, other, lines in ((now, moved, found.added), (moved, now, found.gone)):
        for name, cells in one.items():
            where = f" in {name}.ipynb" if several else ""
            if name not in other:
                lines.append(f"the notebook {name}.ipynb")
                where = f" in {name}.ipynb"
            gone = lines is found.gone
            lines += [
                f"{cell.name}{where}{_worth(cell)}{_given(cell) if gone else ''}"
                for key, cell in cells.items()
                if key not in other.get(name, {}) and not (key[0] is SolutionCell and (GradeCell, key[1]) in cells)
            ]
    return found


def migrate(gradebook: Gradebook, new: Gradebook, slug: str, renamed: dict[str, str]) -> None:
    """Give an assignment in `gradebook` the notebooks and cells that it has in `new`; all or nothing."""
    assignment = gradebook.find_assignment(slug)
    session = gradebook.db
    with session.no_autoflush:
        for notebook in assignment.notebooks:
            notebook.name = renamed.get(notebook.name, notebook.name)
        session.flush()
        wanted = {notebook.name: notebook for notebook in new.find_assignment(slug).notebooks}
        for notebook in list(assignment.notebooks):
            if notebook.name not in wanted:
                _remove_notebook(session, notebook)
        session.flush()
        for name, model in wanted.items():
            there = next((one for one in assignment.notebooks if one.name == name), None)
            if there is None:
                there = Notebook(name=name, assignment=assignment, kernelspec=model.kernelspec)
                session.add(there)
                session.flush()
            _adapt_cells(session, there, model)
            _complete_submissions(session, assignment, there)
    session.commit()


def copy_gradebook(url: str, target: Path) -> bool:
    """Copy the gradebook, if it is a file; return whether it is.

    Raises
    ------
    Refused
        If it is damaged.
    """
    path = Path(url.removeprefix("sqlite:///").partition("?")[0])
    if not url.startswith("sqlite:///") or not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise Refused(f"the gradebook {path} cannot be read: {error}. Restore it from a copy.") from error
    return True


# -- what is different --------------------------------------------------------------------------

Cells = dict[tuple[type[Any], str], Any]


def _cells(gradebook: Gradebook, slug: str) -> dict[str, Cells]:
    """Return the cells of an assignment by notebook, and by kind and name."""
    try:
        notebooks = gradebook.find_assignment(slug).notebooks
    except MissingEntry:
        return {}
    return {one.name: {(type(cell), cell.name): cell for cell in _of_notebook(one)} for one in notebooks}


def _of_notebook(notebook: Notebook) -> list[Any]:
    cells = [*notebook.grade_cells, *notebook.task_cells, *notebook.solution_cells]
    names = {cell.name for cell in cells}
    return [*cells, *(cell for cell in notebook.source_cells if cell.name not in names)]


def _renamed(before: dict[str, Cells], now: dict[str, Cells]) -> dict[str, str]:
    """Return the new names of those notebooks of which at least half of the cells are in a notebook of another name."""
    found: dict[str, str] = {}
    for new in sorted(now.keys() - before.keys()):
        for old in sorted(before.keys() - now.keys() - found.keys()):
            if before[old] and 2 * len(before[old].keys() & now[new].keys()) >= len(before[old]):
                found[old] = new
                break
    return found


def _worth(cell: Any) -> str:
    points = getattr(cell, "max_score", None)
    return "" if points is None else f" ({number(points)} points)"


def _given(cell: Any) -> str:
    """Say which points that a person gave are lost with a cell."""
    grades = cell.grades if isinstance(cell, GradeCell | TaskCell) else ()
    names = sorted(one.student.id for one in grades if one.manual_score is not None or one.extra_credit)
    return f"; points that were given by hand are lost: {', '.join(names)}" if names else ""


# -- changing the gradebook -----------------------------------------------------------------------


def _adapt_cells(session: Any, notebook: Notebook, model: Notebook) -> None:
    wanted = {(type(cell), cell.name): cell for cell in _all_cells(model)}
    there = {(type(cell), cell.name): cell for cell in _all_cells(notebook)}
    for key, cell in there.items():
        # The source cells are made anew: their order is that of the notebook.
        if key[0] is SourceCell:
            session.delete(cell)
        elif key not in wanted:
            _remove_cells(session, [cell])
    session.flush()
    for (kind, name), cell in wanted.items():
        if kind is SourceCell or (kind, name) not in there:
            session.add(kind(name=name, notebook=notebook, **{one: getattr(cell, one) for one in FIELDS[kind]}))
    session.flush()
    session.expire(notebook)


def _all_cells(notebook: Notebook) -> list[Any]:
    return [*notebook.grade_cells, *notebook.task_cells, *notebook.solution_cells, *notebook.source_cells]


def _complete_submissions(session: Any, assignment: Assignment, notebook: Notebook) -> None:
    """Give each submission what nbgrader gives a new one: an empty grade and comment for each cell that has none."""
    for submission in assignment.submissions:
        own = next((one for one in submission.notebooks if one.notebook_id == notebook.id), None)
        if own is None:
            own = SubmittedNotebook(notebook=notebook, assignment=submission)
            session.add(own)
            session.flush()
        for kind, cells in (
            (Grade, [*notebook.grade_cells, *notebook.task_cells]),
            (Comment, [*notebook.solution_cells, *notebook.task_cells]),
        ):
            there = {one.cell_id for one in session.query(kind).filter(kind.notebook_id == own.id)}
            session.add_all(kind(cell_id=cell.id, notebook=own) for cell in cells if cell.id not in there)
        session.flush()


def _remove_notebook(session: Any, notebook: Notebook) -> None:
    _remove_cells(session, _all_cells(notebook))
    for submitted in list(notebook.submissions):
        session.delete(submitted)
    session.delete(notebook)


def _remove_cells(session: Any, cells: Iterable[Any]) -> None:
    for cell in cells:
        for kind in (Grade, Comment) if isinstance(cell, BaseCell) else ():
            for one in session.query(kind).filter(kind.cell_id == cell.id):
                session.delete(one)
        session.delete(cell)
