"""Counts how often each line of a student's code runs, in the process that runs it.

>>> def total(X):
...     loss = 0.0
...     for x in X:
...         loss += x
...     return loss
>>> [line.times for line in count_lines(lambda: total([1.0, 2.0]))]
[1, 1, 3, 2, 1]
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import itertools
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from .shipped import CASE

MAX_LINES = 2000
LIBRARIES = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))
KIT = f"{Path(__file__).resolve().parents[1]}{os.sep}"
# Code of the checker.  Behind the grader's wall, the folder of that side is added.
CHECKERS = [str(Path(__file__).resolve().parent), CASE]
# C functions that call a function for each item.  `np.vectorize` and `np.fromiter` use them.
LOOPERS: tuple[tuple[dict[str, Any], str], ...] = (
    (vars(builtins), "map"),
    (vars(builtins), "filter"),
    (vars(functools), "reduce"),
    (vars(itertools), "starmap"),
    (vars(np), "frompyfunc"),
    (np.vectorize.__call__.__globals__, "frompyfunc"),
)


class Line(NamedTuple):
    """A line of a student's code that has run: where it is, its source, and how many times it ran."""

    place: str
    source: str
    times: int


def is_students(filename: str) -> bool:
    """Tell whether a file holds a student's code, and not that of the checker, Python or its packages."""
    return not filename.startswith((*CHECKERS, *LIBRARIES))


def count_lines(call: Callable[[], object]) -> list[Line] | None:
    """Call `call` and count how often each line of the student's code runs.

    Lines of a library count for the student's line that called it, because ``np.apply_along_axis`` is a Python loop.

    Returns
    -------
    list of Line, or None
        In the order in which they first ran.  None if there are more than ``MAX_LINES``, or if
        the code has replaced the trace function, so that the counts are not complete.
    """
    counts: dict[tuple[str, int], int] = {}

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        student = _students_frame(frame)
        return None if student is None else functools.partial(step, student)

    def step(student: FrameType, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            place = student.f_code.co_filename, student.f_lineno
            counts[place] = counts.get(place, 0) + 1
        return functools.partial(step, student)

    before = sys.gettrace()
    with _loopers_in_python():
        sys.settrace(enter)
        try:
            call()
            complete = sys.gettrace() is enter and len(counts) <= MAX_LINES
        finally:
            sys.settrace(before)
    return [_line(*place, times) for place, times in counts.items()] if complete else None


def _students_frame(frame: FrameType | None) -> FrameType | None:
    """Find the student's frame that `frame` works for: itself or a caller.  None if it works for the checker."""
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename.endswith("arrayprint.py"):  # NumPy formats arrays in Python; that is not the student's loop
            return None
        if filename != _loop.__code__.co_filename:
            if filename.startswith(tuple(CHECKERS)):
                return None
            if not filename.startswith((KIT, *LIBRARIES, "<frozen ")):
                return frame
        frame = frame.f_back
    return None


def _line(filename: str, number: int, times: int) -> Line:
    return Line(f"{number} {filename}", source_of(filename, number) or f"line {number}", times)


def source_of(filename: str, number: int) -> str:
    """Return a line of source, or nothing where it is not known.

    Code of `exec` has the filename "<string>". Since Python 3.13 so has that of ``python -c``, whose source is known.
    """
    return "" if filename == "<string>" else linecache.getline(filename, number).strip()


@contextlib.contextmanager
def _loopers_in_python() -> Iterator[None]:
    """Make C functions call a Python function for each item, because only Python lines are traced."""
    originals = [(names, name, names[name]) for names, name in LOOPERS]
    try:
        for names, name, looper in originals:
            names[name] = functools.partial(_loop, looper)
        yield
    finally:
        for names, name, looper in originals:
            names[name] = looper


def _loop(looper: Callable[..., Any], function: Any, /, *rest: Any, **options: Any) -> Any:
    in_python = (lambda *items: function(*items)) if callable(function) else function
    return looper(in_python, *rest, **options)
