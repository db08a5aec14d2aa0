"""Write feedback pages for students, by nbgrader's own generate_feedback."""

from __future__ import annotations

from pathlib import Path

from .converters import blames_the_gradebook, generate_feedback
from .course import Course
from .spec import Refused


def feedback(course: Course, slug: str) -> list[Path]:
    """Write a feedback page for every graded submission of `slug`; return the pages.

    Raises
    ------
    autograder.spec.Refused
        If nothing has been graded yet; or, when all other pages are made, if some cannot be: with names and reasons.
    """
    course.require(slug)
    names = course.notebooks(slug)
    if not any(course.folders("autograded", slug=slug)):
        raise Refused(f"nothing has been graded for {slug!r} yet: run `autograder grade {slug}` first")
    try:
        generate_feedback(course, slug)
    except Refused as error:
        if blames_the_gradebook(error):
            raise
        _name_who_has_none(course, slug)
    pages = (folder / f"{name}.html" for _, _, folder in course.folders("feedback", slug=slug) for name in names)
    return sorted(page for page in pages if page.is_file())


def _name_who_has_none(course: Course, slug: str) -> None:
    """Make each page that is missing alone, to hear why it cannot be made; refuse with the students' names."""
    students = [student for student, _, _ in course.folders("autograded", slug=slug)]
    reasons = {}
    for student in students:
        if not any(course.folder("feedback", student, slug).glob("*.html")):
            try:
                generate_feedback(course, slug, student)
            except Refused as error:
                reasons[student] = str(error)
    if reasons:
        lines = "".join(f"\n  - {student}: {reason}" for student, reason in reasons.items())
        others = len(students) - len(reasons)
        raise Refused(f"{len(reasons)} feedback page(s) could not be made, the {others} others were:{lines}")
