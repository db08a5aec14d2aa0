"""Release an assignment by nbgrader's own generate_assignment."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .converters import generate_assignment
from .course import Course
from .kept_back import kept_back
from .migrate import adapt
from .nbgrader_plugin import too_large_of
from .trial import try_out


@dataclass(frozen=True)
class Release:
    """What was released.

    Attributes
    ----------
    folder : Path
    files : list of str
        What is in it: all of that students get.
    kept_back : list of str
        What lies beside the source and students do not get, each with the reason; but for the modules of `checks.py`.
    untried : list of str
        What could not be tried before.
    changed : list of str
        What was changed in the gradebook, which held submissions with other cells.
    too_large : list of str
        What students get and is not there when their notebooks are graded.
    """

    folder: Path
    files: list[str]
    kept_back: list[str]
    untried: list[str]
    changed: list[str]
    too_large: list[str]


def release(course: Course, slug: str, trial: bool = True, may_migrate: bool = False) -> Release:
    """Write the notebooks without solutions, and the public cases, to `assignments/<slug>`.

    Without `trial`, it is not tried out first.

    With `may_migrate`, the gradebook is changed if it holds submissions with other cells.

    Raises
    ------
    autograder.spec.Refused
        If there is no such assignment, or it could not be graded; what was released before stays.
    """
    course.require(slug)
    untried = try_out(course, slug, may_migrate) if trial else []
    folder = course.folder("release", ".", slug)
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as aside:
        before = Path(aside, slug)
        if folder.is_dir():
            shutil.copytree(folder, before)  # nbgrader removes it first
        try:
            changed = adapt(course, slug, may_migrate, with_copy=True)
            generate_assignment(course, slug)
        except BaseException:
            if before.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(before, folder)
            raise
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    checks = course.checks(slug)
    left = kept_back(course.folder("source", ".", slug), checks)
    told = [f"{name}: {why}" for name, why in left if not (checks and name in checks.own)]
    return Release(folder, files, told, untried, changed, too_large_of(course.directory, slug))
