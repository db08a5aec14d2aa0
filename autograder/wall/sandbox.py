"""The wall itself: how bubblewrap is told what a process sees.

It sees a read-only system and Python, the student's side of coursekit, an empty home and an
empty /tmp; no network, no other process, and of the course nothing at all.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import coursekit
from coursekit.checks.report import printable

from ..errors import NoWall
from .namespaces import STAGE

START_SECONDS = 60.0


@dataclass(frozen=True)
class Setup:
    """How the process is walled in.

    `kind` is ``"bwrap"``, or ``"none"`` for trusted samples only; `forbidden` holds the
    modules that do not exist there, each with the reason that a student is told; `withheld`
    functions that cannot be called, because an exercise asks to write them; `hide` the
    folders that must not be seen even if they lie inside a folder that must.
    """

    kind: str = "bwrap"
    forbidden: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    hide: tuple[Path, ...] = ()


HOW_TO_GET_BWRAP = "Install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap) and try again."
HOME = "/home/student"
KIT = "/kit"
PYTHON = [sys.executable, "-s", "-P"]  # of the places where Python looks for modules, only its own


@functools.cache
def why_no_wall() -> str | None:
    """Why students' code cannot be walled in on this machine, or None if it can."""
    if shutil.which("bwrap") is None:
        return f"bubblewrap is not installed. {HOW_TO_GET_BWRAP}"
    return None if as_nobody() else _trial(nobody=False)


@functools.cache
def as_nobody() -> bool:
    """Whether the processes behind the wall are nobody's: if the grader is root and nobody can read its Python."""
    return os.getuid() == 0 and shutil.which("bwrap") is not None and _trial(nobody=True) is None


def _trial(nobody: bool) -> str | None:
    start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.namespaces import trial; trial()"
    with tempfile.TemporaryFile() as written:
        words = _bwrap(Setup(), nobody, written, start)
        tried = subprocess.run(
            words, pass_fds=[written.fileno()], capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    if tried.returncode == 0:
        return None
    reason = printable(tried.stderr.strip())[-300:]
    if tried.stderr.startswith("bwrap:"):
        return f"bubblewrap is installed and does not work here: {reason}"
    return f"behind the wall, notebooks cannot be kept apart here: {reason}"


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
        "NBGRADER_EXECUTION": "autograde",  # as nbgrader sets it
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # a set of texts has the same order whenever it is graded
        # One thread each: notebooks run side by side, and threads count as processes.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def command(setup: Setup, descriptor: int, written: IO[bytes]) -> list[str]:
    """The command that starts `forkserver.main(descriptor)` behind the wall of `setup`.

    The options of bwrap are in `written`, for what stands on its command line a process can read.
    """
    if setup.kind == "none":
        return [sys.executable, "-c", f"{_SAME_PATH}; from autograder.wall.forkserver import main; main({descriptor})"]
    if setup.kind != "bwrap":
        raise ValueError(f"there is no sandbox {setup.kind!r}; there are 'bwrap' and 'none'")
    start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.forkserver import main; main({descriptor})"
    return _bwrap(setup, as_nobody(), written, start)


_SAME_PATH = f"import sys; sys.path[:] = {sys.path!r}"


def _bwrap(setup: Setup, nobody: bool, written: IO[bytes], start: str) -> list[str]:
    """The command that runs the Python code `start` behind the wall."""
    program = shutil.which("bwrap")
    if program is None:
        raise NoWall(f"Grading needs its wall: bubblewrap is not installed. {HOW_TO_GET_BWRAP}")
    options = _wall(setup)
    before: list[str] = []
    if nobody:
        places = [number + 1 for number, word in enumerate(options) if word == "--ro-bind"]
        sources = [options[place] for place in places]
        for number, place in enumerate(places):
            options[place] = f"{STAGE}/{number}"
        code = f"{_SAME_PATH}; from autograder.wall.namespaces import run_as_nobody; run_as_nobody(*sys.argv[1:])"
        before = [sys.executable, "-c", code, json.dumps(sources)]
    written.write(os.fsencode("\0".join(options)))
    written.seek(0)
    return [*before, program, "--args", str(written.fileno()), *PYTHON, "-c", start]


def _wall(setup: Setup) -> list[str]:
    # The parents of what is bound are made by bwrap, empty: of the system only this is seen.
    words = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--clearenv", "--hostname", "notebook", "--uid", "1000", "--gid", "1000"]
    # First, for what is bound below may lie inside them.  Every notebook mounts its own over them.
    words += ["--tmpfs", "/tmp", "--tmpfs", "/home", "--dir", HOME]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    # Of /dev/zero, one could have shared memory that is counted for nobody.
    words += ["--dev", "/dev", "--dev-bind", "/dev/null", "/dev/zero", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for etc in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts"):
        words += ["--ro-bind-try", etc, etc]
    for prefix in python_folders():
        words += ["--ro-bind", str(prefix), str(prefix)]
    seen = [Path("/usr"), *python_folders()]
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


def python_folders() -> list[Path]:
    """Where Python and its packages lie, apart from /usr."""
    found: list[Path] = []
    for prefix in map(Path, (sys.base_prefix, sys.prefix)):
        if not any(prefix.is_relative_to(path) for path in (Path("/usr"), *found)):
            found.append(prefix)
    return found


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
