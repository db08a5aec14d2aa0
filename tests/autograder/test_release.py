"""A release has no solutions, and the public cases lie beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.fit import require_fit
from autograder.release import release
from autograder.spec import Assignment, Refused, case
from coursekit.checks.cases import load

pytestmark = pytest.mark.slow

SLUG = "linear_classifiers"


@pytest.fixture
def committed(repository: Path) -> Path:
    return repository / "assignments" / SLUG


def test_releasing_twice_gives_the_same_files(course: Course) -> None:
    folder = course.folder("release", ".", SLUG)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    release(course, SLUG)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_public_cases_are_in_the_release_with_what_known_mistakes_give(committed: Path) -> None:
    name, exercises = load(committed)
    assert name == SLUG
    assert len(exercises) == 12
    for exercise in exercises.values():
        assert exercise.cases
        assert sum(exercise.parts.values()) == exercise.points
    softmax = exercises["softmax_loss_vectorized"]
    codes = {code for c in softmax.cases for step in c.steps for item in step.expected for code in item.mistakes}
    assert {"scale", "regularizer-missing", "regularizer-half", "sign"} <= codes


# -- a notebook that does not fit its checks.py -----------------------------------------------


@pytest.fixture
def small() -> Assignment:
    assignment = Assignment("small")

    @assignment.exercise("double", parts={"value": 3})
    def cases(rng):
        x = float(rng.normal())
        yield case("a number", "double", {"x": x}, {"value": 2 * x})

    return assignment


def small_notebook(points: float = 3, source: str = 'check("double", double)') -> nbformat.NotebookNode:
    def metadata(grade_id, **settings):
        base = {"grade_id": grade_id, "grade": False, "solution": False, "locked": False, "schema_version": 3}
        return {"nbgrader": base | {"task": False} | settings}

    new = nbformat.v4.new_code_cell
    return nbformat.v4.new_notebook(
        cells=[
            new("def double(x): ...", metadata=metadata("double", solution=True)),
            new(source, metadata=metadata("check_double", grade=True, locked=True, points=points)),
        ]
    )


def test_a_notebook_that_fits_is_released(small: Assignment) -> None:
    require_fit(small, "small", {"small": small_notebook().cells})


@pytest.mark.parametrize(
    ("notebook", "complaint"),
    [
        (small_notebook(points=4), "worth 4 points, its parts 3"),
        (small_notebook(source='check("double", double, 1)'), 'must hold just check("double", double)'),
        (nbformat.v4.new_notebook(cells=small_notebook().cells[:1]), "no check cell 'check_double'"),
        (nbformat.v4.new_notebook(cells=small_notebook().cells[1:]), "no solution cell 'double'"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(small: Assignment, notebook, complaint: str) -> None:
    with pytest.raises(Refused, match=re.escape(complaint)):
        require_fit(small, "small", {"small": notebook.cells})


def test_a_check_cell_that_nobody_describes_is_refused(small: Assignment) -> None:
    nb = small_notebook()
    extra = nbformat.from_dict(json.loads(json.dumps(nb.cells[1])))
    extra.metadata.nbgrader.grade_id = "check_triple"
    nb.cells.append(extra)
    with pytest.raises(Refused, match="no exercise for the cell 'check_triple'"):
        require_fit(small, "small", {"small": nb.cells})


def test_the_release_command_shows_what_does_not_fit(course: Course) -> None:
    path = course.folder("source", ".", SLUG) / "checks.py"
    path.write_text(path.read_text().replace('parts={"value": 3, "zeros": 1}', 'parts={"value": 2, "zeros": 1}'))
    with pytest.raises(Refused, match="'check_relative_error' is worth 4 points, its parts 3"):
        release(course, SLUG)


def test_an_unknown_assignment_is_refused_with_the_names_there_are(course: Course) -> None:
    with pytest.raises(Refused, match=r"no assignment 'linear_clasifiers'.*there is linear_classifiers"):
        release(course, "linear_clasifiers")


def test_a_release_that_fails_leaves_what_was_released_before(course: Course) -> None:
    folder = course.folder("release", ".", SLUG)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (course.folder("source", ".", SLUG) / "checks.py").write_text("assignment = ")
    with pytest.raises(Refused, match=r"checks.py cannot be run: SyntaxError: .*\(checks.py, line 1\)"):
        release(course, SLUG)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_notebook_with_checks_is_not_released_without_its_checks_file(course: Course) -> None:
    (course.folder("source", ".", SLUG) / "checks.py").unlink()
    with pytest.raises(Refused, match=r"asks for a check, but there is no linear_classifiers/checks.py"):
        release(course, SLUG)
