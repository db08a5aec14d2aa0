"""An assignment of several notebooks: each is released, checked and graded as if it were alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from tiny import cell, scores_of

from autograder import cli, records
from autograder.course import Course
from coursekit.checks.cases import load

pytestmark = pytest.mark.slow

SLUG = "ps1"
CHECKS = """
from autograder.spec import Assignment, case

assignment = Assignment("ps1")


@assignment.exercise("double", parts={"y": 2}, reference={"double": lambda x: 2 * x})
def double_cases(rng):
    x = float(rng.normal())
    yield case("a number", "double", {"x": x}, {"y": 2 * x})


@assignment.exercise("triple", parts={"y": 3}, uses=["double"])
def triple_cases(rng):
    x = float(rng.normal())
    yield case("a number", "triple", {"x": x}, {"y": 3 * x})


@assignment.exercise("negate", parts={"y": 5})
def negate_cases(rng):
    x = float(rng.normal())
    yield case("a number", "negate", {"x": x}, {"y": -x})
"""
POINTS = {"double": 2, "triple": 3, "negate": 5}
RIGHT = {"double": "2 * x", "triple": "3 * x", "negate": "-x"}
# `cases` is also what the files with the public cases are called.
NOTEBOOKS = {"problem1": ["double"], "cases": ["triple", "negate"]}


def notebook(names: list[str], **wrong: str) -> nbformat.NotebookNode:
    cells = [cell("from coursekit import check")]
    for name in names:
        body = {**RIGHT, **wrong}[name]
        text = f"def {name}(x):\n    ### BEGIN SOLUTION\n    return {body}\n    ### END SOLUTION"
        cells.append(cell(text, name, solution=True))
        cells.append(cell(f'check("{name}", {name})', f"check_{name}", grade=True, locked=True, points=POINTS[name]))
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def write(folder: Path, **wrong: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, exercises in NOTEBOOKS.items():
        nbformat.write(notebook(exercises, **wrong), folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Course:
    root = tmp_path_factory.mktemp("several") / "course"
    write(root / "solutions" / SLUG)
    (root / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text())
    (root / "solutions" / SLUG / "checks.py").write_text(CHECKS)
    assert cli.main(["release", SLUG, "--course", str(root)]) == 0
    return Course.at(root)


@pytest.fixture
def here(tmp_path: Path, once: Course) -> Course:
    return Course.at(shutil.copytree(once.root, tmp_path / "course"))


def test_the_public_cases_are_those_of_all_notebooks(here: Course) -> None:
    folder = here.folder("release", ".", SLUG)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("cases.ipynb", "cases.json", "cases.npz", "problem1.ipynb"),
    ]
    assert list(load(folder)[1]) == list(POINTS)
    assert "BEGIN SOLUTION" not in (folder / "cases.ipynb").read_text() + (folder / "problem1.ipynb").read_text()


def test_each_notebook_has_to_fit_the_checks(here: Course, capsys) -> None:
    source = here.folder("source", ".", SLUG)

    def complaint(problem1: list[str], cases: list[str], points: float = 2) -> str:
        for name, exercises in (("problem1", problem1), ("cases", cases)):
            nb = notebook(exercises)
            for one in nb.cells:
                if one.id == "check_double":
                    one.metadata.nbgrader.points = points
            nbformat.write(nb, source / f"{name}.ipynb")
        assert cli.main(["release", SLUG, "--course", str(here.root)]) == 1
        return capsys.readouterr().err

    assert "'check_double' is worth 20 points, its parts 2" in complaint(["double"], ["triple", "negate"], 20)
    assert "no notebook has a check cell 'check_negate'" in complaint(["double"], ["triple"])
    assert "'check_double' is in cases and in problem1" in complaint(["double"], ["double", "triple", "negate"])


def test_a_student_has_one_row_with_the_sum_and_a_record_of_each_notebook(here: Course, capsys) -> None:
    write(here.folder("submitted", "ada", SLUG))
    write(here.folder("submitted", "ben", SLUG), double="x", triple="2 * x")
    write(here.folder("submitted", "cleo", SLUG))
    (here.folder("submitted", "cleo", SLUG) / "problem1.ipynb").unlink()
    assert cli.main(["grade", SLUG, "--course", str(here.root)]) == 0
    printed = capsys.readouterr().out
    rows = [line.split()[:5] for line in printed.splitlines() if line.split()[:1] in (["ada"], ["ben"], ["cleo"])]
    assert rows == [
        ["ada", "3", "5", "2", "10/10"],
        ["ben", "0", "5", "0", "5/10"],
        ["cleo", "3", "5", "0", "8/10"],
    ]
    assert "1 cases/triple" in printed
    assert "problem1: refused: there is no problem1.ipynb in what was handed in" in " ".join(printed.split())
    assert scores_of(here, SLUG) == {
        **{("ada", f"check_{name}"): (points, points) for name, points in POINTS.items()},
        **{("ben", f"check_{name}"): (0, 0) for name in POINTS},
        **{("cleo", f"check_{name}"): (points, points) for name, points in POINTS.items()},
        ("ben", "check_negate"): (5, 5),
        ("cleo", "check_double"): (0, 0),
    }
    # What an exercise uses is in another notebook: nobody knows whether that one was called.
    ben = records.load(here.root, SLUG, "ben", "cases")
    assert ben is not None
    assert not ben["exercises"]["triple"].get("notes")

    assert cli.main(["grade", SLUG, "--course", str(here.root)]) == 0
    assert "3 of 3 had been graded before" in capsys.readouterr().out

    for exercise, name in (("double", "problem1"), ("negate", "cases")):
        stored = records.folder(here.root, SLUG, "ben", name)
        assert exercise in load(stored)[1]
        assert cli.main(["replay", "ben", exercise, "--course", str(here.root)]) == 0
    assert json.loads((stored / records.RECORD).read_text())["notebook"] == "cases"
