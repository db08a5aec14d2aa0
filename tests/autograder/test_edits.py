"""After any edit of `checks.py` a plain `grade` ends with the gradebook that `grade --again` gives."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from edits import POINTS, RIGHT, Edited
from nbgrader.api import Comment, Grade, Gradebook, SubmittedNotebook
from tiny import SLUG, cell, grade_here, hand_in

from autograder import records
from autograder.course import Course
from autograder.errors import Refused
from autograder.release import release
from autograder.run import ClassRun

EDITS = int(os.environ.get("EDITS", "12"))
SEED = int(os.environ.get("EDITS_SEED", random.randrange(10**6)))

# By student: what is written in place of the right program.
STUDENTS = {
    "ada": {},
    "ben": {"double": "2 * x if x < 0.3 else 2 * x + 1", "square": "x * abs(x)"},
    "cleo": {"triple": "2 * x", "square": "x ** 2 + 1e-8"},
}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    grade_here(monkeypatch)


def notebook(programs: dict[str, str]) -> nbformat.NotebookNode:
    cells = [cell("from coursekit import check")]
    for name, points in POINTS.items():
        body = f"    ### BEGIN SOLUTION\n    return {programs.get(name, RIGHT[name])}\n    ### END SOLUTION"
        cells.append(cell(f"def {name}(x):\n{body}", name, solution=True))
        cells.append(cell(f'check("{name}", {name})', f"check_{name}", grade=True, locked=True, points=points))
    words = cell("", "why", grade=True, solution=True, points=4)
    cells.append(nbformat.v4.new_markdown_cell(f"Because {len(programs)}.", id="why", metadata=words.metadata))
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


@pytest.fixture
def twins(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Course, Course]:
    """Two courses with the same class and the same secret."""
    monkeypatch.setenv("AUTOGRADER_SECRET", "the same for both of them")
    source = tmp_path / "plain" / "solutions" / SLUG
    source.mkdir(parents=True)
    shutil.copy(repository / "nbgrader_config.py", tmp_path / "plain")
    Edited(0).write(source)
    nbformat.write(notebook({}), source / f"{SLUG}.ipynb")
    here = Course.at(tmp_path / "plain")
    release(here, SLUG, trial=False)
    for student, programs in STUDENTS.items():
        hand_in(here, student, notebook(programs))
        (here.folder("submitted", student, SLUG) / "timestamp.txt").write_text("2026-11-02 10:00:00 UTC")
    return here, Course.at(shutil.copytree(here.root, tmp_path / "again"))


def gradebook(course: Course) -> list[Any]:
    """Return everything that the gradebook says of the submissions."""
    with Gradebook(course.db_url) as book:
        grades = [
            (one.student.id, one.name, one.auto_score, one.manual_score, one.extra_credit, one.needs_manual_grade)
            for one in book.db.query(Grade)
        ]
        comments = [(one.student.id, one.name, one.comment or "") for one in book.db.query(Comment)]
        late = [(one.student.id, one.name, one.late_submission_penalty) for one in book.db.query(SubmittedNotebook)]
    return [sorted(rows, key=str) for rows in (grades, comments, late)]


def recorded(course: Course) -> list[Any]:
    """Return the records, without the time that they took."""
    found = [json.loads(json.dumps(record)) for record in records.read_all(course, SLUG)]
    for record in found:
        for result in [record, *record["exercises"].values()]:
            result.pop("seconds", None)
    return found


def act_as_a_person(courses: tuple[Course, Course], chance: random.Random) -> str:
    """Change in the gradebooks of both what a person may change; return what."""
    what = chance.choice(["points", "extension", "due date"])
    student, name = chance.choice(list(STUDENTS)), chance.choice(["why", *(f"check_{name}" for name in POINTS)])
    points, extra, days = chance.choice([None, 0.5, 2.0]), chance.choice([None, 1.0]), chance.choice([0, 3])
    day = chance.choice([None, datetime(2026, 11, 1)])
    for course in courses:
        with Gradebook(course.db_url) as book:
            if what == "points":
                grade = book.find_grade(name, SLUG, SLUG, student)
                grade.manual_score, grade.extra_credit = points, extra
                grade.needs_manual_grade = points is None and grade.auto_score is None
            elif what == "extension":
                book.grant_extension(SLUG, student, days=days)
            else:
                book.find_assignment(SLUG).duedate = day
            book.db.commit()
    return what


def run(course: Course, again: bool) -> tuple[str, int]:
    """Grade the class; return why it was refused, and how many were graded."""
    one = ClassRun(Course.at(course.root), SLUG, {"sandbox": "none"}, again=again)
    try:
        found = one.run()
    except Refused as refused:
        return str(refused), 0
    return "", len(found) - len(one.unchanged)


def followed(twins: tuple[Course, Course], edits: int, seed: int) -> Iterator[str]:
    """Edit both courses, grade one of them and the other one again; yield what was done and how many it concerned."""
    plain, again = twins
    edited, chance = Edited(seed), random.Random(seed)
    lines = "c.LateSubmissionPlugin.penalty_method = 'zero'\n"
    for course in twins:
        path = course.root / "nbgrader_config.py"
        path.write_text(path.read_text() + lines)
        assert run(course, again=False) == ("", len(STUDENTS))
    for number in range(1, edits + 1):
        what = edited.edit()
        if chance.random() < 0.3:
            what += f" and {act_as_a_person(twins, chance)} by hand"
        for course in twins:
            edited.write(course.folder("source", ".", SLUG))
        before = gradebook(plain)[0]
        refused, graded = run(plain, again=False)
        assert run(again, again=True)[0] == refused
        assert gradebook(plain) == gradebook(again), f"edit {number}, {what}; EDITS_SEED={seed}"
        assert recorded(plain) == recorded(again), f"edit {number}, {what}; EDITS_SEED={seed}"
        rows = len(set(before) - set(gradebook(plain)[0]))
        yield f"{number}: {what}: {graded} graded, {rows} grades changed{refused and ', ' + refused}"


@pytest.mark.slow
def test_a_plain_run_ends_with_the_gradebook_that_again_gives(twins: tuple[Course, Course]) -> None:
    print(f"EDITS_SEED={SEED}")
    done = list(followed(twins, EDITS, SEED))
    print("\n".join(done))
    assert any("0 graded" not in line for line in done)
