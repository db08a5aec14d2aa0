"""The system calls that a notebook may make: what Python, NumPy, Matplotlib and the programs they start need.

What is not on the list does not exist there, so what a later kernel brings has to be added on purpose.  Refused in
this way are, among others, calls that

- lead to other namespaces, mounts, processes, kernel modules, keys, and `bpf` (what break-outs are made of);
- hold memory that is counted for no process: `memfd_create`, System V, `vmsplice`, `sendfile`, extended attributes;
- use up what the whole machine has only so much of: asynchronous I/O, `inotify`, `fanotify`;
- leave a mark on a file of the system, or see that somebody else reads it: leases, `inotify`, and what asks which pages
  of a file are in memory (`cachestat`, `mincore`, reading that fails instead of waiting for the disk).

Some of what does not exist is heard of, see `noted.py`.

Locks, larger buffers of sockets, and advice that pages are not needed or may be merged, are granted and not given.  A
lock on a file of the system would be met by the next notebook, and by the machine's own programs, and so would pages
that are not in memory any more; the filter does not see whose file it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import socket
import termios
from collections.abc import Iterator
from typing import Any

from .noted import NAMES, USERS, Filter

ALLOWED = (
    # Files and folders.
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek"),
    *("open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "pipe", "pipe2"),
    *("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2"),
    *("getdents", "getdents64", "getcwd", "chdir", "fchdir", "umask", "readlink", "readlinkat"),
    *("mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "fchmodat2"),
    *("chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat"),
    *("truncate", "ftruncate", "fallocate", "copy_file_range", "fsync", "fdatasync", "sync_file_range"),
    *("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"),
    # Memory.
    *("brk", "munmap", "mremap", "mprotect", "msync", "membarrier", "mseal", "map_shadow_stack"),
    *("mlock", "mlock2", "munlock", "mlockall", "munlockall", "pkey_alloc", "pkey_free", "pkey_mprotect"),
    # Processes and threads.
    *("fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "pidfd_open"),
    *("getpid", "getppid", "gettid", "getpgid", "setpgid", "getpgrp", "getsid", "setsid"),
    *("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget"),
    *("set_tid_address", "set_robust_list", "get_robust_list", "rseq", "arch_prctl", "riscv_hwprobe"),
    *("getpriority", "setpriority", "getrlimit", "setrlimit", "prlimit64", "getrusage", "times"),
    *("sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getattr", "sched_setattr", "sched_getparam"),
    *("sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_rr_get_interval"),
    *("sched_get_priority_max", "sched_get_priority_min", "getcpu", "uname", "sysinfo", "getrandom"),
    # Signals.
    *("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("signalfd", "signalfd4", "pause", "restart_syscall"),
    # Time.
    *("time", "gettimeofday", "clock_gettime", "clock_getres", "nanosleep", "clock_nanosleep", "alarm"),
    *("getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"),
    *("timerfd_create", "timerfd_settime", "timerfd_gettime"),
    # Waiting.
    *("select", "pselect6", "poll", "ppoll", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait"),
    *("epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2"),
    *("futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue"),
    # Sockets, of the kinds below.
    *("bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername"),
    *("sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg"),
)

# From <linux/fcntl.h>, what Python's `fcntl` does not name everywhere.
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_GETPIPE_SZ = 36, 37, 38, 1032
FILE_COMMANDS = (
    *(fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL),
    *(fcntl.F_GETLK, F_OFD_GETLK, fcntl.F_GETOWN, F_GETPIPE_SZ),
)
LOCKS = (fcntl.F_SETLK, fcntl.F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW)

# From <linux/fs.h>: what a read or write of vectors may be told.  Not RWF_NOWAIT, which fails where it would wait.
RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_APPEND = 0x1, 0x2, 0x4, 0x10
VECTOR_FLAGS = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND
FILE_ADVICE = (
    *(os.POSIX_FADV_NORMAL, os.POSIX_FADV_RANDOM, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_WILLNEED),
    os.POSIX_FADV_NOREUSE,
)
# From <linux/mman.h>, what is for the process's own memory; the others put out pages or share equal ones.
MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT = 12, 20, 21
MEMORY_ADVICE = (*range(5), *range(8, MADV_MERGEABLE), *range(13, MADV_COLD), *range(22, 26), 102, 103)

# Terminals and what any descriptor knows; none that asks a network or a file system.
TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER, TIOCGSID, TCGETS2, TCSETS2 = (
    0x80045430,
    0x40045431,
    0x5441,
    0x5429,
    0x802C542A,
    0x402C542B,
)
REQUESTS = (
    *(termios.TCGETS, termios.TCSETS, termios.TCSETSW, termios.TCSETSF, TCGETS2, *range(TCSETS2, TCSETS2 + 3)),
    *(termios.TCSBRK, termios.TCXONC, termios.TCFLSH, termios.TCSBRKP),
    *(termios.TIOCGWINSZ, termios.TIOCSWINSZ, termios.TIOCSCTTY, termios.TIOCNOTTY, termios.TIOCGPGRP),
    *(termios.TIOCSPGRP, termios.TIOCOUTQ, termios.TIOCPKT, TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER, TIOCGSID),
    *(termios.FIONREAD, termios.FIONBIO, termios.FIOCLEX, termios.FIONCLEX),
)

# From <sys/prctl.h>: death signal, whether it is dumpable (to ask, not to set), name, capabilities and
# `no_new_privs` (to ask), timer slack, huge pages, subreaper, and names of mappings, which libc gives.
PROCESS_OPTIONS = (1, 2, 3, 15, 16, 21, 23, 27, 29, 30, 36, 37, 38, 39, 41, 42, 0x53564D41)

# From <sched.h>: all of CLONE_NEW*; that of time would be read as a signal's number.
NEW_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000

TYPE = 0xF  # of a socket; above it are flags
STREAM, DATAGRAM, RAW, SEQUENCE = (
    int(kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)
)
LOCAL, INET, INET6, NETLINK = (
    int(family) for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
)
TCP, UDP, IPV6 = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_IPV6
# Family, type, protocol.  Of netlink only routes, which `getaddrinfo` asks for.
SOCKETS = (
    *((LOCAL, kind, 0) for kind in (STREAM, DATAGRAM, SEQUENCE)),
    *((family, STREAM, protocol) for family in (INET, INET6) for protocol in (0, TCP)),
    *((family, DATAGRAM, protocol) for family in (INET, INET6) for protocol in (0, UDP)),
    *((NETLINK, kind, 0) for kind in (RAW, DATAGRAM)),
)
MAX_FAMILY = 64  # of sockets; above what kernels know
SO_PROTOCOL, SO_DOMAIN = 38, 39
# Level and name.  No filters, which the kernel keeps as programs; no process of the other side.
SOCKET_OPTIONS = (
    *((socket.SOL_SOCKET, name) for name in (socket.SO_TYPE, socket.SO_ERROR, SO_PROTOCOL, SO_DOMAIN)),
    *((socket.SOL_SOCKET, name) for name in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST)),
    *((socket.SOL_SOCKET, name) for name in (socket.SO_LINGER, socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    *((socket.SOL_SOCKET, name) for name in (socket.SO_ACCEPTCONN, socket.SO_PASSCRED, socket.SO_PEERCRED)),
    *((TCP, name) for name in (socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)),
    *((TCP, name) for name in (socket.TCP_QUICKACK, socket.TCP_USER_TIMEOUT)),
    (IPV6, socket.IPV6_V6ONLY),
)
BUFFERS = (socket.SO_SNDBUF, socket.SO_RCVBUF)  # whose sizes can be asked for


def make_filter() -> Filter:
    """Make the filter of system calls under which students' code runs."""
    import pyseccomp  # needs libseccomp, which only graders have

    # Not EPERM: who finds that a call does not exist takes another way.
    calls = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    calls.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # looked up by halves
    rules = {pyseccomp.ALLOW: _allowed(), pyseccomp.ERRNO(0): _answered(), pyseccomp.NOTIFY: _noted()}
    for action, found in rules.items():
        for name, *args in found:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # what this machine or its library lacks
                calls.add_rule(action, name, *args)
    here = pyseccomp.system_arch()
    names = {pyseccomp.resolve_syscall(here, name): name for name in NAMES}
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        calls.export_bpf(file)
        file.seek(0)
        return Filter(file.read(), names, pyseccomp.resolve_syscall(here, "seccomp"))


