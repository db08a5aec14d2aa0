"""Start fork servers behind the wall, from the trusted side; let them fork notebooks, and end these."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from coursekit.reporting import printable

from ..errors import NoWall
from . import groups
from .kit import kit_of
from .sandbox import START_SECONDS, Setup, command, environment

GRACE = 3.0  # seconds that a process has to stop by itself after its time is over
MAX_REPORT = 2**14
KEPT = 4  # servers of different walls that this process keeps


class ServerDied(RuntimeError):
    """A fork server has ended, and with it the notebooks that were running; none of them is the cause."""


@dataclass(frozen=True)
class End:
    """How a notebook's process ended: its exit status as a shell gives it, or why it was ended.

    `noted` counts its system calls of the kinds that break-outs are made of, by name; `most` is the most processes and
    threads that it was seen to have; `last_words` are what its processes wrote last to their standard output and error.
    """

    status: int
    reason: str | None
    noted: Mapping[str, int]
    most: int
    last_words: str


class Server:
    """A warm process behind the wall of `setup`, of which notebooks are forks.

    Raises
    ------
    NoWall
        If it does not start.
    """

    def __init__(self, setup: Setup) -> None:
        self.walled = setup.kind != "none"
        self.running = 0  # notebooks
        with contextlib.ExitStack() as opened:
            self.errors = opened.enter_context(tempfile.TemporaryFile())
            home = "/" if self.walled else opened.enter_context(tempfile.TemporaryDirectory(prefix="coursekit-"))
            # Each message is whole, and descriptors come with theirs.
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.control = opened.enter_context(control)
            with theirs:
                self.process = opened.enter_context(self._started(setup, home, theirs.fileno()))
            setting = {
                "missing": dict(kit_of(setup.forbidden, setup.withheld).missing),
                "walled": self.walled,
            }
            self.control.settimeout(START_SECONDS)
            try:
                self.control.send(json.dumps(setting).encode())
                ready = self.control.recv(MAX_REPORT)
            except TimeoutError:
                raise NoWall(f"the process behind the wall did not start within {START_SECONDS:g} s") from None
            except OSError:
                ready = b""
            if not ready:
                raise NoWall(self._why_it_ended())
            self.opened = opened.pop_all()

    @contextlib.contextmanager
    def _started(self, setup: Setup, home: str, descriptor: int) -> Iterator[subprocess.Popen[bytes]]:
        with command(setup, descriptor, home) as (words, inherited):
            process = subprocess.Popen(
                words,
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                cwd=home,
                env={} if self.walled else environment(home),
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the server, and all notebooks that are forks of it."""
        self.opened.close()

    @contextlib.contextmanager
    def fork(self, order: Mapping[str, Any], channel: int) -> Iterator[Forked]:
        """Start a notebook's process, which serves on `channel`; end it afterwards.

        Raises
        ------
        ServerDied, NoWall
        """
        with contextlib.ExitStack() as opened:
            group = opened.enter_context(groups.group(order["memory"], order["processes"])) if self.walled else None
            report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            opened.enter_context(report)
            report.settimeout(START_SECONDS)
            try:
                with theirs:
                    text = json.dumps({**order, "counted": self.walled and group is None}).encode()
                    entrance = [group.entrance] if group else []
                    socket.send_fds(self.control, [text], [theirs.fileno(), channel, *entrance])
                begun, descriptors, _, _ = socket.recv_fds(report, MAX_REPORT, 1)
            except TimeoutError:
                raise NoWall(f"a notebook's process did not start within {START_SECONDS:g} s") from None
            except OSError as error:
                raise ServerDied(f"the fork server of the wall does not answer ({error})") from None
            if not descriptors:
                if not begun:
                    raise ServerDied("the fork server of the wall did not start a notebook's process")
                raise NoWall(f"no process can be kept apart here: {printable(json.loads(begun)['failed'])}")
            forked = Forked(self, json.loads(begun)["pid"], descriptors[0], report, group)
            self.running += 1
            try:
                yield forked
            finally:
                self.running -= 1
                forked.kill()
                os.close(descriptors[0])

    def _why_it_ended(self) -> str:
        self.process.wait(GRACE)
        self.errors.seek(0)
        tail = printable(self.errors.read().decode(errors="replace").strip())[-2000:]
        trouble = "bubblewrap does not work here" if tail.startswith("bwrap:") else "nothing starts behind the wall"
        return f"{trouble}: {tail or f'exit status {self.process.returncode}'}"


class Forked:
    """A notebook's process, and everything that it starts."""

    def __init__(self, server: Server, pid: int, ends: int, report: socket.socket, group: groups.Group | None) -> None:
        self.server = server
        self.pid = pid
        self.ends = ends  # a descriptor of the process, which can never mean another one
        self.report = report
        self.group = group
        self.end: End | None = None

    def wait(self, seconds: float) -> End | None:
        """Return how it ended, or None if that is not known within `seconds`."""
        if self.end is None:
            self.report.settimeout(seconds)
            with contextlib.suppress(OSError, TypeError):  # a warden that failed says something else
                if said := self.report.recv(MAX_REPORT):
                    self.end = End(**json.loads(said))
                    if self.group:
                        self.end = replace(self.end, reason=self.group.reason(), most=self.group.most())
        return self.end

    def kill(self) -> None:
        """End the process, and wait until it is gone and its warden has told how."""
        with contextlib.suppress(ProcessLookupError):
            if not self.server.walled:
                os.killpg(self.pid, signal.SIGKILL)
            signal.pidfd_send_signal(self.ends, signal.SIGKILL)
        select.select([self.ends], [], [], GRACE)
        self.wait(GRACE)


# -- the servers of this process ----------------------------------------------------------

_servers: dict[Any, Server] = {}
_one_at_a_time = threading.Lock()  # a Dask worker may have several threads


@contextlib.contextmanager
def notebook_process(setup: Setup, order: Mapping[str, Any], channel: int) -> Iterator[Forked]:
    """:meth:`Server.fork` of the server for `setup`, which is started if there is none or it has ended."""
    with contextlib.ExitStack() as opened:
        try:
            forked = opened.enter_context(_server(setup).fork(order, channel))
        except ServerDied:
            forked = opened.enter_context(_server(setup, anew=True).fork(order, channel))
        yield forked


def start(setup: Setup) -> None:
    """Start the server for `setup`, if it does not run yet."""
    _server(setup)


def _server(setup: Setup, anew: bool = False) -> Server:
    with _one_at_a_time:
        return _kept_server(setup, anew)


def _kept_server(setup: Setup, anew: bool) -> Server:
    # A fork of this process has none of its servers.
    key = (os.getpid(), setup.kind, tuple(sorted(setup.forbidden.items())), setup.withheld, setup.hide)
    server = _servers.pop(key, None)
    if server is not None and (anew or not server.alive):
        server.close()
        server = None
    if server is None:
        idle = [other for other, one in _servers.items() if not one.running]
        for other in idle[: max(0, len(_servers) + 1 - KEPT)]:
            _servers.pop(other).close()
        server = Server(setup)
    _servers[key] = server  # the one used last comes last
    return server


@atexit.register
def close_servers() -> None:
    """End all servers of this process."""
    for key in [key for key in _servers if key[0] == os.getpid()]:
        _servers.pop(key).close()
