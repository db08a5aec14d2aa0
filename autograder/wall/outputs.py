"""Keep the outputs of cells, in the form that a notebook can hold.

What a student's process sends is kept only if it is an output as nbformat describes it, and only up to a size.  It
is shown in the browsers of others, so HTML is cleaned, and nothing else that a page might run is kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Required, TypedDict, cast

from .markup import cleaned, shows_something
from .screen import Screen

MAX_OF_CELL = 8 * 2**20  # characters kept of one cell's outputs
MAX_OF_NOTEBOOK = 32 * 2**20  # … and of all together
MAX_OUTPUTS = 500  # of one cell
MAX_OUTPUTS_OF_NOTEBOOK = 5000
MAX_CLEANING = 20.0  # seconds for the HTML of a notebook; what comes later is shown as text
MAX_LINE = 10_000
MAX_SHOWN_SIZE = 10_000  # pixels
MAX_ID = 200  # characters of the name under which an output can be updated
MAX_LAST_WORDS = 1000  # of an error after there was too much
TOO_MUCH = "\n[There was more output than is kept; the rest was cut.]\n"
TEXT_MIMES = {"text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml"}  # SVG is shown as a picture
PICTURE_MIMES = {"image/png", "image/jpeg", "image/gif"}
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


class Output(TypedDict, total=False):
    """An output of a cell, as nbformat describes it; which fields it has depends on `output_type`."""

    output_type: Required[str]
    name: str
    text: str
    data: dict[str, str]
    metadata: dict[str, Any]
    execution_count: int | None
    ename: str
    evalue: str
    traceback: list[str]


class Outputs:
    """The outputs of the cells of one process."""

    def __init__(self) -> None:
        self.kept: list[Output] = []
        self.screen: Screen | None = None  # of the last output, if it is a stream
        self.displayed: dict[str, list[Output]] = {}
        self.size = 0  # characters that are kept
        self.size_before = 0  # … when the running cell began
        self.number_of_others = 0
        self.cleaning = 0.0
        self.full = self.clear_before_next = False

    @property
    def cell(self) -> list[Output]:
        """The outputs of the running cell."""
        if self.screen is not None:
            self.kept[-1]["text"] = self.screen.text()
        return self.kept

    def begin_cell(self) -> None:
        self.size_before = self.size
        self.number_of_others += len(self.cell)
        self.kept, self.screen = [], None
        self.full = self.clear_before_next = False

    def keep(self, sent: Mapping[str, Any]) -> None:
        """Add what a process sent, if it is something that a notebook can hold."""
        kind = sent.get("output_type")
        if kind == "clear_output":
            self.clear_before_next = True
            if sent.get("wait") is not True:
                self._clear()
            return
        output = _valid(kind, sent)
        if output is None:
            return
        if self.clear_before_next:
            self._clear()
        data = output.get("data", {})
        if "text/html" in data and not self.full:  # cleaning takes time
            data["text/html"] = self._cleaned(data["text/html"])
            if len(data) > 1 and not shows_something(data["text/html"]):
                del data["text/html"]
        if kind == "update_display_data":
            self._update(_name(sent), output)
        elif self.full or len(self.kept) >= self._most() or _size(output) > self._room():
            self._note_too_much()
            if kind == "error" and self.kept[-1]["output_type"] != "error":  # the reason is kept
                message = output["evalue"][:MAX_LAST_WORDS]
                self._append(_of(kind, ename=output["ename"][:100], evalue=message, traceback=[message]))
        elif kind == "stream":
            self._print(output)
        else:
            self._append(output)
            if _name(sent) and "data" in output:
                self.displayed.setdefault(_name(sent), []).append(output)

    def _update(self, display_id: str, output: Output) -> None:
        """Change what every output with this id shows: each of them will be written out."""
        changed = self.displayed.get(display_id, [])
        added = sum(_size(output["data"]) - _size(earlier["data"]) for earlier in changed)
        if self.full or added > self._room():
            self._note_too_much()
            return
        self.size += added
        for earlier in changed:
            earlier["data"] = output["data"]

    def _append(self, output: Output) -> None:
        self.size += _size(output)
        self.kept = self.cell  # the stream before it has its text now
        self.kept.append(output)
        self.screen = None

    def _print(self, output: Output) -> None:
        """Print what was sent for a stream, after what was printed to it last."""
        if self.screen is None or self.kept[-1]["name"] != output["name"]:
            self._append(output | {"text": ""})
            self.screen = Screen()
        self.size -= self.screen.size
        self.screen.write(output["text"])
        self.size += self.screen.size

    def _room(self) -> int:
        """Return how many characters more may be kept."""
        return min(MAX_OF_CELL - (self.size - self.size_before), MAX_OF_NOTEBOOK - self.size)

    def _most(self) -> int:
        """Return how many outputs this cell may have."""
        return min(MAX_OUTPUTS, MAX_OUTPUTS_OF_NOTEBOOK - self.number_of_others)

    def _cleaned(self, html: str) -> str:
        started = time.monotonic()
        try:
            return cleaned(html, MAX_CLEANING - self.cleaning)
        finally:
            self.cleaning += time.monotonic() - started

    def _note_too_much(self) -> None:
        if not self.full:
            self.full = True
            self._append({"output_type": "stream", "name": "stdout", "text": TOO_MUCH})

    def _clear(self) -> None:
        gone = {id(output) for output in self.kept}
        for name, outputs in list(self.displayed.items()):
            self.displayed[name] = [output for output in outputs if id(output) not in gone]
            if not self.displayed[name]:
                del self.displayed[name]
        self.size -= sum(map(_size, self.cell))
        self.kept.clear()
        self.screen = None
        self.full = self.clear_before_next = False


def _valid(kind: Any, sent: Mapping[str, Any]) -> Output | None:
    """Return the output as nbformat describes it, with the fields that have the right type; None if it is no output."""
    if kind == "stream":
        name, text = sent.get("name"), sent.get("text")
        return _of(kind, name=name, text=text) if name in ("stdout", "stderr") and isinstance(text, str) else None
    if kind == "error":
        trace = sent.get("traceback")
        lines = [_line(line) for line in trace[:100]] if isinstance(trace, list) else []
        return _of(kind, ename=_line(sent.get("ename")), evalue=_line(sent.get("evalue")), traceback=lines)
    if kind in ("display_data", "update_display_data", "execute_result"):
        data = sent.get("data")
        bundle = {
            mime: value
            for mime, value in (data.items() if isinstance(data, dict) else ())
            if isinstance(value, str) and (mime in TEXT_MIMES or (mime in PICTURE_MIMES and BASE64.fullmatch(value)))
        }
        if not bundle:
            return None
        count = {"execution_count": None} if kind == "execute_result" else {}
        return _of(kind, data=bundle, metadata=_shown_sizes(sent.get("metadata"), bundle), **count)
    return None


def _shown_sizes(metadata: Any, bundle: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return the width and height at which the pictures of a bundle are shown."""
    found: dict[str, dict[str, int]] = {}
    for mime in PICTURE_MIMES & bundle.keys():
        about = metadata.get(mime) if isinstance(metadata, dict) else None
        for side in ("width", "height"):
            value = about.get(side) if isinstance(about, dict) else None
            if isinstance(value, int) and 0 < value <= MAX_SHOWN_SIZE:
                found.setdefault(mime, {})[side] = int(value)
    return found


def as_kept(output: Mapping[str, Any]) -> Output | None:
    """Return an output of a notebook with the fields and forms that are kept; None if nothing of it is."""
    return _valid(output.get("output_type"), output)


def _of(kind: str, **fields: Any) -> Output:
    return cast(Output, {"output_type": kind, **fields})


def _name(sent: Mapping[str, Any]) -> str:
    """Return the name under which an output can be updated, or an empty text."""
    name = sent.get("display_id")
    return name[:MAX_ID] if isinstance(name, str) else ""


def _line(value: Any) -> str:
    return value[:MAX_LINE] if isinstance(value, str) else ""


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(item) for key, item in value.items())
    return sum(_size(item) for item in value) if isinstance(value, list) else 8
