"""The warden's watch over one notebook: how much it uses, the last words of its processes, and how it ends.

What is counted here is an upper bound: what cannot be measured counts as the most that it can be.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import namespaces
from .noted import Listener

SECONDS = 0.05  # between two looks
KEPT = 1000  # bytes of what processes write to their standard output and error
CHUNK = 2**16
MAX_SESSIONS = 4  # the kernel gives each session as much of the processors as all of another notebook
LOOKS = 3  # at all processes, if one ends meanwhile, which may have handed its memory to a child not yet seen
# What the kernel keeps of a process and counts for nobody: 65 530 mappings, watches of 256 descriptors.
KERNEL_BYTES = 2**24


def watch(
    first: int,
    ends: int,
    heard: int,
    sockets: int | None,
    order: Mapping[str, Any],
    listener: Listener | None = None,
) -> tuple[str | None, str, int]:
    """Wait for the end of the process `first`; if it uses too much, end it.

    Parameters
    ----------
    first, ends : int
        The first process of the notebook, and a descriptor of it.
    heard : int
        What its processes write to their standard output and error.
    sockets : int or None
        The count of its sockets, or None if nothing is to be counted here.
    order : dict
        The limits `memory` and `processes`.
    listener : Listener, optional
        Who hears the calls that are noted.

    Returns
    -------
    reason, words, most : str or None, str, int
        Why it was ended, if it was; the last of what was heard; the most processes and threads that were counted.
    """
    os.set_blocking(heard, False)
    poller = select.poll()
    for descriptor in (ends, heard):
        poller.register(descriptor, select.POLLIN)
    if listener:
        listener.register(poller)
    use = _Use(sockets, order["memory"], order["processes"]) if sockets is not None else None
    reason, words, look_at = None, b"", time.monotonic()
    while True:
        found = poller.poll(1000 * max(0.0, look_at - time.monotonic()))
        ready = {descriptor for descriptor, _ in found}
        if heard in ready:  # always emptied, so that no program waits
            words = (words + _read(heard))[-KEPT:]
        if ends in ready:
            break
        if listener:
            listener.hear(found)
        if time.monotonic() >= look_at:
            if use and (reason := use.too_much()):
                os.kill(first, signal.SIGKILL)
                break
            look_at = time.monotonic() + SECONDS
    select.select([ends], [], [])
    return reason, (words + _read(heard))[-KEPT:].decode(errors="replace"), use.most if use else 0


def _read(heard: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(heard, CHUNK)
    return b""


@dataclass(frozen=True)
class _Process:
    """A process of the notebook: its threads, and bytes of memory if it shared nothing."""

    number: str
    threads: int
    memory: int
    session: int

    def own(self) -> int:
        """Return the bytes of memory with its part of what it shares, without files in memory."""
        try:
            sizes = _sizes(f"/proc/{self.number}/smaps_rollup")
            return sizes["Pss"] - sizes["Pss_Shmem"] + sizes["SwapPss"]
        except (OSError, KeyError):  # it may not be read, or has ended meanwhile
            return self.memory


class _Use:
    """What a notebook uses, against its limits; `most` is the most processes and threads that it has had."""

    def __init__(self, sockets: int, memory: int, processes: int) -> None:
        self.sockets, self.memory, self.processes = sockets, memory, processes
        self.most = 0

    def too_much(self) -> str | None:
        """Say what is too much, if anything is."""
        try:
            family = _family()
            threads = sum(process.threads for process in family)
            self.most = max(self.most, threads)
            if threads > self.processes:
                return f"it had {threads} processes and threads; {self.processes} are allowed"
            sessions = len({process.session for process in family})
            if sessions > MAX_SESSIONS:
                return f"its processes were in {sessions} sessions; {MAX_SESSIONS} are allowed"
            elsewhere = namespaces.use_in_memory(self.sockets) + len(family) * KERNEL_BYTES
            if elsewhere + sum(process.memory for process in family) < self.memory:
                return None
            # Memory that forks share was counted for each of them; this counts it once, and takes longer.
            if elsewhere + sum(process.own() for process in family) < self.memory:
                return None
        except (OSError, ValueError, KeyError) as error:
            return f"what it uses cannot be measured ({type(error).__name__}: {error})"
        return f"all its processes together used more than {self.memory >> 20} MB of memory"


def _family() -> list[_Process]:
    """Return all processes of the notebook: its `/proc`, which the warden sees too, shows no others."""
    for _ in range(LOOKS):
        found, whole = [], True
        for name in os.listdir("/proc"):
            if name.isdigit() and name != "1":  # init is the wall's
                try:
                    found.append(_process(name))
                except (FileNotFoundError, ProcessLookupError):
                    whole = False
        if whole:
            break
    return found


def _process(number: str) -> _Process:
    sizes = _sizes(f"/proc/{number}/status")
    # If its first thread has ended, the process looks as if it had no memory: its other threads know better.
    every = [sizes] if "VmRSS" in sizes else [sizes, *_of_threads(number)]
    return _Process(number, sizes["Threads"], max(map(_memory, every)), sizes.get("NSsid", 0))


def _memory(sizes: Mapping[str, int]) -> int:
    return sum(sizes.get(name, 0) for name in ("VmRSS", "VmSwap", "VmPTE"))


def _of_threads(number: str) -> Iterator[dict[str, int]]:
    for thread in os.listdir(f"/proc/{number}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield _sizes(f"/proc/{number}/task/{thread}/status")


_LINE = re.compile(r"^(\w+):\s+(\d+)( kB)?$", re.MULTILINE)


def _sizes(path: str) -> dict[str, int]:
    """Return the numbers in a file of `/proc`, sizes in bytes."""
    with open(path, encoding="utf-8", errors="replace") as file:
        found = _LINE.findall(file.read())
    return {name: int(number) * (1024 if unit else 1) for name, number, unit in found}
