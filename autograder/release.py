"""From `solutions/<slug>` to `assignments/<slug>`, by nbgrader's own generate_assignment."""

from __future__ import annotations

from pathlib import Path

from .course import Course, must_succeed


def release(course: Course, slug: str) -> Path:
    """Release an assignment: its notebook without solutions, and the public cases; gives the folder.

    Raises
    ------
    autograder.spec.Refused
        If there is no such assignment, or its notebook and `checks.py` do not fit.
    """
    course.require(slug)
    must_succeed(course.api().generate_assignment(slug, force=True), f"releasing {slug!r}")
    return course.folder("release", ".", slug)
