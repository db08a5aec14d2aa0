"""Read what was handed in."""

from __future__ import annotations

import base64
import contextlib
import glob
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coursekit.reporting import printable

from .course import quick_nbgrader
from .finding import Contents, File, best, find, notebooks
from .handed_in import MAX_READ, found_in
from .repair import NoNotebook, decoded, parsed, repaired
from .timestamp import time_handed_in
from .wall.apart import Helper, Unanswered

quick_nbgrader()  # in the helper's process, which nobody else has told

import nbformat  # noqa: E402

MAX_VALUES = 5_000_000  # in the file: each takes far more memory than the "[]," that it is written as
# What is left without the outputs, which are made anew.  nbformat and nbgrader copy and check that many times.
MAX_KEPT_VALUES = 500_000
MAX_KEPT = 20 * 2**20
MAX_CELLS = 5000
MAX_SECONDS = 20.0
MAX_NOTE = 200  # characters of what names are quoted

Tests = Mapping[str, Sequence[tuple[str, str]]]

HELPER = Helper(__name__)


class Unreadable(Exception):
    """What was handed in is no notebook that can be graded; the message says why."""


@dataclass(frozen=True)
class HandedIn:
    """A notebook that was handed in.

    Attributes
    ----------
    notebook : nbformat.NotebookNode
        Without outputs, in the newest format, whatever wrote it.
    notes : tuple of str
        Sentences, for the student and the instructor, about what is not as expected and costs nothing.
    files : dict
        What lay beside it, by name, if it was found in a folder or a package below.
    """

    notebook: Any
    notes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def read_notebook(folder: Path, name: str, student: str, tests: Tests | None = None) -> HandedIn:
    """Return the notebook `name` that `student` has handed in, in `folder`, under whatever name.

    Parameters
    ----------
    folder : Path
    name, student : str
    tests : dict, optional
        By notebook of the assignment: the names and the texts of its test cells, by which it is known.

    Raises
    ------
    Unreadable
        With the reason, for the student and the instructor.
    """
    if glob.has_magic(student):
        raise Unreadable("nbgrader cannot work with a student's name that holds any of * ? [: rename the folder")
    try:
        answer = HELPER.call(MAX_SECONDS, "read", str(folder), name, tests or {name: []})
    except Unanswered as error:
        raise Unreadable(f"{name}.ipynb is not a notebook that can be read ({error})") from error
    if "problem" in answer:
        raise Unreadable(printable(answer["problem"]))
    files = {path: base64.b64decode(content) for path, content in answer["files"].items()}
    notes = (*answer["notes"], *time_handed_in(folder)[1])
    return HandedIn(nbformat.from_dict(answer["notebook"]), notes, files)


# -- in the helper's process --------------------------------------------------------------------


def read(folder: str, name: str, tests: Tests) -> dict[str, Any]:
    """Return a notebook, notes about it and the files that lie beside it elsewhere; or the problem with it."""
    path = Path(folder, f"{name}.ipynb")
    listed = found_in(Path(folder))
    counted = listed.paths  # on them alone a grade depends
    large = [listed.too_much] if listed.too_much else []
    problem = f"there is no {path.name} in what was handed in"
    if path.exists() and not path.is_dir() and path not in counted:
        problem = f"{path.name} lies among more files than are looked at: hand in the files that it needs, no others"
    elif path.is_symlink():
        problem = f"{path.name} is a link, not a file"
    elif path.is_file():
        try:
            notebook, notes = _read(_content(path))
        except NoNotebook as error:
            problem = f"{path.name} {error}"
        else:
            return {"notebook": notebook, "notes": [*large, *notes], "files": {}}
    elif path.exists():
        problem = f"{path.name} is not a file"
    return _read_elsewhere(find(Path(folder), counted), name, tests, problem)


def _read_elsewhere(found: Contents, name: str, tests: Tests, problem: str) -> dict[str, Any]:
    """Return what :func:`read` does, of a notebook in another place or under another name."""
    own = {f"{one}.ipynb" for one in tests} | {f"{name}.ipynb"}
    read: dict[File, tuple[dict[str, Any], list[str]]] = {}
    for file in notebooks(found):
        if str(file) not in own:
            with contextlib.suppress(NoNotebook):
                read[file] = _read(file.content)
    fitting = best(list(read), name, len(tests[name]), {file: _held(nb, tests[name]) for file, (nb, _) in read.items()})
    if not fitting:
        return {"problem": _nothing(found, problem)}
    taken = fitting[0]
    notebook, notes = read[taken]
    others = ", ".join(f"`{_shown(file)}`" for file in fitting[1:4])
    note = f"`{_shown(taken)}` was graded, as {problem}." + (f" These were not graded: {others}." if others else "")
    files, large = found.beside(taken) if taken.packages or len(taken.path.parts) > 1 else ({}, [])
    notes = [note, *notes, *(f"`{_shown(name)}` is too large, and was not there." for name in large[:3])]
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return {"notebook": notebook, "notes": notes, "files": encoded}


def _nothing(found: Contents, problem: str) -> str:
    closed = "".join(f"; {_shown(name)} {why}" for name, why in list(found.closed.items())[:5])
    if closed or "there is no" not in problem:
        return problem + closed + ("; hand in the notebook itself" if closed else "")
    others = ", ".join(map(_shown, found.names))[:MAX_NOTE]
    if not others:
        return f"the folder that was handed in is empty; expected {problem.split()[3]} in it"
    return f"{problem}, only {others}, and none of it is a notebook of this assignment"


def _held(notebook: dict[str, Any], tests: Sequence[Sequence[str]]) -> int:
    """Return how many of the tests of a released notebook are in another one."""
    names = {cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in notebook["cells"]}
    texts = {cell["source"].strip() for cell in notebook["cells"]}
    return sum(name in names or (text.strip() != "" and text.strip() in texts) for name, text in tests)


def _shown(file: object) -> str:
    return printable(str(file).encode("utf-8", "replace").decode()).replace("`", "")[:MAX_NOTE]


def _content(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(MAX_READ + 1)
    except OSError as error:
        raise NoNotebook(f"cannot be read ({error.strerror}): hand it in again") from error


def _read(content: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the notebook in a file, and notes about it.

    Raises
    ------
    NoNotebook
        With what is wrong, as it follows the name of the file.
    """
    if len(content) > MAX_READ:
        raise NoNotebook(f"is larger than {MAX_READ >> 20} MB: clear its outputs and hand it in again")
    text, notes = decoded(content)
    if _values(text) > MAX_VALUES:
        raise NoNotebook(f"holds more than {MAX_VALUES} values: clear its outputs and hand it in again")
    try:
        notebook, strange = repaired(parsed(text))
    except (NoNotebook, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise NoNotebook(f"is not a notebook that can be read ({why})") from None
    # Half of a surrogate pair can be written nowhere.
    text = json.dumps(notebook, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    if len(text) > MAX_KEPT or _values(text) > MAX_KEPT_VALUES:
        raise NoNotebook("is too large even without its outputs: remove what is no part of the assignment")
    if len(notebook["cells"]) > MAX_CELLS:
        raise NoNotebook(f"has more than {MAX_CELLS} cells")
    return json.loads(text), [*notes, *_repairs(strange)]


def _repairs(strange: list[str]) -> list[str]:
    if not strange:
        return []
    return [f"The file is not as Jupyter writes it, and was mended: {printable(', '.join(strange))}."]


def _values(text: str) -> int:
    return sum(text.count(sign) for sign in "[{,")
