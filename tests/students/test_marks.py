"""Nobody in these classes is marked: neither whoever is right nor whoever is wrong, however it is written.

Each notebook here answers every exercise of an assignment with one of its programs, and is graded behind the wall.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import nbformat
import pytest
from assessed import SECRET, assessed
from programs import SLUGS, Programs, demo_class, patched, right, wrong

from autograder.bundle import Bundle
from autograder.grade import grade
from autograder.handout import Handout
from autograder.results import Mark, Submission
from autograder.wall.box import Limits

pytestmark = pytest.mark.needs("bwrap")

LIMITS = Limits(cell_seconds=4.0, call_seconds=2.0)  # endless loops are among the programs
AT_A_TIME = 5


def notebooks(slug: str, kind: Callable[[str], Programs]) -> Iterator[dict[str, str]]:
    """Answers by exercise, so that every program is in one notebook."""
    programs = {exercise: list(ways.values()) for exercise, ways in kind(slug).items()}
    for number in range(max(map(len, programs.values()))):
        yield {exercise: ways[number % len(ways)].source for exercise, ways in programs.items()}


def in_parts() -> Iterator[object]:
    for slug in SLUGS:
        for kind in (right, wrong):
            count = len(list(notebooks(slug, kind)))
            for start in range(0, count, AT_A_TIME):
                yield pytest.param(slug, kind, start, id=f"{slug}-{kind.__name__}-{start}")


def marks(slug: str, handed_in: nbformat.NotebookNode) -> list[Mark]:
    """The marks of a notebook that is handed in for an assignment."""
    released = nbformat.read(assessed(slug).released / f"{slug}.ipynb", as_version=4)
    found = Handout(released.cells).marks(handed_in.cells)
    # Demonstrations between the exercises are the instructor's.
    handed_in.cells = [cell for cell in handed_in.cells if "nbgrader" in cell.metadata or cell.id == "setup"]
    submission = Submission("student", slug, slug, nbformat.writes(handed_in), marks=found)
    graded = grade(submission, Bundle.read(assessed(slug).folder), SECRET, LIMITS)
    assert graded.record["status"] == "graded"
    return graded.record["marks"]


@pytest.mark.parametrize(("slug", "kind", "start"), list(in_parts()))
def test_no_program_is_marked(slug: str, kind: Callable[[str], Programs], start: int) -> None:
    released = nbformat.read(assessed(slug).released / f"{slug}.ipynb", as_version=4)
    for answers in list(notebooks(slug, kind))[start : start + AT_A_TIME]:
        nb = copy.deepcopy(released)
        for cell in nb.cells:
            cell.source = answers.get(cell.id, cell.source)
        assert marks(slug, nb) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_nobody_in_the_demos_class_is_marked(slug: str) -> None:
    for student in demo_class(slug):
        folder = assessed(slug).released if student.released else assessed(slug).folder
        nb = nbformat.read(folder / f"{slug}.ipynb", as_version=4)
        by_id = {cell.id: cell for cell in nb.cells}
        for name, diff in student.changes.items():
            by_id[name].source = patched(by_id[name].source, diff).removesuffix("\n")
        nb.cells = [cell for cell in nb.cells if cell.id not in student.removed]
        assert marks(slug, nb) == [], student.name
