"""Print a class as a table: student × exercise, totals, what was found in each submission, and marks."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from coursekit.reporting import number, printable

from .notebook import graded_cell
from .records import Change
from .results import ExerciseResult, Mark, Record
from .scores import Scores
from .summary import findings

console = Console(width=None if sys.stdout.isatty() else 140)  # a log has no width of its own
WIDE = 120  # from here on the findings fit beside the scores
MARK = "⚑"
SHOWN_MARKS = 5  # of one submission
SHOWN_STUDENTS = 5  # with the same note
ROWS = 250  # until the head comes again, so that a class of thousands is not laid out in memory as a whole


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar; yield the function that moves it (done, all, the student just finished)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)

        def move(done: int, total: int, student: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{title} · {printable(student)}")

        yield move


def show_class(
    slug: str,
    records: Sequence[Record],
    gradebook: Mapping[str, Scores],
    late: Mapping[str, float],
    screen: Console = console,
) -> None:
    """Print the table: a row for each student, a column for each exercise of each notebook.

    Points are those of the `gradebook`; `late` says by how many seconds who is late.
    """
    for part in _class_table(slug, records, gradebook, late, wide=screen.width >= WIDE):
        screen.print(part)
    show_notes(records, screen)
    show_marks(records, screen)


def show_notes(records: Iterable[Record], screen: Console = console) -> None:
    """Print how notebooks were read that are not as expected, and whose; nothing if all are."""
    students: dict[str, list[str]] = {}
    for record in records:
        for note in record.get("notes", []):
            students.setdefault(note, []).append(record["student"])
    table = Table(title="Read all the same", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("students", overflow="fold", max_width=40)
    table.add_column("what was not as expected", overflow="fold")
    for note, of in students.items():
        more = f" and {len(of) - SHOWN_STUDENTS} more" if len(of) > SHOWN_STUDENTS else ""
        table.add_row(_plain(", ".join(of[:SHOWN_STUDENTS])) + more, _plain(note))
    if table.row_count:
        screen.print("", table, sep="\n")
        screen.print(Text("None of this costs points; it is said on the students' pages too."))


def show_marks(records: Iterable[Record], screen: Console = console) -> None:
    """Print who has marks, and which; nothing if nobody has any."""
    table = Table(title=f"{MARK} Marked", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("student", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for record in records:
        marks = record.get("marks", [])
        for one in marks[:SHOWN_MARKS]:
            table.add_row(_plain(record["student"]), _plain(one["kind"]), _plain(told(one)))
        if len(marks) > SHOWN_MARKS:
            table.add_row(_plain(record["student"]), "", f"and {len(marks) - SHOWN_MARKS} more, in its record")
    if table.row_count:
        screen.print("", table, sep="\n")
        screen.print(Text("A mark says what was seen, not what was meant; no score depends on it. See docs/wall.md."))


def told(mark: Mark) -> str:
    """Say a mark in one line."""
    times = f" ({mark['count']} times)" if mark["count"] > 1 else ""
    return (f"{mark['where']}: " if "where" in mark else "") + mark["reason"] + times


def _class_table(
    slug: str, records: Sequence[Record], gradebook: Mapping[str, Scores], late: Mapping[str, float], wide: bool
) -> Iterator[RenderableType]:
    rows = [list(found) for _, found in itertools.groupby(records, lambda record: record["student"])]
    notebooks = sorted({record["notebook"] for record in records})
    maximum = {key: result["max"] for record in records for key, result in _by_column(record).items()}
    exercises = sorted(maximum, key=lambda column: notebooks.index(column[0]))  # of a notebook, in its order
    for start in range(0, max(1, len(rows)), ROWS):
        title = f"{slug}: {len(rows)} submission{'s' * (len(rows) != 1)}" if start == 0 else None
        table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("student", no_wrap=True)
        for i, name in enumerate(exercises, start=1):
            table.add_column(f"{i}\n/{number(maximum[name])}", justify="right", no_wrap=True)
        for title in ("late", "total") if late else ("total",):
            table.add_column(title, justify="right", no_wrap=True)
        if wide:
            table.add_column("found", overflow="fold")
        for row in rows[start : start + ROWS]:
            results = {key: result for record in row for key, result in _by_column(record).items()}
            given = gradebook.get(row[0]["student"], Scores())
            scores = [_score(given, *key, results.get(key)) for key in exercises]
            of_class = [_lateness(late.get(row[0]["student"], 0), given), _total(given, row)]
            student = _plain(row[0]["student"]) + (f" {MARK}" if any(record.get("marks") for record in row) else "")
            table.add_row(student, *scores, *of_class[not late :], *([_found_line(row)] if wide else []))
        yield table
    names = [name if len(notebooks) == 1 else f"{notebook}/{name}" for notebook, name in exercises]
    yield Columns([_plain(f"{i} {name}") for i, name in enumerate(names, start=1)], padding=(0, 3))
    yield Text("Points are those of the gradebook. A dash waits to be graded by hand, in formgrader.")
    if any(
        score.given_before for one in gradebook.values() for cells in one.cells.values() for score in cells.values()
    ):
        yield Text("Points with a ? were given by hand, and what they were given for has changed since.")
    if not wide:
        yield from (f"{_plain(row[0]['student'])}: {_found_line(row)}" for row in rows)


def _by_column(record: Record) -> dict[tuple[str, str], ExerciseResult]:
    """Return the results of a record by notebook and exercise."""
    return {(record["notebook"], name): result for name, result in record["exercises"].items()}


def found(record: Record) -> list[str]:
    """Say what was found in one submission: how it failed as a whole, or each finding with its exercises."""
    if record["status"] != "graded":
        return [str(record["status"])]
    by_code: dict[str, dict[str, None]] = {}
    for name, code, _ in findings(record):
        by_code.setdefault(code, {})[str(name)] = None
    return [code if len(names) > 2 else f"{code} ({', '.join(names)})" for code, names in by_code.items()]


def _found_line(row: Sequence[Record]) -> str:
    """Say what was found in the notebooks of one student."""
    lines = [f"{one['notebook']}: {line}" if len(row) > 1 else line for one in row for line in found(one)]
    return _plain("; ".join(lines) or "nothing wrong")


def _score(given: Scores, notebook: str, name: str, result: ExerciseResult | None) -> str:
    if result is None:
        return "-"
    score = given.cells.get(notebook, {}).get(graded_cell(name, result))
    points = score.points if score else result["score"]
    if points is None:
        return "-"
    text = number(points) + ("?" if score and score.given_before else "")
    return text if points >= result["max"] else f"[bold red]{text}[/]"


def _lateness(seconds: float, given: Scores) -> str:
    """Say how late a submission is, and what that costs."""
    minutes = math.ceil(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    time = f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
    penalty = sum(given.penalties.values())
    return "" if not seconds else f"{time} −{number(penalty)}" if penalty else time


def _total(given: Scores, row: Sequence[Record]) -> str:
    if given.cells:
        return f"{number(given.total)}/{number(given.max)}"
    return "/".join(number(sum(record[what] for record in row)) for what in ("score", "max"))  # not recorded


def _plain(text: str) -> str:
    return escape(printable(text))


def changed_scores(changes: Sequence[Change]) -> Table:
    """Lay out the scores that differ from those of the last grading."""
    table = Table(title="Changed since the last grading", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("student", "exercise", "before", "now", "difference"):
        table.add_column(name, justify="left" if name in ("student", "exercise") else "right", no_wrap=True)
    for one in changes:
        difference = f"{one.after - one.before:+g}".replace("-", "−")
        table.add_row(_plain(one.student), _plain(one.exercise), number(one.before), number(one.after), difference)
    return table
