"""Try an assignment out: the model solution and the empty notebook go through the steps of the grader.

Nothing of the course is changed by that: the gradebook is a copy, and the release is made aside.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from traitlets.config import Config

from coursekit.checks.cases import Exercise
from coursekit.reporting import number

from . import cases, notebook
from .answers import noticed
from .converters import generate_assignment, told
from .course import Course
from .errors import NotConverted, Refused
from .fit import wrong_headings
from .grade import grade
from .gradebook import Recorder
from .migrate import adapt, copy_gradebook
from .nbgrader_plugin import too_large_of
from .notebook import Cell
from .results import ExerciseResult, Graded
from .spec import Assignment, load
from .submitted import Unreadable, read_notebook
from .wall.sandbox import why_no_wall

SETS = 20  # of fresh cases that the model solution has to pass
SETS_FOR_MISTAKES = 5  # in which each known mistake has to be noticed: a training with each takes long
SECRET = b"rehearsal"  # the same sets each time, so that a release that has succeeded once succeeds again
NOBODY = "nobody"  # hands in what is tried


def try_out(course: Course, slug: str, may_migrate: bool = True) -> list[str]:
    """Release `slug` aside, and grade the model solution and the notebook that students get.

    Without `may_migrate`, it is refused if other cells were handed in.

    Returns
    -------
    list of str
        What could not be tried, and why.

    Raises
    ------
    Refused
        With all that is wrong.
    """
    course.require(slug)
    with _aside(course) as aside:
        adapt(aside, slug, may_migrate)
        generate_assignment(aside, slug)
        checks = aside.checks(slug)
        assignment = load(checks) if checks else None
        problems = [
            f"{name}.ipynb: {line}"
            for name in aside.notebooks(slug)
            for line in wrong_headings(_source(aside, slug, name))
        ]
        sets = _sets(assignment, cases.public_of(checks) if checks else ())
        problems += _unnoticed(assignment, sets) if assignment else []
        trouble = _no_wall(aside, slug)
        if not trouble:
            problems += _graded(aside, slug, assignment, sets)
    if problems:
        large = too_large_of(course.directory, slug)
        problems += [f"{name} is too large to be there while a notebook is graded" for name in large]
        raise Refused(f"{slug!r} cannot be released:" + "".join(f"\n  - {line}" for line in problems))
    return [f"Nothing was run, neither the model solution nor the empty notebook: {trouble}"] if trouble else []


@contextlib.contextmanager
def _aside(course: Course) -> Iterator[Course]:
    """Yield the course with a copy of its gradebook, which releases into a folder of its own."""
    place = Path(tempfile.mkdtemp(dir=course.root, prefix=".release-"))
    config = Config(copy.deepcopy(course.config))
    config.CourseDirectory.release_directory = place.name
    with tempfile.TemporaryDirectory(prefix="gradebook-") as folder:
        gradebook = Path(folder, "gradebook.db")
        copy_gradebook(course.db_url, gradebook)
        config.CourseDirectory.db_url = f"sqlite:///{gradebook}"
        aside = replace(course, config=config)
        try:
            yield aside
        finally:
            shutil.rmtree(place, ignore_errors=True)
            # Another directory_structure may put it elsewhere.
            parts = aside.folder("release", ".", "x").parts
            if place.name in parts:
                shutil.rmtree(Path(*parts[: parts.index(place.name) + 1]), ignore_errors=True)


def _source(course: Course, slug: str, name: str) -> list[Cell]:
    found: list[Cell] = _read(course.folder("source", ".", slug), name)["cells"]
    return found


def _read(folder: Path, name: str) -> Any:
    try:
        return read_notebook(folder, name, NOBODY).notebook
    except Unreadable as error:
        raise Refused(f"what would be released could not be graded: {error}") from error


def _no_wall(course: Course, slug: str) -> str | None:
    kind = course.config.WallExecute.get("sandbox", "bwrap")
    return why_no_wall() if kind != "none" else None


# -- cases and known mistakes ---------------------------------------------------------------------


def _sets(assignment: Assignment | None, public: Sequence[Exercise]) -> dict[str, list[Exercise]]:
    """Return the public cases and fresh ones, by exercise."""
    if assignment is None:
        return {}
    return {
        one.name: [one, *(cases.fresh(assignment, one.name, SECRET, f"set {i}") for i in range(SETS))] for one in public
    }


def _unnoticed(assignment: Assignment, sets: Mapping[str, Sequence[Exercise]]) -> Iterator[str]:
    """Name the known mistakes with which all points are earned."""
    for name, described in assignment.described.items():
        codes = {mistake.code for mistake in described.mistakes}
        for one in sets[name][1 : 1 + SETS_FOR_MISTAKES]:
            if missed := sorted(codes - noticed(one)):
                yield f"{name}: in some sets of cases, who makes the known mistake {missed[0]!r} passes the check"
                break


# -- the notebooks ----------------------------------------------------------------------------------


def _graded(
    course: Course, slug: str, assignment: Assignment | None, sets: Mapping[str, Sequence[Exercise]]
) -> Iterator[str]:
    with Recorder(course, slug, {}) as recorder:
        names = course.notebooks(slug)
        recorder.require_release(names, assignment)
        for name in names:
            empty = _read(course.folder("release", ".", slug), name)
            model = _with_solutions(empty, _source(course, slug, name))
            file = f"{name}.ipynb: " if len(names) > 1 else ""
            for cell, result in _results(recorder, name, empty, {}):
                if result["score"]:
                    yield f"{file}{cell} gives {_points(result)} points to who has written nothing"
            for cell, result in _results(recorder, name, model, sets):
                if result["score"] is not None and result["score"] < result["max"]:
                    yield f"{file}the model solution earns {_points(result)} points in {cell}: {_why(result)}"


def _with_solutions(released: Any, source: Sequence[Cell]) -> Any:
    """Return a released notebook with the instructor's answers in it."""
    answers = {notebook.grade_id(cell): cell for cell in source if notebook.metadata(cell).get("solution")}
    filled = copy.deepcopy(released)
    for cell in filled.cells:
        if found := answers.get(notebook.grade_id(cell)):
            cell["source"] = notebook.source(found)
    return filled


