"""Work on the bytes of students in a process that can be ended.

A parser that takes a millisecond for what honest people write can take minutes for what is written to be slow.  No
bound on the input foresees all of that, so such work is done by a :class:`Helper`: a process that is told a
function's name and its arguments, and is ended when it does not answer in time.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

START_SECONDS = 60.0  # for its imports, on a machine that is busy
MEMORY = 2 * 2**30


class Unanswered(Exception):
    """The work was not done; the message says why."""


class Helper:
    """A process that calls functions of one module, started when it is first needed.

    Parameters
    ----------
    module : str
        Its full name.  Arguments and results of its functions are JSON.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.one_at_a_time = threading.Lock()
        self.owner = 0
        self.process: subprocess.Popen[bytes]
        self.channel: Connection

    def call(self, seconds: float, function: str, *args: Any) -> Any:
        """Return what `function` returns.

        Raises
        ------
        Unanswered
            If it takes longer than `seconds`, needs too much memory or raises.
        """
        with self.one_at_a_time:
            try:
                if self.owner != os.getpid():  # a fork has none of its own
                    self._start()
                self.channel.send_bytes(json.dumps([seconds, function, args]).encode())
                if not self.channel.poll(seconds):
                    raise Unanswered(f"it took longer than {seconds:g} s")
                answer = json.loads(self.channel.recv_bytes())
            except (EOFError, OSError) as error:
                self._end()
                raise Unanswered("it needed too much time or memory") from error
            except BaseException:  # an interrupt too: the next answer must not be taken for this one
                self._end()
                raise
        if "error" in answer:
            raise Unanswered(answer["error"])
        return answer["result"]

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-m", __name__, self.module, str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self.channel, self.owner = ours, os.getpid()
        atexit.register(self._end)
        if not ours.poll(START_SECONDS):
            raise Unanswered(f"its process did not start within {START_SECONDS:g} s")
        ours.recv_bytes()

    def _end(self) -> None:
        if self.owner == os.getpid():
            self.owner = 0
            self.process.kill()
            self.process.wait()
            self.channel.close()
            atexit.unregister(self._end)


def answer_calls(module_name: str, descriptor: int) -> None:
    """Answer what comes through the pipe at `descriptor`, until it is closed."""
    module = importlib.import_module(module_name)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = Connection(descriptor)
    channel.send_bytes(b"ready")
    while True:
        seconds, function, args = json.loads(channel.recv_bytes())
        # If the other side is gone, the kernel ends this process.
        spent = resource.getrusage(resource.RUSAGE_SELF)
        most = int(spent.ru_utime + spent.ru_stime + seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
        try:
            answer = {"result": getattr(module, function)(*args)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        channel.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        answer_calls(sys.argv[1], int(sys.argv[2]))
