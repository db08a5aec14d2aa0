"""An assignment may be changed in the middle of a term: what was handed in stays gradable, and what was given stays."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbgrader.api import Gradebook
from tiny import CHECKS, SLUG, cell, grade_here, notebook

from autograder import cli
from autograder.course import Course

pytestmark = pytest.mark.slow

HALF = """

@assignment.exercise("half", parts={"y": 4}, mistakes=[])
def half_cases(rng):
    x = float(rng.normal())
    yield case("a number", "half", {"x": x}, {"y": x / 2})
"""
TRIPLE = CHECKS[CHECKS.index('@assignment.exercise("triple"') :]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    grade_here(monkeypatch)


def run(course: Course, *command: str) -> int:
    more = ("--sandbox", "none") if command[0] == "grade" else ()
    return cli.main([command[0], SLUG, *command[1:], *more, "--course", str(course.root)])


@pytest.fixture
def graded(tiny: Course) -> Course:
    """A course in which a class has been graded, and some of it by hand."""
    config = tiny.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.WallExecute.sandbox = "none"\n')  # for the trial before a release
    assert run(tiny, "grade") == 0
    with Gradebook(tiny.db_url) as gradebook:
        gradebook.find_grade("check_triple", SLUG, SLUG, "cleo").manual_score = 1.0
        gradebook.find_grade("check_double", SLUG, SLUG, "cleo").manual_score = 1.5
        gradebook.find_comment("double", SLUG, SLUG, "cleo").manual_comment = "nearly"
        gradebook.db.commit()
    return tiny


def state(course: Course) -> dict[str, tuple[float, float, float | None]]:
    """Return each student's score and what there is to earn, and what was given by hand."""
    with Gradebook(course.db_url) as gradebook:
        return {
            one.student.id: (
                one.score,
                one.max_score,
                sum(grade.manual_score or 0.0 for book in one.notebooks for grade in book.grades),
            )
            for one in gradebook.assignment_submissions(SLUG)
        }


def comment(course: Course, name: str = SLUG) -> str:
    with Gradebook(course.db_url) as gradebook:
        return str(gradebook.find_comment("double", name, SLUG, "cleo").comment)


def half() -> list[nbformat.NotebookNode]:
    body = "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION"
    check = cell('check("half", half)', "check_half", grade=True, locked=True, points=4)
    return [cell(body, "half", solution=True), check]


def change(course: Course, checks: str, cells: list[nbformat.NotebookNode]) -> None:
    source = course.folder("source", ".", SLUG)
    (source / "checks.py").write_text(checks)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=notebook().metadata), source / f"{SLUG}.ipynb")


def test_an_exercise_that_is_added_is_refused_with_what_to_do_and_then_counts_for_everybody(
    graded: Course, capsys
) -> None:
    released = (graded.folder("release", ".", SLUG) / f"{SLUG}.ipynb").read_bytes()
    cells = notebook().cells
    change(graded, CHECKS + HALF, [*cells[:3], *half(), *cells[3:]])
    before = state(graded)
    capsys.readouterr()
    assert run(graded, "release") == 1
    assert capsys.readouterr().err == (
        "autograder: 'tiny' has been handed in, and other cells are graded now:\n"
        "  - new: check_half (4 points)\n"
        "  - new: half\n"
        "`autograder release tiny --migrate` changes the gradebook too. All other points and comments stay, and "
        "`autograder grade tiny` then grades everybody's work as it was handed in.\n"
    )
    assert state(graded) == before
    assert (graded.folder("release", ".", SLUG) / f"{SLUG}.ipynb").read_bytes() == released
    assert run(graded, "release", "--migrate") == 0
    assert "Run `autograder grade tiny` now." in capsys.readouterr().out
    assert run(graded, "grade") == 0
    assert state(graded) == {"ada": (5.0, 9.0, 0.0), "ben": (5.0, 9.0, 0.0), "cleo": (2.5, 9.0, 2.5)}
    assert comment(graded) == "nearly"
    assert run(graded, "feedback") == 0
    # Who hands in again, with the new exercise, gets its points.
    path = graded.folder("submitted", "ada", SLUG) / f"{SLUG}.ipynb"
    nb = nbformat.read(graded.folder("source", ".", SLUG) / f"{SLUG}.ipynb", as_version=4)
    nbformat.write(nb, path)
    assert run(graded, "grade") == 0
    assert state(graded)["ada"] == (9.0, 9.0, 0.0)


def test_an_exercise_that_is_dropped_takes_its_own_points_with_it_and_no_others(graded: Course, capsys) -> None:
    change(graded, CHECKS.replace(TRIPLE, ""), notebook().cells[:3])
    capsys.readouterr()
    assert run(graded, "release") == 1
    assert re.search(
        r"gone: check_triple \(3 points\); points that were given by hand are lost: cleo\n.* gone: triple\n",
        capsys.readouterr().err,
    )
    assert run(graded, "release", "--migrate") == 0
    (copy,) = (graded.root / ".autograder").glob("gradebook-*.db")
    assert run(graded, "grade") == 0
    assert state(graded) == {"ada": (2.0, 2.0, 0.0), "ben": (2.0, 2.0, 0.0), "cleo": (1.5, 2.0, 1.5)}
    assert comment(graded) == "nearly"
    assert run(graded, "feedback") == 0
    assert copy.stat().st_size


def test_other_points_need_no_more_than_a_release(graded: Course) -> None:
    cells = notebook().cells
    cells[4].metadata.nbgrader["points"] = 6
    change(graded, CHECKS.replace('parts={"y": 3}', 'parts={"y": 6}'), cells)
    assert run(graded, "release") == 0
    assert run(graded, "grade") == 0
    assert state(graded) == {"ada": (8.0, 8.0, 0.0), "ben": (8.0, 8.0, 0.0), "cleo": (2.5, 8.0, 2.5)}


def test_a_notebook_that_is_renamed_keeps_its_grades(graded: Course, capsys) -> None:
    """As an assignment of several notebooks may have names of any kind."""
    source = graded.folder("source", ".", SLUG)
    (source / f"{SLUG}.ipynb").rename(source / "problems.ipynb")
    assert run(graded, "release") == 1
    assert "tiny.ipynb is called problems.ipynb now" in capsys.readouterr().err
    assert run(graded, "release", "--migrate") == 0
    assert run(graded, "grade") == 0
    assert state(graded) == {"ada": (5.0, 5.0, 0.0), "ben": (5.0, 5.0, 0.0), "cleo": (2.5, 5.0, 2.5)}
    assert comment(graded, "problems") == "nearly"


def test_a_locked_cell_that_is_removed_changes_no_grade(graded: Course) -> None:
    cells = notebook().cells
    change(graded, CHECKS, [*cells, cell("# a remark", "remark", locked=True)])
    assert run(graded, "release", "--migrate") == 0
    assert run(graded, "grade") == 0
    before = state(graded)
    change(graded, CHECKS, cells)
    assert run(graded, "release") == 1
    assert run(graded, "release", "--migrate") == 0
    assert run(graded, "grade") == 0
    assert state(graded) == before
