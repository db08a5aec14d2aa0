"""Keep the records of gradings, in one folder for each notebook; a file is written as a whole or not at all."""

from __future__ import annotations

import glob
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from .course import STATE, Course
from .errors import Refused
from .results import Record

RECORD = "record.json"


class Change(NamedTuple):
    """A score that differs from that of the last grading."""

    student: str
    exercise: str
    before: float
    after: float


def folder(root: Path, slug: str, student: str, notebook: str) -> Path:
    """Return the folder of a notebook's record, and of the cases that it was graded on."""
    return root / STATE / "records" / slug / student / notebook


def written(root: Path, slug: str = "*", student: str = "*") -> list[Path]:
    """Return the files of the records of one assignment and student, or of all."""
    names = (name if name == "*" else glob.escape(name) for name in (slug, student))
    return sorted((root / STATE / "records").glob("/".join((*names, "*", RECORD))))


def save(root: Path, record: Record, cases: Mapping[str, bytes]) -> None:
    """Save the record and the cases of a grading, so that it can be explained and replayed."""
    place = folder(root, record["assignment"], record["student"], record["notebook"])
    place.mkdir(parents=True, exist_ok=True)
    for name, content in cases.items():
        _write(place / name, content)
    # Last: a record says that everything else is there.
    text = json.dumps(record, ensure_ascii=False) + "\n"
    _write(place / RECORD, text.encode("utf-8", "replace"))


def load(root: Path, slug: str, student: str, notebook: str) -> Record | None:
    """Read the record of the last grading of a notebook; None if there is none that can be read."""
    try:
        found: Record | None = json.loads((folder(root, slug, student, notebook) / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_all(course: Course, slug: str, students: Collection[str] | None = None) -> Iterator[Record]:
    """Yield the records of the last grading, of all submissions that are there or of those of `students`, by student.

    Raises
    ------
    Refused
        If a record is damaged.
    """
    there = set(course.students(slug))
    names = set(course.notebooks(slug))  # of one that was removed or renamed the records stay
    for path in written(course.root, slug):
        student = path.parent.parent.name
        if student not in there or path.parent.name not in names or (students is not None and student not in students):
            continue
        try:
            yield json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Refused(f"{path} is damaged ({error}): grade {student!r} again, which renews it") from error


def slim(record: Record) -> Record:
    """Return `record` without the cases that hold and without hashes: those of a class of thousands fill the memory."""
    slimmed = {name: value for name, value in record.items() if name not in ("key", "written", "seen")}
    slimmed["exercises"] = {
        name: {**result, "cases": [case for case in result.get("cases", []) if not case["ok"]]}
        for name, result in record["exercises"].items()
    }
    return cast(Record, _shared(slimmed))


def _shared(value: Any) -> Any:
    """Copy `value` with one string for all that are equal: names and statuses of a class are always the same."""
    if type(value) is str:
        return sys.intern(value)
    if isinstance(value, dict):
        return {_shared(name): _shared(one) for name, one in value.items()}
    return [_shared(one) for one in value] if isinstance(value, list) else value


def changes(before: Record | None, after: Record) -> Iterator[Change]:
    """Yield the scores that differ between two gradings of a notebook."""
    scores = {name: result["score"] for name, result in before["exercises"].items()} if before else {}
    for name, result in after["exercises"].items():
        old, new = scores.get(name), result["score"]
        if old is not None and new is not None and old != new:
            yield Change(after["student"], name, old, new)


def _write(path: Path, content: bytes) -> None:
    """Replace the file at once: a reader finds the old content or the new one, even after a power cut."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
