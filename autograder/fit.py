"""Do the notebooks of an assignment fit its `checks.py`?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coursekit.reporting import number

from . import notebook
from .errors import Refused
from .notebook import CHECK, Cell
from .spec import Assignment

HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*)")
# At the end or in brackets: "through 2 points" in the middle of a heading is no price.
POINTS = re.compile(
    r"(?:[(\[·•:|,–—-]\s*)(?P<points>\d+(?:[.,]\d+)?)\s*(?:points?|pts?\.?|marks?|Punkte?)(?P<each>\s+each)?\s*(?:[)\]]|#*$)",
    re.IGNORECASE,
)
ASKS = re.compile(r"\s*check\(")

Place = tuple[str, Cell]  # the notebook, and the cell in it


def require_fit(assignment: Assignment, slug: str, notebooks: Mapping[str, Sequence[Cell]]) -> None:
    """Refuse notebooks, given as their cells by name, that do not fit `checks.py`; list all that does not fit."""
    problems = [] if assignment.name == slug else [f"checks.py calls the assignment {assignment.name!r}"]
    problems += _misfits(assignment, notebooks)
    if problems:
        these = "the notebooks" if len(notebooks) > 1 else "the notebook"
        raise Refused(f"{slug}: {these} and checks.py do not fit:\n  - " + "\n  - ".join(problems))


def require_no_check(slug: str, cells: Sequence[Cell]) -> None:
    """Refuse a notebook with cells that ask for a check, where there is no `checks.py`."""
    asking = (notebook.grade_id(cell) for cell in cells if ASKS.match(notebook.source(cell)))
    if name := next(filter(None, asking), None):
        raise Refused(f"{slug}: {name!r} asks for a check, but there is no {slug}/checks.py to say what is right")


def wrong_headings(cells: Sequence[Cell]) -> Iterator[str]:
    """Name the headings, such as "## Backward pass · 4 points", that do not say what the cells below are worth."""
    open_: list[_Heading] = []
    closed: list[_Heading] = []
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for heading in _headings(notebook.source(cell)):
                while open_ and open_[-1].level >= heading.level:
                    closed.append(open_.pop())
                open_.append(heading)
        if notebook.metadata(cell).get("grade") or notebook.metadata(cell).get("task"):
            for heading in open_:
                heading.worth.append(notebook.points(cell))
    for heading in (*closed, *open_):
        if heading.is_wrong:
            yield f"the heading {heading.text!r} is above cells worth {' + '.join(map(number, heading.worth))} points"


@dataclass
class _Heading:
    """A heading, the points that it says, and those of the graded cells below it."""

    level: int
    text: str
    points: float | None
    each: bool
    worth: list[float] = field(default_factory=list)

    @property
    def is_wrong(self) -> bool:
        if self.points is None or not self.worth:
            return False
        return any(one != self.points for one in self.worth) if self.each else sum(self.worth) != self.points


def _headings(text: str) -> Iterator[_Heading]:
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if not fenced and (found := HEADING.match(line)):
            said = list(POINTS.finditer(found[2]))
            points = float(said[0]["points"].replace(",", ".")) if len(said) == 1 else None
            yield _Heading(len(found[1]), found[2].strip(), points, bool(said and said[0]["each"]))


def require_python(slug: str, name: str, metadata: Mapping[str, Any]) -> None:
    """Refuse a notebook for another language."""
    spec, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    language = str(spec.get("language") or info.get("name") or "python")
    kernel = str(spec.get("name") or "python3")
    others = re.fullmatch(r"ir|(julia|bash|matlab|octave|sas|stata|javascript|xcpp|gophernotes|scala|rust)\b.*", kernel)
    if language.lower() not in ("python", "python3", "ipython") or others:
        what = language if language.lower() != "python" else kernel
        raise Refused(
            f"{slug}: {name}.ipynb is for {what}, and only Python is graded: choose a Python kernel, and save it"
        )


def require_locked_tasks(slug: str, name: str, cells: Sequence[Cell]) -> None:
    """Refuse a task that is not locked: nbgrader keeps no text of it, and cannot put it back when it grades."""
    for cell in cells:
        if notebook.metadata(cell).get("task") and not notebook.metadata(cell).get("locked"):
            raise Refused(
                f"{slug}: the task {notebook.grade_id(cell)!r} in {name}.ipynb is not locked, and could not be graded: "
                "choose `Manually graded task` for it again (Create Assignment in the right sidebar)"
            )


def _misfits(assignment: Assignment, notebooks: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    places: dict[str, list[Place]] = {}
    for name, cells in notebooks.items():
        for grade_id, cell in {notebook.grade_id(cell): cell for cell in cells}.items():
            places.setdefault(grade_id, []).append((name, cell))
    these = "no notebook has a" if len(notebooks) > 1 else "the notebook has no"
    for name, described in assignment.described.items():
        found = places.get(CHECK + name, [])
        if not found:
            yield f"{these} check cell {CHECK + name!r}"
        elif len(found) > 1:
            yield f"{CHECK + name!r} is in {' and in '.join(where for where, _ in found)}: keep it in one of them"
        line = f'check("{name}", {", ".join(described.functions)})'
        for where, cell in found:
            yield from _misfits_of_check(CHECK + name, cell, sum(described.parts.values()), line)
            beside = {notebook.grade_id(one): one for one in notebooks[where]}
            if name not in beside or not notebook.metadata(beside[name]).get("solution"):
                yield f"{where if len(notebooks) > 1 else 'the notebook'} has no solution cell {name!r}"
    for grade_id in places:
        if grade_id.startswith(CHECK) and grade_id.removeprefix(CHECK) not in assignment.described:
            yield f"checks.py describes no exercise for the cell {grade_id!r}"


def _misfits_of_check(name: str, cell: Cell, points: float, line: str) -> Iterator[str]:
    if not notebook.is_test(cell):
        yield f"{name!r} must be a locked, graded test cell"
        return
    if notebook.points(cell) != points:
        yield f"{name!r} is worth {number(notebook.points(cell))} points, its parts {number(points)}"
    if notebook.source(cell).strip() != line:
        yield f"{name!r} must hold just {line}"
