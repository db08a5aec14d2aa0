"""`make demo`: a class for every assignment, made from the solutions with known mistakes, graded from end to end.

The class of each assignment is in its `class.md`, with what each student deserves, score by score and finding by
finding.  The demo compares what it got with that and says so.  The tests use the same students.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from programs import REPOSITORY, SLUGS, Student, demo_class, patched

from autograder.cli import shown
from autograder.course import Course
from autograder.errors import NoWall
from autograder.feedback import feedback
from autograder.records import read_all
from autograder.release import release
from autograder.run import ClassRun
from autograder.scores import of_class
from autograder.spec import Refused, load
from autograder.summary import class_summary
from autograder.table import console, progress_bar, show_class
from autograder.wall.sandbox import why_no_wall

FOLDER = REPOSITORY / "demo-course"
LIMITS: Mapping[str, Mapping[str, float]] = {
    "linear_classifiers": {"cell_seconds": 4.0, "call_seconds": 3.0},  # gus' endless loop should not make anybody wait
}
"""What submissions may use, where it is not the usual."""


def main() -> int:
    """Run the demo; gives the exit status."""
    settings: dict[str, Any] = {}
    if trouble := why_no_wall():
        settings["sandbox"] = "none"
        console.rule("[bold red]NO WALL")
        console.print(trouble, markup=False)
        console.print("[bold red]These samples are the demo's own, so they run without it. Students' code must not.")
    try:
        if FOLDER.exists():
            shutil.rmtree(FOLDER)
        with console.status("Releasing the assignments"):
            course = make_course(FOLDER, SLUGS)
        wrong = [problem for slug in SLUGS for problem in grade_class(course, slug, settings)]
    except (Refused, NoWall) as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    for problem in wrong:
        console.print(f"NOT AS DESERVED: {problem}", style="bold red", markup=False)
    if not wrong:
        count = sum(len(demo_class(slug)) for slug in SLUGS)
        console.print(f"All {count} samples got the scores and the findings that their mistakes deserve.")
    where = {
        "course": FOLDER,
        "released": course.folder("release", ".", "."),
        "gradebook": FOLDER / "gradebook.db",
        "feedback": FOLDER / "feedback",
    }
    for name, path in where.items():
        console.print(f"{name:>10}  {shown(path)}", markup=False, highlight=False, soft_wrap=True)
    return 1 if wrong else 0


def grade_class(course: Course, slug: str, settings: Mapping[str, Any]) -> list[str]:
    """Hand in for the class of `slug`, grade it, show it, write feedback; gives what is not as deserved."""
    for student in demo_class(slug):
        hand_in(course, slug, student)
    with progress_bar(f"Grading {slug}") as progress:
        run = ClassRun(course, slug, {**LIMITS.get(slug, {}), **settings})
        records = run.run(progress=progress)
    show_class(slug, records, of_class(course, slug), run.late)
    console.print("", class_summary(read_all(course, slug)), sep="\n")
    with console.status("Writing feedback"):
        feedback(course, slug)
    by_student = {record["student"]: record for record in records}
    full = full_marks(course, slug)
    return [
        f"{slug}, {student.name}: {problem}"
        for student in demo_class(slug)
        for problem in differences(student, full, by_student[student.name])
    ]


# -- making the class -----------------------------------------------------------------------


def make_course(folder: Path, slugs: Iterable[str], repository: Path = REPOSITORY) -> Course:
    """Make a new course folder with the assignments `slugs` released in it."""
    folder.mkdir(parents=True)
    shutil.copy(repository / "nbgrader_config.py", folder)
    course = Course.at(folder)
    (folder / "solutions").mkdir()
    for module in (repository / "solutions").glob("*.py"):
        shutil.copy(module, folder / "solutions")
    for slug in slugs:
        source = repository / "solutions" / slug
        shutil.copytree(source, folder / "solutions" / slug, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        release(course, slug, trial=False)
    return course


def hand_in(course: Course, slug: str, student: Student) -> None:
    """Put the student's notebook where submissions of `slug` are collected."""
    step = "release" if student.released else "source"
    nb = nbformat.read(course.folder(step, ".", slug) / f"{slug}.ipynb", as_version=4)
    by_id = {cell.id: cell for cell in nb.cells}
    for name, diff in student.changes.items():
        by_id[name].source = patched(by_id[name].source, diff).removesuffix("\n")
    nb.cells = [cell for cell in nb.cells if cell.id not in student.removed]
    folder = course.folder("submitted", student.name, slug)
    folder.mkdir(parents=True)
    nbformat.write(nb, folder / f"{student.notebook or slug}.ipynb")


# -- what the class deserves ------------------------------------------------------------------


def full_marks(course: Course, slug: str) -> dict[str, float]:
    """Return the points of each exercise of `slug`."""
    checks = course.checks(slug)
    assert checks is not None
    described = load(checks).described
    return {name: sum(one.parts.values()) for name, one in described.items()}


def differences(student: Student, full: Mapping[str, float], record: Mapping[str, Any]) -> list[str]:
    """List in what `record` is not what the student deserves, where exercises have the `full` marks given."""
    wrong = []
    if not str(record["status"]).startswith(student.status):
        wrong.append(f"status {record['status']!r}, expected {student.status!r}")
    for name, score in student.scores(full).items():
        result = record["exercises"][name]
        codes = [finding["code"] for finding in result["findings"]]
        if result["score"] != score:
            wrong.append(f"{name}: {result['score']:g} points, expected {score:g}")
        if codes != student.findings(name):
            wrong.append(f"{name}: found {codes}, expected {student.findings(name)}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
