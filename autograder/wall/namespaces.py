"""The kernel's walls between notebooks: system calls that Python 3.11 has no functions for.

Processes of the grader and of the wall call them before any line of a student's code runs there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
from pathlib import Path
from typing import NoReturn

from .syscalls import make_filter

_libc = ctypes.CDLL(None, use_errno=True)

# From <sched.h>
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
# From <sys/mount.h>
READ_ONLY, NOSUID, NODEV, NOEXEC, REMOUNT = 1, 2, 4, 8, 32
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
# From <linux/sockios.h> and <net/if.h>
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# From <sys/prctl.h> and <linux/capability.h>
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
CAPABILITY_VERSION_3 = 0x20080522

# What is seen, and what it is.  Of /dev/zero, one could have shared memory that is counted for nobody.
DEVICES = {name: name for name in ("null", "full", "random", "urandom", "tty")} | {"zero": "null"}
MEMORY_FOLDERS = ("/tmp", "/home", "/dev/shm")
BYTES_PER_FILE = 4096  # so many files there are, if they share the disk
BYTES_PER_INODE = 2048  # what the kernel keeps of each: the inode, its name, its entry
MAX_TERMINALS = 64
MAX_BUFFER = 212_992  # bytes that wait in a socket, in each direction: the kernel's default


def isolate() -> None:
    """Leave the user, mount, IPC, host name and network namespaces; children get a PID namespace of their own."""
    uid, gid = os.getuid(), os.getgid()
    _require(_libc.unshare(NEWUSER | NEWNS | NEWIPC | NEWPID | NEWUTS | NEWNET))
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(line)
    with socket.socket() as any_socket:  # the new network has one interface, the loopback, which is down
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def mount_own(disk: int) -> None:
    """Mount what a notebook has for itself: folders in memory of `disk` bytes each, terminals, devices, processes.

    A file that holds nothing takes about 1 KB of the kernel's memory, so their number has an end too.
    """
    for place in MEMORY_FOLDERS:
        _mount("tmpfs", place, NOSUID | NODEV, f"size={disk},nr_inodes={disk // BYTES_PER_FILE},mode=0755")
    _mount("devpts", "/dev/pts", NOSUID | NOEXEC, f"newinstance,ptmxmode=0666,mode=0620,max={MAX_TERMINALS}")
    # One can read and write a device that is mounted read-only, and not set its times, which others would see.
    for name in DEVICES:
        _mount("", f"/dev/{name}", REMOUNT | BIND | READ_ONLY | NOSUID | NOEXEC)
    _mount("proc", "/proc", NOSUID | NODEV | NOEXEC)
    for name in ("tcp_rmem", "tcp_wmem"):
        Path("/proc/sys/net/ipv4", name).write_text(f"4096 16384 {MAX_BUFFER}")
    with contextlib.suppress(OSError):  # not every kernel allows this; the filter refuses it too
        Path("/proc/sys/user/max_user_namespaces").write_text("0")


def open_sockets() -> int:
    """Open the kernel's count of the sockets in this network namespace."""
    return os.open("/proc/self/net/sockstat", os.O_RDONLY)


def use_in_memory(sockets: int) -> int:
    """Return the bytes of memory that a notebook's files and sockets can take; its warden has :func:`open_sockets`."""
    used = 0
    for place in MEMORY_FOLDERS:
        found = os.statvfs(place)
        used += (found.f_blocks - found.f_bfree) * found.f_frsize + (found.f_files - found.f_ffree) * BYTES_PER_INODE
    count = os.pread(sockets, 2**10, 0).split(maxsplit=3)[2]  # after "sockets: used"
    return used + int(count) * 2 * MAX_BUFFER


def drop_capabilities() -> None:
    """Drop all capabilities, so that no program that is started can get one back."""
    number = 0
    while _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _require(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def die_with_parent() -> None:
    """Have this process killed when its parent ends, and keep others of the same user from reaching it."""
    _require(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _require(_libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def trial() -> None:
    """Do once, in a child, what is done for every notebook: an error says why it cannot be done here.

    Raises
    ------
    OSError
        What the kernel, or its configuration, does not allow.
    """
    make_filter()
    isolate()
    child = os.fork()
    if child == 0:
        try:
            mount_own(2**20)
            drop_capabilities()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EPERM)
    _, status = os.waitpid(child, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise OSError(number, os.strerror(number))


NOBODY = 65534
STAGE = "/tmp"


def run_as_nobody(sources: str, program: str, *args: str) -> NoReturn:
    """Run `program` as the user nobody, who finds the `sources` (a JSON list of paths) as /tmp/0, /tmp/1, …

    For a grader that is root: behind the wall there is then nobody who is root outside, and the kernel counts
    processes.  Where Python lies in a folder that only root may enter, nobody would not reach it by its own path.
    """
    _require(_libc.unshare(NEWNS))
    _mount("none", "/", RECURSIVE | PRIVATE)
    opened = [os.open(source, os.O_PATH) for source in json.loads(sources)]  # some may lie below what is mounted next
    _mount("tmpfs", STAGE, NOSUID | NODEV, "mode=0755")
    for number, source in enumerate(opened):
        here, place = f"/proc/self/fd/{source}", Path(STAGE, str(number))
        if os.path.isdir(here):
            place.mkdir()
        else:
            place.touch()
        _bind(here, str(place))
        os.close(source)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(program, [program, *args])


def _mount(kind: str, place: str, flags: int, options: str = "") -> None:
    _require(_libc.mount(kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def _bind(source: str, place: str) -> None:
    _require(_libc.mount(os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(BIND | RECURSIVE), None))


def _require(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
