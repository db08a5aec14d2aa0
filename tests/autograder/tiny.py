"""A course with one tiny assignment, for tests of planning, recording and resuming."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder import dispatch, workers
from autograder.course import Course
from autograder.release import release
from autograder.wall.box import Limits

SLUG = "tiny"
CHECKS = '''
"""What is graded in `tiny`."""

from autograder.spec import Assignment, Mistake, case

assignment = Assignment("tiny")


@assignment.exercise("double", parts={"y": 2}, mistakes=[])
def double_cases(rng):
    x = float(rng.normal())
    yield case("a number", "double", {"x": x}, {"y": 2 * x})


@assignment.exercise("triple", parts={"y": 3}, mistakes=[])
def triple_cases(rng):
    x = float(rng.normal())
    yield case("a number", "triple", {"x": x}, {"y": 3 * x})
'''
RUNS = "import os\nprint('run', os.urandom(8).hex())"  # what this prints is another text whenever it is run
STUDENTS = ("ada", "ben", "cleo")


def cell(source: str, grade_id: str = "", **nbgrader: object) -> nbformat.NotebookNode:
    found = nbformat.v4.new_code_cell(source, id=grade_id or "cell")
    if grade_id:
        role = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
        found.metadata["nbgrader"] = {**role, "grade_id": grade_id, **nbgrader}
    return found


def notebook(triple: str = "3 * x") -> nbformat.NotebookNode:
    cells = [
        cell("from coursekit import check\n" + RUNS),
        cell("def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", "double", solution=True),
        cell('check("double", double)', "check_double", grade=True, locked=True, points=2),
        cell(
            f"def triple(x):\n    ### BEGIN SOLUTION\n    return {triple}\n    ### END SOLUTION",
            "triple",
            solution=True,
        ),
        cell('check("triple", triple)', "check_triple", grade=True, locked=True, points=3),
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def hand_in(here: Course, student: str, nb: nbformat.NotebookNode) -> None:
    folder = here.folder("submitted", student, SLUG)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, folder / f"{SLUG}.ipynb")


def make(root: Path, repository: Path, students: tuple[str, ...] = STUDENTS, config: str = "") -> Course:
    """Make the course in the new folder `root`, with a class where cleo has a mistake; append `config` to its own."""
    source = root / "solutions" / SLUG
    source.mkdir(parents=True)
    (root / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text() + config)
    (source / "checks.py").write_text(CHECKS)
    nbformat.write(notebook(), source / f"{SLUG}.ipynb")
    here = Course.at(root)
    release(here, SLUG, trial=False)
    for student in students:
        hand_in(here, student, notebook("4 * x" if student == "cleo" else "3 * x"))
    return here


def scores(here: Course) -> dict[tuple[str, str], tuple[float, float]]:
    """Return, by student and cell, the automatic score and the score with manual changes."""
    return scores_of(here, SLUG)


def scores_of(here: Course, slug: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the same for any assignment whose cells have different names."""
    with Gradebook(here.db_url) as gradebook_:
        return {
            (submission.student.id, grade.name): (grade.auto_score, grade.score)
            for submission in gradebook_.find_assignment(slug).submissions
            for notebook_ in submission.notebooks
            for grade in notebook_.grades
        }


RIGHT = {
    (student, f"check_{name}"): (points, points) if (student, name) != ("cleo", "triple") else (0.0, 0.0)
    for student in STUDENTS
    for name, points in (("double", 2.0), ("triple", 3.0))
}


class Here:
    """Workers in this process, for tests of the coordinator alone."""

    count = 1

    def submit(self, function: Callable[..., object], *args: object) -> Future[object]:
        future: Future[object] = Future()
        future.set_result(function(*args))
        return future

    def restart(self) -> None:
        raise AssertionError("these workers do not hang")


def grade_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs grade in this process."""
    monkeypatch.setattr(workers, "workers", lambda count, scheduler: contextlib.nullcontext(Here()))


def lose_patience(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run give up its workers, of this `kind`, after three seconds, but only the first time."""
    usual, honest = dispatch.MAX_LATENESS, kind.restart

    def restart(self) -> None:
        dispatch.MAX_LATENESS = usual
        honest(self)

    monkeypatch.setattr(dispatch, "MAX_LATENESS", 3 - 4 * Limits().notebook_seconds)
    monkeypatch.setattr(kind, "restart", restart)
