"""How the process of a notebook ends, and what it says to the grader, is marked where honest work never does it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autograder.grade import grade
from autograder.marks import LIMIT, PROTOCOL
from autograder.results import Mark, Submission
from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

LIMITS = Limits(cell_seconds=2.0, call_seconds=1.0, notebook_seconds=20.0, memory=2**30, processes=24)
CHANNEL = (
    "import gc, json, struct; channel = next(one for one in gc.get_objects() if type(one).__name__ == 'Channel')\n"
)


def marks(*cells: str, limits: Limits = LIMITS) -> list[Mark]:
    """The marks of a notebook with these cells."""
    code = [{"cell_type": "code", "metadata": {}, "source": cell, "outputs": []} for cell in cells]
    return grade(Submission("ada", "any", "any", json.dumps({"cells": code})), None, b"secret", limits).record["marks"]


FOR_EVER = "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass"
HOLD = "x = b'x' * (400 << 20); time.sleep(9)\ntime.sleep(9)"
ENDS = {
    "too much memory of several": (LIMIT, "import os, time\nfor _ in range(4):\n    if not os.fork(): " + HOLD),
    "an interrupt that is ignored": (
        LIMIT,
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    ),
    "every interrupt caught": (LIMIT, FOR_EVER),
    "a loop in C": (LIMIT, "import itertools\nsum(itertools.repeat(0))"),
    "its own timers stopped": (LIMIT, "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    "garbage": (PROTOCOL, CHANNEL + "channel.sock.sendall(b'x' * 1000)\nwhile True: pass"),
    "a closed socket": (PROTOCOL, "import os\nos.closerange(3, 100)\n" + FOR_EVER),
}
# Whose process ends like this may be honest.
NO_MARK = {
    "an endless loop": "while True: pass",
    "an endless loop that prints": "while True: print('x' * 1000)",
    "an endless recursion": "def f(): f()\nf()",
    "too much memory": "held = []\nwhile True: held.append(b'x' * (10 << 20))",
    "too large an array": "import numpy as np\nnp.ones(10**10)",
    "exit": "exit()",
    "sys.exit": "import sys\nsys.exit(1)",
    "os._exit": "import os\nos._exit(3)",
    "a crash": "import ctypes\nctypes.memset(0, 1, 1)",
    "an abort": "import os\nos.abort()",
    "a full disk": "open('x', 'wb').write(b'x' * (300 << 20))",
    "threads that go on": "import threading, time\nthreading.Thread(target=time.sleep, args=[100]).start()",
    "children that go on": "import subprocess\nsubprocess.Popen(['sleep', '100'])",
    "sixteen threads": "from concurrent.futures import ThreadPoolExecutor as Pool\nimport time\n"
    "with Pool(16) as pool: list(pool.map(time.sleep, [0.2] * 16))",
    "a pool": "import multiprocessing as m\nwith m.Pool(4) as pool: print(pool.map(abs, range(9)))",
    "a check in a cell of its own": "from coursekit import check\ncheck('double', abs)",
    "a warning, and output to standard error": "import sys, warnings\nwarnings.warn('x'); print('y', file=sys.stderr)",
}


@pytest.mark.parametrize("what", ENDS)
def test_an_end_that_honest_work_does_not_have_is_marked_with_its_cell(what: str) -> None:
    kind, code = ENDS[what]
    limits = replace(LIMITS, cell_seconds=10.0) if "memory" in what else LIMITS  # it takes time to fill
    (mark,) = marks("x = 1", code, limits=limits)
    assert (mark["kind"], mark["where"], mark["count"]) == (kind, "cell 2", 1)
    assert mark["reason"].startswith("its process ")


BOMBS = {
    "threads": "import threading\nwhile True: threading.Thread(target=time.sleep, args=[9]).start()",
    "processes": "import os\nwhile True:\n    if not os.fork(): time.sleep(9)",
}


@pytest.mark.parametrize("what", BOMBS)
def test_who_is_held_at_the_limit_of_processes_is_marked(what: str) -> None:
    """Whatever becomes of the error: here it is caught, and the cell ends."""
    code = "import time\ntry:\n    {}\nexcept (RuntimeError, OSError):\n    time.sleep(0.5)"
    limits = replace(LIMITS, memory=2**32)
    (mark,) = marks(code.format(BOMBS[what].replace("\n", "\n    ")), "x = 1", limits=limits)
    assert (mark["kind"], mark["count"]) == (LIMIT, 1)
    assert "no more could be started" in mark["reason"]


@pytest.mark.parametrize("what", NO_MARK)
def test_an_end_that_honest_work_may_have_is_not_marked(what: str) -> None:
    assert marks(NO_MARK[what], "x = 1") == []


def test_a_notebook_that_is_slow_as_a_whole_is_not_marked() -> None:
    assert marks(*["import time\ntime.sleep(0.7)"] * 5, limits=Limits(cell_seconds=2.0, notebook_seconds=2.0)) == []


MESSAGES = (
    "ready",
    "check",
    "result",
    "call",
    "answer",
    "verdict",
    "run",
    "case",
    "step",
    "file",
    "limits",
    "",
    "x" * 99,
)


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_that_no_honest_process_sends_is_marked(kind: str) -> None:
    with Box(LIMITS, Setup()) as box, pytest.raises(BoxDied) as died:
        box.run_cell(0, CHANNEL + f"channel.send({kind!r}, name='x', count=1)")
    assert died.value.mark == PROTOCOL
