"""Hash what a grade depends on: while the hashes stay the same, nothing is graded again."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coursekit.checks.cases import to_files

from .bundle import Bundle
from .cases import public_of
from .course import Course
from .handed_in import MAX_READ, found_in, is_plain
from .hashing import digest

PACKAGES = ("numpy", "scipy", "matplotlib", "ipython", "nbgrader")


def of_assignment(course: Course, slug: str, settings: Mapping[str, Any], secret: bytes) -> str:
    """Hash what is the same for all submissions: release, limits, software, secret; but not the `checks.py` bundle."""
    described = [f"{name} {version(name)}" for name in PACKAGES]
    described += [platform.python_version(), repr(sorted(settings.items()))]
    source = course.folder("source", ".", slug)
    checks = course.checks(slug)
    own = {source / path for path in checks.own} if checks else set()
    others = [path for path in _files(source) if path.suffix != ".ipynb" and path not in own]
    released = [course.folder("release", ".", slug) / f"{name}.ipynb" for name in course.notebooks(slug)]
    paths = [*course.files, *others, *released, *_own_sources()]
    return digest([secret, *(text.encode() for text in described), *(path.read_bytes() for path in paths)])


def of_submission(folder: Path) -> str:
    """Hash everything that was handed in and counts."""
    parts: list[bytes] = []
    for path in found_in(folder).paths:
        parts += [os.fsencode(path.relative_to(folder))]
        parts += [_content(path) if is_plain(path) else b"no file"]
    return digest(parts)


def of_checks(checks: Bundle | None) -> str:
    """Hash the whole bundle; an empty text if there is none."""
    return checks.digest if checks is not None else ""


@functools.lru_cache(maxsize=4)
def of_exercises(checks: Bundle | None) -> Mapping[str, str]:
    """Hash, for each exercise, what `checks.py` says about it and about those that it uses."""
    if checks is None:
        return {}
    exercises = {one.name: one for one in public_of(checks)}
    own = {name: digest(to_files(name, (one,)).values()) for name, one in exercises.items()}
    return {name: digest(own[used].encode() for used in (name, *one.uses)) for name, one in exercises.items()}


def _content(path: Path) -> bytes:
    """Hash a file; of one that is too large to be read behind the wall, the size."""
    if (size := path.stat().st_size) > MAX_READ:  # it may be all holes, and take hours
        return f"{size} bytes".encode()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"cannot be read"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _own_sources() -> list[Path]:
    """Return the files of the grader's code and of what students import."""
    found: list[Path] = []
    for package in ("autograder", "coursekit"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found += sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    return found
