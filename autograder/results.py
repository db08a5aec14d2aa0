"""What grading takes and what it gives: plain data that crosses between processes and is kept in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from coursekit.checks.report import VerdictRecord
    from coursekit.reporting import FindingRecord


class ExerciseResult(TypedDict):
    """The result of one graded cell; a cell without a check has the first three entries.

    `score` is None where a person grades.  `parts` holds the earned and the possible points of each part.
    """

    status: str
    score: float | None
    max: float
    exercise: NotRequired[str]
    parts: NotRequired[dict[str, list[float]]]
    findings: NotRequired[list[FindingRecord]]
    cases: NotRequired[list[VerdictRecord]]
    notes: NotRequired[list[str]]
    seconds: NotRequired[float]


class Mark(TypedDict):
    """What was seen of a submission and honest work does not show: no verdict, and no score depends on it.

    `kind` is one of those in :mod:`autograder.marks`, `reason` a sentence about the submission without its subject,
    `count` how often it was seen, `where` the cell, if it is known.
    """

    kind: str
    reason: str
    count: int
    where: NotRequired[str]


class Record(TypedDict):
    """The results of one notebook, by exercise.

    `status` is ``"graded"``, or ``"refused: "`` and the reason.  `lost_cells` are the cells that ended the
    notebook's process, each with what happened.  Score and maximum are of what is graded automatically.
    `marks` are what an instructor should look at, `notes` sentences for the student about how the notebook was read;
    records of older versions have none.
    The last three entries are added when the record is kept: `key` is a hash of what the results depend on, `written`
    holds the automatic scores as they stand in the gradebook, by cell, and `seen` a hash of what a person who grades
    each cell has before them.
    """

    student: str
    assignment: str
    notebook: str
    status: str
    score: float
    max: float
    exercises: dict[str, ExerciseResult]
    lost_cells: dict[str, str]
    seconds: float
    marks: NotRequired[list[Mark]]
    notes: NotRequired[list[str]]
    key: NotRequired[str]
    written: NotRequired[dict[str, float | None]]
    seen: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class Submission:
    """A student's notebook, sanitised by nbgrader, as JSON; and the files that belong beside it.

    `handed_in` is a hash of everything that the student handed in: cases are drawn from it.
    `marks` tell in what its test cells were not those that were released, before they were put back; `notes` what else
    was not as expected and costs nothing, in words for the student.
    """

    student: str
    assignment: str
    name: str
    content: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    handed_in: str = ""
    marks: Sequence[Mark] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Graded:
    """The executed notebook as JSON, the record of its grading, and the cases that it was graded on."""

    content: str
    record: Record
    cases: dict[str, bytes]
