"""Notebooks that share a warm parent share nothing else, and the end of the fork server costs no grade."""

import contextlib
import json
import os
import signal
import time

import pytest

from autograder.grade import Submission, grade
from autograder.wall import server
from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.sandbox import Setup
from autograder.wall.server import ServerDied

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

LIMITS = Limits(cell_seconds=20, call_seconds=20, notebook_seconds=60)


def printed(box, code):
    found = box.run_cell(0, code)
    assert all(output["output_type"] == "stream" for output in found), found
    return "".join(output["text"] for output in found)


def the_server():
    """Return the fork server of this process."""
    with Box(LIMITS, Setup()) as box:
        return box.process.server


@contextlib.contextmanager
def two_at_once(limits=LIMITS):
    with Box(limits, Setup()) as one, Box(limits, Setup()) as other:
        assert one.process.server is other.process.server
        yield one, other


def test_a_notebook_begins_as_if_no_other_had_run():
    spoil = """
import builtins, numpy, sys, os
numpy.dot = builtins.print_ = sys.spoilt = os.spoilt = 'spoilt'
sys.path.append('/spoilt'); os.environ['SPOILT'] = '1'; open('file', 'w').close(); open('/tmp/file', 'w').close()
x = 1
"""
    look = """
import builtins, numpy, sys, os
print(callable(numpy.dot), hasattr(builtins, 'print_'), hasattr(sys, 'spoilt'), '/spoilt' in sys.path)
print('SPOILT' in os.environ, os.path.exists('file'), os.listdir('/tmp'), 'x' in globals())
"""
    with Box(LIMITS, Setup()) as box:
        assert printed(box, spoil) == ""
    with Box(LIMITS, Setup()) as box:
        assert printed(box, look) == "True False False False\nFalse False [] False\n"


def test_two_notebooks_draw_different_random_numbers():
    code = "import random, numpy as np\nprint(random.random(), np.random.rand(), np.random.default_rng().random())"
    with two_at_once() as (one, other):
        first, second = printed(one, code).split(), printed(other, code).split()
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_siblings_have_namespaces_of_their_own():
    names = ("user", "pid", "mnt", "ipc", "net", "uts")
    code = f"import os\nprint(*[os.readlink('/proc/self/ns/' + name) for name in {names}])"
    with two_at_once() as (one, other):
        for name, mine, theirs in zip(names, printed(one, code).split(), printed(other, code).split(), strict=True):
            assert mine != theirs != os.readlink(f"/proc/self/ns/{name}") != mine


def test_siblings_do_not_meet():
    leave = """
import os, signal, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind('\\0meet'); listening.listen()
local = socket.create_server(('127.0.0.1', 4711))
open('/tmp/meet', 'w').close(); open('/dev/shm/meet', 'w').close()
print(os.getpid())
"""
    look = """
import os, socket
print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()), os.listdir('/tmp'), os.listdir('/dev/shm'))
for family, where in ((socket.AF_UNIX, '\\0meet'), (socket.AF_INET, ('127.0.0.1', 4711))):
    try:
        socket.socket(family).connect(where)
    except OSError as error:
        print(type(error).__name__)
"""
    with two_at_once() as (one, other):
        assert printed(one, leave) == "2\n"
        assert printed(other, look) == "[1, 2] [] []\nConnectionRefusedError\nConnectionRefusedError\n"


def test_nothing_leads_back_to_the_server():
    code = """
import os, signal
print(os.getppid(), os.stat('/proc/1').st_uid == os.getuid())
for number in (1, 0, -1):
    try:
        os.kill(number, signal.SIGKILL if number == 1 else 0)
    except OSError as error:
        print(error)
"""
    with two_at_once() as (one, other):
        printed(one, code)
        assert printed(one, "print('I am here')") == "I am here\n"
        assert printed(other, "print('so am I')") == "so am I\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, time\nwhile True:\n    os.fork()", "processes"),
        ("import os, time\nfor _ in range(200):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)", "processes"),
        ("import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=[60]).start()", ""),
        (
            "import os, time, mmap\nfor _ in range(8):\n    if os.fork() == 0:\n"
            "        x = bytearray(b'x') * 2**26\n        time.sleep(60)\ntime.sleep(60)",
            "all its processes together used more than",
        ),
    ],
    ids=["fork bomb", "many processes", "many threads", "memory of all together"],
)
def test_what_is_started_is_counted_together(code, reason):
    with two_at_once(Limits(10, 10, 60, memory=2**29 if "bytearray" in code else 2**32, processes=64)) as (one, other):
        try:
            ended = ""
            found = one.run_cell(0, code)
            # The kernel refused the process too many, and the notebook goes on; a bomb that makes room lasts longer.
            assert found[-1]["ename"] in ("BlockingIOError", "RuntimeError", "MemoryError", "Timeout"), found
        except BoxDied as death:
            ended = death.reason
            assert reason in ended
        assert printed(other, "print('nothing happened')") == "nothing happened\n"


SHARED = """
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, *args):
    try:
        what(*args)
    except OSError as error:
        print(error.strerror)
tried(os.memfd_create, "memory")
tried(mmap.mmap, -1, 4096)
with open("/dev/zero", "r+b", buffering=0) as zero:
    tried(mmap.mmap, zero.fileno(), 4096)
print(libc.shmget(0, 4096, 0o1600), libc.msgget(0, 0o1600))
print(len(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))
print(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number + 1)(1))
"""


def test_memory_that_would_be_counted_for_no_process_cannot_be_had():
    with Box(LIMITS, Setup()) as box:
        no = "Function not implemented"
        assert printed(box, SHARED).splitlines() == [no, no, "No such device", "-1 -1", "4096", "2"]


def test_a_killed_server_is_not_blamed_on_the_notebook():
    with Box(LIMITS, Setup()) as box:
        os.killpg(box.process.server.process.pid, signal.SIGKILL)
        with pytest.raises(ServerDied):
            box.run_cell(0, "import time; time.sleep(10)")
    with Box(LIMITS, Setup()) as box:
        assert printed(box, "print(2 + 2)") == "4\n"


def test_a_grade_survives_the_death_of_the_server(monkeypatch):
    cells = [{"cell_type": "code", "metadata": {}, "source": f"import time\nprint({number})"} for number in range(3)]
    text = json.dumps({"cells": [{**cell, "outputs": [], "execution_count": None} for cell in cells]})
    deaths = []
    honest = Box.run_cell

    def run_cell(box, number, *rest, **also):
        if number == 1 and len(deaths) < 2:
            deaths.append(number)
            os.killpg(box.process.server.process.pid, signal.SIGKILL)
            time.sleep(0.1)
        return honest(box, number, *rest, **also)

    monkeypatch.setattr(Box, "run_cell", run_cell)
    graded = grade(Submission("ada", "any", "any", text), None, b"secret")
    outputs = [cell["outputs"][0]["text"] for cell in json.loads(graded.content)["cells"]]
    assert (outputs, len(deaths)) == (["0\n", "1\n", "2\n"], 2)


def test_only_so_many_servers_are_kept():
    for number in range(server.KEPT + 2):
        with Box(LIMITS, Setup(kind="none", forbidden={f"module{number}": "no"})):
            pass
    assert len(server._servers) == server.KEPT
    server.close_servers()
    assert server._servers == {}
