"""Run nbgrader's converters, and say why they refuse: the innermost reason, with the cell and what to do.

nbgrader logs a traceback and then raises an error that points to it. So the error is taken while it is being logged.
"""

from __future__ import annotations

import functools
import logging
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from .course import Course, quick_nbgrader
from .errors import Refused

MAX_TOLD = 400
QUOTED = 60
# What nbgrader says, and what helps.
HELP = (
    ("no end solution", "Write a line `### END SOLUTION` below the one that begins it."),
    ("nested begin solution", "End a region with ### END SOLUTION before the next one begins."),
    (
        "Solution region detected",
        "Make the cell an answer (Create Assignment in the right sidebar), or remove the lines.",
    ),
    ("no end hidden tests", "Write a line ### END HIDDEN TESTS below its ### BEGIN HIDDEN TESTS."),
    ("Hidden test region detected", "Make the cell autograder tests, or remove the lines."),
    ("no end mark scheme", "Write a line === END MARK SCHEME === below its === BEGIN MARK SCHEME ===."),
    ("Mark scheme region detected", "Make the cell a manually graded task, or remove the lines."),
    ("attachment in a marking scheme", "Put the picture in a file that is not released, or write it in words."),
    ("Duplicate grade id", "Give one of the cells another id."),
    ("file is not a database", "It is damaged: restore it from a copy."),
    ("no such column", "Make a copy of it, and run `nbgrader db upgrade`."),
    ("no such table", "Make a copy of it, and run `nbgrader db upgrade`."),
    ("does not have points", "Say how many points it is worth."),
    ("does not appear to be JSON", "Restore the notebook from a copy, or mend the text at that place."),
    ("not marked as a grade cell", "Make it a manually graded answer, with points."),
    ("not marked as a solution cell", "Make it a manually graded answer, or a code cell."),
)


def generate_assignment(course: Course, slug: str) -> None:
    """Make the students' version of an assignment, over what was made before.

    Raises
    ------
    Refused
    """
    quick_nbgrader()
    import nbgrader.api
    from nbgrader.converters import GenerateAssignment

    # It starts the program `alembic` for each new gradebook, for seconds, to learn what is always the same.
    if not hasattr(nbgrader.api.get_alembic_version, "cache_info"):
        nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)
    _run(course, GenerateAssignment, slug, f"releasing {slug!r}")


def generate_feedback(course: Course, slug: str, student: str = "") -> None:
    """Make the pages for all graded submissions of an assignment, or one student's, over those that were made before.

    Raises
    ------
    Refused
    """
    quick_nbgrader()
    from nbgrader.converters import GenerateFeedback

    settings = {"HTMLExporter": {"template_name": "feedback"}}
    if student:
        settings["CourseDirectory"] = {"student_id": student}
    _run(course, GenerateFeedback, slug, f"feedback for {slug!r}", **settings)


def _run(course: Course, kind: Any, slug: str, what: str, **settings: dict[str, Any]) -> None:
    api = course.api(**settings)
    api.coursedir.assignment_id = slug
    with course.well_configured():
        converter = kind(coursedir=api.coursedir, parent=api)
    converter.force = True
    run(converter, what)


def run(converter: Any, what: str) -> None:
    """Run one of nbgrader's converters.

    Raises
    ------
    Refused
        With nbgrader's reason, if it fails.
    """
    noticed = _Noticed()
    log, level = converter.log, converter.log.level
    handlers, log.handlers = log.handlers, [noticed]
    propagates, log.propagate = log.propagate, False
    log.setLevel(logging.ERROR)
    try:
        converter.start()
    except (Exception, SystemExit) as error:
        cause = noticed.error or error
        raise Refused(f"{what} failed. {told(cause)}") from cause
    finally:
        log.setLevel(level)
        log.handlers, log.propagate = handlers, propagates


def blames_the_gradebook(error: Refused) -> bool:
    """Return whether what :func:`run` raised is about the gradebook, and so concerns everybody."""
    return any(isinstance(one, sqlite3.Error) for one in _chain(error))


class _Noticed(logging.Handler):
    """Keeps the last error that is logged while it is handled: what came first is its cause."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = sys.exc_info()[1] or self.error


def told(error: BaseException) -> str:
    """Say where and why nbgrader has failed, and what to do."""
    chain = list(_chain(error))
    own = next((one for one in chain if isinstance(one, Refused)), None)
    if own is not None:
        return str(own)
    reason = _reason(chain)
    help_ = next((told for part, told in HELP if any(part.lower() in str(one).lower() for one in chain)), "")
    where = ", ".join(filter(None, (_notebook(chain), _cell(chain))))
    return f"{where + ': ' if where else ''}{reason}{'' if reason.endswith('.') else '.'}{' ' if help_ else ''}{help_}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error that came first, and those that were raised because of it."""
    found = [error]
    while (before := found[-1].__cause__ or found[-1].__context__) is not None and before not in found:
        found.append(before)
    return reversed(found)


def _reason(chain: list[BaseException]) -> str:
    said = next((one for one in chain if str(one).strip() and not isinstance(one, StopIteration)), chain[-1])
    if "does not appear to be JSON" in " ".join(map(str, chain)):
        text = f"the file is no notebook, for it is no JSON: {said}"
    elif isinstance(said, sqlite3.Error):
        text = f"the gradebook cannot be used: {said}"
    elif isinstance(said, AttributeError | KeyError):
        text = f"{type(said).__name__}: {said}"
    else:
        text = str(said) or type(said).__name__
    text = " ".join(text.split("\n\n", 1)[0].split())
    return text if len(text) <= MAX_TOLD else text[:MAX_TOLD] + "…"


# -- what was being worked on, as the frames of the traceback say --------------------------------


def _locals(chain: list[BaseException], name: str) -> Iterator[Any]:
    """Yield what stands under a name in the frames of the errors, the innermost first."""
    for error in chain:
        frames: list[TracebackType] = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace)
            trace = trace.tb_next
        for one in reversed(frames):
            if name in one.tb_frame.f_locals:
                yield one.tb_frame.f_locals[name]


def _notebook(chain: list[BaseException]) -> str:
    return next((Path(path).name for path in _locals(chain, "notebook_filename")), "")


def _cell(chain: list[BaseException]) -> str:
    if name := next((m[1] for one in chain if (m := re.search(r"grade id: (.+)", str(one)))), None):
        return f"cell {name!r}"
    for cell in _locals(chain, "cell"):
        if hasattr(cell, "metadata"):
            if name := cell.metadata.get("nbgrader", {}).get("grade_id"):
                return f"cell {name!r}"
            text = next(_locals(chain, "orig_cell_source"), cell.get("source", ""))
            first = next(iter(str(text).strip().splitlines()), "")
            number = next((f" number {index + 1}" for index in _locals(chain, "cell_index")), "")
            return f"cell{number}" + (f", which begins with {first[:QUOTED]!r}" if first else "")
    return ""
