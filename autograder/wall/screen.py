"""Printed text as a terminal shows it: a progress bar that draws itself anew five thousand times is one line.

Carriage returns, backspaces, erased lines and steps upwards are carried out.  Colours stay.
"""

from __future__ import annotations

import re

MAX_OPEN = 64  # lines that can be reached from below
MAX_COLUMN = 10_000  # … at this column at most
# A sequence of a terminal, or one character.
PIECE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|.", re.DOTALL)
SEQUENCE = re.compile(r"\x1b\[(\d{0,3})([AK])")
BROKEN_OFF = re.compile(r"\x1b(?:\[[0-?]*)?\Z")
MOVES = re.compile(r"[\r\b\x1b]")


class Screen:
    """What was printed to one stream, one piece after the other.

    Attributes
    ----------
    size : int
        Characters that are shown, about.
    """

    def __init__(self) -> None:
        self.above: list[str] = []  # lines that nothing changes any more
        self.lines: list[list[str]] = [[]]  # the others: their characters, each with the colours that begin there
        self.row = self.column = self.size = 0
        self.colours = self.rest = ""

    def write(self, text: str) -> None:
        """Print `text`."""
        text = self.rest + text
        self.rest = found[0] if (found := BROKEN_OFF.search(text)) and len(found[0]) < MAX_COLUMN else ""
        text = text.removesuffix(self.rest)
        found = MOVES.search(text)
        plain = text if found is None else text[: found.start()]
        if self.row == len(self.lines) - 1 and self.column == len(self.lines[-1]) and not self.colours:
            self._add(plain)
            text = text[len(plain) :]
        for piece in PIECE.findall(text):
            self._put(piece)

    def text(self) -> str:
        """Return what is shown."""
        return "".join(self.above) + "\n".join(map("".join, self.lines)) + self.colours + self.rest

    def _add(self, text: str) -> None:
        """Print at the end, where nothing moves."""
        self.size += len(text)
        *whole, last = text.split("\n")
        if len(whole) > MAX_OPEN:
            far = "\n".join(whole[:-MAX_OPEN]) + "\n"
            self.above += ["\n".join(map("".join, self.lines)), far]
            self.lines, self.row, self.column = [[]], 0, 0
            whole = whole[-MAX_OPEN:]
        self.size -= len(whole)  # each is counted when it begins
        for line in whole:
            self.lines[-1] += line
            self._begin_line()
        self.lines[-1] += last
        self.column = len(self.lines[-1])

    def _put(self, piece: str) -> None:
        line = self.lines[self.row]
        if piece == "\n":
            self._begin_line()
        elif piece == "\r":
            self.column = 0
        elif piece == "\b":
            self.column = max(0, self.column - 1)
        elif sequence := SEQUENCE.fullmatch(piece):
            self._move(*sequence.groups())
        elif len(piece) > 1:
            self.colours += piece
            self.size += len(piece)
        else:
            line += " " * (self.column - len(line))
            self.size += 1 - len("".join(line[self.column : self.column + 1]))
            line[self.column : self.column + 1] = [self.colours + piece]
            self.colours, self.column = "", self.column + 1

    def _move(self, number: str, letter: str) -> None:
        line = self.lines[self.row]
        if letter == "A":
            self.row = max(0, self.row - int(number or 1))
            self.column = min(self.column, MAX_COLUMN)
        else:
            start = 0 if number in ("1", "2") else self.column
            end = self.column if number == "1" else len(line)
            self.size -= len("".join(line[start:end]))
            line[start:end] = [" "] * (self.column - start if number == "1" else 0)

    def _begin_line(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])
            self.size += 1
        if len(self.lines) > MAX_OPEN:
            self.above.append("".join(self.lines.pop(0)) + "\n")
            self.row -= 1
