"""Read what was handed in."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from .course import quick_nbgrader
from .wall.apart import Helper, Unanswered

quick_nbgrader()  # in the helper's process, which nobody else has told

import nbformat  # noqa: E402

MAX_NOTEBOOK = 50 * 2**20
MAX_VALUES = 5_000_000  # in the file: each takes far more memory than the "[]," that it is written as
# What is left without the outputs, which are made anew.  nbformat and nbgrader copy and check that many times.
MAX_KEPT_VALUES = 500_000
MAX_KEPT = 20 * 2**20
MAX_CELLS = 5000
MAX_SECONDS = 20.0

HELPER = Helper(__name__)


class Unreadable(Exception):
    """What was handed in is no notebook that can be graded; the message says why."""


def read_notebook(folder: Path, name: str, student: str) -> Any:
    """Return the notebook `name` that `student` has handed in, in `folder`.

    Raises
    ------
    Unreadable
        With the reason, for the student and the instructor.
    """
    path = folder / f"{name}.ipynb"
    _require_readable(path, student)
    try:
        found, problem = HELPER.call(MAX_SECONDS, "parsed", path.read_text(encoding="utf-8"))
    except (Unanswered, UnicodeError) as error:
        found, problem = None, f"is not a notebook that can be read ({type(error).__name__}: {error})"
    if problem:
        raise Unreadable(f"{path.name} {problem}")
    return nbformat.from_dict(found)


def parsed(text: str) -> tuple[Any, str]:
    """Return the notebook that `text` holds, without its outputs, and an empty text; or what is wrong with it.

    A :class:`~autograder.wall.apart.Helper` does this: nbformat compares the tags of a cell each with all others.
    """
    if _values(text) > MAX_VALUES:
        return None, f"holds more than {MAX_VALUES} values: clear its outputs and hand it in again"
    invalid: dict[str, Exception] = {}
    try:
        text = _without_outputs(json.loads(text))
        if len(text) > MAX_KEPT or _values(text) > MAX_KEPT_VALUES:
            return None, "is too large even without its outputs: remove what is no part of the assignment"
        nb = nbformat.reads(text, nbformat.current_nbformat, capture_validation_error=invalid)
        if len(nb.cells) > MAX_CELLS:
            return None, f"has more than {MAX_CELLS} cells"
    except Exception as error:  # whatever nbformat makes of a broken file
        invalid["ValidationError"] = error
    for what in invalid.values():
        first = (str(what).strip() or type(what).__name__).splitlines()[0]
        return None, f"is not a notebook that can be read ({type(what).__name__}: {first[:150]})"
    return nb, ""


def _without_outputs(found: Any) -> str:
    """Return the JSON of a notebook without its outputs."""
    cells = found.get("cells") if isinstance(found, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and isinstance(cell.get("outputs"), list):
            cell["outputs"] = []
    # Half of a surrogate pair can be written nowhere.
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def _values(text: str) -> int:
    return sum(text.count(sign) for sign in "[{,")


def _require_readable(path: Path, student: str) -> None:
    """Refuse what is no file of a reasonable size."""
    if glob.has_magic(student):
        raise Unreadable("nbgrader cannot work with a student's name that holds any of * ? [: rename the folder")
    if path.is_symlink():
        raise Unreadable(f"{path.name} is a link, not a file")
    if not path.exists():
        others = ", ".join(sorted(p.name for p in path.parent.iterdir()))[:200]
        if not others:
            raise Unreadable(f"the folder that was handed in is empty; expected {path.name} in it")
        raise Unreadable(f"there is no {path.name} in what was handed in, only {others}: rename the notebook")
    if not path.is_file():
        raise Unreadable(f"{path.name} is not a file")
    if path.stat().st_size > MAX_NOTEBOOK:
        most = MAX_NOTEBOOK >> 20
        raise Unreadable(f"{path.name} is larger than {most} MB: clear its outputs and hand it in again")
