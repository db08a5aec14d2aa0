"""Release an assignment by nbgrader's own generate_assignment."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .course import Course, must_succeed


def release(course: Course, slug: str) -> Path:
    """Write the notebook without solutions, and the public cases, to `assignments/<slug>`; return that folder.

    Raises
    ------
    autograder.spec.Refused
        If there is no such assignment, or its notebook and `checks.py` do not fit; what was
        released before stays.
    """
    course.require(slug)
    folder = course.folder("release", ".", slug)
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as aside:
        before = Path(aside, slug)
        if folder.is_dir():
            shutil.copytree(folder, before)  # nbgrader removes it first
        try:
            must_succeed(course.api().generate_assignment(slug, force=True), f"releasing {slug!r}")
        except BaseException:
            if before.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(before, folder)
            raise
    return folder
