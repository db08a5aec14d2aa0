"""`make demo`: a class for every assignment, made from the solutions with known mistakes, graded from end to end.

Each sample (:mod:`autograder.samples`) says what its mistake deserves, score by score and
finding by finding; the demo compares what it got with that and says so.  The tests use the
same samples.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from .cli import shown
from .course import Course
from .errors import NoWall
from .feedback import feedback
from .records import read_all
from .release import release
from .run import ClassRun
from .samples import LIMITS, SAMPLES, Sample
from .spec import Refused, load
from .summary import class_summary
from .table import console, progress_bar, show_class
from .wall.sandbox import why_no_wall

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "demo-course"

# -- making the class -----------------------------------------------------------------------


def make_course(folder: Path, slugs: Iterable[str], repository: Path = REPOSITORY) -> Course:
    """A new course folder with the assignments `slugs` released in it."""
    folder.mkdir(parents=True)
    shutil.copy(repository / "nbgrader_config.py", folder)
    course = Course.at(folder)
    shared = (repository / "solutions").glob("*.py")
    (folder / "solutions").mkdir()
    for module in shared:
        shutil.copy(module, folder / "solutions")
    for slug in slugs:
        source = repository / "solutions" / slug
        if not source.is_dir():
            raise Refused(f"the demo needs {source}: run it in a clone of the repository")
        shutil.copytree(source, folder / "solutions" / slug, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        release(course, slug)
    return course


def hand_in(course: Course, slug: str, sample: Sample) -> None:
    """Put the sample's notebook where submissions of `slug` are collected."""
    step = {"solutions": "source", "assignments": "release"}[sample.start_from]
    nb = nbformat.read(course.folder(step, ".", slug) / f"{slug}.ipynb", as_version=4)
    by_id = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in nb.cells}
    for grade_id, old, new in sample.edits:
        if old not in by_id[grade_id].source:
            raise Refused(f"{slug}, {sample.student}: the cell {grade_id!r} no longer holds {old!r}")
        by_id[grade_id].source = by_id[grade_id].source.replace(old, new)
    nb.cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in sample.removed]
    if sample.first:
        setup = next(cell for cell in nb.cells if cell.cell_type == "code")
        setup.source += "\n\n" + sample.first
    folder = course.folder("submitted", sample.student, slug)
    folder.mkdir(parents=True)
    nbformat.write(nb, folder / f"{sample.notebook or slug}.ipynb")


def full_marks(course: Course, slug: str) -> dict[str, float]:
    """The points of each exercise of `slug`."""
    checks = course.checks(slug)
    assert checks is not None
    described = load(checks).described
    return {name: sum(one.parts.values()) for name, one in described.items()}


def differences(sample: Sample, full: Mapping[str, float], record: Mapping[str, Any]) -> list[str]:
    """In what `record` is not what `sample` deserves, where exercises have the `full` marks given."""
    wrong = []
    if not str(record["status"]).startswith(sample.status):
        wrong.append(f"status {record['status']!r}, expected {sample.status!r}")
    for name, score in sample.scores(full).items():
        result = record["exercises"][name]
        codes = [finding["code"] for finding in result["findings"]]
        if result["score"] != score:
            wrong.append(f"{name}: {result['score']:g} points, expected {score:g}")
        if codes != sample.findings(name):
            wrong.append(f"{name}: found {codes}, expected {sample.findings(name)}")
    return wrong


# -- the demo -----------------------------------------------------------------------------


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
            course = make_course(FOLDER, SAMPLES)
        wrong = [problem for slug in SAMPLES for problem in grade_samples(course, slug, settings)]
    except (Refused, NoWall) as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    for problem in wrong:
        console.print(f"NOT AS DESERVED: {problem}", style="bold red", markup=False)
    if not wrong:
        count = sum(map(len, SAMPLES.values()))
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


def grade_samples(course: Course, slug: str, settings: Mapping[str, Any]) -> list[str]:
    """Hand in the samples of `slug`, grade them, show the class, write feedback; gives what is not as deserved."""
    for sample in SAMPLES[slug]:
        hand_in(course, slug, sample)
    with progress_bar(f"Grading {slug}") as progress:
        records = ClassRun(course, slug, {**LIMITS.get(slug, {}), **settings}).run(progress=progress)
    show_class(slug, records)
    console.print("", class_summary(read_all(course, slug)), sep="\n")
    with console.status("Writing feedback"):
        feedback(course, slug)
    by_student = {record["student"]: record for record in records}
    full = full_marks(course, slug)
    return [
        f"{slug}, {sample.student}: {problem}"
        for sample in SAMPLES[slug]
        for problem in differences(sample, full, by_student[sample.student])
    ]


if __name__ == "__main__":
    sys.exit(main())
