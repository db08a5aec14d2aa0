"""The trusted side of the wall: starts a process behind it, drives it, believes nothing.

A :class:`Box` is one such process.  It sees a read-only system and Python, the student's
side of coursekit, an empty home and an empty /tmp; no network, no other process, and of
the course nothing at all.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

import coursekit
from coursekit.checks.cases import Case, Step
from coursekit.checks.codec import Opaque
from coursekit.checks.given import Given
from coursekit.checks.probes import Callback, Probe
from coursekit.checks.report import printable
from coursekit.checks.run import Failure, StepOutcome

from . import guard, messages
from .messages import Channel, Closed, Late, ProtocolError
from .outputs import Outputs

GRACE = 3.0  # seconds that a process has to stop by itself after its time is over
START_SECONDS = 60.0


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
        Address space of each process, in bytes.
    processes : int
        Processes and threads (enforced by the kernel where the grader is not root).
    disk : int
        Bytes in the home directory, and again in /tmp and in /dev/shm.
    """

    cell_seconds: float = 30.0
    call_seconds: float = 10.0
    notebook_seconds: float = 300.0
    memory: int = 4 * 2**30
    processes: int = 128
    disk: int = 256 * 2**20


@dataclass(frozen=True)
class Setup:
    """How the process is walled in.

    `kind` is ``"bwrap"``, or ``"none"`` for trusted samples only; `forbidden` holds the
    modules that do not exist there, each with the reason that a student is told; `hide`
    the folders that must not be seen even if they lie inside a folder that must.
    """

    kind: str = "bwrap"
    forbidden: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[Path, ...] = ()