def _results(
    recorder: Recorder, name: str, nb: Any, further: Mapping[str, Sequence[Exercise]]
) -> Iterator[tuple[str, ExerciseResult]]:
    """Grade a notebook as if somebody had handed it in; nothing is recorded."""
    try:
        submission = recorder.sanitised(NOBODY, name, nb)
        limits, setup = recorder.execute.bounds()
        patient = replace(limits, notebook_seconds=limits.notebook_seconds * (1 + SETS))
        graded = grade(
            submission,
            recorder.course.checks(recorder.slug),
            SECRET,
            patient if further else limits,
            setup,
            further=further,
        )
        recorder.finished(NOBODY, name, graded)
    except NotConverted as error:
        raise Refused(f"{name}.ipynb could not be graded after the release. {told(error)}") from error
    yield from _with_outputs(graded)


def _with_outputs(graded: Graded) -> Iterator[tuple[str, ExerciseResult]]:
    errors = {}
    for cell in json.loads(graded.content)["cells"]:
        raised = [notebook.quoted(output) for output in cell.get("outputs", ()) if output["output_type"] == "error"]
        errors[notebook.grade_id(cell)] = raised
    for name, result in graded.record["exercises"].items():
        if not result.get("findings") and not result.get("cases") and errors.get(name):
            yield name, {**result, "status": errors[name][0]}
        else:
            yield name, result


def _points(result: ExerciseResult) -> str:
    return f"{number(result['score'] or 0)} of {number(result['max'])}"


def _why(result: ExerciseResult) -> str:
    """Say why an exercise has not all its points."""
    failed = next((case for case in result.get("cases", ()) if not case["ok"]), None)
    if failed:
        return f"in the case {failed['case']!r}, {failed['name']} {failed['message']}"
    found = next(iter(result.get("findings", ())), None)
    return found["message"] if found else result["status"]
