"""Compare the test cells of what was handed in with those of what was handed out.

Before anything is graded they are put back as they were released, so no change of them earns a point; but who changes
them is worth a look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import notebook
from .marks import TEST_CELLS, Marks
from .notebook import Cell, same_text
from .results import Mark

OF_NBGRADER = {"grade", "grade_id", "locked", "points", "solution", "task"}
HIDING = re.compile(r"hid|collaps|fold|remov|invisib|cellview", re.IGNORECASE)
DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)
# Jupyter notes here that somebody has clicked on the bar beside an output.  Grading makes new outputs.
OF_OUTPUTS = {"collapsed", "outputs_hidden"}


class Handout:
    """A released notebook: its test cells have to come back as they were."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.named = {notebook.grade_id(cell): cell for cell in cells if notebook.grade_id(cell)}
        self.order = list(self.named)
        self.tests = [name for name, cell in self.named.items() if notebook.is_test(cell)]
        self.texts = [(name, notebook.source(self.named[name])) for name in self.tests or self.named]

    def marks(self, handed_in: Sequence[Cell]) -> list[Mark]:
        """Say in what the test cells of a notebook are not those that were released.

        A missing one counts only if its exercise is there: who skips an exercise may well remove all of it.
        """
        marks = Marks()
        copies: dict[str, list[Cell]] = {}
        for cell in handed_in:
            if name := notebook.grade_id(cell):
                copies.setdefault(name, []).append(cell)
        # Of a cell that was copied, nbgrader takes the last one.
        place = {notebook.grade_id(cell): number for number, cell in enumerate(handed_in)}
        nameless = [cell for cell in handed_in if not notebook.grade_id(cell)]
        for name, released in self.named.items():
            found = copies.get(name, [])
            for reason in self._changes(name, released, found, place):
                marks.add(TEST_CELLS, reason, name)
            if not found and name in self.tests and self._is_written(name, nameless):
                marks.add(TEST_CELLS, "is missing, and its exercise is in a cell that has lost its name", name)
        for name in sorted(copies.keys() - self.named.keys()):
            if any(notebook.metadata(cell).get("grade") for cell in copies[name]):
                marks.add(TEST_CELLS, "is a graded cell that was not released", name)
        return marks.list()

    def _changes(self, name: str, released: Cell, copies: list[Cell], place: Mapping[str, int]) -> Iterator[str]:
        if not copies:
            if name in self.tests and self._exercise(name) in (None, *place):
                yield "is missing, and its exercise is there"
            return
        if name in self.tests:
            yield from _changed_test(released, copies)
            yield from self._moved(name, place)
        elif notebook.metadata(released).get("locked") and not same_text(copies[-1], released):
            yield "has another text than was released"
        for key in sorted(OF_NBGRADER):
            before, now = (notebook.metadata(cell).get(key) for cell in (released, copies[-1]))
            if now != before:
                yield f"has {key} = {now!r:.30} in nbgrader's metadata, and was released with {before!r}"

    def _exercise(self, test: str) -> str | None:
        """Return the answer that stands last before a test cell in the release."""
        before = self.order[: self.order.index(test)]
        return next((name for name in reversed(before) if notebook.metadata(self.named[name]).get("solution")), None)

    def _is_written(self, test: str, nameless: Sequence[Cell]) -> bool:
        """Return whether cells without a name define what a test is about, and none of them is that test."""
        exercise = self._exercise(test)
        if exercise is None or any(same_text(cell, self.named[test]) for cell in nameless):
            return False
        asked = self.named[exercise]
        names = set(DEFINED.findall(notebook.source(asked)))
        answers = (cell for cell in nameless if notebook.is_code(cell) and not same_text(cell, asked))
        return any(names & set(DEFINED.findall(notebook.source(cell))) for cell in answers)

    def _moved(self, test: str, place: Mapping[str, int]) -> Iterator[str]:
        """Say before which cell a test was moved: above its exercise, it tests what was defined for it elsewhere."""
        for name in self.order[: self.order.index(test)]:
            if place.get(name, -1) > place[test]:
                yield f"stands above {name}, below which it was released"
                return


def handouts_of(course: Any, slug: str) -> dict[str, Handout]:
    """Read all released notebooks of an assignment, by name."""
    folder = Path(course.format_path(course.release_directory, ".", slug))
    found = {path.stem: handout_of(course, slug, path.stem) for path in sorted(folder.glob("*.ipynb"))}
    return {name: one for name, one in found.items() if one}


def texts(handouts: Mapping[str, Handout]) -> dict[str, list[tuple[str, str]]]:
    """Return the names and texts of the test cells of released notebooks, by which a notebook is known."""
    return {name: handout.texts for name, handout in handouts.items()}


def handout_of(course: Any, slug: str, name: str) -> Handout | None:
    """Read a released notebook; None if it is not here, for nbgrader can grade without it."""
    path = Path(course.format_path(course.release_directory, ".", slug), f"{name}.ipynb")
    return Handout(json.loads(path.read_text(encoding="utf-8"))["cells"]) if path.is_file() else None


def _changed_test(released: Cell, copies: list[Cell]) -> Iterator[str]:
    cell = copies[-1]
    if len(copies) > 1:
        yield "is there more than once"
    if cell["cell_type"] != released["cell_type"]:
        yield f"is a {cell['cell_type']} cell, and was released as a {released['cell_type']} cell"
    if not all(same_text(one, released) for one in copies):
        yield "has another text than was released"
    for what in _hidden(cell.get("metadata", {}), released.get("metadata", {})):
        yield f"is hidden by its metadata: {what}"


def _hidden(metadata: Any, released: Any, deep: int = 3) -> Iterator[str]:
    """Name what in a cell's metadata, and not in that of the release, keeps the cell from being seen."""
    for key, value in metadata.items():
        before = released.get(key)
        if key == "tags":
            # Pages make classes of them, and there is no end of classes that hide something.
            yield from (f"the tag {tag!r:.40}" for tag in _listed(value) if tag not in _listed(before))
        elif key not in {"nbgrader", *OF_OUTPUTS} and value and value != before:
            if HIDING.search(str(key)):
                yield str(key)
            elif isinstance(value, Mapping) and deep:
                known = before if isinstance(before, Mapping) else {}
                yield from (f"{key}.{what}" for what in _hidden(value, known, deep - 1))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] if value else []
