"""Run a notebook behind the wall: a shell like a notebook's kernel, driven over one socket.

It runs the cells that it is told to run, sends their outputs, and makes the calls that a check asks for.  It knows
no expected result, so a student's code that takes over this process can still only answer calls.

Messages in: file, limits, run, case, step, answer, verdict.
Messages out: ready, output, check, result, call, done.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import functools
import importlib.abc
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from coursekit.checks import answer_with, check
from coursekit.checks.cases import Step
from coursekit.checks.codec import MAX_TEXT, Callback, Encoded, encode
from coursekit.checks.lines import CHECKERS
from coursekit.checks.run import Failure, Session, StepOutcome, describe

from . import remote, stubs
from .hooks import Hooks
from .kernel import Loop, make_shell, pass_over_what_asks
from .messages import Channel, Closed, ProtocolError
from .streams import Streams


class Timeout(BaseException):
    """The time for a cell or a call is over.  It is no Exception, so that a student's `except` does not catch it."""

    def _render_traceback_(self) -> list[str]:
        return [*describe(self).where, f"Timeout: {self}"]


class Inside:
    """The shell, the socket, and the state of the running cell."""

    channel: Channel
    process: int

    def __init__(self) -> None:
        self.cell_is_check = self.error_shown = False
        self.armed = self.in_message = self.is_late = False
        self.thread = threading.get_ident()
        self.streams = Streams(self.send_output, self.whole_messages)
        self.shell = make_shell(self)
        self.hooks = Hooks(self.shell)
        CHECKERS.append(str(Path(__file__).resolve().parent))
        answer_with(self.examine)

    def main(self, channel: Channel, pipes: list[int]) -> NoReturn:
        """Serve on `channel` until the other side closes it, and end this process.

        `pipes` are the other ends of its standard output and error.
        """
        status = 1
        try:
            self.channel, self.process = channel, os.getpid()
            os.register_at_fork(after_in_child=self._forked)
            self.loop = Loop()
            self.shell.loop_runner = self.loop.finish
            self.streams.start(pipes)
            signal.signal(signal.SIGALRM, self._alarm)
            self.serve()
        except Closed:
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)  # no exit hooks of the student's

    def serve(self) -> None:
        """Answer messages until the socket closes."""
        self.channel.send("ready")
        while True:
            kind, fields = self.channel.receive()
            if kind == "file":
                put_file(**fields)
            elif kind == "limits":
                set_limits(**fields)
            elif kind == "run":
                self.run_cell(**fields)

    def run_cell(self, number: int, code: str, seconds: float, is_check: bool, is_test: bool) -> None:
        self.cell_is_check, self.error_shown = is_check, False
        if is_check:
            self.shell.user_ns["check"] = check  # a student may well have called a variable `check`
        self.streams.begin_cell()
        with self._undisturbed(is_test) if is_test or is_check else contextlib.nullcontext():
            try:
                # A check's calls have limits of their own.
                with contextlib.nullcontext() if is_check else self.limit(seconds):
                    result = self.loop.step(lambda: self.shell.run_cell(code, store_history=True))
                    if not (is_check or is_test):
                        self.loop.let_tasks_go_on()
                error = result.error_before_exec or result.error_in_exec
                if error is not None and not self.error_shown:  # IPython can be told not to show any
                    self.show_error(type(error), error, traceback.format_exception(error))
            except Timeout as late:  # a second one, while IPython was showing the first
                self.show_error(Timeout, late, [str(late)])
            except Exception as error:  # raised by IPython itself, which the student's code has changed
                self.show_error(type(error), error, traceback.format_exception(error))
        if os.getpid() != self.process:
            os._exit(0)  # a child that the cell has forked; its parent goes on
        self.streams.flush()
        self.send("done", number=number)

    @contextlib.contextmanager
    def _undisturbed(self, is_test: bool) -> Iterator[None]:
        """Run a cell that counts with the streams that there were at the start, a test also with the hooks."""
        out, err = self.streams.both
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            self.hooks.as_they_were() if is_test else contextlib.nullcontext(),
        ):
            yield

    # -- messages -----------------------------------------------------------------------

    @contextlib.contextmanager
    def whole_messages(self) -> Iterator[None]:
        """Keep messages whole: Timeout and other threads wait until a message is sent."""
        with self.streams.lock:
            before = self.in_message
            self.in_message = before or threading.get_ident() == self.thread
            try:
                yield
            finally:
                self.in_message = before
        if self.is_late and not self.in_message and threading.get_ident() == self.thread:
            self._raise_timeout()

    def send(self, kind: str, **fields: Any) -> None:
        if os.getpid() != self.process:
            return  # a forked child has no say
        with self.whole_messages():
            self.channel.send(kind, **fields)

    def _forked(self) -> None:
        self.channel.sock.close()
        self.streams.after_fork()

    # -- checks -------------------------------------------------------------------------

    def examine(self, name: str, functions: tuple[Any, ...]) -> float:
        """Take the place of the public cases: the grader asks, and this process answers."""
        if not self.cell_is_check:
            print(f"check({name!r}, …) counts only in its own cell.")
            return 0.0
        self.streams.flush()
        self.send("check", name=str(name), count=len(functions))
        session = Walled(self, {})
        stand_ins: dict[str, Any] = {}
        while True:
            kind, fields = self.channel.receive()
            if kind == "verdict":
                return float(fields["score"])
            if kind == "case":
                session = Walled(self, dict(zip(fields["names"], functions, strict=False)))
                stand_ins = {name: session.stand_in(name, *how) for name, how in fields["stand_ins"].items()}
            elif kind == "step":
                with self._in_place(stand_ins):
                    outcome = self._timed(session, **fields)
                self._send_outcome(outcome)

    @contextlib.contextmanager
    def _in_place(self, stand_ins: dict[str, Any]) -> Iterator[None]:
        """Give the notebook's names these meanings for a while."""
        names = self.shell.user_ns
        own = {name: names[name] for name in stand_ins if name in names}
        names.update(stand_ins)
        try:
            yield
        finally:
            for name in stand_ins:
                names.pop(name, None)
            names.update(own)

    def _timed(self, session: Session, step: dict[str, Any], seconds: float) -> StepOutcome:
        try:
            with self.limit(seconds):
                return session.run(Step(**{**step, "args": tuple(step["args"]), "names": tuple(step["names"])}))
        except BaseException as error:  # Timeout, and whatever else is no Exception
            return StepOutcome(failure=describe(error))

    def _send_outcome(self, outcome: StepOutcome) -> None:
        self.streams.flush()
        try:
            self._send_result(outcome)
        except ProtocolError as error:
            self._send_result(StepOutcome(failure=Failure("ValueError", f"the result cannot be looked at: {error}")))

    def _send_result(self, outcome: StepOutcome) -> None:
        failure = outcome.failure
        self.send(
            "result",
            returned=outcome.returned,
            failure=failure and [failure.kind, failure.message, list(failure.where)],
            arrays=outcome.arrays,
            notes=outcome.notes,
            lines=outcome.lines,
        )

    # -- outputs ------------------------------------------------------------------------

    def send_output(self, **output: Any) -> None:
        with self.whole_messages():
            if output["output_type"] != "stream":
                self.streams.flush()
            self.send("output", output=output)

    def send_bundle(
        self, output_type: str, data: dict[str, Any], metadata: Any = None, display_id: str | None = None
    ) -> None:
        """Send one value in all forms in which it can be shown."""
        texts = {str(mime): _text(value) for mime, value in data.items()}
        for mime, text in texts.items():
            if isinstance(text, str) and len(text) > MAX_TEXT:
                texts[mime] = None
                print(f"[The {mime} shown here is too large to be kept: {len(text)} characters.]")
        self.send_output(output_type=output_type, data=texts, metadata=_sizes(metadata), display_id=display_id)

    def show_error(self, kind: Any, error: Any, lines: Sequence[str]) -> None:
        try:
            message = str(error)
        except Exception as second:
            message = f"(its message could not be made: {type(second).__name__})"
        name = str(getattr(kind, "__name__", kind))
        self.error_shown = True
        self.send_output(output_type="error", ename=name, evalue=message, traceback=[str(line) for line in lines])

    # -- time ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise Timeout in the running code after `seconds`, and again every half second if it is swallowed."""
        self.seconds, self.armed, self.is_late = seconds, True, False
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
        try:
            yield
        finally:
            self.armed = self.is_late = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _alarm(self, signum: int, frame: Any) -> None:
        self.is_late = self.armed
        if self.is_late and not self.in_message:
            self._raise_timeout()

    def _raise_timeout(self) -> None:
        self.is_late = False
        raise Timeout(f"Not finished after {self.seconds:g} s. Is there an endless loop?")