class BoxDied(Exception):
    """The process behind the wall is gone, or was ended.

    `reason` completes "the notebook's process …"; `late` says whether the time was over.
    """

    def __init__(self, reason: str, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


class NoWall(RuntimeError):
    """bubblewrap is missing, or no process can be started behind it here."""


OnCheck = Callable[[str, int], float]


class Box:
    """A process behind the wall; a context manager.

    Raises
    ------
    BoxDied
        By any method, when the process has ended, broke the protocol or ran out of time.
        Nothing that was received before is lost: see `outputs`.
    NoWall
        On entry, when there is no process: no code of a student has run then.
    """

    def __init__(self, limits: Limits, setup: Setup, files: Mapping[str, bytes] | None = None) -> None:
        self.limits = limits
        self.setup = setup
        self.files = dict(files or {})
        self.ends_at = time.monotonic() + START_SECONDS
        self.started = False
        self.outputs = Outputs()
        self.answers = guard.Answers()

    def __enter__(self) -> Box:
        with contextlib.ExitStack() as opened:
            self.errors = opened.enter_context(tempfile.TemporaryFile())
            self.sock, theirs = socket.socketpair()
            opened.enter_context(self.sock)
            self.channel = Channel(self.sock)
            with theirs:
                self.process = opened.enter_context(self._process(theirs.fileno()))
            self._expect("ready", self.ends_at)
            for name, content in self.files.items():
                self._send("file", name=name, content=np.frombuffer(content, np.uint8))
            self._send(
                "begin",
                forbidden=dict(self.setup.forbidden),
                memory=self.limits.memory,
                cpu_seconds=int(self.limits.notebook_seconds) + 5,
                processes=self.limits.processes,
            )
            self.started = True
            self.opened = opened.pop_all()
        self.ends_at = time.monotonic() + self.limits.notebook_seconds
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and everything that it started."""
        self.opened.close()

    @contextlib.contextmanager
    def _process(self, descriptor: int) -> Iterator[subprocess.Popen[bytes]]:
        """The process that serves on `descriptor`, and its end."""
        walled = self.setup.kind != "none"
        with contextlib.ExitStack() as opened:
            home = "/" if walled else opened.enter_context(tempfile.TemporaryDirectory(prefix="coursekit-"))
            words, options = command(self.setup, self.limits, descriptor)
            # Through a file, for what stands on its command line a process can read.
            written = opened.enter_context(_written("\0".join(options)))
            if walled:
                words = [words[0], "--args", str(written.fileno()), *words[1:]]
            process = subprocess.Popen(
                words,
                pass_fds=(descriptor, written.fileno()) if walled else (descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                cwd=home,
                env={} if walled else environment(home),
                start_new_session=True,
            )
            try:
                yield process
            finally:
                # Behind the wall all processes end with bwrap's: the kernel sees to it.
                if not walled or process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    # -- what it can be asked to do -------------------------------------------------------

    def run_cell(self, number: int, code: str, on_check: OnCheck | None = None) -> list[dict[str, Any]]:
        """Run a cell and give its outputs, as nbformat dictionaries.

        `on_check` is called when a check cell asks to be checked, with the exercise's name
        and the number of functions; it may use :meth:`run_case`, and returns the score.
        """
        self.outputs.begin_cell()
        self.answers = guard.Answers()
        self._send("run", number=number, code=code, seconds=self.limits.cell_seconds, is_check=on_check is not None)
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

    def run_case(
        self, case: Case, names: tuple[str, ...], stand_ins: Mapping[str, Any] | None = None
    ) -> list[StepOutcome]:
        """Run the steps of `case`, up to the first that raises; `names` are those of the functions under check.

        `stand_ins` take the places of other functions of the notebook, by name: a function
        of this side, which is called across the wall, or a Given.
        """
        answering = {name: guard.Reference(f) for name, f in (stand_ins or {}).items() if not isinstance(f, Given)}
        crossing = {name: Callback(reference.parameters) for name, reference in answering.items()}
        self._send("case", names=list(names), stand_ins={**(stand_ins or {}), **crossing})
        outcomes = []
        for step in case.steps:
            outcomes.append(self._run_step(step, answering))
            if outcomes[-1].failure:
                break
        return outcomes

    def _run_step(self, step: Step, stand_ins: Mapping[str, guard.Reference]) -> StepOutcome:
        probes = [Probe(value.name, value.constants) for value in step.args if isinstance(value, Probe)]
        if any(isinstance(value, Probe) for value in step.kwargs.values()) or len(probes) > 1:
            raise ValueError(f"{step.target}: a step may have one function among its arguments, by position")
        args = [Callback(value.parameters) if isinstance(value, Probe) else value for value in step.args]
        answering: dict[str, Probe | guard.Reference] = {**stand_ins, **dict(zip([""], probes, strict=False))}
        seconds = self.limits.call_seconds
        # Of a step, this crosses and nothing else: neither `expected` nor the case's title.
        asked: dict[str, Any] = {"target": step.target, "args": args, "kwargs": dict(step.kwargs)}
        asked |= {"names": list(step.names), "evaluate": step.evaluate, "save_as": step.save_as}
        self._send("step", step=asked, seconds=seconds)
        started = time.monotonic()
        deadline = min(started + seconds + GRACE, self.ends_at)
        while True:
            kind, fields = self._receive(deadline)
            if kind == "result":
                outcome = self._outcome(fields, step)
                outcome.calls = probes[0].calls if probes else []
                outcome.seconds = time.monotonic() - started
                return outcome
            called = answering.get(self._field(fields, "name", str)) if kind == "call" else None
            if called is None:
                raise self._broke(f"it sent {kind!r:.40} while a call ran")
            self._answer(called, fields)

    def _answer(self, probe: Probe | guard.Reference, fields: dict[str, Any]) -> None:
        args = self._plain(self._field(fields, "args", list))
        kwargs = self._plain(self._field(fields, "kwargs", dict))
        try:
            result, error = guard.call(probe, args, kwargs), None
        except Exception as problem:  # whatever NumPy makes of the student's arguments
            result, error = None, [type(problem).__name__, str(problem)[:500]]
        self._send("answer", result=result, error=error)

    def _outcome(self, fields: dict[str, Any], step: Step) -> StepOutcome:
        changed = self._plain(self._field(fields, "changed", dict))
        arrays = [number for number, value in enumerate(step.args) if isinstance(value, np.ndarray)]
        notes = self._field(fields, "notes", list)
        return StepOutcome(
            returned=self._plain(fields.get("returned")),
            failure=None if fields.get("failure") is None else self._failure(self._field(fields, "failure", list)),
            changed={n: Opaque("nothing") if changed[n] is None else changed[n] for n in arrays if n in changed},
            notes=[note[:300] for note in notes[:5] if isinstance(note, str)],
        )

    def _failure(self, sent: list[Any]) -> Failure:
        match sent:
            case [str(kind), str(message), list(where)]:
                lines = tuple(line[:300] for line in where[:6] if isinstance(line, str))
                return Failure(kind[:100], message[:1000], lines)
        raise self._broke("it sent a malformed failure")

    # -- messages ---------------------------------------------------------------------------

    def _send(self, kind: str, **fields: Any) -> None:
        try:
            self.channel.send(kind, min(time.monotonic() + 30, self.ends_at), **fields)
        except (Late, Closed):
            raise self._died() from None

    def _receive(self, deadline: float) -> tuple[str, dict[str, Any]]:
        """The next message that is not an output; outputs are kept."""
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
        return BoxDied(f"was ended: it broke the protocol of the wall ({printable(what)})")

    def _late(self) -> Exception:
        if not self.started:
            return NoWall(f"a process behind the wall did not start within {START_SECONDS:g} s")
        if time.monotonic() >= self.ends_at:
            return BoxDied("was ended: the time that a whole notebook may take is over", late=True)
        return BoxDied("was ended: a cell or a call did not finish in time and could not be interrupted", late=True)

    def _died(self) -> Exception:
        """Why the process is gone, from its exit status."""
        try:
            status = self.process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            return BoxDied("stopped answering")
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - 2000))
        tail = printable(self.errors.read().decode(errors="replace").strip())
        if not self.started:
            trouble = "bubblewrap does not work here" if tail.startswith("bwrap:") else "nothing starts behind the wall"
            return NoWall(f"{trouble}: {tail or f'exit status {status}'}")
        number = status - 128 if status > 128 else -status
        if number in set(signal.Signals):
            return BoxDied(f"was killed by signal {number} ({signal.strsignal(number)})")
        return BoxDied(f"ended by itself with exit status {status}" + (f": {tail[-300:]}" if tail else ""))


# -- the wall itself ------------------------------------------------------------------------

HOW_TO_GET_BWRAP = "Install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap) and try again."
HOME = "/home/student"
KIT = "/kit"
PYTHON = [sys.executable, "-s", "-P"]  # of the places where Python looks for modules, only its own


@functools.cache
def why_no_wall() -> str | None:
    """Why bubblewrap cannot be used on this machine, or None if it can."""
    program = shutil.which("bwrap")
    if program is None:
        return f"bubblewrap is not installed. {HOW_TO_GET_BWRAP}"
    trial = [program, *_wall(Setup(), Limits()), *PYTHON, "-c", ""]
    tried = subprocess.run(trial, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if tried.returncode == 0:
        return None
    return f"bubblewrap is installed and does not work here: {tried.stderr.strip()[-300:]}"


def environment(home: str) -> dict[str, str]:
    """The environment variables of the process: nothing of the grader's own."""
    return {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        "IPYTHONDIR": f"{home}/.ipython",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # a set of texts has the same order whenever it is graded
        # One thread each: notebooks run side by side, and threads count as processes.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def command(setup: Setup, limits: Limits, descriptor: int) -> tuple[list[str], list[str]]:
    """The command that starts `inside.main` behind the wall described by `setup`, and bwrap's options apart from it."""
    if setup.kind == "none":
        start = f"import sys; sys.path[:] = {sys.path!r}; from autograder.wall.inside import main; main({descriptor})"
        return [sys.executable, "-c", start], []
    if setup.kind != "bwrap":
        raise ValueError(f"there is no sandbox {setup.kind!r}; there are 'bwrap' and 'none'")
    program = shutil.which("bwrap")
    if program is None:
        raise NoWall(f"Grading needs its wall: bubblewrap is not installed. {HOW_TO_GET_BWRAP}")
    start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.inside import main; main({descriptor})"
    return [program, *PYTHON, "-c", start], _wall(setup, limits)


@contextlib.contextmanager
def _written(text: str) -> Iterator[IO[bytes]]:
    """An open file, without a name, that holds `text`."""
    with tempfile.TemporaryFile() as file:
        file.write(os.fsencode(text))
        file.seek(0)
        yield file


def _wall(setup: Setup, limits: Limits) -> list[str]:
    disk = str(limits.disk)
    # The parents of what is bound are made by bwrap, empty: of the system only this is seen.
    words = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--clearenv", "--hostname", "notebook", "--uid", "1000", "--gid", "1000"]
    # First, for what is bound below may lie inside them.
    words += ["--size", disk, "--tmpfs", "/tmp", "--size", disk, "--tmpfs", "/home", "--dir", HOME]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    words += ["--dev", "/dev", "--size", disk, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for etc in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts"):
        words += ["--ro-bind-try", etc, etc]
    seen = [Path("/usr")]
    for prefix in dict.fromkeys([sys.base_prefix, sys.prefix]):
        if not any(Path(prefix).is_relative_to(path) for path in seen):
            words += ["--ro-bind", prefix, prefix]
            seen.append(Path(prefix))
    for folder in setup.hide:
        if any(folder.is_relative_to(path) for path in seen):
            words += _emptied(folder)
    package = Path(coursekit.__file__).parent
    words += ["--ro-bind", str(package), f"{KIT}/coursekit", "--ro-bind", str(Path(__file__).parent), f"{KIT}/wall"]
    for place, path in _masked(setup.forbidden, package, seen):
        words += _emptied(path) if place.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    cache = _font_cache()
    if cache is not None:
        words += ["--ro-bind", str(cache), f"{HOME}/.matplotlib/{cache.name}"]
    words += ["--chdir", HOME, "--remount-ro", "/"]
    for name, value in environment(HOME).items():
        words += ["--setenv", name, value]
    return words


def _emptied(folder: Path) -> list[str]:
    return ["--tmpfs", str(folder), "--remount-ro", str(folder)]


def _masked(forbidden: Mapping[str, str], package: Path, seen: list[Path]) -> list[tuple[Path, Path]]:
    """Where the forbidden modules, and the grader's own, are out here, and where they would be found inside."""
    masked: list[tuple[Path, Path]] = []
    for name in [*forbidden, "autograder"]:
        for place in {*_installed(name, seen), *_imported(name)}:
            if any(place.is_relative_to(path) for path in seen):
                masked.append((place, place))
        if name.startswith(package.name + "."):
            for place in _modules(package.parent, name.replace(".", "/")):
                masked.append((place, Path(KIT) / place.relative_to(package.parent)))
    return masked


def _installed(name: str, prefixes: list[Path]) -> Iterator[Path]:
    """All copies of a module in any Python's packages below `prefixes`, for a path can be named by hand."""
    for prefix in prefixes:
        for kind in ("lib", "local/lib"):
            for packages in prefix.glob(f"{kind}/python*/*-packages"):
                yield from _modules(packages, name.replace(".", "/"))


def _imported(name: str) -> Iterator[Path]:
    """The copy that an import out here would take."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return
    if spec is not None and spec.origin is not None:
        origin = Path(spec.origin)
        yield origin.parent if origin.name == "__init__.py" else origin


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """The package or module `name` (with slashes) in `folder`, in every form that can be imported."""
    place = folder / name
    if place.is_dir():
        yield place
    yield from place.parent.glob(f"{place.name}.*")
    yield from place.parent.glob(f"__pycache__/{place.name}.*")


@functools.cache
def _font_cache() -> Path | None:
    """matplotlib's list of fonts, which takes a second to make: made once out here and shown inside."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    import matplotlib
    from matplotlib import font_manager

    name = f"fontlist-v{font_manager.FontManager.__version__}.json"
    path = Path(matplotlib.get_cachedir()) / name
    return path if path.is_file() else None
