"""Drive a notebook's process behind the wall, from the trusted side, without trusting anything that it says."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coursekit.checks.cases import Case, Step
from coursekit.checks.codec import MAX_TEXT, Callback, Opaque
from coursekit.checks.lines import MAX_LINES, Line
from coursekit.checks.probes import Probe
from coursekit.checks.run import Failure, StepOutcome, changed
from coursekit.reporting import printable

from ..marks import LIMIT, PROTOCOL, REFUSED
from . import guard, messages
from .messages import Channel, Closed, Late, ProtocolError
from .oracle import Oracle
from .outputs import Output, Outputs
from .sandbox import HOME, Setup, environment
from .server import GRACE, Forked, ServerDied, notebook_process


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes
    ----------
    cell_seconds, call_seconds : float
        Wall time of one cell, and of one call that a check makes.
    notebook_seconds : float
        Wall time of the whole notebook.
    memory : int
        Address space of each process, and memory of all of them together, in bytes.
    processes : int
        Processes and threads.
    disk : int
        Bytes in the home directory, and again in /tmp and in /dev/shm.
    """

    cell_seconds: float = 30.0
    call_seconds: float = 10.0
    notebook_seconds: float = 300.0
    memory: int = 4 * 2**30
    processes: int = 128
    disk: int = 256 * 2**20


