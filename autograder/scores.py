"""Read what the gradebook says, in a few queries: nbgrader takes seconds to import, and asks for each grade alone."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .course import Course


@dataclass(frozen=True)
class Score:
    """What the gradebook says of one graded cell of a submission; None is what nobody has given."""

    auto: float | None
    manual: float | None
    extra: float | None
    waits: bool
    max: float

    @property
    def points(self) -> float | None:
        """The points that count; None where nobody has given any yet."""
        given = self.auto if self.manual is None else self.manual
        return None if given is None and not self.extra else (given or 0.0) + (self.extra or 0.0)

    @property
    def given_before(self) -> bool:
        """Whether a person gave points, and has to look again."""
        return self.waits and self.manual is not None


@dataclass
class Scores:
    """What the gradebook says of one student's submission: by notebook the penalty, and the score of each cell."""

    penalties: dict[str, float] = field(default_factory=dict)
    cells: dict[str, dict[str, Score]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All points, less the penalty for handing in late."""
        given = sum(score.points or 0.0 for cells in self.cells.values() for score in cells.values())
        return max(0.0, given - sum(self.penalties.values()))

    @property
    def max(self) -> float:
        return sum(score.max for cells in self.cells.values() for score in cells.values())


OF_ASSIGNMENT = """
    FROM submitted_notebook
    JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
    JOIN assignment ON submitted_assignment.assignment_id = assignment.id
    JOIN notebook ON submitted_notebook.notebook_id = notebook.id
"""
SUBMITTED = f"""
    SELECT submitted_assignment.student_id, notebook.name, submitted_notebook.late_submission_penalty
    {OF_ASSIGNMENT}
    WHERE assignment.name = :slug
"""
GRADES = f"""
    SELECT submitted_assignment.student_id, notebook.name, base_cell.name,
           grade.auto_score, grade.manual_score, grade.extra_credit, grade.needs_manual_grade,
           COALESCE(grade_cells.max_score, task_cells.max_score, 0)
    {OF_ASSIGNMENT}
    JOIN grade ON grade.notebook_id = submitted_notebook.id
    JOIN base_cell ON grade.cell_id = base_cell.id
    LEFT JOIN grade_cells ON grade_cells.id = base_cell.id
    LEFT JOIN task_cells ON task_cells.id = base_cell.id
    WHERE assignment.name = :slug
"""
RELEASED = (
    """
    SELECT notebook.name, notebook.kernelspec, source_cell.name, source_cell.cell_type, source_cell.locked,
           source_cell.source, source_cell.checksum
    FROM source_cell
    JOIN notebook ON source_cell.notebook_id = notebook.id
    JOIN assignment ON notebook.assignment_id = assignment.id
    WHERE assignment.name = :slug
    """,
    """
    SELECT notebook.name, base_cell.name, base_cell.type, COALESCE(grade_cells.max_score, task_cells.max_score, 0)
    FROM base_cell
    JOIN notebook ON base_cell.notebook_id = notebook.id
    JOIN assignment ON notebook.assignment_id = assignment.id
    LEFT JOIN grade_cells ON grade_cells.id = base_cell.id
    LEFT JOIN task_cells ON task_cells.id = base_cell.id
    WHERE assignment.name = :slug
    """,
)
DUE = "SELECT duedate FROM assignment WHERE name = :slug"


def of_class(course: Course, slug: str) -> dict[str, Scores]:
    """Return what the gradebook says of all submissions of an assignment, by student."""
    found: dict[str, Scores] = {}
    for student, notebook, penalty in _query(course.db_url, SUBMITTED, slug):
        one = found.setdefault(student, Scores())
        one.penalties[notebook], one.cells[notebook] = penalty or 0.0, {}
    for student, notebook, cell, auto, manual, extra, waits, most in _query(course.db_url, GRADES, slug):
        found[student].cells[notebook][cell] = Score(auto, manual, extra, bool(waits), most)
    return found


def may_be_late(course: Course, slug: str) -> bool:
    """Return whether an assignment has a due date, or had one."""
    due = any(when is not None for (when,) in _query(course.db_url, DUE, slug))
    return due or any(penalty for _, _, penalty in _query(course.db_url, SUBMITTED, slug))


def released(course: Course, slug: str) -> list[str]:
    """Return what the gradebook holds of the released notebooks: more than is in them, such as hidden tests."""
    return sorted(repr(tuple(row)) for query in RELEASED for row in _query(course.db_url, query, slug))


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
