"""Say which submissions have to be graded, and what still stands of the last grading."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import fingerprint, records, scores
from .cases import course_secret
from .course import Course
from .errors import Refused
from .hashing import digest
from .results import Record
from .scores import Scores


@dataclass(frozen=True)
class Planned:
    """A submission to grade.

    Attributes
    ----------
    student : str
    handed_in : str
        A hash of what was handed in.
    key : str
        A hash of all that its grade depends on.
    """

    student: str
    handed_in: str
    key: str


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
        gradebook = scores.of_class(self.course, self.slug)
        plan = Plan()
        for student in self._chosen(students):
            handed_in = fingerprint.of_submission(self.course.folder("submitted", student, self.slug))
            key = digest([of_all.encode(), handed_in.encode()])
            olds = None if again else self._standing(student, key, gradebook.get(student, Scores()))
            if olds is None:
                plan.todo.append(Planned(student, handed_in, key))
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
            if not self.course.is_chosen(student):
                raise Refused(f"{student!r} is excluded from grading by the configuration (student_id_exclude)")
            if student not in found:
                of_student = (line for line in self.course.overlooked(self.slug) if line.startswith(repr(student)))
                why = next((f": {line}" for line in of_student), "")
                raise Refused(f"{student!r} has handed in nothing for {self.slug!r}{why}")
        if not found:
            place = self.course.folder("submitted", "*", self.slug)
            why = "".join(f"\n  - {line}" for line in self.course.overlooked(self.slug))
            raise Refused(f"nothing has been handed in for {self.slug!r}: no folder matches {place}{why}")
        return [student for student in found if students is None or student in students]

    def _standing(self, student: str, key: str, gradebook: Scores) -> list[Record] | None:
        """Return the records of the last grading, if it is complete and stands in the gradebook as it was written."""
        found: list[Record] = []
        for name in self.names:
            old = records.load(self.course.root, self.slug, student, name)
            if old is None or old.get("key") != key or name not in gradebook.cells:
                return None
            if {cell: score.auto for cell, score in gradebook.cells[name].items()} != old.get("written"):
                return None
            if not (self.course.folder("autograded", student, self.slug) / f"{name}.ipynb").is_file():
                return None
            found.append(old)
        return found
