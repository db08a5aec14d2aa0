"""What a grade depends on, in one number: while that stays the same, nothing is graded again."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .course import CONFIG, Course

PACKAGES = ("numpy", "scipy", "matplotlib", "ipython", "nbgrader")


def digest(parts: Iterable[bytes]) -> str:
    """One number for all of `parts`, in this order."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8))
        total.update(part)
    return total.hexdigest()


def of_assignment(course: Course, slug: str, settings: Mapping[str, Any], secret: bytes) -> str:
    """Of what is the same for all submissions: release, limits, software, secret; but for the `checks.py` bundle."""
    described = [f"{name} {version(name)}" for name in PACKAGES]
    described += [platform.python_version(), repr(sorted(settings.items()))]
    source = course.folder("source", ".", slug)
    checks = course.checks(slug)
    own = {source / path for path in checks.own} if checks else set()
    others = [path for path in _files(source) if path.suffix != ".ipynb" and path not in own]
    released = [course.folder("release", ".", slug) / f"{name}.ipynb" for name in course.notebooks(slug)]
    paths = [course.root / CONFIG, *others, *released, *_own_sources()]
    return digest([secret, *(text.encode() for text in described), *(path.read_bytes() for path in paths)])


def of_submission(folder: Path) -> str:
    """Of everything that was handed in."""
    parts: list[bytes] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()):
        parts += [str(path.relative_to(folder)).encode("utf-8", "surrogateescape")]
        parts += [_content(path) if path.is_file() and not path.is_symlink() else b"no file"]
    return digest(parts)


def _content(path: Path) -> bytes:
    """A number for what is in a file, however large it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _own_sources() -> list[Path]:
    """The code of the grader and of what students import."""
    found: list[Path] = []
    for package in ("autograder", "coursekit"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found += sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    return found
