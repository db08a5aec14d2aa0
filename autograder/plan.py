"""Say which submissions have to be graded, and what still stands of the last grading."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import fingerprint, records
from .cases import course_secret
from .course import Course
from .errors import Refused
from .hashing import digest
from .results import Kept, Record


@dataclass(frozen=True)
class Planned:
    """A submission to grade.

    Attributes
    ----------
    student : str
    key : str
        A hash of all that its grade depends on, but for `checks.py`.
    kept : dict
        By notebook: what stays of the last grading, because only other exercises' checks changed.
    """

    student: str
    key: str
    kept: Mapping[str, Kept] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The submissions to grade, and the records of those whose last grading still stands, by student."""

    todo: list[Planned] = field(default_factory=list)
    standing: dict[str, list[Record]] = field(default_factory=dict)


class Planner:
    """Plans the grading of an assignment.

    Parameters
    ----------
    course : Course
    slug : str
        The assignment.
    settings : dict
        Traits of `WallExecute` that the run sets.
    """

    def __init__(self, course: Course, slug: str, settings: Mapping[str, Any]) -> None:
        self.course = course
        self.slug = slug
        self.settings = settings
        self.names = course.notebooks(slug)
        self.checks = course.checks(slug)

    def plan(self, students: Collection[str] | None = None, again: bool = False) -> Plan:
        """Plan the grading of `students`, or of all; with `again`, also of what has not changed since it was graded.

        Raises
        ------
        Refused
            If the assignment was not released here, or one of the students, or everybody, has handed in nothing.
        """
        self._require_release()
        secret = course_secret(self.course.state)
        of_all = fingerprint.of_assignment(self.course, self.slug, self.settings, secret)
        due, recorded = _recorded_notebooks(self.course, self.slug)
        plan = Plan()
        for student in self._chosen(students):
            handed_in = fingerprint.of_submission(self.course.folder("submitted", student, self.slug))
            key = digest([of_all.encode(), handed_in.encode(), due.encode()])
            olds = None if again else self._last_records(student, key, recorded.get(student, set()))
            if olds is None:
                plan.todo.append(Planned(student, key))
            elif kept := self._kept(olds):
                plan.todo.append(Planned(student, key, kept))
            else:
                plan.standing[student] = [records.slim(old) for old in olds]
        return plan

    def _require_release(self) -> None:
        folder = self.course.folder("release", ".", self.slug)
        if not all((folder / f"{name}.ipynb").is_file() for name in self.names):
            raise Refused(f"{self.slug!r} has not been released here: run `autograder release {self.slug}` first")

    def _chosen(self, students: Collection[str] | None) -> list[str]:
        found = self.course.students(self.slug)
        for student in students or ():
            if student not in found:
                of_student = (line for line in self.course.overlooked(self.slug) if line.startswith(repr(student)))
                why = next((f": {line}" for line in of_student), "")
                raise Refused(f"{student!r} has handed in nothing for {self.slug!r}{why}")
        if not found:
            place = self.course.folder("submitted", "*", self.slug)
            why = "".join(f"\n  - {line}" for line in self.course.overlooked(self.slug))
            raise Refused(f"nothing has been handed in for {self.slug!r}: no folder matches {place}{why}")
        return [student for student in found if students is None or student in students]

    def _last_records(self, student: str, key: str, in_gradebook: Collection[str]) -> list[Record] | None:
        """Return the records of the last grading, if it is complete and nothing but the checks may have changed."""
        found: list[Record] = []
        for name in self.names:
            old = records.load(self.course.root, self.slug, student, name)
            if old is None or old.get("key") != key or name not in in_gradebook:
                return None
            if not self._graded_notebook(student, name).is_file():
                return None
            found.append(old)
        return found

    def _kept(self, olds: list[Record]) -> dict[str, Kept]:
        """Return what stays of each notebook of which some checks have changed; empty if the grading stands."""
        found: dict[str, Kept] = {}
        for old in olds:
            if old.get("checks") == fingerprint.of_checks(self.checks):
                continue
            before, now = old.get("digests", {}), fingerprint.of_exercises(self.checks)
            same = {name for name in old["exercises"] if name in before and before[name] == now.get(name)}
            if bool(before) != bool(now):  # there was no `checks.py`, or there is none any more
                found[old["notebook"]] = Kept()
            elif not same == set(now) & set(old["exercises"]) == set(before):
                found[old["notebook"]] = _kept_of(self._graded_notebook(old["student"], old["notebook"]), old, same)
        return found

    def _graded_notebook(self, student: str, name: str) -> Path:
        return self.course.folder("autograded", student, self.slug) / f"{name}.ipynb"


def _kept_of(path: Path, old: Record, names: Collection[str]) -> Kept:
    from .notebook import kept  # imports all that is needed to show a report

    return kept(path.read_text(encoding="utf-8"), old, names)


# -- what the gradebook holds -------------------------------------------------------------------

SUBMITTED = """
    SELECT submitted_assignment.student_id, notebook.name
    FROM submitted_notebook
    JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
    JOIN assignment ON submitted_assignment.assignment_id = assignment.id
    JOIN notebook ON submitted_notebook.notebook_id = notebook.id
    WHERE assignment.name = :slug
"""


def _recorded_notebooks(course: Course, slug: str) -> tuple[str, dict[str, set[str]]]:
    """Return when the assignment is due, and the notebooks that the gradebook holds, by student."""
    due = [str(when) for (when,) in _query(course.db_url, "SELECT duedate FROM assignment WHERE name = :slug", slug)]
    found: dict[str, set[str]] = {}
    for student, name in _query(course.db_url, SUBMITTED, slug):
        found.setdefault(student, set()).add(name)
    return "".join(due), found


def _query(url: str, statement: str, slug: str) -> list[Any]:
    """Return the rows of a statement; none if there is no gradebook that can be read, which its writer will report."""
    path = url.removeprefix("sqlite:///")
    if path != url and "?" not in path:  # SQLAlchemy takes longer to import than all this if nothing has changed
        if not Path(path).is_file():
            return []
        try:
            with contextlib.closing(sqlite3.connect(path)) as database:
                return database.execute(statement, {"slug": slug}).fetchall()
        except sqlite3.Error:
            return []
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(statement), {"slug": slug}))
    except SQLAlchemyError:
        return []
    finally:
        engine.dispose()
