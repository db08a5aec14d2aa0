"""Make one check again, with the arguments that a student was graded on, to show what the grader saw."""

from __future__ import annotations

from coursekit.checks import cases
from coursekit.checks.report import Report

from . import records
from .course import Course
from .errors import Refused
from .handout import texts
from .results import Record
from .submitted import Unreadable, read_notebook


def replay(course: Course, student: str, exercise: str, slug: str | None = None) -> Report:
    """Make the check of `exercise` in the submission of `student` again, with the stored cases.

    Nothing is recorded.

    Raises
    ------
    Refused
        If there is no record of it, or one in several assignments and no `slug`.
    """
    record = _record(course, student, exercise, slug)
    slug, name = record["assignment"], record["notebook"]
    if record["status"] != "graded":
        raise Refused(f"the submission of {student!r} for {slug!r} was {record['status']}")
    folder = records.folder(course.root, slug, student, name)
    try:
        _, stored = cases.load(folder)
    except (OSError, ValueError) as error:
        raise Refused(f"the cases of {student!r} cannot be read ({error}): grade {slug!r} again") from error
    if exercise not in stored:
        raise Refused(f"{exercise!r} of {slug!r} is not graded by a check, so there is nothing to replay")

    from .grade import recheck
    from .gradebook import Recorder

    with Recorder(course, slug, {}) as recorder:
        try:
            found = read_notebook(course.folder("submitted", student, slug), name, student, texts(recorder.handouts))
        except Unreadable as trouble:
            raise Refused(f"the submission of {student!r} cannot be read any more: {trouble}") from trouble
        submission = recorder.execute.completed(recorder.sanitised(student, name, found.notebook), found)
        submission, checks, _, limits, setup = recorder.execute.job(submission)
    if checks is None:
        raise Refused(f"{slug!r} has no checks.py any more")
    return recheck(submission, checks, stored[exercise], record["exercises"], limits, setup)


def _record(course: Course, student: str, exercise: str, slug: str | None) -> Record:
    """Find the record that has a result for `exercise`."""
    found: list[Record] = []
    known: set[str] = set()
    for path in records.written(course.root, slug or "*", student):
        notebook, _, assignment = (parent.name for parent in path.parents[:3])
        record = records.load(course.root, assignment, student, notebook)
        if record is not None:
            known |= set(record["exercises"])
            found += [record] if exercise in record["exercises"] else []
    if len(found) > 1:
        places = ", ".join(sorted({record["assignment"] for record in found}))
        raise Refused(f"{exercise!r} is an exercise of {places}: say which with --assignment")
    if not found:
        what = f"there are {', '.join(sorted(known))}" if known else "nothing of this student has been graded"
        raise Refused(f"there is no record of {exercise!r} for {student!r}; {what}")
    return found[0]