class Walled(Session):
    """A session in which calls of a function argument are answered on the other side of the wall."""

    def __init__(self, inside: Inside, functions: dict[str, Any]) -> None:
        super().__init__(functions)
        self.inside = inside
        self.objects = remote.Objects(self._call_out)

    def _data(self, value: Any) -> Any:
        return Encoded(*encode(value))  # within the time of the call, and once

    def _argument(self, value: Any) -> Any:
        return functools.partial(self._call_out, "") if isinstance(value, Callback) else super()._argument(value)

    def stand_in(self, name: str, kind: str, *details: str) -> Any:
        """Make what takes the place of the notebook's `name` while a step runs."""
        return remote.stand_in(self._call_out, self.objects, name, kind, *details)

    def _call_out(self, called: str, /, *args: Any, **kwargs: Any) -> Any:
        with self.inside.whole_messages():
            self.inside.send("call", name=called, args=list(args), kwargs=kwargs)
            kind, fields = self.inside.channel.receive()
        if kind != "answer":
            raise RuntimeError("the grader did not answer the call")
        if fields["error"] is not None:
            name, message = fields["error"]
            error = getattr(builtins, name, TypeError)
            raise error(message)
        return fields["result"]


def _sizes(metadata: Any) -> dict[str, dict[str, int]]:
    """Return how large pictures are to be shown."""
    about = metadata.items() if isinstance(metadata, dict) else ()
    return {
        str(mime): {side: int(one[side]) for side in ("width", "height") if isinstance(one.get(side), int | float)}
        for mime, one in about
        if isinstance(one, dict)
    }


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str.__str__(value) if isinstance(value, str) else value


