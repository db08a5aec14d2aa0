"""What runs behind the wall: a shell like a notebook's kernel, driven over one socket.

It runs the cells that it is told to run, sends their outputs, and makes the calls that a
check asks for.  It knows no expected result, so a student's code that takes this process
over entirely can still do no more than answer calls.

Messages in: begin, run, case, step, answer, verdict.
Messages out: ready, output, check, result, call, done.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import importlib.abc
import io
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from coursekit.checks import answer_with, check
from coursekit.checks.cases import Step
from coursekit.checks.probes import Callback
from coursekit.checks.run import OWN_FOLDERS, Session, StepOutcome, describe

from .messages import Channel

FLUSH_AT = 8192


class Timeout(BaseException):
    """The time for a cell or a call is over.  Not an Exception, so that a student's `except` lets it pass."""


class Inside:
    """The shell, the socket, and which cell is running."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.cell_is_check = False
        self.armed = False
        self.shell = make_shell(self)
        self.streams = {name: Stream(self, name) for name in ("stdout", "stderr")}

    def serve(self) -> None:
        """Answer messages until the socket closes."""
        signal.signal(signal.SIGALRM, self._alarm)
        OWN_FOLDERS.append(str(Path(__file__).resolve().parent))
        answer_with(self.examine)
        self.channel.send("ready")
        while True:
            kind, fields = self.channel.receive()
            if kind == "begin":
                begin(**fields)
            elif kind == "run":
                self.run_cell(**fields)

    def run_cell(self, number: int, code: str, seconds: float, is_check: bool) -> None:
        self.cell_is_check = is_check
        if is_check:
            self.shell.user_ns["check"] = check  # a student may well have called a variable `check`
        with self._streams_to_outside():
            try:
                # A check's calls have limits of their own.
                with contextlib.nullcontext() if is_check else self.limit(seconds):
                    self.shell.run_cell(code, store_history=True)
            except Timeout:
                pass  # IPython has shown it, unless it came between two of IPython's own lines
        self.channel.send("done", number=number)

    # -- checks -------------------------------------------------------------------------

    def examine(self, name: str, functions: tuple[Any, ...]) -> float:
        """Stands in for the public cases: the grader asks, this process answers."""
        if not self.cell_is_check:
            print(f"check({name!r}, …) counts only in its own cell.")
            return 0.0
        self._flush()
        self.channel.send("check", name=str(name), count=len(functions))
        session = Walled(self, {})
        while True:
            kind, fields = self.channel.receive()
            if kind == "verdict":
                return float(fields["score"])
            if kind == "case":
                session = Walled(self, dict(zip(fields["names"], functions, strict=False)))
            elif kind == "step":
                self._send_outcome(self._timed(session, **fields))

    def _timed(self, session: Session, step: dict[str, Any], seconds: float) -> StepOutcome:
        try:
            with self.limit(seconds):
                return session.run(Step(**{**step, "args": tuple(step["args"])}))
        except Timeout as late:
            return StepOutcome(failure=describe(late))

    def _send_outcome(self, outcome: StepOutcome) -> None:
        self._flush()
        failure = outcome.failure
        self.channel.send(
            "result",
            returned=outcome.returned,
            failure=failure and [failure.kind, failure.message, list(failure.where)],
            changed=outcome.changed,
            notes=outcome.notes,
            seconds=outcome.seconds,
        )

    # -- outputs ------------------------------------------------------------------------

    def send_output(self, **output: Any) -> None:
        if output["output_type"] != "stream":
            self._flush()
        self.channel.send("output", output=output)

    def _flush(self) -> None:
        for stream in self.streams.values():
            stream.flush()

    @contextlib.contextmanager
    def _streams_to_outside(self) -> Iterator[None]:
        with contextlib.redirect_stdout(self.streams["stdout"]), contextlib.redirect_stderr(self.streams["stderr"]):
            try:
                yield
            finally:
                self._flush()

    # -- time ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise Timeout in the running code after `seconds`, and again every half second if it is swallowed."""
        self.seconds, self.armed = seconds, True
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
        try:
            yield
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _alarm(self, signum: int, frame: Any) -> None:
        __tracebackhide__ = True  # IPython leaves this frame out of what it shows
        if self.armed:
            raise Timeout(f"Not finished after {self.seconds:g} s. Is there an endless loop?")


