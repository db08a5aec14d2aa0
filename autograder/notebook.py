"""A notebook's cells: what nbgrader's metadata says of them, and the outputs that the grader writes into them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypedDict

from coursekit.checks.report import Report
from coursekit.reporting import printable

from .hashing import digest
from .results import ExerciseResult, Record
from .wall.outputs import Output

CHECK = "check_"  # how the grade id of a check cell begins; the exercise's name follows
MAX_PRINTED = 10_000  # characters that a check cell shows of what was printed in it
MAX_REASON = 300  # characters of a student's error that are quoted as the reason for something else


class Cell(TypedDict, total=False):
    """A cell, as nbformat describes it."""

    id: str
    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any]
    outputs: list[Output]
    execution_count: int | None


class Notebook(TypedDict):
    """As much of nbformat's notebook as grading reads."""

    cells: list[Cell]


# -- reading cells --------------------------------------------------------------------------


def metadata(cell: Cell) -> dict[str, Any]:
    """Return nbgrader's metadata of `cell`."""
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def grade_id(cell: Cell) -> str:
    """Return nbgrader's name of `cell`, or an empty text."""
    return str(metadata(cell).get("grade_id", ""))


def points(cell: Cell) -> float:
    """Return the most that `cell` can earn."""
    return float(metadata(cell).get("points") or 0)


def source(cell: Cell) -> str:
    """Return the text of `cell`."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def same_text(cell: Cell, other: Cell) -> bool:
    """Return whether two cells have the same text, but for spaces at the ends of lines and blank lines around."""
    texts = ("\n".join(line.rstrip() for line in source(one).strip().splitlines()) for one in (cell, other))
    return next(texts) == next(texts)


def is_code(cell: Cell) -> bool:
    """Return whether `cell` is a code cell."""
    return cell["cell_type"] == "code"


def is_test(cell: Cell) -> bool:
    """Return whether nbgrader scores `cell` by its outputs."""
    return is_code(cell) and bool(metadata(cell).get("grade")) and not metadata(cell).get("solution")


def checked(cell: Cell, exercises: Collection[str]) -> str | None:
    """Return which of the `exercises` is checked by `cell`, or None if it is no check cell."""
    if not is_test(cell) or not grade_id(cell).startswith(CHECK):
        return None
    name = grade_id(cell).removeprefix(CHECK)
    return name if name in exercises else None


def seen(cells: Iterable[Cell], record: Record, handed_in: str) -> dict[str, str]:
    """Hash, for each graded cell, what a person who grades it has before them.

    Of an answer in words that is its text.  Of all else it is what came of it, and everything that was handed in, as
    the outputs of any code may depend on that.
    """
    found = {}
    results = {graded_cell(name, result): result for name, result in record["exercises"].items()}
    for cell in cells:
        if metadata(cell).get("grade") or metadata(cell).get("task"):
            result = dict(results.get(grade_id(cell), {}))
            came = [result.get(what) for what in ("status", "score", "max", "parts")]
            in_words = not is_code(cell) and metadata(cell).get("solution")
            answer = [source(cell), cell.get("attachments")] if in_words else handed_in
            found[grade_id(cell)] = digest([json.dumps([points(cell), came, answer], sort_keys=True).encode()])
    return found


def graded_cell(name: str, result: ExerciseResult) -> str:
    """Return nbgrader's name of the cell that a record's result `name` is of."""
    return CHECK + name if "exercise" in result else name


# -- writing outputs ------------------------------------------------------------------------


def check_outputs(report: Report, worth: float, printed: Sequence[Output] = ()) -> list[Output]:
    """Compose the outputs of a check cell: what was printed, the report, the score, and an error if it failed.

    nbgrader takes the first output that decides; that is the score, a float.  Of what the student's process sent
    only printed text is kept, and not as stderr, which nbgrader scores as zero.

    Parameters
    ----------
    report : Report
    worth : float
        The points of the cell.
    printed : list of Output
        What the student's process sent while the cell ran.
    """
    outputs: list[Output] = []
    text = "".join(output["text"] for output in printed if output["output_type"] == "stream")
    if text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": text[:MAX_PRINTED]})
    bundle = {"text/plain": report.text(), "text/html": report.html()}
    outputs.append({"output_type": "display_data", "data": bundle, "metadata": {}})
    score = worth * report.score / report.points if report.points else 0.0
    result = {"text/plain": repr(float(score))}
    outputs.append({"output_type": "execute_result", "data": result, "metadata": {}, "execution_count": None})
    if not report.passed:
        outputs.append(error("CheckFailed", report.summary()))
    return outputs


def error(kind: str, message: str) -> Output:
    """Compose an error output."""
    return {"output_type": "error", "ename": kind, "evalue": printable(message), "traceback": [printable(message)]}


def quoted(output: Output) -> str:
    """Return the error in an output as part of a sentence."""
    return f"{output['ename']}: {output['evalue']}"[:MAX_REASON]


def insert_notes(nb: Notebook, notes: Iterable[str]) -> None:
    """Put a cell at the top that says how the notebook was read."""
    lines = "".join(f"\n- {note}" for note in notes)
    names = {cell.get("id") for cell in nb["cells"]}
    name = next(name for name in (f"notes-{number}" for number in itertools.count()) if name not in names)
    text = f"*About the file that you handed in. This costs no points.*\n{lines}"
    nb["cells"].insert(0, {"id": name, "cell_type": "markdown", "metadata": {}, "source": text})


def number_cell(cell: Cell, number: int) -> None:
    """Give `cell` and its results the execution count `number`."""
    cell["execution_count"] = number
    for output in cell["outputs"]:
        if output["output_type"] == "execute_result":
            output["execution_count"] = number
