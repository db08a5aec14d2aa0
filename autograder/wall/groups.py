"""Control groups of version 2, in which the kernel itself keeps a notebook's limits, its own memory included.

A machine offers them to root, and to whoever is started with ``systemd-run --user --scope -p Delegate=yes``.  Where it
does not, the warden counts (:mod:`autograder.wall.watch`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

NEEDED = ("memory", "pids")
OURS = "autograder"  # root's groups are in this one
GRADERS = "graders"  # this process moves there: a group that holds processes may have no groups with limits
PROCESSORS = 2
GONE_SECONDS = 3.0
_numbers = count()


class Group:
    """The control group of one notebook.

    Attributes
    ----------
    entrance : int
        A descriptor: the process that writes "0" to it goes in, and all that it starts from then on.
    """

    def __init__(self, folder: Path, memory: int, processes: int) -> None:
        self.folder = folder
        self.memory = memory
        folder.mkdir()
        try:
            self._set("memory.max", memory)
            self._set("pids.max", processes + 1)  # and its init
            self._set("memory.oom.group", 1)
            with contextlib.suppress(FileNotFoundError):  # where the machine has no swap, or lends no processors
                self._set("memory.swap.max", 0)
            with contextlib.suppress(FileNotFoundError):
                self._set("cpu.max", f"{PROCESSORS * 100_000} 100000")
            self.entrance = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            folder.rmdir()
            raise

    def _set(self, name: str, value: object) -> None:
        (self.folder / name).write_text(str(value))

    def reason(self) -> str | None:
        """Why the kernel ended it, or None if it did not."""
        ended = re.search(r"^oom_kill ([1-9])", (self.folder / "memory.events").read_text(), re.MULTILINE)
        return f"all its processes together used more than {self.memory >> 20} MB of memory" if ended else None

    def most(self) -> int:
        """The most processes and threads that it has had, without its init; 0 where the kernel is older than 6.1."""
        try:
            return int((self.folder / "pids.peak").read_text()) - 1
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """End all processes in it, and remove it."""
        os.close(self.entrance)
        remove(self.folder)


@contextlib.contextmanager
def group(memory: int, processes: int) -> Iterator[Group | None]:
    """Make a group for a notebook, with limits in bytes and processes; None where there are no groups."""
    home = place()
    made = Group(home / f"notebook-{os.getpid()}-{next(_numbers)}", memory, processes) if home else None
    try:
        yield made
    finally:
        if made:
            made.close()


def remove(folder: Path) -> None:
    """End what is in the group `folder`, and remove it."""
    end = time.monotonic() + GONE_SECONDS
    with contextlib.suppress(OSError):  # older kernels have none; the processes have been ended another way too
        (folder / "cgroup.kill").write_text("1")
    while True:
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError:  # its processes are not gone yet
            if time.monotonic() > end:
                return None
            time.sleep(0.002)


def who_counts() -> str:
    """Say what keeps the limits of memory and processes here, in a few words."""
    if place():
        return "control groups"
    return f"counting, {why_none()}"


def place() -> Path | None:
    """The group in which the notebooks' groups are made, or None where there is none."""
    return _found()[0]


def why_none() -> str:
    """Why there are no groups."""
    return _found()[1]


@functools.cache
def _found() -> tuple[Path | None, str]:
    """Where groups can be made, and if nowhere, the reason.  Tried once in each process."""
    try:
        home = _home()
        for name in NEEDED:
            if name not in (home / "cgroup.controllers").read_text().split():
                return None, f"for control groups of version 2 do not have `{name}` here"
        wanted = [name for name in (*NEEDED, "cpu") if name in (home / "cgroup.controllers").read_text().split()]
        (home / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
        _remove_leftovers(home)
        trial = Group(home / f"notebook-{os.getpid()}-trial", 2**20, 1)
        trial.close()
    except (OSError, LookupError) as error:
        return None, f"for there is no control group for it ({error})"
    return home, ""


def _home() -> Path:
    """The group in which groups shall be made."""
    mounted = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", Path("/proc/self/mountinfo").read_text(), re.MULTILINE)
    if mounted is None:
        raise LookupError("control groups of version 2 are not mounted")
    top = Path(mounted[1])
    if os.getuid() == 0:
        controllers = [name for name in (*NEEDED, "cpu") if name in (top / "cgroup.controllers").read_text().split()]
        (top / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        (top / OURS).mkdir(exist_ok=True)
        return top / OURS
    mine = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    own = top / (mine[1] if mine else "")
    if own.name == GRADERS:
        return own.parent
    try:
        delegated = os.getxattr(own, "user.delegate") == b"1"  # as systemd says it
    except OSError:
        delegated = False
    if not delegated:
        raise LookupError("its own is not delegated")
    (own / GRADERS).mkdir(exist_ok=True)
    for number in (own / "cgroup.procs").read_text().split():
        (own / GRADERS / "cgroup.procs").write_text(number)
    return own


def _remove_leftovers(home: Path) -> None:
    """Remove the groups of graders that were killed."""
    for folder in home.glob("notebook-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            remove(folder)