class Walled(Session):
    """A session in which a function argument is answered on the other side of the wall."""

    def __init__(self, inside: Inside, functions: dict[str, Any]) -> None:
        super().__init__(functions)
        self.channel = inside.channel

    def _argument(self, value: Any) -> Any:
        return self._stand_in if isinstance(value, Callback) else super()._argument(value)

    def _stand_in(self, *args: Any, **kwargs: Any) -> Any:
        self.channel.send("call", args=list(args), kwargs=kwargs)
        kind, fields = self.channel.receive()
        if kind != "answer":
            raise RuntimeError("the grader did not answer the call")
        if fields["error"] is not None:
            raise TypeError(fields["error"])
        return fields["result"]


# -- the shell ----------------------------------------------------------------------------


class Stream(io.TextIOBase):
    """Standard output or error as notebook output."""

    def __init__(self, inside: Inside, name: str) -> None:
        self.inside, self.name = inside, name
        self.parts: list[str] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.parts.append(text)
        self.size += len(text)
        if self.size > FLUSH_AT:
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self.parts, self.size = "".join(self.parts), [], 0
        if text:
            self.inside.send_output(output_type="stream", name=self.name, text=text)


def make_shell(inside: Inside) -> InteractiveShell:
    """An IPython shell whose outputs become messages."""

    class Publisher(DisplayPublisher):  # type: ignore[misc]
        def publish(  # type: ignore[no-untyped-def]
            self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs
        ) -> None:
            inside.send_output(
                output_type="update_display_data" if update else "display_data",
                data=_jsonable(data),
                metadata=_jsonable(metadata or {}),
                display_id=(transient or {}).get("display_id"),
            )

        def clear_output(self, wait: bool = False) -> None:
            inside.send_output(output_type="clear_output")

    class Hook(DisplayHook):  # type: ignore[misc]
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
            inside.send_output(
                output_type="execute_result", data=_jsonable(format_dict), metadata=_jsonable(md_dict or {})
            )

        def finish_displayhook(self) -> None:
            pass  # IPython would end the terminal's line here

    class Shell(InteractiveShell):  # type: ignore[misc]
        def _showtraceback(self, etype: Any, evalue: Any, stb: Sequence[str]) -> None:
            kind = str(getattr(etype, "__name__", etype))
            inside.send_output(output_type="error", ename=kind, evalue=str(evalue), traceback=list(stb))

    shell = Shell.instance(displayhook_class=Hook, display_pub_class=Publisher)
    shell.history_manager.enabled = False
    return shell


def _jsonable(bundle: dict[str, Any]) -> dict[str, Any]:
    return {
        str(key): base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in bundle.items()
    }


# -- the start ----------------------------------------------------------------------------


class Forbidden(importlib.abc.MetaPathFinder):
    """Says why a module is missing.  That it is missing does not depend on this."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        for module, reason in self.reasons.items():
            if name == module or name.startswith(module + "."):
                raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=name)


def begin(forbidden: dict[str, str], files: dict[str, Any], memory: int, cpu_seconds: int, processes: int) -> None:
    """Lay out the submission's files and set the limits that nothing in this process can lift again."""
    for name, content in files.items():
        path = Path.cwd() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    sys.meta_path.insert(0, Forbidden(forbidden))
    sys.path.insert(0, "")
    builtins.input = _no_input
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


def _no_input(prompt: object = "") -> str:
    raise RuntimeError("input() cannot be answered while a notebook is graded: put the value into the code")


def main(descriptor: int) -> None:
    """Serve on the inherited socket `descriptor` until the other side is done."""
    try:
        Inside(Channel(socket.socket(fileno=descriptor))).serve()
    finally:
        os._exit(0)  # no exit hooks of the student's
