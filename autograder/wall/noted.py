"""The system calls that break-outs are made of: a notebook finds that they do not exist, and its warden hears of each.

The filter in `syscalls.py` lets the kernel ask before it refuses these: the notebook waits, the warden notes the call
and answers.  It cannot allow one, and if it does not listen any more the kernel gives the same answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

USERS = {"setuid": 1, "setgid": 1, "setreuid": 2, "setregid": 2, "setresuid": 3, "setresgid": 3}  # how many of them
# Honest programs make none of these.  What libraries try by themselves, and do without (memfd_create, io_uring,
# inotify, clone3, personality, …), is not here.
NOTED: Mapping[str, tuple[str, ...]] = {
    "leads to other namespaces": ("unshare", "setns"),
    "changes what is mounted": (
        *("mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount"),
        *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd"),
    ),
    "reaches into other processes": (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
        *("pidfd_getfd", "kcmp", "migrate_pages", "move_pages"),
    ),
    "opens files without their path": ("open_by_handle_at",),
    "watches what others do": ("fanotify_init", "fanotify_mark", "perf_event_open", "lookup_dcookie", "syslog"),
    "gives programs to the kernel": (
        *("bpf", "userfaultfd", "kexec_load", "kexec_file_load"),
        *("init_module", "finit_module", "delete_module", "create_module"),
    ),
    "holds memory that is counted for nobody": ("memfd_secret", "shmget", "shmat", "vmsplice"),
    "keeps data in the kernel": ("add_key", "request_key", "keyctl", "msgget", "semget", "mq_open"),
    "changes the machine": (
        *("reboot", "swapon", "swapoff", "acct", "sethostname", "setdomainname", "vhangup"),
        *("settimeofday", "clock_settime", "clock_adjtime", "iopl", "ioperm"),
    ),
    # Some uses of these:
    "makes a new namespace": ("clone",),
    "opens a socket that is neither local nor of IP": ("socket",),
    "asks for root's rights": tuple(USERS),
}
NAMES = tuple(name for names in NOTED.values() for name in names)
MAX_NOTED = 64  # of one notebook; after that nobody listens, so that a flood keeps nobody busy

# From <sys/prctl.h> and <linux/seccomp.h>.  Of the request only its number and that of the call are read.
PR_SET_NO_NEW_PRIVS, SET_MODE_FILTER, NEW_LISTENER = 38, 1, 8
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
REQUEST, NO_SUCH_CALL = struct.Struct("=Q8xi60x"), struct.Struct("=QqiI")


@dataclass(frozen=True)
class Filter:
    """A filter of system calls, compiled once and loaded in every notebook.

    `names` are those of the noted calls, by their numbers here; `loads` is the number of the call that loads a filter.
    """

    program: bytes
    names: Mapping[int, str]
    loads: int

    def load(self) -> int:
        """Put it in force for this process and all that it starts; return the descriptor to hear its calls from."""
        libc = ctypes.CDLL(None, use_errno=True)
        program = _Program(len(self.program) // 8, self.program)
        heard = -1
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            heard = libc.syscall(self.loads, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
        if heard < 0:
            raise OSError(ctypes.get_errno(), "the filter of system calls cannot be loaded")
        return int(heard)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def purpose(name: str) -> str:
    """Say what a noted call does, as the end of a sentence."""
    return next(what for what, names in NOTED.items() if name in names)


class Listener:
    """Loads the filter in a notebook, and hears its noted calls in its warden; `heard` counts them by name."""

    def __init__(self, calls: Filter) -> None:
        self.calls = calls
        self.heard: Counter[str] = Counter()
        self.descriptor = -1
        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def load(self) -> None:
        """Put the filter in force for this process, before any of the student's code runs here."""
        descriptor = self.calls.load()
        socket.send_fds(self.there, [b"listen"], [descriptor])
        os.close(descriptor)

    def register(self, poller: select.poll) -> None:
        """Let `poller` say when there is something to :meth:`hear`."""
        self.there.close()
        self.poller = poller
        poller.register(self.here, select.POLLIN)

    def hear(self, found: Iterable[tuple[int, int]]) -> None:
        """Attend to what the poll has found."""
        for descriptor, event in found:
            if descriptor == self.here.fileno():
                self.poller.unregister(descriptor)
                for given in socket.recv_fds(self.here, 16, 1)[1]:
                    self.descriptor = given
                    self.poller.register(given, select.POLLIN)
            elif descriptor == self.descriptor:
                if event & select.POLLIN:
                    self._answer(descriptor)
                if not event & select.POLLIN or self.heard.total() >= MAX_NOTED:
                    self.poller.unregister(descriptor)
                    os.close(descriptor)

    def _answer(self, descriptor: int) -> None:
        request = bytearray(REQUEST.size)
        # Who made the call may have ended since: the kernel says so, and does not wait for another.
        with contextlib.suppress(FileNotFoundError):
            fcntl.ioctl(descriptor, RECEIVE, request)
            number, call = REQUEST.unpack(request)
            self.heard[self.calls.names[call]] += 1
            fcntl.ioctl(descriptor, ANSWER, NO_SUCH_CALL.pack(number, 0, -errno.ENOSYS, 0))
