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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import coursekit
from coursekit.checks.cases import Case, Step
from coursekit.checks.codec import Opaque
from coursekit.checks.probes import Callback, Probe
from coursekit.checks.run import Failure, StepOutcome

from . import messages
from .messages import Channel, Closed, Late, ProtocolError

GRACE = 3.0  # seconds that a process has to stop by itself after its time is over
START_SECONDS = 60.0
MAX_OUTPUT = 8 * 2**20  # characters kept of one cell's outputs
MAX_OUTPUTS = 500
TOO_MUCH = "\n[There was more output than is kept of one cell; the rest was cut.]\n"
MAX_CALLS = 100_000
HIDDEN_MIMES = {"application/vnd.jupyter.widget-view+json", "application/javascript"}


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
        Bytes in the home directory, and again in /tmp.
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
    """The process behind the wall is gone, or was ended; `reason` completes "the notebook's process …"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoWall(RuntimeError):
    """bubblewrap is missing or may not be used here."""


OnCheck = Callable[[str, int], float]


class Box:
    """A process behind the wall; a context manager.

    Raises
    ------
    BoxDied
        By any method, when the process has ended, broke the protocol or ran out of time.
        Nothing that was received before is lost.
    """

    def __init__(self, limits: Limits, setup: Setup, files: Mapping[str, bytes] | None = None) -> None:
        self.limits = limits
        self.setup = setup
        self.files = dict(files or {})
        self.ends_at = time.monotonic() + START_SECONDS
        self.outputs: list[dict[str, Any]] = []
        self.kept = 0
        self.displayed: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> Box:
        self.folder = tempfile.TemporaryDirectory(prefix="coursekit-")
        folder = Path(self.folder.name)
        self.errors = (folder / "stderr").open("w+b")
        self.sock, theirs = socket.socketpair()
        trusted_samples = self.setup.kind == "none"
        with theirs:
            self.process = subprocess.Popen(
                command(self.setup, self.limits, theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                cwd=folder if trusted_samples else "/",
                env=environment(self.folder.name) if trusted_samples else {},
                start_new_session=True,
            )
        self.channel = Channel(self.sock)
        try:
            self._expect("ready", self.ends_at)
            self._send(
                "begin",
                forbidden=dict(self.setup.forbidden),
                files={name: np.frombuffer(content, np.uint8) for name, content in self.files.items()},
                memory=self.limits.memory,
                cpu_seconds=int(self.limits.notebook_seconds) + 5,
                processes=self.limits.processes,
            )
        except BaseException:
            self.close()
            raise
        self.ends_at = time.monotonic() + self.limits.notebook_seconds
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.sock.close()
        self.errors.close()
        self.folder.cleanup()

    # -- what it can be asked to do -------------------------------------------------------

    def run_cell(self, number: int, code: str, on_check: OnCheck | None = None) -> list[dict[str, Any]]:
        """Run a cell and give its outputs, as nbformat dictionaries.

        `on_check` is called when a check cell asks to be checked, with the exercise's name
        and the number of functions; it may use :meth:`run_case`, and returns the score.
        """
        self.outputs, self.kept = [], 0
        self._send("run", number=number, code=code, seconds=self.limits.cell_seconds, is_check=on_check is not None)
        # A check cell spends its time in calls, each with a limit of its own.
        seconds = self.limits.notebook_seconds if on_check else self.limits.cell_seconds + GRACE
        deadline = min(time.monotonic() + seconds, self.ends_at)
        while True:
            kind, fields = self._receive(deadline)
            if kind == "done" and fields.get("number") == number:
                return self.outputs
            if kind != "check" or on_check is None:
                raise self._broke(f"it sent {kind!r:.40} while a cell ran")
            name, count = self._field(fields, "name", str), self._field(fields, "count", int)
            self._send("verdict", score=on_check(name, count))

    def run_case(self, case: Case, names: tuple[str, ...]) -> list[StepOutcome]:
        """Run the steps of `case`, up to the first that raises; `names` are those of the functions under check."""
        self._send("case", names=list(names))
        outcomes = []
        for step in case.steps:
            outcomes.append(self._run_step(step))
            if outcomes[-1].failure:
                break
        return outcomes

    def _run_step(self, step: Step) -> StepOutcome:
        probes = [Probe(value.name, value.constants) for value in step.args if isinstance(value, Probe)]
        args = [Callback(value.parameters) if isinstance(value, Probe) else value for value in step.args]
        seconds = self.limits.call_seconds
        asked: dict[str, Any] = {"target": step.target, "args": args, "kwargs": dict(step.kwargs)}
        asked |= {"read": step.read, "save_as": step.save_as}
        self._send("step", step=asked, seconds=seconds)
        deadline = min(time.monotonic() + seconds + GRACE, self.ends_at)
        for _ in range(MAX_CALLS):
            kind, fields = self._receive(deadline)
            if kind == "result":
                return self._outcome(fields, probes)
            if kind != "call" or len(probes) != 1:
                raise self._broke(f"it sent {kind!r:.40} while a call ran")
            self._answer(probes[0], fields)
        raise self._broke("it made too many calls")

    def _answer(self, probe: Probe, fields: dict[str, Any]) -> None:
        args, kwargs = self._field(fields, "args", list), self._field(fields, "kwargs", dict)
        try:
            result, error = probe(*args, **kwargs), None
        except Exception as problem:  # whatever NumPy makes of the student's arguments
            result, error = None, f"{type(problem).__name__}: {problem}"[:500]
        self._send("answer", result=result, error=error)

    def _outcome(self, fields: dict[str, Any], probes: list[Probe]) -> StepOutcome:
        failure = None
        if fields.get("failure") is not None:
            kind, message, where = [*self._field(fields, "failure", list), None, None, None][:3]
            if not (isinstance(kind, str) and isinstance(message, str) and isinstance(where, list)):
                raise self._broke("it sent a malformed result")
            failure = Failure(kind[:100], message[:1000], tuple(str(line)[:300] for line in where[:6]))
        changed = self._field(fields, "changed", dict)
        return StepOutcome(
            returned=fields.get("returned"),
            failure=failure,
            changed={int(k): Opaque("nothing") if v is None else v for k, v in changed.items() if isinstance(k, int)},
            calls=probes[0].calls if probes else [],
            notes=[str(note)[:300] for note in self._field(fields, "notes", list)[:5]],
            seconds=float(self._field(fields, "seconds", (int, float))),
        )

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
                whole = time.monotonic() >= self.ends_at
                limit = self.limits.notebook_seconds if whole else self.limits.cell_seconds
                what = "the whole notebook" if whole else "a cell or a call"
                raise BoxDied(
                    f"was ended: {what} did not finish in time (limit {limit:g} s) and could not be interrupted"
                ) from None
            if kind != "output":
                return kind, fields
            self._keep(self._field(fields, "output", dict))

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

    def _broke(self, what: str) -> BoxDied:
        return BoxDied(f"was ended: it broke the protocol of the wall ({what})")

    def _died(self) -> BoxDied:
        """Why the process is gone, from its exit status."""
        try:
            status = self.process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            return BoxDied("stopped answering")
        number = status - 128 if status > 128 else -status
        if number > 0:
            return BoxDied(f"was killed by signal {number} ({signal.strsignal(number) or 'unknown'})")
        self.errors.seek(0)
        tail = self.errors.read()[-2000:].decode(errors="replace").strip()
        if tail.startswith("bwrap:"):
            raise NoWall(f"bubblewrap does not work here: {tail}")
        return BoxDied(f"ended by itself with exit status {status}" + (f": {tail[-300:]}" if tail else ""))

    def _keep(self, output: dict[str, Any]) -> None:
        """Add an output to the cell's, if it is one that a notebook can hold."""
        kind = output.get("output_type")
        size = _size(output)
        if self.kept + size > MAX_OUTPUT or len(self.outputs) >= MAX_OUTPUTS:
            if self.kept <= MAX_OUTPUT:
                self.outputs.append({"output_type": "stream", "name": "stdout", "text": TOO_MUCH})
            self.kept = MAX_OUTPUT + 1
            return
        self.kept += size
        if kind == "stream" and output.get("name") in ("stdout", "stderr") and isinstance(output.get("text"), str):
            last = self.outputs[-1] if self.outputs else {}
            if last.get("output_type") == "stream" and last.get("name") == output["name"]:
                last["text"] += output["text"]
            else:
                self.outputs.append({key: output[key] for key in ("output_type", "name", "text")})
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self._keep_bundle(kind, output)
        elif kind == "error":
            trace = output.get("traceback")
            lines = [str(line) for line in trace] if isinstance(trace, list) else []
            self.outputs.append(
                {
                    "output_type": "error",
                    "ename": str(output.get("ename")),
                    "evalue": str(output.get("evalue")),
                    "traceback": lines,
                }
            )
        elif kind == "clear_output":
            self.outputs.clear()

    def _keep_bundle(self, kind: str, output: dict[str, Any]) -> None:
        data = output.get("data")
        if not isinstance(data, dict):
            return
        bundle = {
            mime: value
            for mime, value in data.items()
            if isinstance(mime, str) and isinstance(value, str) and mime not in HIDDEN_MIMES
        }
        display_id = output.get("display_id")
        if kind == "update_display_data":
            for earlier in self.displayed.get(str(display_id), []):
                earlier["data"] = bundle
            return
        kept = {"output_type": kind, "data": bundle, "metadata": {}}
        self.outputs.append(kept)
        if isinstance(display_id, str):
            self.displayed.setdefault(display_id, []).append(kept)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(item) for item in value.values())
    return sum(_size(item) for item in value) if isinstance(value, list) else 8


