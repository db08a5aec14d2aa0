"""What nbgrader as it is gives for the notebooks of its own wheel, kept in `stock_scores.json`.

    python tests/autograder/stock_scores.py [FILE.json]

grades them anew, with nbgrader's default configuration and in its kernels, which takes a few minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbgrader
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

WHEEL = Path(nbgrader.__file__).parent
APPS = WHEEL / "tests" / "apps" / "files"
PREPROCESSORS = WHEEL / "tests" / "preprocessors" / "files"
GUIDE = WHEEL / "docs" / "source" / "user_guide"
STORED = Path(__file__).with_name("stock_scores.json")
SECONDS = 6  # of a cell

# Assignment: its source notebook, and what is handed in for it, beside that notebook itself and its released version.
AUTOTEST = ("hashed", "hidden", "multi", "simple")
CLASSES: dict[str, tuple[Path, list[Path]]] = {
    "submitted": (
        APPS / "submitted-unchanged.ipynb",
        [path for path in sorted(APPS.glob("submitted-*.ipynb")) if path.stem != "submitted-unchanged"],
    ),
    "submitted-types": (
        PREPROCESSORS / "submitted-unchanged.ipynb",
        [path for path in sorted(PREPROCESSORS.glob("submitted-*.ipynb")) if path.stem != "submitted-unchanged"],
    ),
    **{
        f"autotest-{kind}": (APPS / f"autotest-{kind}.ipynb", sorted(APPS.glob(f"autotest-{kind}-*")))
        for kind in AUTOTEST
    },
    **{
        f"guide-{name}": (
            GUIDE / "source" / "ps1" / f"{name}.ipynb",
            [GUIDE / "submitted" / student / "ps1" / f"{name}.ipynb" for student in ("bitdiddle", "hacker")],
        )
        for name in ("problem1", "problem2")
    },
    **{
        path.stem: (path, [])
        for path in sorted([*APPS.glob("*.ipynb"), *PREPROCESSORS.glob("*.ipynb")])
        if not path.stem.startswith(("submitted-", "autotest-"))
    },
    "tests": (PREPROCESSORS / "test.ipynb", []),
}

Scores = dict[
    str, list[Any]
]  # of a submission, by cell: the score given automatically, whether a human must look at it


def make_source(root: Path, assignment: str) -> None:
    """Put the source of `assignment` into a course folder, with the files that the wheel's notebooks read."""
    folder = root / "source" / assignment
    folder.mkdir(parents=True)
    shutil.copy(CLASSES[assignment][0], folder / f"{assignment}.ipynb")
    shutil.copy(APPS / "data.txt", folder)
    shutil.copy(APPS / "autotests.yml", root)


def hand_in(root: Path, assignment: str) -> list[str]:
    """Hand in everything for an assignment that has been released; return the students."""
    source, submissions = CLASSES[assignment]
    handed_in = {"source": source, "released": root / "release" / assignment / f"{assignment}.ipynb"}
    for path in submissions:
        handed_in[path.parents[1].name if path.parent.name == "ps1" else path.stem] = path
    for student, path in handed_in.items():
        folder = root / "submitted" / student / assignment
        folder.mkdir(parents=True)
        shutil.copy(path, folder / f"{assignment}.ipynb")
    return sorted(path.parent.name for path in (root / "submitted").glob(f"*/{assignment}"))


def configuration(root: Path) -> Config:
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = "same"
    config.Execute.timeout = SECONDS
    config.WallExecute.cell_seconds = SECONDS
    return config


def scores(config: Config, assignment: str, student: str) -> Scores:
    """Return the scores of a submission in the gradebook."""
    url = f"sqlite:///{config.CourseDirectory.root}/gradebook.db"
    with Gradebook(url, "same") as gradebook:
        notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        return {grade.name: [grade.auto_score, bool(grade.needs_manual_grade)] for grade in notebook.grades}


def graded(config: Config, assignments: Iterable[str] = CLASSES) -> Iterator[tuple[str, str, Scores | None]]:
    """Grade with nbgrader; return the scores by assignment and student, None for what it could not grade."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic
    api, root = NbGraderAPI(config=config), Path(config.CourseDirectory.root)
    for assignment in assignments:
        make_source(root, assignment)
        if not api.generate_assignment(assignment, force=True)["success"]:
            continue
        for student in hand_in(root, assignment):
            result = api.autograde(assignment, student, force=True)
            yield assignment, student, scores(config, assignment, student) if result["success"] else None


def main(file: Path = STORED) -> None:
    found: dict[str, dict[str, Scores | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for assignment, student, given in graded(configuration(Path(folder))):
            found.setdefault(assignment, {})[student] = given
    lines = [
        f'"{assignment}": {{\n'
        + ",\n".join(f'  "{student}": {json.dumps(given)}' for student, given in sorted(students.items()))
        + "\n }"
        for assignment, students in sorted(found.items())
    ]
    file.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
