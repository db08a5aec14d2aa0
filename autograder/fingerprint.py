"""Hash what a grade depends on: while the hash stays the same, nothing is graded again.

All exercises of a submission have one hash.  What one of them depends on in `checks.py` and its modules cannot be told
for sure, for a function may reach into all of them; and the notebook has to be run for one as for all.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from traitlets.config.loader import LazyConfigValue

from . import scores
from .bundle import Bundle, imported_by_name
from .course import Course
from .handed_in import MAX_READ, found_in, is_plain
from .hashing import digest

PACKAGES = ("numpy", "scipy", "matplotlib", "ipython", "nbgrader")
OWN_PACKAGES = ("autograder", "coursekit")

# Settings without which a submission gets the same grade: where things are, who is graded, and the penalty for handing
# in late, which each run makes anew.
OF_NO_GRADE = {
    "CourseDirectory": ("root", "db_url", "student_id_exclude"),
    "AssignLatePenalties": ("plugin_class",),
    "LateSubmissionPlugin": ("penalty_method",),
}


def of_assignment(course: Course, slug: str, settings: Mapping[str, Any], secret: bytes) -> str:
    """Hash what is the same for all submissions: release, `checks.py`, settings, software, secret."""
    described = [f"{name} {version(name)}" for name in PACKAGES]
    described += [platform.python_version(), repr(sorted(settings.items())), *_configuration(course)]
    checks = course.checks(slug)
    described += [of_checks(checks), *scores.released(course, slug)]
    released = [course.folder("release", ".", slug) / f"{name}.ipynb" for name in course.notebooks(slug)]
    paths = [*_beside(course, slug, checks), *released, *_own_sources(), *_own_steps(course)]
    return digest([secret, *(text.encode() for text in described), *(path.read_bytes() for path in paths)])


def of_submission(folder: Path) -> str:
    """Hash everything that was handed in and counts."""
    parts: list[bytes] = []
    for path in found_in(folder).paths:
        parts += [os.fsencode(path.relative_to(folder))]
        parts += [_content(path) if is_plain(path) else b"no file"]
    return digest(parts)


def of_checks(checks: Bundle | None) -> str:
    """Hash the programs of a bundle, but not their comments and layout; an empty text if there is none."""
    if checks is None:
        return ""
    return digest(part.encode() for path, text in sorted(checks.files.items()) for part in (path, _program(text)))


def _program(text: str) -> str:
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):  # it is refused when it is loaded
        return text


def _content(path: Path) -> bytes:
    """Hash a file; of one that is too large to be read behind the wall, the size."""
    if (size := path.stat().st_size) > MAX_READ:  # it may be all holes, and take hours
        return f"{size} bytes".encode()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"cannot be read"


def _beside(course: Course, slug: str, checks: Bundle | None) -> Iterator[Path]:
    """Yield the instructor's files beside the notebook, and what all assignments may read in the folder above."""
    source = course.folder("source", ".", slug)
    programs = {source / path for path in checks.own} if checks else set()
    yield from (path for path in _files(source) if path.suffix != ".ipynb" and path not in programs)
    above = (path for path in source.parent.iterdir() if path.is_file())
    yield from sorted(path for path in above if path.suffix not in (".py", ".ipynb", ".md"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


@functools.cache
def _own_sources() -> tuple[Path, ...]:
    """Return the files of the grader's code and of what students import, with its data."""
    found: list[Path] = []
    for package in OWN_PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found += _files(Path(spec.submodule_search_locations[0]))
    return tuple(found)


# -- the configuration --------------------------------------------------------------------------


def _configuration(course: Course) -> list[str]:
    """Return the settings that a grade may depend on, as text."""
    settings = {name: dict(section) for name, section in course.config.items() if isinstance(section, Mapping)}
    plugin = str(settings.get("AssignLatePenalties", {}).get("plugin_class", "")).rpartition(".")[2]
    settings.pop(plugin, None)
    for name, traits in OF_NO_GRADE.items():
        for trait in traits:
            settings.get(name, {}).pop(trait, None)
    strange: list[str] = []
    plain = json.dumps(_plain({name: section for name, section in settings.items() if section}, strange))
    if strange:  # such as a function, of which only the text can be compared
        strange += [path.read_text(encoding="utf-8") for path in course.files]
    return [plain, *strange]


def _plain(value: Any, strange: list[str]) -> Any:
    if isinstance(value, LazyConfigValue):
        return _plain(value.to_dict(), strange)
    if isinstance(value, Mapping):
        return sorted([str(key), _plain(one, strange)] for key, one in value.items())
    if isinstance(value, list | tuple):
        return [_plain(one, strange) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(str(one) for one in value)
    if value is None or isinstance(value, bool | int | float | str | Path):
        return str(value)
    strange.append(type(value).__name__)
    return None


def _own_steps(course: Course) -> list[Path]:
    """Return the programs in the course folder that the settings of `Autograde` name, and what these import there."""
    found: list[Path] = []
    known = set(OWN_PACKAGES)
    todo = [text for text in _texts(course.config.get("Autograde", {})) if "." in text]
    while todo:
        top = todo.pop().partition(".")[0]
        if top not in known:
            known.add(top)
            paths = [course.root / f"{top}.py", *sorted((course.root / top).rglob("*.py"))]
            found += [path for path in paths if path.is_file()]
            todo += [name for path in paths if path.is_file() for name in _imported(path)]
    return found


def _imported(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a program imports."""
    with contextlib.suppress(SyntaxError, ValueError):  # it is refused when it runs
        yield from imported_by_name(ast.parse(path.read_text(encoding="utf-8")))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, LazyConfigValue):
        yield from _texts(value.to_dict())
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _texts(one)
