"""Nobody in these classes is marked: neither whoever is right nor whoever is wrong, however it is written.

Each notebook here answers every exercise of an assignment with one of its programs, and is graded behind the wall.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import nbformat
import pytest
from assessed import SECRET, assessed
from programs import SLUGS, demo_class, patched, right, wrong
from sampled import some

from autograder.bundle import Bundle
from autograder.grade import _Run, grade
from autograder.handout import Handout
from autograder.results import Mark, Submission
from autograder.wall.box import Limits

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.usefixtures("asked_once")]

LIMITS = Limits(cell_seconds=4.0, call_seconds=2.0)  # endless loops are among the programs
AT_A_TIME = 5


@pytest.fixture
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check is repeated beside references: that takes most of the time, and marks nobody."""
    monkeypatch.setattr(_Run, "repeat_checks", lambda run: None)


def notebooks(slug: str) -> list[dict[str, str]]:
    """Answers by exercise, so that every program is in one notebook; what has no more programs stays as released."""
    sources = {exercise: [program.source for program in ways.values()] for exercise, ways in right(slug).items()}
    for exercise, ways in wrong(slug).items():
        sources[exercise] += [program.source for program in ways.values()]
    count = max(map(len, sources.values()))
    return [{name: ways[number] for name, ways in sources.items() if number < len(ways)} for number in range(count)]


def in_parts() -> Iterator[object]:
    for slug in SLUGS:
        for start in range(0, len(notebooks(slug)), AT_A_TIME):
            yield pytest.param(slug, start, id=f"{slug}-{start}")


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


@pytest.mark.parametrize(("slug", "start"), some(in_parts(), 12))
def test_no_program_is_marked(slug: str, start: int) -> None:
    released = nbformat.read(assessed(slug).released / f"{slug}.ipynb", as_version=4)
    for answers in notebooks(slug)[start : start + AT_A_TIME]:
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