class BoxDied(Exception):
    """The process behind the wall is gone, or was ended.

    `reason` completes "the notebook's process …"; `late` says whether the time was over.
    `mark` is the kind of the mark that this is worth, or None if the process of honest work may end like this.
    """

    def __init__(self, reason: str, late: bool = False, mark: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late
        self.mark = mark


NOT_ITS_OWN = 2  # its init and its warden, which the kernel counts with its processes
MARKED_SIGNALS = {signal.SIGXCPU: LIMIT, signal.SIGXFSZ: LIMIT, signal.SIGSYS: REFUSED}
OnCheck = Callable[[str, int], float]


class Box:
    """A notebook's process behind the wall; a context manager.

    Raises
    ------
    BoxDied
        By any method, when the process has ended, broke the protocol or ran out of time.
        Nothing that was received before is lost: see `outputs`.
    ServerDied
        When the server that it is a fork of has ended, which is no fault of the notebook: run it again.
    NoWall
        On entry, when there is no process: no code of a student has run then.
    """

    def __init__(self, limits: Limits, setup: Setup, files: Mapping[str, bytes] | None = None) -> None:
        self.limits = limits
        self.setup = setup
        self.files = dict(files or {})
        self.outputs = Outputs()
        self.answers = guard.Answers()

    def __enter__(self) -> Box:
        with contextlib.ExitStack() as opened:
            sock, theirs = socket.socketpair()
            self.channel = Channel(opened.enter_context(sock))
            walled = self.setup.kind != "none"
            home = HOME if walled else opened.enter_context(tempfile.TemporaryDirectory(prefix="coursekit-"))
            order = {
                "home": home,
                "environment": {} if walled else environment(home),
                "disk": self.limits.disk,
                "memory": self.limits.memory,
                "processes": self.limits.processes,
            }
            with theirs:
                # A socket has one name, which lies in the grader's network: so the notebook cannot choose it.
                theirs.bind("")
                start = notebook_process(self.setup, order, theirs.fileno())
                self.process: Forked = opened.enter_context(start)
            self.ends_at = time.monotonic() + self.limits.notebook_seconds
            self._expect("ready", self.ends_at)
            for name, content in self.files.items():
                self._send("file", name=name, content=np.frombuffer(content, np.uint8))
            self._send(
                "limits",
                memory=self.limits.memory,
                cpu_seconds=int(self.limits.notebook_seconds) + 5,
                processes=self.limits.processes,
            )
            self.opened = opened.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def noted(self) -> Mapping[str, int]:
        """What :mod:`.noted` is about: the calls that were made, by name, once the process has ended."""
        return self.process.end.noted if self.process.end else {}

    @property
    def crowded(self) -> str | None:
        """What to say of a process that has ended if it was held at its limit of processes and threads."""
        most = self.process.end.most if self.process.end else 0
        if most >= self.limits.processes - NOT_ITS_OWN:
            return f"its process had {most} processes and threads, with which no more could be started"
        return None

    def close(self) -> None:
        """End the process and everything that it started."""
        self.opened.close()

    def begin_check(self) -> None:
        """Let as much come out as one exercise may return."""
        self.answers = guard.Answers()

    # -- what it can be asked to do -------------------------------------------------------

    def run_cell(self, number: int, code: str, on_check: OnCheck | None = None, is_test: bool = False) -> list[Output]:
        """Run a cell and return its outputs.

        A cell that `is_test` runs with IPython's own hooks, whatever the notebook has done to them.
        `on_check` is called when a check cell asks to be checked, with the exercise's name
        and the number of functions; it may use :meth:`run_case`, and returns the score.
        """
        self.outputs.begin_cell()
        self.begin_check()
        if len(code) > MAX_TEXT:
            why = f"this cell has {len(code)} characters, and {MAX_TEXT} is the most that is run: read data from a file"
            self.outputs.keep({"output_type": "error", "ename": "TooLong", "evalue": why, "traceback": [why]})
            return self.outputs.cell
        what = {"is_check": on_check is not None, "is_test": is_test}
        self._send("run", number=number, code=code, seconds=self.limits.cell_seconds, **what)
        deadline = time.monotonic() + self.limits.cell_seconds + GRACE
        while True:
            kind, fields = self._receive(min(deadline, self.ends_at))
            if kind == "done" and fields.get("number") == number:
                return self.outputs.cell
            if kind != "check" or on_check is None:
                raise self._broke(f"it sent {kind!r:.40} while a cell ran")
            name, count = self._field(fields, "name", str), self._field(fields, "count", int)
            asked = time.monotonic()
            score = on_check(name, count)
            self._send("verdict", score=score)
            deadline += time.monotonic() - asked  # the calls of a check have limits of their own

    def run_case(self, case: Case, names: tuple[str, ...], oracle: Oracle | None = None) -> list[StepOutcome]:
        """Run the steps of `case`, up to the first that raises; `names` are those of the functions under check.

        What an `oracle` answers for stands in the notebook's names while a step runs.
        """
        if oracle:
            oracle.begin_case()
        self._send("case", names=list(names), stand_ins=oracle.description() if oracle else {})
        outcomes = []
        for step in case.steps:
            outcomes.append(self._run_step(step, oracle))
            if outcomes[-1].failure:
                break
        return outcomes

    def _run_step(self, step: Step, oracle: Oracle | None) -> StepOutcome:
        probes = [Probe(value.name, value.constants) for value in step.args if isinstance(value, Probe)]
        if any(isinstance(value, Probe) for value in step.kwargs.values()) or len(probes) > 1:
            raise ValueError(f"{step.target}: a step may have one function among its arguments, by position")
        args = [Callback(value.parameters) if isinstance(value, Probe) else value for value in step.args]
        seconds = self.limits.call_seconds
        # Of a step, this crosses and nothing else: neither `expected` nor the case's title.
        asked: dict[str, Any] = {"target": step.target, "args": args, "kwargs": dict(step.kwargs)}
        asked |= {"names": list(step.names), "evaluate": step.evaluate}
        asked |= {"save_as": step.save_as, "counted": step.counted}
        # From before it is sent: on a busy machine the notebook may have begun before this process goes on.
        begun = time.monotonic()
        self._send("step", step=asked, seconds=seconds)
        started = time.monotonic()
        deadline = min(started + seconds + GRACE, self.ends_at)
        while True:
            kind, fields = self._receive(deadline)
            if kind == "result":
                outcome = self._outcome(fields, step, time.monotonic() - begun)
                outcome.calls = probes[0].calls if probes else []
                return outcome
            name = self._field(fields, "name", str) if kind == "call" else None
            called = (
                {"args": self._field(fields, "args", list), "kwargs": self._field(fields, "kwargs", dict)}
                if name is not None
                else {}
            )
            if name == "" and probes:
                given = {key: self._plain(value) for key, value in called.items()}
                self._answer(functools.partial(guard.call, probes[0], **given))
            elif name and oracle and name in oracle:
                self._answer(functools.partial(oracle.answer, name, deadline=deadline - GRACE, **called))
            else:
                raise self._broke(f"it sent {kind!r:.40} while a call ran")

    def _answer(self, ask: Callable[[], Any]) -> None:
        """Send what the student's code has asked for."""
        try:
            result, error = ask(), None
        except Exception as problem:  # whatever NumPy raises for the student's arguments
            result, error = None, [type(problem).__name__, str(problem)[:500]]
        try:
            self._send("answer", result=result, error=error)
        except ProtocolError as problem:  # too large to be sent
            self._send("answer", result=None, error=["ValueError", str(problem)])

    def _outcome(self, fields: dict[str, Any], step: Step, seconds: float) -> StepOutcome:
        """Return what came of `step`, which took `seconds`."""
        failure = None if fields.get("failure") is None else self._failure(self._field(fields, "failure", list))
        if failure and failure.kind == "Timeout" and seconds < self.limits.call_seconds:
            failure = replace(failure, kind="Exception")  # the code has an exception of this name
        return StepOutcome(
            returned=self._plain(fields.get("returned")),
            failure=failure,
            changed=self._changed(fields, step, failure),
            notes=[note[:300] for note in self._field(fields, "notes", list)[:5] if isinstance(note, str)],
            lines=None if fields.get("lines") is None else self._lines(self._field(fields, "lines", list)),
            seconds=seconds,
        )

    def _changed(self, fields: dict[str, Any], step: Step, failure: Failure | None) -> dict[int, Any]:
        sent = self._field(fields, "arrays", dict)
        positions = [number for number, value in enumerate(step.args) if isinstance(value, np.ndarray)]
        # All arrays come back from a call, unless it failed.
        missing = {} if failure or step.counted else dict.fromkeys(positions, Opaque("nothing"))
        return changed(step, missing | {number: self._plain(sent[number]) for number in positions if number in sent})

    def _failure(self, sent: list[Any]) -> Failure:
        match sent:
            case [str(kind), str(message), list(where)]:
                lines = tuple(line[:300] for line in where[:6] if isinstance(line, str))
                return Failure(kind[:100], message[:1000], lines)
        raise self._broke("it sent a malformed failure")

    def _lines(self, sent: list[Any]) -> list[Line]:
        lines = []
        for line in sent[:MAX_LINES]:
            match line:
                case (str(place), str(source), int(times)):
                    lines.append(Line(place[:300], source[:300], times))
                case _:
                    raise self._broke("it sent a malformed count of lines")
        return lines

    # -- messages ---------------------------------------------------------------------------

    def _send(self, kind: str, **fields: Any) -> None:
        try:
            self.channel.send(kind, min(time.monotonic() + 30, self.ends_at), **fields)
        except Late:
            raise self._late() if time.monotonic() >= self.ends_at else self._died() from None
        except Closed:
            raise self._died() from None

    def _receive(self, deadline: float) -> tuple[str, dict[str, Any]]:
        """Receive the next message that is not an output; keep the outputs."""
        while True:
            try:
                kind, fields = self.channel.receive(deadline)
            except ProtocolError as error:
                raise self._broke(str(error)) from None
            except Closed:
                raise self._died() from None
            except Late:
                raise self._late() from None
            if kind != "output":
                return kind, fields
            self.outputs.keep(self._field(fields, "output", dict))

    def _expect(self, kind: str, deadline: float) -> dict[str, Any]:
        got, fields = self._receive(deadline)
        if got != kind:
            raise self._broke(f"it sent {got!r:.40} instead of {kind!r}")
        return fields

    def _field(self, fields: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
        try:
            return messages.field(fields, name, kind)
        except ProtocolError as error:
            raise self._broke(str(error)) from None

    def _plain(self, value: Any) -> Any:
        try:
            return self.answers.plain(value)
        except ProtocolError as error:
            raise self._broke(str(error)) from None

    def _broke(self, what: str) -> BoxDied:
        return BoxDied(f"was ended: it broke the protocol of the wall ({printable(what)})", mark=PROTOCOL)

    def _late(self) -> BoxDied:
        if time.monotonic() >= self.ends_at:
            return BoxDied("was ended: the time that a whole notebook may take is over", late=True)
        reason = "was ended: a cell or a call did not finish in time and could not be interrupted"
        return BoxDied(reason, late=True, mark=LIMIT)

    def _died(self) -> Exception:
        """Return why the process is gone."""
        end = self.process.wait(GRACE)
        if end is None:
            if not self.process.server.alive:
                return ServerDied("the fork server of the wall has ended")
            return BoxDied("stopped answering", mark=PROTOCOL)
        if end.reason:
            return BoxDied(f"was ended: {end.reason}", mark=LIMIT)
        tail = printable(end.last_words.strip())
        number = end.status - 128 if end.status > 128 else -end.status
        if number in set(signal.Signals):
            mark = MARKED_SIGNALS.get(signal.Signals(number))
            return BoxDied(f"was killed by signal {number} ({signal.strsignal(number)})", mark=mark)
        return BoxDied(f"ended by itself with exit status {end.status}" + (f": {tail[-300:]}" if tail else ""))
