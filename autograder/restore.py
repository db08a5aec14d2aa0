"""Make a notebook's cells those of the release again, as nbgrader's sanitising preprocessors.

What a student can do to a cell is done in editors that know nothing of nbgrader: metadata is lost or damaged, cells
are copied, deleted, pasted from other assignments, or turned into text.  Nothing of what nbgrader notes in a cell is
believed but its name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.nbgraderformat import SCHEMA_VERSION
from nbgrader.preprocessors import NbGraderPreprocessor, OverwriteCells

from .handout import Handout, handout_of
from .notebook import Cell, grade_id, same_text
from .notebook import source as text_of

DEFINES = re.compile(r"^(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)
STUB = re.compile(r"your (answer|code) here|^\s*raise notimplementederror", re.IGNORECASE)


class DropCopies(NbGraderPreprocessor):  # type: ignore[misc]
    """Of a cell that was copied, let the last one count; the others are cells of the student's own."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        seen: set[str] = set()
        for cell in reversed(nb.cells):
            name = grade_id(cell)
            if name in seen or not name:
                cell.metadata.pop("nbgrader", None)
            seen.add(name)
        return nb, resources


class RestoreCells(OverwriteCells):  # type: ignore[misc]
    """Give each cell that was released what the gradebook holds of it, and put back those that are needed."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            self.restore(nb, gradebook.find_notebook(about["notebook"], about["assignment"]), self.handout(resources))
        return nb, resources

    def handout(self, resources: Any) -> Handout | None:
        """Return the released notebook, if it is here."""
        about = resources["nbgrader"]
        return handout_of(course_of(self), about["assignment"], about["notebook"])

    def restore(self, nb: Any, notebook: Any, handout: Handout | None) -> None:
        """Restore the cells of a notebook, of which the gradebook holds `notebook`."""
        released = _Released(notebook)
        for cell in nb.cells:
            name = grade_id(cell)
            if name in released.sources:
                self._overwrite(cell, released, name)
            elif name:
                self.log.warning("Cell %r is not of this assignment", name)
                del cell.metadata["nbgrader"]
        missing = [name for name in released.sources if name not in map(grade_id, nb.cells)]
        if missing and handout:
            for name, cell in recognised(nb.cells, missing, released, handout):
                self._overwrite(cell, released, name)
        if self.add_missing_cells:
            self._put_back(nb, released)

    def _overwrite(self, cell: Any, released: _Released, name: str) -> None:
        source = released.sources[name]
        become(cell, source.cell_type)
        cell.metadata["nbgrader"] = released.role(name)
        if source.locked:
            cell.source = source.source

    def _put_back(self, nb: Any, released: _Released) -> None:
        for name, source in released.sources.items():
            if name in map(grade_id, nb.cells) or not released.is_needed(name):
                continue
            self.log.warning("Putting back the missing cell %s", name)
            notice = self.missing_cell_notification.format(cell_id=name)
            cell = NotebookNode(cell_type="markdown", metadata=NotebookNode(), source=notice + source.source)
            cell["id"] = uuid.uuid4().hex[:8]
            become(cell, source.cell_type)
            if source.cell_type == "code":
                cell.source = "# " + cell.source
            cell.metadata["nbgrader"] = released.role(name)
            nb.cells.insert(released.place(name, nb.cells), cell)


class _Released:
    """What the gradebook holds of the cells of a notebook, in their order.

    Attributes
    ----------
    sources : dict
        nbgrader's source cells, by name.
    """

    def __init__(self, notebook: Any) -> None:
        self.sources = {cell.name: cell for cell in notebook.source_cells}
        self.order = list(self.sources)
        self.tasks = {cell.name for cell in notebook.task_cells}
        self.solutions = {cell.name for cell in notebook.solution_cells}
        self.points = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}

    def role(self, name: str) -> Any:
        """Return nbgrader's metadata of a cell."""
        source = self.sources[name]
        role = NotebookNode(
            grade=name in self.points and name not in self.tasks,
            grade_id=name,
            solution=name in self.solutions,
            locked=source.locked,
            task=name in self.tasks,
            cell_type=source.cell_type,
            checksum=source.checksum,
            schema_version=SCHEMA_VERSION,
        )
        if name in self.points:
            role["points"] = self.points[name]
        return role

    def is_test(self, name: str) -> bool:
        """Return whether a cell is scored by what it shows."""
        return name in self.points and name not in self.solutions and name not in self.tasks

    def is_needed(self, name: str) -> bool:
        """Return whether a cell is put back: what gives points, and locked code, which others may need."""
        source = self.sources[name]
        return name in self.points or (source.locked and source.cell_type == "code")

    def tested(self, name: str) -> list[str]:
        """Return the solutions that stand last before a test in the release, with no other test between them."""
        found: list[str] = []
        for other in reversed(self.order[: self.order.index(name)]):
            if self.is_test(other) and found:
                break
            if other in self.solutions:
                found.append(other)
        return found

    def place(self, name: str, cells: Sequence[Any]) -> int:
        """Return before which cell of a notebook a missing one is put.

        A test stands below its solution, or where that is not known as late as possible; everything else below
        what it was released below.
        """
        where = {grade_id(cell): number for number, cell in enumerate(cells)}
        above = self.order[: self.order.index(name)]
        if self.is_test(name):
            tested = self.tested(name)
            if not tested or not all(one in where for one in tested):
                return len(cells)
            first = min(map(above.index, tested))
            return 1 + max(where[one] for one in above[first:] if one in where)
        before = next((where[one] for one in reversed(above) if one in where), None)
        if before is None and name in self.points:
            return len(cells)
        return 0 if before is None else before + 1


