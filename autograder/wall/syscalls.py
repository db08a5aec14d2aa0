"""The system calls that a notebook may make: what Python, NumPy, Matplotlib and the programs they start need.

What is not on the list does not exist there, so what a later kernel brings has to be added on purpose.  Refused in
this way are, among others, calls that

- lead to other namespaces, mounts, processes, kernel modules, keys, and `bpf` (what break-outs are made of);
- hold memory that is counted for no process: `memfd_create`, System V, `vmsplice`, `sendfile`, extended attributes;
- use up what the whole machine has only so much of: asynchronous I/O, `inotify`, `fanotify`;
- leave a mark on a file of the system, or see that somebody else reads it: leases, `inotify`, `cachestat`.

Some of what does not exist is heard of, see `noted.py`.

Locks, and larger buffers of sockets, are granted and not given.  A lock on a file of the system would be met by the
next notebook, and by the machine's own programs; the filter does not see whose file it is.
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
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek"),
    *("open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "pipe", "pipe2"),
    *("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2"),
    *("getdents", "getdents64", "getcwd", "chdir", "fchdir", "umask", "readlink", "readlinkat"),
    *("mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "fchmodat2"),
    *("chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat"),
    *("truncate", "ftruncate", "fallocate", "copy_file_range", "fsync", "fdatasync", "sync_file_range", "fadvise64"),
    *("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"),
    # Memory.
    *("brk", "munmap", "mremap", "mprotect", "madvise", "msync", "membarrier", "mseal", "map_shadow_stack"),
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


def make_filter() -> Filter:
    """Make the filter of system calls under which students' code runs."""
    import pyseccomp  # needs libseccomp, which only graders have
    from pyseccomp import MASKED_EQ, Arg

    # Not EPERM: who finds that a call does not exist takes another way.
    refused = pyseccomp.ERRNO(errno.ENOSYS)
    done = pyseccomp.ERRNO(0)
    calls = pyseccomp.SyscallFilter(refused)
    calls.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # looked up by halves

    def word(place: int, value: int) -> Any:
        return Arg(place, MASKED_EQ, 0xFFFFFFFF, value)  # the kernel looks at these 32 bits

    def allow(name: str, *args: Any, action: int = pyseccomp.ALLOW) -> None:
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # a call that this machine or its library lacks
            calls.add_rule(action, name, *args)

    for name in ALLOWED:
        allow(name)
    allow("clone", Arg(0, MASKED_EQ, NEW_NAMESPACES, 0))  # not clone3, whose flags cannot be seen
    # Memory that is shared and belongs to no process would be counted for none; /dev/shm has its size.
    for kind in (mmap.MAP_SHARED, mmap.MAP_ANONYMOUS):
        allow("mmap", Arg(3, MASKED_EQ, kind, 0))
    for option in PROCESS_OPTIONS:
        allow("prctl", word(0, option))
    for command in FILE_COMMANDS:
        allow("fcntl", word(1, command))
    for command in LOCKS:
        allow("fcntl", word(1, command), action=done)
    allow("flock", action=done)
    for request in REQUESTS:
        allow("ioctl", word(1, request))
    for family, kind, protocol in SOCKETS:
        of_type = Arg(1, MASKED_EQ, TYPE, kind)
        allow("socket", word(0, family), of_type, word(2, protocol))
        if family == LOCAL:
            allow("socketpair", word(0, family), of_type, word(2, protocol))
    for level, option in SOCKET_OPTIONS:
        for name in ("getsockopt", "setsockopt"):
            allow(name, word(1, level), word(2, option))
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        allow("getsockopt", word(1, socket.SOL_SOCKET), word(2, option))
        allow("setsockopt", word(1, socket.SOL_SOCKET), word(2, option), action=done)
    for name, args in _noted():
        allow(name, *args, action=pyseccomp.NOTIFY)
    here = pyseccomp.system_arch()
    names = {pyseccomp.resolve_syscall(here, name): name for name in NAMES}
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        calls.export_bpf(file)
        file.seek(0)
        return Filter(file.read(), names, pyseccomp.resolve_syscall(here, "seccomp"))


def _noted() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the calls that are noted, with the arguments for which they are."""
    from pyseccomp import MASKED_EQ, Arg

    for name in set(NAMES) - {"clone", "socket", *USERS}:
        yield name, ()
    for place in range(NEW_NAMESPACES.bit_length()):
        if bit := NEW_NAMESPACES & 1 << place:
            yield "clone", (Arg(0, MASKED_EQ, bit, bit),)
    for family in set(range(MAX_FAMILY)) - {family for family, _, _ in SOCKETS}:
        yield "socket", (Arg(0, MASKED_EQ, 0xFFFFFFFF, family),)
    for name, count in USERS.items():
        for place in range(count):
            yield name, (Arg(place, MASKED_EQ, 0xFFFFFFFF, 0),)
