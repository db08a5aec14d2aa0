"""A warm process behind the wall: it has imported everything once, and every notebook runs in a fork of it.

It never runs a student's code.  For each order (a message with three descriptors) it forks

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
import select
import signal
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from matplotlib.figure import Figure

import coursekit

from . import namespaces
from .inside import Inside, prepare
from .messages import Channel
from .syscalls import Filter, make_filter

# What notebooks import, so that none of them has to wait.
WARM = (
    *("matplotlib.pyplot", "matplotlib_inline.backend_inline", "matplotlib.backends.backend_agg"),
    *("numpy.linalg", "numpy.random", "numpy.testing", "ipywidgets", "asyncio", "concurrent.futures", "unittest"),
    *(f"coursekit.{part}" for part in coursekit.PARTS),
)
WATCH_MS = 50
HOME_FOLDERS = (".matplotlib", ".ipython")
MAX_ORDER = 2**16


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
        order, descriptors, _, _ = socket.recv_fds(control, MAX_ORDER, 3)
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
    inside: Inside, calls: Filter | None, order: dict[str, Any], channel: int, errors: int, told: int
) -> NoReturn:
    """Start a notebook and report on the socket `told` how it ends."""
    report = socket.socket(fileno=told)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        processes = os.open("/proc", os.O_RDONLY)  # as the server sees it, before another is mounted there
        if calls:
            namespaces.isolate()
        first = os.fork()
        if first == 0:
            report.close()
            os.close(processes)
            _init(inside, calls, order, channel, errors)
        os.close(channel)
        ends = os.pidfd_open(first)
        socket.send_fds(report, [json.dumps({"pid": first}).encode()], [ends])
        reason = _watch(first, ends, processes, order)
        _, status = os.waitpid(first, 0)
        report.send(json.dumps({"status": os.waitstatus_to_exitcode(status), "reason": reason}).encode())
    except BaseException as error:
        with contextlib.suppress(OSError):
            report.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def _init(inside: Inside, calls: Filter | None, order: dict[str, Any], channel: int, errors: int) -> NoReturn:
    """Be the first process of a notebook: build its surroundings, start it, and end with it."""
    status = 1
    try:
        os.setsid()
        os.dup2(errors, 2)
        os.environ.update(order["environment"])
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")  # if memory ends, a notebook goes before its grader
        if calls:
            for place in ("/tmp", "/home", "/dev/shm"):
                namespaces.mount_empty(place, order["disk"])
            namespaces.mount_proc()
        for name in HOME_FOLDERS:
            Path(order["home"], name).mkdir(parents=True, exist_ok=True)
        os.chdir(order["home"])
        if calls:
            namespaces.drop_capabilities()
        notebook = os.fork()
        if notebook == 0:
            _notebook(inside, calls, channel)
        namespaces.die_with_parent()
        os.closerange(3, 256)
        status = _reap(notebook)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _notebook(inside: Inside, calls: Filter | None, channel: int) -> NoReturn:
    """Run the student's code."""
    os.nice(5)  # whatever it does, its warden is heard
    for descriptor in range(3, 256):
        if descriptor != channel:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    os.set_inheritable(channel, False)
    if calls:
        calls.load()
    # A fork remembers the random numbers of its parent.
    random.seed()
    np.random.seed()
    inside.main(Channel(socket.socket(fileno=channel)))


def _reap(notebook: int) -> int:
    """Wait for the notebook's end, and for orphans until then; return its status as a shell gives it."""
    while True:
        with contextlib.suppress(ChildProcessError, InterruptedError):
            ended, status = os.wait()
            if ended == notebook:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code


# -- the watch ----------------------------------------------------------------------------


def _watch(first: int, ends: int, processes: int, order: dict[str, Any]) -> str | None:
    """Wait for the end of the process `first`; if it uses too much, end it and return the reason."""
    poller = select.poll()
    poller.register(ends, select.POLLIN)
    while not poller.poll(WATCH_MS):
        reason = _too_much(first, processes, order)
        if reason:
            os.kill(first, signal.SIGKILL)
            return reason
    return None


def _too_much(first: int, processes: int, order: dict[str, Any]) -> str | None:
    family = list(_family(first, processes))
    threads = sum(count for _, count, _ in family)
    if threads > order["processes"]:
        return f"it had {threads} processes and threads; {order['processes']} are allowed"
    if sum(pages for _, _, pages in family) * os.sysconf("SC_PAGESIZE") < order["memory"]:
        return None
    # Memory that forks share was counted for each of them; this counts it once, and takes longer.
    used = sum(_own_memory(number, processes) for number, _, _ in family)
    if used > order["memory"]:
        return f"all its processes together used more than {order['memory'] >> 20} MB of memory"
    return None


def _family(first: int, processes: int) -> Iterator[tuple[int, int, int]]:
    """Yield the descendants of `first`: number, threads, and pages in memory."""
    children: dict[int, list[tuple[int, int, int]]] = {}
    for name in os.listdir(processes):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # After the name in parentheses, which may hold anything: state, parent, ...; see proc(5).
                fields = _read(f"{name}/stat", processes).rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append((int(name), int(fields[17]), int(fields[21])))
    waiting = [first]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child[0])
            yield child


def _own_memory(number: int, processes: int) -> int:
    """Return the bytes of memory of a process, with its part of what it shares."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = _read(f"{number}/smaps_rollup", processes).splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
    return 0


def _read(name: str, folder: int) -> str:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, 2**14).decode(errors="replace")
    finally:
        os.close(descriptor)
