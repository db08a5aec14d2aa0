"""Make a notebook out of what editors write: what Jupyter runs, we grade.

nbformat's schema is stricter than Jupyter and most editors.  Grading throws away outputs, counts, ids and most
metadata anyway, so nothing is checked against the schema: a new notebook is made from each cell's kind, text and
metadata, and only a file without a list of cells is refused.  A :class:`~autograder.wall.apart.Helper` does this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
OF_CELL = {"id", "cell_type", "source", "metadata", "outputs", "execution_count", "attachments"}
KINDS = ("code", "markdown", "raw")
ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are no UTF-8
MAX_DIGITS = 300

# How files begin that are handed in by mistake.
MISTAKEN = {
    "%PDF": "it is a PDF",
    "PK\x03\x04": "it is a package",
    "\x1f\x8b": "it is a package",
    "version https://git-lfs": "it is Git's note about a file that is kept elsewhere",
    "<<<<<<<": "Git has left the marks of a merge in it",
    "<VSCode.Cell": "it holds what an assistant wrote for VS Code, and not what VS Code would save",
    "<": "it is a web page",
}


class NoNotebook(ValueError):
    """There is nothing in it that could be graded; the message says why."""


# -- the file ---------------------------------------------------------------------------------


def decoded(content: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and what is said about how it was written."""
    encoding = json.detect_encoding(content)
    if encoding.startswith(("utf-16", "utf-32")):
        # Half of a pair of characters can be written nowhere.
        return content.decode(encoding, "replace"), [
            f"The file was saved as {encoding.upper()[:6]}; Jupyter writes UTF-8."
        ]
    text = content.decode(encoding, "surrogateescape")
    mended = ESCAPED.sub(lambda found: bytes([ord(found[0]) - 0xDC00]).decode("cp1252", "replace"), text)
    return mended, ["The file was not saved as UTF-8, as Jupyter writes it."] if mended != text else []


