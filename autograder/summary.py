"""Summarise the mistakes of a class in an assignment: which, by how many, where, and an example of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from coursekit.reporting import printable

from .results import Record

# Codes that say why nothing could be compared; any other is a mistake in the mathematics.
NO_RESULT = ("not-written", "not-defined", "not-run", "error", "timeout", "refused")
UNEXPLAINED = "unexplained"  # wrong, and no check knows why
WIDTH = 120
SHOWN_EXERCISES = 4


@dataclass
class Tally:
    """The students who had the finding `code`, by exercise, and how often each message was written."""

    code: str
    students: set[str] = field(default_factory=set)
    exercises: dict[str, set[str]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)

    @property
    def where(self) -> str:
        """The exercises with their numbers of students, the most frequent first."""
        ranked = sorted(self.exercises.items(), key=lambda item: -len(item[1]))
        shown = [f"{_line(name)} {len(students)}" for name, students in ranked[:SHOWN_EXERCISES]]
        rest = len(ranked) - len(shown)
        return ", ".join(shown) + (f" and {rest} more" if rest else "")

    @property
    def example(self) -> str:
        """The message that was written most often."""
        return _line(self.messages.most_common(1)[0][0])


def class_summary(records: Iterable[Record]) -> Group:
    """Lay out the mistakes of a class, then what gave no result: by code, the students, the exercises, an example.

    It names no student. Read the examples before you show it to the class: one may quote a file's name.
    """
    students: set[str] = set()

    def counted() -> Iterator[Record]:
        for record in records:  # once, and none is kept: those of a class of thousands would fill the memory
            students.add(record["student"])
            yield record

    tallies = tally(counted())
    everybody = len(students)

    def part(title: str, kind: str, chosen: Callable[[str], bool]) -> Iterator[RenderableType]:
        of_part = [one for one in tallies if chosen(one.code)]
        if of_part:
            concerned = set().union(*(one.students for one in of_part))
            yield Text(f"{title}: {len(concerned)} of {everybody} student{'s' * (everybody != 1)}", style="italic")
            yield _rows(kind, of_part)

    mistakes = list(part("Mistakes", "mistake", lambda code: code not in NO_RESULT))
    missing = list(part("Nothing to check", "reason", lambda code: code in NO_RESULT))
    gap = [Text()] if missing else []
    return Group(*(mistakes or [Text("No mistakes were found.")]), *gap, *missing)


def tally(records: Iterable[Record]) -> list[Tally]:
    """Count the codes that were found, the most frequent first."""
    by_code: dict[str, Tally] = {}
    for record in records:
        for name, code, message in findings(record):
            one = by_code.setdefault(code, Tally(code))
            one.students.add(record["student"])
            one.messages[message] += 1
            if name is not None:
                one.exercises.setdefault(name, set()).add(record["student"])
    return sorted(by_code.values(), key=lambda one: (-len(one.students), one.code))


def findings(record: Record) -> Iterator[tuple[str | None, str, str]]:
    """Yield exercise, code and message of all that was found in one submission.

    A submission that could not be graded at all has one finding, with its status, in no
    exercise; an exercise that is wrong for no known reason has the finding `UNEXPLAINED`.
    """
    if record["status"] != "graded":
        status, _, reason = str(record["status"]).partition(":")
        yield None, status, reason.strip() or status
        return
    for name, result in record["exercises"].items():
        for finding in result.get("findings", []):
            yield name, finding["code"], finding["message"]
        if result["score"] is not None and result["score"] < result["max"] and not result.get("findings"):
            failed = next((case for case in result.get("cases", []) if not case["ok"]), None)
            yield name, UNEXPLAINED, f"{failed['name']} {failed['message']}" if failed else "no known mistake"


def _rows(kind: str, tallies: Sequence[Tally]) -> Constrain:
    """Lay out two lines for each code: where it was found, and the example, cut at the end of the line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("students", justify="right", no_wrap=True)
    table.add_column(kind, no_wrap=True)
    table.add_column("students in each exercise, and an example")
    for one in tallies:
        where = [Text(one.where)] if one.exercises else []
        example = Text(one.example, style="dim", no_wrap=True, overflow="ellipsis")
        table.add_row(str(len(one.students)), Text(_line(one.code), style="bold"), Group(*where, example))
    return Constrain(table, WIDTH)


def _line(text: str) -> str:
    return " ".join(printable(text).split())
