"""The wall itself: how bubblewrap is told what a process sees.

It sees a read-only system and Python, the kit of its assignment (`kit.py`), an empty home and an
empty /tmp; no network, no other process, and of the course nothing at all.
"""

from __future__ import annotations

import contextlib
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

from coursekit.reporting import printable

from ..errors import NoWall
from .kit import kit_of
from .namespaces import DEVICES, STAGE
from .python import VENV, Installed, installed

START_SECONDS = 60.0


@dataclass(frozen=True)
class Setup:
    """How the process is walled in.

    `kind` is ``"bwrap"``, or ``"none"`` for trusted samples only; `forbidden` holds the
    modules that do not exist there, each with the reason that a student is told; `withheld`
    functions of coursekit that are cut out, because an exercise asks to write them; `hide` the
    folders that must not be seen even if they lie inside a folder that must.
    """

    kind: str = "bwrap"
    forbidden: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    hide: tuple[Path, ...] = ()


HOW_TO_GET_BWRAP = "Install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap) and try again."
HOME = "/home/student"
KIT = "/kit"
USER = "student"
# What programs look up of the machine: who they are, and where `localhost` is.
ETC = {
    "passwd": f"{USER}:x:1000:1000:{USER}:{HOME}:/bin/sh\n",
    "group": f"{USER}:x:1000:\n",
    "hosts": "127.0.0.1 localhost notebook\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@functools.cache
def why_no_wall() -> str | None:
    """Why students' code cannot be walled in on this machine, or None if it can."""
    if shutil.which("bwrap") is None:
        return f"bubblewrap is not installed. {HOW_TO_GET_BWRAP}"
    start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.namespaces import trial; trial()"
    with _bwrap(Setup(), start) as (words, inherited):
        tried = subprocess.run(
            words, pass_fds=inherited, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    if tried.returncode == 0:
        return None
    reason = " ".join(printable(tried.stderr).split())[-300:]
    if os.getuid() == 0:
        return (
            "you are root, and students' code would have to run as the user nobody, which does not work here. Grade "
            f"with an account of its own, or let everybody read {sys.prefix} and {sys.base_prefix}. ({reason})"
        )
    if tried.stderr.startswith("bwrap:"):
        return f"bubblewrap is installed and does not work here: {reason}"
    return f"behind the wall, notebooks cannot be kept apart here: {reason}"


def environment(home: str, prefix: str = sys.prefix) -> dict[str, str]:
    """The environment variables of the process, whose Python is that of `prefix`: nothing of the grader's own."""
    return {
        "PATH": f"{prefix}/bin:/usr/bin:/bin",
        "HOME": home,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
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


@contextlib.contextmanager
def command(setup: Setup, descriptor: int, home: str) -> Iterator[tuple[list[str], list[int]]]:
    """The command that starts `forkserver.main(descriptor)` behind the wall of `setup`, and what it inherits.

    Without a wall, the kit is written into the folder `home`.

    The options of bwrap are in a file that it inherits, for what stands on its command line a process can read.
    """
    if setup.kind == "none":
        kit_of(setup.forbidden, setup.withheld).write(Path(home))
        start = f"import sys; sys.path[:] = {[home, *sys.path]!r}; from wall.forkserver import main; main({descriptor})"
        yield [sys.executable, "-c", start], [descriptor]
    elif setup.kind == "bwrap":
        start = f"import sys; sys.path.insert(0, {KIT!r}); from wall.forkserver import main; main({descriptor})"
        with _bwrap(setup, start) as (words, inherited):
            yield words, [descriptor, *inherited]
    else:
        raise ValueError(f"there is no sandbox {setup.kind!r}; there are 'bwrap' and 'none'")


_SAME_PATH = f"import sys; sys.path[:] = {sys.path!r}"


@contextlib.contextmanager
def _bwrap(setup: Setup, start: str) -> Iterator[tuple[list[str], list[int]]]:
    """The command that runs the Python code `start` behind the wall, and the descriptors that it inherits."""
    program = shutil.which("bwrap")
    if program is None:
        raise NoWall(f"Grading needs its wall: bubblewrap is not installed. {HOW_TO_GET_BWRAP}")
    python = installed()
    options = _wall(setup, python)
    with contextlib.ExitStack() as opened:
        inherited = []

        def file_of(text: bytes) -> int:
            file = opened.enter_context(tempfile.TemporaryFile())
            file.write(text)
            file.seek(0)
            inherited.append(file.fileno())
            return file.fileno()

        for name, content in kit_of(setup.forbidden, setup.withheld).files.items():
            options += ["--file", str(file_of(content)), f"{KIT}/{name}"]
        for name, text in ETC.items():
            options += ["--file", str(file_of(text.encode())), f"/etc/{name}"]
        if python.settings is not None:
            options += ["--file", str(file_of(python.settings.encode())), f"{VENV}/pyvenv.cfg"]
        options += ["--chdir", HOME, "--remount-ro", "/"]
        # Nothing behind the wall is root's: a hole in a namespace would lead further, and no limit holds for root.
        before = _staged(options) if os.getuid() == 0 else []
        words = ["--args", str(file_of(os.fsencode("\0".join(options))))]
        # Of the places where Python looks for modules, only its own: neither the user's nor the current folder.
        yield [*before, program, *words, str(python.program), "-s", "-P", "-c", start], inherited


def _staged(options: list[str]) -> list[str]:
    """Let `options` bind what is staged for the user nobody; gives the words that come before those of bwrap."""
    places = [number + 1 for number, word in enumerate(options) if word == "--ro-bind"]
    sources = [options[place] for place in places]
    for number, place in enumerate(places):
        options[place] = f"{STAGE}/{number}"
    code = f"{_SAME_PATH}; from autograder.wall.namespaces import run_as_nobody; run_as_nobody(*sys.argv[1:])"
    return [sys.executable, "-c", code, json.dumps(sources)]


def _wall(setup: Setup, python: Installed) -> list[str]:
    # The parents of what is bound are made by bwrap, empty: of the system only this is seen.
    words = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--clearenv", "--hostname", "notebook", "--uid", "1000", "--gid", "1000"]
    # First, for what is bound below may lie inside them.  Every notebook mounts its own over them.
    words += ["--tmpfs", "/tmp", "--tmpfs", "/home", "--dir", HOME]
    for folder, seen in python.folders.items():  # /usr among them
        words += ["--ro-bind", str(folder), str(seen)]
    for link, target in python.links.items():
        words += ["--symlink", str(target), str(link)]
    words += ["--proc", "/proc", *_devices()]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for etc in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts"):
        words += ["--ro-bind-try", etc, etc]
    for folder in setup.hide:
        for seen in python.seen(folder.resolve()):
            words += _emptied(seen)
    for place, seen in _masked(setup.forbidden, python):
        words += _emptied(seen) if place.is_dir() else ["--ro-bind", "/dev/null", str(seen)]
    cache = font_cache()
    if cache is not None:
        words += ["--ro-bind", str(cache), f"{HOME}/.matplotlib/{cache.name}"]
    variables = environment(HOME, str(python.program.parent.parent))
    if python.libraries is not None:
        variables["LD_LIBRARY_PATH"] = str(python.libraries)
    for variable, value in variables.items():
        words += ["--setenv", variable, value]
    return words


def _devices() -> list[str]:
    """A `/dev` with few devices; each notebook makes its own mounts of them read-only, which bwrap cannot."""
    words = ["--tmpfs", "/dev", "--dir", "/dev/pts", "--dir", "/dev/shm", "--symlink", "pts/ptmx", "/dev/ptmx"]
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        words += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    for name, device in DEVICES.items():
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{name}"]
    return [*words, "--remount-ro", "/dev"]


def _emptied(folder: Path) -> list[str]:
    return ["--tmpfs", str(folder), "--remount-ro", str(folder)]


def _masked(forbidden: Mapping[str, str], python: Installed) -> Iterator[tuple[Path, Path]]:
    """What must not be read, out here, and each name under which it would be seen."""
    hidden = set(python.telling())
    # Of coursekit there is the kit; where it is installed like any package, all of it lies among these, too.
    for module in [*forbidden, "coursekit", "autograder"]:
        hidden.update(_imported(module))
        for packages in python.packages():  # of any Python, for a path can be named by hand
            hidden.update(_modules(packages, module.replace(".", "/")))
    for place in sorted(hidden):
        for name in python.seen(place):
            yield place, name


def _imported(name: str) -> Iterator[Path]:
    """The copy that an import out here would take."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return
    if spec is not None and spec.origin is not None:
        origin = Path(spec.origin).resolve()
        yield origin.parent if origin.name == "__init__.py" else origin


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """The package or module `name` (with slashes) in `folder`, in every form that can be imported."""
    place = folder / name
    if place.is_dir():
        yield place
    yield from place.parent.glob(f"{place.name}.*")
    yield from place.parent.glob(f"__pycache__/{place.name}.*")


@functools.cache
def font_cache() -> Path | None:
    """matplotlib's list of fonts, which takes a second to make: made once out here and shown inside."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    import matplotlib
    from matplotlib import font_manager

    name = f"fontlist-v{font_manager.FontManager.__version__}.json"
    path = Path(matplotlib.get_cachedir()) / name
    return path if path.is_file() else None
