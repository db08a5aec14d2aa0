"""A warm process behind the wall: it has imported everything once, and every notebook runs in a fork of it.

It never runs a student's code.  For each order (a message with descriptors) it forks

    server ── warden ── init ── notebook

and forgets about them.  The warden leaves the server's namespaces, watches how much the
notebook and all that it starts use together, and reports how it ended.  `init` is the first
process of the new PID namespace: when it ends, the kernel ends all others there.  The
notebook is :class:`wall.inside.Inside`, without a capability and under a filter of system
calls; of the server it can neither see nor reach anything.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import random
import signal
import socket
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from matplotlib.figure import Figure

import coursekit

from . import namespaces
from .inside import Inside, prepare
from .messages import Channel
from .noted import Filter, Listener
from .syscalls import make_filter
from .watch import watch

# What notebooks import, so that none of them has to wait.
WARM = (
    *("matplotlib.pyplot", "matplotlib_inline.backend_inline", "matplotlib.backends.backend_agg"),
    *("numpy.linalg", "numpy.random", "numpy.testing", "ipywidgets", "asyncio", "concurrent.futures", "unittest"),
    *(f"coursekit.{part}" for part in coursekit.PARTS),
)
HOME_FOLDERS = (".matplotlib", ".ipython")
MAX_ORDER = 2**16
MAX_DESCRIPTORS = 3
MAX_WORDS = 2**16  # what a pipe holds


def main(descriptor: int) -> None:
    """Serve orders on the inherited socket `descriptor` until the other side closes it."""
    control = socket.socket(fileno=descriptor)
    setting = json.loads(control.recv(MAX_ORDER))
    prepare(setting["missing"])
    inside = Inside()
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    rehearse(inside)
    calls = make_filter() if setting["walled"] else None
    # Nothing that exists now is ever garbage, and a look at it by the collector would copy it in every fork.
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # its warden reports how a notebook ended
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, MAX_ORDER, MAX_DESCRIPTORS)
        if not order:
            return
        if os.fork() == 0:
            control.close()
            _warden(inside, calls, json.loads(order), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def rehearse(inside: Inside) -> None:
    """Draw a small picture, so that what Matplotlib makes on first use (fonts, its parser) is there in every fork."""
    figure = Figure()
    figure.subplots().set(title="a", xlabel="$x$", xticks=[0], yticks=[0])
    figure.savefig(io.BytesIO(), format="png")
    inside.shell.display_formatter.format(figure)
    inside.shell.transform_cell("%matplotlib inline")


def _warden(
    inside: Inside, calls: Filter | None, order: dict[str, Any], told: int, channel: int, *group: int
) -> NoReturn:
    """Start a notebook and report on the socket `told` how it ends.

    `channel` leads to the grader; `group`, if there is one, lets who writes to it into a control group.
    """
    report = socket.socket(fileno=told)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if calls:
            namespaces.isolate()
        sockets = namespaces.open_sockets() if order["counted"] else None
        heard, words = os.pipe()
        built, building = os.pipe()
        listener = Listener(calls) if calls else None
        first = os.fork()
        if first == 0:
            report.close()
            os.close(built)
            _init(inside, listener, order, channel, words, building, *group)
        for descriptor in (channel, words, building, *group):
            os.close(descriptor)
        ends = os.pidfd_open(first)
        if not os.read(built, 1):
            raise RuntimeError(watch(first, ends, heard, None, order)[1])
        socket.send_fds(report, [json.dumps({"pid": first}).encode()], [ends])
        reason, last_words, most = watch(first, ends, heard, sockets, order, listener)
        _, status = os.waitpid(first, 0)
        noted = listener.heard if listener else {}
        code = os.waitstatus_to_exitcode(status)
        end = {"status": code, "reason": reason, "last_words": last_words, "noted": noted, "most": most}
        report.send(json.dumps(end).encode())
    except BaseException as error:
        with contextlib.suppress(OSError):
            report.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def _init(
    inside: Inside, calls: Listener | None, order: dict[str, Any], channel: int, words: int, building: int, *group: int
) -> NoReturn:
    """Be the first process of a notebook: build its surroundings, start it, and end with it."""
    status = 1
    try:
        os.dup2(words, 1)
        os.dup2(words, 2)
        for descriptor in group:
            os.write(descriptor, b"0")
            os.close(descriptor)
        os.setsid()
        os.environ.update(order["environment"])
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")  # if memory ends, a notebook goes before its grader
        if calls:
            namespaces.mount_own(order["disk"])
        # Not the server's own, which every notebook would share.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name in HOME_FOLDERS:
            Path(order["home"], name).mkdir(parents=True, exist_ok=True)
        os.chdir(order["home"])
        if calls:
            namespaces.drop_capabilities()
        os.write(building, b"done")
        # What it and its programs write: it reads that itself, and what it has not read at its end are last words.
        ends = [os.pipe() for _ in ("stdout", "stderr")]
        pipes = [reading for reading, _ in ends]
        notebook = os.fork()
        if notebook == 0:
            for number, (_, writing) in enumerate(ends, 1):
                os.dup2(writing, number)
            _notebook(inside, calls, channel, pipes)
        namespaces.die_with_parent()
        _close_all_but(pipes)
        status = _reap(notebook)
        for reading in pipes:
            os.set_blocking(reading, False)
            with contextlib.suppress(BlockingIOError):
                os.write(2, os.read(reading, MAX_WORDS))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _close_all_but(kept: list[int]) -> None:
    """Close all descriptors but those `kept`, standard input, output and error."""
    below = 3
    for descriptor in sorted(kept):
        os.closerange(below, descriptor)
        below = descriptor + 1
    os.closerange(below, os.sysconf("SC_OPEN_MAX"))


def _notebook(inside: Inside, calls: Listener | None, channel: int, pipes: list[int]) -> NoReturn:
    """Run the student's code."""
    os.nice(5)  # whatever it does, its warden is heard
    if calls:
        calls.load()
    _close_all_but([channel, *pipes])
    os.set_inheritable(channel, False)
    # A fork remembers the random numbers of its parent.
    random.seed()
    np.random.seed()
    inside.main(Channel(socket.socket(fileno=channel)), pipes)


def _reap(notebook: int) -> int:
    """Wait for the notebook's end, and for orphans until then; return its status as a shell gives it."""
    while True:
        with contextlib.suppress(ChildProcessError, InterruptedError):
            ended, status = os.wait()
            if ended == notebook:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