# -- the wall itself ------------------------------------------------------------------------

HOW_TO_GET_BWRAP = "Install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap) and try again."
HOME = "/home/student"
KIT = "/kit"


@functools.cache
def why_no_wall() -> str | None:
    """Why bubblewrap cannot be used on this machine, or None if it can."""
    program = shutil.which("bwrap")
    if program is None:
        return f"bubblewrap is not installed. {HOW_TO_GET_BWRAP}"
    trial = [program, *_wall(Setup(), Limits()), sys.executable, "-I", "-c", ""]
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
        # One thread each: notebooks run side by side, and threads count as processes.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def command(setup: Setup, limits: Limits, descriptor: int) -> list[str]:
    """The command that starts `inside.main` behind the wall described by `setup`."""
    if setup.kind == "none":
        start = f"import sys; sys.path[:] = {sys.path!r}; from autograder.wall.inside import main; main({descriptor})"
        return [sys.executable, "-c", start]
    if setup.kind != "bwrap":
        raise ValueError(f"there is no sandbox {setup.kind!r}; there are 'bwrap' and 'none'")
    program = shutil.which("bwrap")
    if program is None:
        raise NoWall(f"Grading needs its wall: bubblewrap is not installed. {HOW_TO_GET_BWRAP}")
    start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.inside import main; main({descriptor})"
    return [program, *_wall(setup, limits), sys.executable, "-I", "-c", start]


