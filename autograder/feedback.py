"""Write feedback pages for students, by nbgrader's own generate_feedback."""

from __future__ import annotations

from pathlib import Path

from .course import Course, must_succeed
from .spec import Refused


def feedback(course: Course, slug: str) -> list[Path]:
    """Write a feedback page for every graded submission of `slug`; return the pages.

    Raises
    ------
    autograder.spec.Refused
        If nothing has been graded yet.
    """
    course.require(slug)
    graded = course.folder("autograded", "*", slug)
    if not any(graded.parent.parent.glob(f"*/{slug}")):
        raise Refused(f"nothing has been graded for {slug!r} yet: run `autograder grade {slug}` first")
    must_succeed(course.api().generate_feedback(slug, force=True), f"feedback for {slug!r}")
    pages = course.folder("feedback", "*", slug)
    names = course.notebooks(slug)
    return sorted(page for name in names for page in pages.parent.parent.glob(f"*/{slug}/{name}.html"))
