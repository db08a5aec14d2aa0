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
# IPython needs to read and to run it.
METER = """\
import time as _time

from coursekit.checks.run import Session as _Session

_spent = _inner = _reading = 0.0
_start = _time.process_time()


def _begin(info):
    global _start, _inner
    _start, _inner = _time.process_time(), 0.0


def _end(result):
    global _spent
    is_check = result.info.raw_cell.startswith("check(")
    _spent += _inner if is_check else _reading + _time.process_time() - _start


def _transform(raw_cell, _of=get_ipython().transform_cell):
    global _reading
    start = _time.process_time()
    try:
        return _of(raw_cell)
    finally:
        _reading = _time.process_time() - start


def _run(self, step, _of=_Session.run):
    global _inner
    start = _time.process_time()
    try:
        return _of(self, step)
    finally:
        _inner += _time.process_time() - start


_Session.run = _run
get_ipython().transform_cell = _transform
get_ipython().events.register("pre_run_cell", _begin)
get_ipython().events.register("post_run_cell", _end)
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
                (folder / str(os.getpid())).write_text(str(spent))

        return run

    autograder.cases.fresh = metered(autograder.cases.fresh, +1)
    autograder.grade.examine = metered(autograder.grade.examine, +1)
    Box.run_case = metered(Box.run_case, -1)  # type: ignore[method-assign]  # what judging waits for


# Worker processes import this file too, under another name.
if __name__ == "__main__":
    os.environ[FOLDER] = sys.argv.pop(1)
if __name__ in ("__main__", "__mp_main__"):
    install(Path(os.environ[FOLDER]))
if __name__ == "__main__":
    from autograder.cli import main

    sys.exit(main())
