"""Read what was handed in."""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path
from typing import Any

import nbformat

MAX_NOTEBOOK = 50 * 2**20


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
    invalid: dict[str, Exception] = {}
    try:
        text = path.read_text(encoding="utf-8")
        if re.search(r"\\u[dD][89a-fA-F]", text):  # half of a surrogate pair can be written nowhere
            text = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
        nb = nbformat.reads(text, nbformat.current_nbformat, capture_validation_error=invalid)
    except Exception as error:  # whatever nbformat makes of a broken file
        invalid["ValidationError"] = error
    for what in invalid.values():
        first = (str(what).strip() or type(what).__name__).splitlines()[0]
        raise Unreadable(f"{path.name} is not a notebook that can be read ({type(what).__name__}: {first[:150]})")
    return nb


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
