"""System calls that break-outs are made of are refused and heard of; honest programs make none of them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from test_ends import LIMITS, marks
from test_syscalls import HONEST

from autograder.marks import LIMIT, REFUSED
from autograder.wall.box import Box, Limits
from autograder.wall.noted import MAX_NOTED, NAMES, USERS, purpose
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

MAKE = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, words in CALLS.items():
    ctypes.set_errno(0)
    got = libc.syscall(*words)
    if name == "clone" and got == 0:
        libc._exit(0)
    answers[name] = errno.errorcode.get(ctypes.get_errno())
print(answers)
"""
SPECIAL = {"clone": [0x10000000 | 17, 0, 0, 0, 0], "socket": [38, 5, 0]}


@pytest.fixture
def numbers() -> dict[str, int]:
    pyseccomp = pytest.importorskip("pyseccomp")
    here = pyseccomp.system_arch()
    return {name: pyseccomp.resolve_syscall(here, name) for name in (*NAMES, *QUIET)}


# What libraries try by themselves.
QUIET = (
    *(
        "memfd_create",
        "io_uring_setup",
        "inotify_init1",
        "clone3",
        "personality",
        "name_to_handle_at",
        "mbind",
        "capset",
    ),
    *("get_mempolicy", "set_mempolicy", "sendfile", "splice", "tee", "seccomp", "landlock_create_ruleset", "io_setup"),
)


def tried(box: Box, numbers: dict[str, int], names: list[str]) -> dict[str, str]:
    """Make these calls in a notebook; gives the answers of the kernel."""
    users = {name: [0] * count for name, count in USERS.items()}
    arguments = {**dict.fromkeys(names, [-1] * 6), **users, **SPECIAL}
    calls = {name: [numbers[name], *arguments[name]] for name in names if numbers[name] >= 0}
    (shown,) = box.run_cell(0, f"CALLS = {calls!r}\n{MAKE}")
    return eval(shown["text"])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_noted_call_is_refused_and_the_grader_hears_of_it(numbers: dict[str, int], part: int) -> None:
    names = list(NAMES[part::3])
    with Box(LIMITS, Setup()) as box:
        answers = tried(box, numbers, names)
    assert set(answers.values()) == {"ENOSYS"}
    assert box.noted == dict.fromkeys(answers, 1)
    assert len(answers) > len(names) / 2
    assert all(purpose(name) != "does not exist" for name in names)


def test_what_libraries_try_by_themselves_is_refused_and_not_noted(numbers: dict[str, int]) -> None:
    with Box(LIMITS, Setup()) as box:
        assert set(tried(box, numbers, list(QUIET)).values()) == {"ENOSYS"}
    assert box.noted == {}


@pytest.mark.parametrize("what", HONEST)
def test_honest_programs_make_no_call_that_is_noted(what: str) -> None:
    with Box(Limits(cell_seconds=40), Setup()) as box:
        box.run_cell(0, HONEST[what])
    assert box.noted == {}


PTRACE = "import ctypes, os, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def test_a_refused_call_is_a_mark_that_says_what_it_does() -> None:
    (mark,) = marks(PTRACE + "libc.ptrace(16, 1, None, None); libc.ptrace(16, 2, None, None)")
    assert mark == {"kind": REFUSED, "reason": "called ptrace, which reaches into other processes", "count": 2}


def test_a_call_of_a_child_and_of_a_program_is_heard_too() -> None:
    found = marks(
        PTRACE + "if os.fork() == 0:\n    libc.ptrace(16, 1, None, None)\n    os._exit(0)\nos.wait();\n!unshare -U true"
    )
    assert [mark["reason"].split()[1] for mark in found] == ["ptrace,", "unshare,"]


def test_a_flood_of_calls_is_counted_to_an_end_and_the_answer_stays_the_same() -> None:
    code = (
        PTRACE + "found = {libc.ptrace(16, 1, None, None) or ctypes.get_errno() for _ in range(100_000)}\nprint(found)"
    )
    with Box(Limits(cell_seconds=20), Setup()) as box:
        started = time.monotonic()
        box.run_cell(0, code)
        assert time.monotonic() - started < 5
    assert box.noted == {"ptrace": MAX_NOTED}


def test_a_flood_of_calls_hides_no_other_limit() -> None:
    flood = "import time\nif not os.fork():\n    while True: libc.ptrace(16, 1, None, None)\ntime.sleep(0.5)\n"
    fill = "for _ in range(4):\n    if not os.fork(): x = b'x' * (400 << 20); time.sleep(9)\ntime.sleep(9)"
    limits = replace(LIMITS, cell_seconds=10.0)
    assert {mark["kind"] for mark in marks(PTRACE + flood + fill, limits=limits)} == {LIMIT, REFUSED}


def test_who_is_killed_while_a_call_waits_for_its_answer_leaves_nobody_waiting() -> None:
    code = (
        PTRACE
        + """
import signal
for _ in range(50):
    child = os.fork()
    if child == 0:
        while True:
            libc.ptrace(16, 1, None, None)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print("done")
"""
    )
    with Box(Limits(cell_seconds=20), Setup()) as box:
        (shown,) = box.run_cell(0, code)
        assert shown["text"] == "done\n"
        assert box.run_cell(1, "1 + 1")[0]["data"]["text/plain"] == "2"


def test_the_table_of_noted_calls_names_none_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not {*QUIET} & {*NAMES}
