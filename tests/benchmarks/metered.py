"""`autograder`, and how much CPU time it spends on what no grader can save: for `grading.py`.

    python tests/benchmarks/metered.py FOLDER grade ASSIGNMENT …

is `autograder grade ASSIGNMENT …`.  Each of its processes writes into FOLDER what it spent on drawing
cases (with the references' results) and on judging answers, without the wall that the answers come through.
The student's cells say what they spent themselves: the first of them holds METER, the last SHOWN.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import autograder.cases
import autograder.grade
from autograder.wall.box import Box

FOLDER = "COURSEKIT_METER"

# Seconds of CPU of the notebook's process: of a check cell only those in the student's functions, of any other what
# IPython needs to read and to run it.  Not process_time: where a limit on CPU time is set, as behind the wall, that
# is brought up to date every 4 ms only, and what a short cell needs is counted for whatever comes after it.
METER = """\
import time as _time

from coursekit.checks.run import Session as _Session

_spent = _inner = 0.0


def _run_cell(code, *args, _of=get_ipython().run_cell, **kwargs):
    global _inner, _spent
    start, _inner = _time.thread_time(), 0.0
    try:
        return _of(code, *args, **kwargs)
    finally:
        _spent += _inner if code.startswith("check(") else _time.thread_time() - start


def _run(self, step, _of=_Session.run):
    global _inner
    start = _time.thread_time()
    try:
        return _of(self, step)
    finally:
        _inner += _time.thread_time() - start


_Session.run = _run
get_ipython().run_cell = _run_cell
"""
SHOWN = 'print("own CPU time:", _spent)'


def install(folder: Path) -> None:
    """From now on, this process keeps account."""
    spent = 0.0

    def metered(function: Callable[..., Any], sign: int) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent += sign * (time.process_time() - start)

        return run

    def written(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            finally:
                (folder / str(os.getpid())).write_text(str(spent))

        return run

    autograder.cases.fresh = metered(autograder.cases.fresh, +1)
    autograder.grade.examine = metered(autograder.grade.examine, +1)
    Box.run_case = metered(Box.run_case, -1)  # type: ignore[method-assign]  # what judging waits for
    autograder.grade.grade = written(autograder.grade.grade)


# Worker processes import this file too, under another name.
if __name__ == "__main__":
    os.environ[FOLDER] = sys.argv.pop(1)
if __name__ in ("__main__", "__mp_main__"):
    install(Path(os.environ[FOLDER]))
if __name__ == "__main__":
    from autograder.cli import main

    sys.exit(main())