# -- the start ----------------------------------------------------------------------------


class Forbidden(importlib.abc.MetaPathFinder):
    """Says why a module is missing; it is missing without this too."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = reasons

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        for module, reason in self.reasons.items():
            if name == module or name.startswith(module + "."):
                raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=name)


def put_file(name: str, content: Any) -> None:
    """Write one of the submission's files."""
    path = Path.cwd() / name
    # A file that cannot be written here (a name too long, a full disk) fails in the cell that opens it.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())


def prepare(missing: Mapping[str, str]) -> None:
    """Make this process one for notebooks, where the modules `missing` are missing, each for the reason given."""
    sys.meta_path.insert(0, Forbidden(missing))
    if stubs.CHECKER in missing:
        stubs.install()
    sys.path.insert(0, "")
    pass_over_what_asks()


def set_limits(memory: int, cpu_seconds: int, processes: int) -> None:
    """Set limits that nothing in this process can raise again."""
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, 64 * 2**20),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
        # What the kernel would keep for this process, or grant it over others.
        (resource.RLIMIT_SIGPENDING, 1024),
        (resource.RLIMIT_MEMLOCK, 2**16),
        *((limit, 0) for limit in (resource.RLIMIT_MSGQUEUE, resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO)),
    ):
        hard = resource.getrlimit(limit)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))