def parsed(text: str) -> Any:
    """Return the values that JSON holds.

    Raises
    ------
    NoNotebook
        If it is not JSON.
    """
    start = text.strip("\ufeff \t\r\n\0")
    if not start:
        raise NoNotebook("the file is empty")
    try:
        return json.loads(start, strict=False, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise NoNotebook(_why_no_json(start, error)) from None


def _why_no_json(text: str, error: json.JSONDecodeError) -> str:
    for beginning, what in MISTAKEN.items():
        if text.startswith(beginning):
            return what
    if re.search("^<<<<<<< ", text, re.MULTILINE):
        return MISTAKEN["<<<<<<<"]
    if text.startswith("{") and (error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")):
        return "the file is cut off in the middle"
    return f"it is not written as notebooks are: {error.msg} in line {error.lineno}"


def _whole(digits: str) -> float:
    return int(digits) if len(digits) < MAX_DIGITS else float(digits)


# -- the notebook -----------------------------------------------------------------------------


def repaired(found: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the notebook in what was parsed, without outputs, and what is not as Jupyter writes it.

    Raises
    ------
    NoNotebook
        If there is no list of cells.
    """
    cells = _cells_of(found)
    if cells is None:
        raise NoNotebook("it has no list of cells")
    strange: dict[str, None] = {}
    if not isinstance(found.get("cells"), list):
        strange["an old format of notebooks"] = None
    elif not isinstance(found.get("metadata"), dict):
        strange["its metadata"] = None
    ids = _Ids(cells)
    made = []
    for cell in cells:
        if isinstance(cell, dict):
            strange |= dict.fromkeys(_strange(cell))
            made.append(_cell(cell, ids.of(cell)))
        else:
            strange["a cell that is none"] = None
    if ids.replaced:
        strange["ids of cells"] = None
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}, list(strange)


def _cells_of(found: Any) -> list[Any] | None:
    """Return the list of cells, also of the formats before the fourth, which kept it in worksheets."""
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("cells"), list):
        return list(found["cells"])
    sheets = found.get("worksheets")
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    there = [cells for cells in lists if isinstance(cells, list)]
    return [cell for cells in there for cell in cells] if there else None


def _cell(cell: dict[str, Any], name: str) -> dict[str, Any]:
    kind = _kind(cell)
    source = _source(cell)
    if cell.get("cell_type") == "heading":  # of the third format
        source = "#" * min(max(_number(cell.get("level")), 1), 6) + " " + source
    made = {"id": name, "cell_type": kind, "metadata": _metadata(cell), "source": source}
    if kind == "code":
        return {**made, "outputs": [], "execution_count": None}
    return {**made, "attachments": attached} if (attached := _attachments(cell.get("attachments"))) else made


def _kind(cell: dict[str, Any]) -> str:
    kind = str(cell.get("cell_type", "")).lower()
    if kind in KINDS:
        return kind
    is_code = any(name in cell for name in ("outputs", "execution_count", "input")) and kind not in ("heading", "html")
    return "code" if is_code or not kind else "markdown"


def _source(cell: dict[str, Any]) -> str:
    """Return the text of a cell; before the fourth format that of code was its `input`."""
    for name in ("source", "input", "text"):
        text = cell.get(name)
        if isinstance(text, str):
            return text
        if isinstance(text, list):
            return "".join(line for line in text if isinstance(line, str))
    return ""


def _metadata(cell: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a cell; nbgrader's only if it names the cell."""
    found = cell.get("metadata")
    if not isinstance(found, dict):
        return {}
    nbgrader = found.get("nbgrader")
    named = isinstance(nbgrader, dict) and isinstance(nbgrader.get("grade_id"), str) and nbgrader["grade_id"]
    return {name: value for name, value in found.items() if name != "nbgrader" or named}


def _attachments(found: Any) -> dict[str, dict[str, str]]:
    """Return what is attached to a cell as text, by name and kind."""
    made = {}
    for name, forms in found.items() if isinstance(found, dict) else ():
        kinds = forms.items() if isinstance(forms, dict) else ()
        texts = {kind: "".join(data) if _is_lines(data) else data for kind, data in kinds}
        made[name] = {kind: data for kind, data in texts.items() if isinstance(data, str)}
    return {name: forms for name, forms in made.items() if forms}


def _is_lines(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(line, str) for line in found)


def _number(found: Any) -> int:
    return found if isinstance(found, int) else 1


def _strange(cell: dict[str, Any]) -> Iterator[str]:
    """Say what of a cell is not as Jupyter writes it."""
    kind = cell.get("cell_type")
    if kind not in KINDS:
        yield f"a cell of an unknown kind, {str(kind)[:20]!r}" if kind != "heading" else "an old format of notebooks"
    if not isinstance(cell.get("source"), str) and not _is_lines(cell.get("source")):
        yield "a cell without text" if "input" not in cell else "an old format of notebooks"
    outputs = cell.get("outputs") if kind == "code" else []
    if (
        not isinstance(outputs, list)
        or (kind == "code") != ("execution_count" in cell)
        or not all(map(_is_whole, outputs))
    ):
        yield "outputs of cells"
    metadata = cell.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("nbgrader", {}), dict):
        yield "metadata of cells"
    if not OF_CELL.issuperset(cell):
        yield "fields that cells do not have"


def _is_whole(output: Any) -> bool:
    """Return whether an output has the fields of its kind."""
    kind = output.get("output_type") if isinstance(output, dict) else None
    needed = {
        "stream": {"name", "text"},
        "error": {"ename", "evalue", "traceback"},
        "display_data": {"data", "metadata"},
        "execute_result": {"data", "metadata", "execution_count"},
    }
    return kind in needed and output.keys() == {"output_type", *needed[kind]}


class _Ids:
    """Gives each cell an id that no other one has: its own, if it can be.

    Attributes
    ----------
    replaced : bool
        Whether a cell could not keep its own.
    """

    def __init__(self, cells: list[Any]) -> None:
        known = [cell.get("id") for cell in cells if isinstance(cell, dict)]
        self.taken = {one for one in known if isinstance(one, str) and ID.fullmatch(one)}
        self.given: set[str] = set()
        self.number = 0
        self.replaced = False

    def of(self, cell: dict[str, Any]) -> str:
        own = cell.get("id")
        if isinstance(own, str) and own in self.taken and own not in self.given:
            self.given.add(own)
            return own
        self.replaced |= "id" in cell
        while True:
            self.number += 1
            if (name := f"cell-{self.number}") not in self.taken:
                self.given.add(name)
                return name
