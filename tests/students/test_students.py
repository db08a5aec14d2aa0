"""The grader is right about students, exercise by exercise.

Whoever is right gets every point, however it is written.  Whoever is wrong loses some, and is told why only where that
is certain.  The programs are in Markdown beside this file; see `programs.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import nbformat
import numpy as np
import pytest
from assessed import assessed, codes
from programs import REPOSITORY, SLUGS, Program, demo_class, patched, right, wrong

EXERCISES = [(slug, name) for slug in SLUGS for name in assessed(slug).assignment.described]
# How many students' cases a program is graded on, and the instructor's solution.
CASES = {
    "circuits": (4, 4),
    "linear_classifiers": (5, 20),
    "logistic_regression": (4, 12),
    "matmul_backward": (5, 20),
    "worked_example": (4, 12),
    "two_layer_net": (3, 3),
    "build_autograd": (3, 3),
    "differentiable_programming": (3, 3),
}
ONCE = {"MLP": (right, wrong), "Value": (wrong,), "topological_order": (wrong,)}  # which take seconds
# The training at the end of `MLP` takes long for whoever is wrong, and is tested in `test_build_autograd.py`.
LEFT_OUT = {"MLP": 1}


def students(slug: str, kind: int = 0) -> list[str]:
    return [f"student-{number}" for number in range(CASES[slug][kind])]


def each(kind) -> pytest.MarkDecorator:
    """Parametrise a test over the right or the wrong programs, with the students for whose cases they are graded."""

    def parameters() -> Iterator[object]:
        for slug in SLUGS:
            for exercise, programs in kind(slug).items():
                whose = students(slug)[: 1 if kind in ONCE.get(exercise, ()) else None]
                for program in programs.values():
                    yield pytest.param(program, whose, id=f"{slug}-{program}")

    return pytest.mark.parametrize(("program", "whose"), list(parameters()))


@pytest.fixture(autouse=True)
def _the_same_random_numbers() -> None:
    """Some programs draw from NumPy's or Python's own generator."""
    random.seed(0)
    np.random.seed(0)


@each(right)
def test_whoever_is_right_gets_every_point_however_it_is_written(program: Program, whose: list[str]) -> None:
    for student in whose:
        report = assessed(program.slug).graded(program.exercise, program.source, student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points
        assert not report.findings


@each(wrong)
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(
    program: Program, whose: list[str]
) -> None:
    left_out = LEFT_OUT.get(program.exercise, 0)
    for student in whose:
        report = assessed(program.slug).graded(program.exercise, program.source, student, left_out)
        assert report.score < report.points, f"{student}: this earned every point"
        assert not report.passed
        assert codes(report) in program.says, f"{student}\n{report.text()}"
        assert program.earns in (None, report.score), f"{student}\n{report.text()}"


@pytest.mark.parametrize(("slug", "name"), EXERCISES)
def test_the_instructors_solution_gets_every_point(slug: str, name: str) -> None:
    cells = {cell.id: cell for cell in nbformat.read(assessed(slug).folder / f"{slug}.ipynb", as_version=4).cells}
    imports = [line for line in cells["setup"].source.splitlines() if line.startswith(("import ", "from "))]
    solutions = [cell.source for cell_id, cell in cells.items() if cell_id in assessed(slug).assignment.described]
    source = "\n".join(imports + solutions)
    for student in students(slug, 1):
        report = assessed(slug).graded(name, source, student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points == cells[f"check_{name}"].metadata.nbgrader.points


def test_there_is_a_class_and_there_are_programs_for_every_assignment() -> None:
    assert set(SLUGS) == {path.parent.name for path in (REPOSITORY / "solutions").glob("*/checks.py")}
    assert all(demo_class(slug) for slug in SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_exercise_is_written_in_at_least_three_ways_and_wrongly_too(slug: str) -> None:
    assert set(right(slug)) == set(wrong(slug)) == set(assessed(slug).assignment.described)
    assert min(len(ways) for ways in right(slug).values()) >= 3
    assert min(len(ways) for ways in wrong(slug).values()) >= 4
    for programs in (*right(slug).values(), *wrong(slug).values()):
        sources = [program.source for program in programs.values()]
        assert len(set(sources)) == len(sources), "two programs are the same"


# -- how diffs are read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("diff", "made"),
    [
        ("-b\n+B", "a\nB\na\nb\n"),
        (" a\n b\n a\n-b\n+B", "a\nb\na\nB\n"),
        ("-a\n@@\n a\n+c", "b\na\nc\nb\n"),
        ("+c", "a\nb\na\nb\nc\n"),
        ("-b\n+B\n-b\n+B", "a\nB\na\nB\n"),
    ],
)
def test_a_diff_changes_the_first_lines_that_it_fits(diff: str, made: str) -> None:
    assert patched("a\nb\na\nb\n", diff) == made


def test_a_diff_that_does_not_fit_any_more_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit any more; it looks for\na\na"):
        patched("a\nb\na\nb\n", "-a\n-a\n+c")