Rule = tuple[Any, ...]  # the name of a call, and what is required of its arguments


def _word(place: int, value: int) -> Any:
    from pyseccomp import MASKED_EQ, Arg

    return Arg(place, MASKED_EQ, 0xFFFFFFFF, value)  # the kernel looks at these 32 bits


def _allowed() -> Iterator[Rule]:
    """Yield the calls that are made."""
    from pyseccomp import MASKED_EQ, Arg

    for name in ALLOWED:
        yield (name,)
    yield "clone", Arg(0, MASKED_EQ, NEW_NAMESPACES, 0)  # not clone3, whose flags cannot be seen
    # Memory that is shared and belongs to no process would be counted for none; /dev/shm has its size.
    for kind in (mmap.MAP_SHARED, mmap.MAP_ANONYMOUS):
        yield "mmap", Arg(3, MASKED_EQ, kind, 0)
    for option in PROCESS_OPTIONS:
        yield "prctl", _word(0, option)
    for command in FILE_COMMANDS:
        yield "fcntl", _word(1, command)
    for request in REQUESTS:
        yield "ioctl", _word(1, request)
    for name in ("preadv2", "pwritev2"):
        yield name, Arg(5, MASKED_EQ, 0xFFFFFFFF & ~VECTOR_FLAGS, 0)
    for advice in FILE_ADVICE:
        yield "fadvise64", _word(3, advice)
    for advice in MEMORY_ADVICE:
        yield "madvise", _word(2, advice)
    for family, kind, protocol in SOCKETS:
        for name in ("socket", "socketpair") if family == LOCAL else ("socket",):
            yield name, _word(0, family), Arg(1, MASKED_EQ, TYPE, kind), _word(2, protocol)
    for level, option in SOCKET_OPTIONS:
        for name in ("getsockopt", "setsockopt"):
            yield name, _word(1, level), _word(2, option)
    for option in BUFFERS:
        yield "getsockopt", _word(1, socket.SOL_SOCKET), _word(2, option)


def _answered() -> Iterator[Rule]:
    """Yield the calls that are not made and answered as if they were."""
    yield ("flock",)
    for command in LOCKS:
        yield "fcntl", _word(1, command)
    for option in BUFFERS:
        yield "setsockopt", _word(1, socket.SOL_SOCKET), _word(2, option)
    yield "fadvise64", _word(3, os.POSIX_FADV_DONTNEED)
    for advice in (MADV_MERGEABLE, MADV_COLD, MADV_PAGEOUT):
        yield "madvise", _word(2, advice)


def _noted() -> Iterator[Rule]:
    """Yield the calls that are noted, with the arguments for which they are."""
    from pyseccomp import MASKED_EQ, Arg

    for name in set(NAMES) - {"clone", "socket", *USERS}:
        yield (name,)
    for place in range(NEW_NAMESPACES.bit_length()):
        if bit := NEW_NAMESPACES & 1 << place:
            yield "clone", Arg(0, MASKED_EQ, bit, bit)
    for family in set(range(MAX_FAMILY)) - {family for family, _, _ in SOCKETS}:
        yield "socket", _word(0, family)
    for name, count in USERS.items():
        for place in range(count):
            yield name, _word(place, 0)