def _wall(setup: Setup, limits: Limits) -> list[str]:
    disk = str(limits.disk)
    # The parents of what is bound are made by bwrap, empty: of the system only this is seen.
    words = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--clearenv", "--hostname", "notebook", "--uid", "1000", "--gid", "1000"]
    # First, for what is bound below may lie inside them.
    words += ["--size", disk, "--tmpfs", "/tmp", "--size", disk, "--tmpfs", "/home", "--dir", HOME]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
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
            words += ["--tmpfs", str(folder)]
    package = Path(coursekit.__file__).parent
    words += ["--ro-bind", str(package), f"{KIT}/coursekit", "--ro-bind", str(Path(__file__).parent), f"{KIT}/wall"]
    for path in _masked(setup.forbidden, package, seen):
        words += ["--ro-bind", "/dev/null", str(path)] if path.suffix else ["--tmpfs", str(path)]
    cache = _font_cache()
    if cache is not None:
        words += ["--ro-bind", str(cache), f"{HOME}/.matplotlib/{cache.name}"]
    words += ["--chdir", HOME, "--remount-ro", "/"]
    for name, value in environment(HOME).items():
        words += ["--setenv", name, value]
    return words


def _masked(forbidden: Mapping[str, str], package: Path, seen: list[Path]) -> list[Path]:
    """Where the forbidden modules, and the grader's own, would be found behind the wall."""
    found = []
    for name in [*forbidden, "autograder"]:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            continue
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        place = origin.parent if origin.name == "__init__.py" else origin
        if place.is_relative_to(package):
            found.append(Path(KIT) / "coursekit" / place.relative_to(package))
        if any(place.is_relative_to(path) for path in seen):
            found.append(place)
    return found


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
