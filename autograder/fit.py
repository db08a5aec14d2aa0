"""Do the notebooks of an assignment fit its `checks.py`?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from coursekit.reporting import number

from . import notebook
from .errors import Refused
from .notebook import CHECK, Cell
from .spec import Assignment

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
