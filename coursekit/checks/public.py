"""Check an exercise in the student's own notebook, on the public cases that lie beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from .cases import load
from .judge import examine, mend_first
from .report import Report
from .run import run_case

_has_failed: dict[str, bool] = {}  # whether an exercise failed its last check in this session


def examined(name: str, functions: tuple[Any, ...]) -> Report:
    """Report on an exercise, judged by the public cases."""
    assignment, exercises = load(_folder())
    if name not in exercises:
        raise ValueError(f"assignment {assignment!r} has no exercise {name!r}; it has {', '.join(exercises)}")
    exercise = exercises[name]
    if len(functions) != len(exercise.functions):
        raise TypeError(f'this exercise is checked with check("{name}", {", ".join(exercise.functions)})')
    by_name = dict(zip(exercise.functions, functions, strict=True))
    if not all(callable(function) for function in functions):
        raise TypeError(f'check("{name}", …) takes the function itself, without calling it')
    report = examine(exercise, lambda case: run_case(case, by_name))
    _has_failed[name] = report.status not in ("passed", "not written")
    wrong = [earlier for earlier in exercise.uses if _has_failed.get(earlier)]
    return report if report.passed or not wrong else replace(report, notes=(*report.notes, mend_first(wrong)))


def _folder() -> Path:
    """Return the folder of the public cases: beside the notebook, or beside the release of an instructor's notebook."""
    here = Path.cwd()
    places = [here, *(parent / "assignments" / here.name for parent in here.parents)]
    for place in places:
        if (place / "cases.json").is_file():
            return place
    raise FileNotFoundError(
        f"cases.json is not in {here}. It comes with the assignment and must lie beside the notebook: "
        "copy it (and cases.npz) there. Instructors: run `autograder release` first."
    )
