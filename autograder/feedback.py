"""Write feedback pages for students, by nbgrader's own generate_feedback."""

from __future__ import annotations

from pathlib import Path

from .converters import generate_feedback
from .course import Course
from .spec import Refused


def feedback(course: Course, slug: str) -> list[Path]:
    """Write a feedback page for every graded submission of `slug`; return the pages.

    Raises
    ------
    autograder.spec.Refused
        If nothing has been graded yet.
    """
    course.require(slug)
    names = course.notebooks(slug)
    if not any(course.folders("autograded", slug=slug)):
        raise Refused(f"nothing has been graded for {slug!r} yet: run `autograder grade {slug}` first")
    generate_feedback(course, slug)
    pages = (folder / f"{name}.html" for _, _, folder in course.folders("feedback", slug=slug) for name in names)
    return sorted(page for page in pages if page.is_file())