# -- cells that have lost their names ---------------------------------------------------------


def recognised(
    cells: Sequence[Any], missing: Sequence[str], released: _Released, handout: Handout
) -> Iterator[tuple[str, Any]]:
    """Yield which of a notebook's nameless cells are those of the release that are `missing`.

    A cell is known by its id, its text, the names that it defines, or by what the instructor wrote into it.
    """
    free = {number: cell for number, cell in enumerate(cells) if not grade_id(cell)}
    where = {grade_id(cell): number for number, cell in enumerate(cells) if grade_id(cell)}
    for name in missing:
        given = handout.named.get(name)
        if given is None:
            continue
        lowest = max((where[one] for one in released.tested(name) if one in where), default=-1)
        allowed = [number for number in reversed(free) if number > lowest or not released.is_test(name)]
        same = {number for number in allowed if _is_same(free[number], given, locked=released.sources[name].locked)}
        by_id = [number for number in same if free[number].get("id") == given.get("id")]
        for number in (by_id or sorted(same, reverse=True))[:1]:
            where[name] = number
            yield name, free.pop(number)


def _is_same(cell: Any, given: Cell, locked: bool) -> bool:
    """Return whether `cell` may be the cell of the release that was `given` to students."""
    text = text_of(given)
    if locked:
        return same_text(cell, given)
    if cell.cell_type != given["cell_type"]:
        return False
    if given.get("id") and cell.get("id") == given["id"]:
        return True
    if given["cell_type"] == "code":
        names = _defined(text)
        return bool(names) and names <= _defined(cell.source)
    lines = {line.strip() for line in text.splitlines() if line.strip() and not STUB.search(line)}
    return bool(lines) and lines <= {line.strip() for line in cell.source.splitlines()}


def _defined(text: str) -> set[str]:
    return {name for names in DEFINES.findall(text) for name in names if name}


# -- cells ------------------------------------------------------------------------------------


def become(cell: Any, kind: str) -> None:
    """Make a cell one of another kind."""
    cell["cell_type"] = kind
    if kind == "code":
        cell.setdefault("outputs", [])
        cell.setdefault("execution_count", None)
        cell.pop("attachments", None)
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def notes(handed_in: Sequence[Any], restored: Sequence[Any]) -> list[str]:
    """Say for a student what was done to the cells of a notebook that was handed in."""
    own = {cell.get("id"): cell for cell in handed_in}
    before = {grade_id(cell): cell for cell in handed_in if grade_id(cell)}
    names = [(grade_id(cell), cell) for cell in restored if grade_id(cell)]
    found = {
        "These cells of the assignment were missing and were put back": [
            name for name, cell in names if name not in before and cell["id"] not in own
        ],
        "These cells had lost nbgrader's notes, without which they are not graded; they were recognised": [
            name for name, cell in names if name not in before and cell["id"] in own
        ],
        "These cells are not of this assignment; they were run, and not graded": sorted(
            before.keys() - {name for name, _ in names}
        ),
        "These cells had become cells of another kind; they were made what they had been": [
            name for name, cell in names if name in before and before[name]["cell_type"] != cell["cell_type"]
        ],
    }
    return [f"{what}: {', '.join(map(_quoted, names))}." for what, names in found.items() if names]


def _quoted(name: str) -> str:
    return f"`{name[:60].replace('`', '')}`"


def course_of(component: Any) -> Any:
    """Return nbgrader's CourseDirectory, which some parent of `component` holds."""
    while component is not None:
        if getattr(component, "coursedir", None) is not None:
            return component.coursedir
        component = component.parent
    raise RuntimeError("this preprocessor works only inside an nbgrader converter")
