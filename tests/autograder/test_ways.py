"""Tables of ways: to change what two notebooks share, and to use more than a limit.

Each way is tried on everything that a notebook reaches, so that a mount, a device or a descriptor that is added later
is tried without being listed, and a new way is one line.
"""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

LIMITS = Limits(cell_seconds=60, call_seconds=20, notebook_seconds=120)


def printed(box, code):
    found = box.run_cell(0, code)
    assert all(output["output_type"] == "stream" for output in found), found
    return "".join(output["text"] for output in found)


# -- what two notebooks share -----------------------------------------------------------------

# Of every mount that is not the notebook's own: itself, all devices, and some files and folders in it.
REACHED = """
import fcntl, os, stat, struct
OWN = ("/tmp", "/home", "/dev/shm", "/dev/pts", "/proc")

def own(path):
    return any(path == place or path.startswith(place + "/") for place in OWN)

def reached():
    mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
    places = ["/", "/dev", *(place for place in mounts if not own(place))]
    for place in list(places):
        if os.path.isdir(place):
            inside = sorted(os.listdir(place), key=lambda name: os.path.isdir(os.path.join(place, name)))
            some = inside if place == "/dev" else [*inside[:3], *inside[-3:]]
            places += [os.path.join(place, name) for name in some]
    return sorted({place for place in places if not own(place) and not own(os.path.realpath(place))})
"""

# What the next notebook could find: modes, owners, times, attributes, names, locks, flags of its descriptors.
LOOK = (
    REACHED
    + """
def seen(path):
    found = os.lstat(path)
    facts = [oct(found.st_mode), found.st_uid, found.st_nlink, found.st_size]
    facts += [found.st_mtime_ns, found.st_ctime_ns, found.st_atime_ns, os.listxattr(path, follow_symlinks=False)]
    if stat.S_ISDIR(found.st_mode):
        facts.append(sorted(os.listdir(path)))
    if stat.S_ISREG(found.st_mode):
        descriptor = os.open(path, os.O_RDONLY)
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
        facts.append(struct.unpack("hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, lock))[0] == fcntl.F_UNLCK)
        os.close(descriptor)
    return facts

found = {path: seen(path) for path in reached()}
found |= {number: (fcntl.fcntl(number, fcntl.F_GETFL), os.fstat(number).st_mode) for number in (0, 1, 2)}
found["null"] = [getattr(os.fstat(0), name) for name in ("st_mtime_ns", "st_ctime_ns", "st_atime_ns")]
found["terminals"] = [os.listdir("/dev/pts"), oct(os.stat("/dev/pts/ptmx").st_mode), os.stat("/dev/pts").st_nlink]
descriptor = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
found["first terminal"] = os.ptsname(descriptor) if hasattr(os, "ptsname") else os.listdir("/dev/pts")
os.close(descriptor)
print(found)
"""
)

CHANGE = (
    REACHED
    + """
import contextlib, ctypes
libc = ctypes.CDLL(None, use_errno=True)

def to(path):
    return path if isinstance(path, int) else os.open(path, os.O_RDONLY | os.O_NONBLOCK)

def opened(path, flags):
    return path if isinstance(path, int) else os.open(path, flags | os.O_NONBLOCK)

def raw(function):
    def call(path):
        if function(path) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return call

WAYS = {
    "times": lambda p: os.utime(p, (1, 2)),
    "times now": lambda p: os.utime(p),
    "times of the link": lambda p: os.utime(p, (1, 2), follow_symlinks=False),
    "times of the descriptor": lambda p: os.utime(to(p)),
    "times of a writable descriptor": lambda p: os.utime(opened(p, os.O_RDWR)),
    "mode": lambda p: os.chmod(p, 0o777),
    "mode of the descriptor": lambda p: os.fchmod(to(p), 0),
    "same mode": lambda p: os.chmod(p, stat.S_IMODE(os.stat(p).st_mode)),
    "owner": lambda p: os.chown(p, os.getuid(), os.getgid()),
    "owner to none": lambda p: os.lchown(p, -1, -1),
    "attribute": lambda p: os.setxattr(p, "user.x", b"x"),
    "attribute of the descriptor": lambda p: os.setxattr(to(p), "user.x", b"x"),
    "append": lambda p: os.write(opened(p, os.O_WRONLY | os.O_APPEND), b""),
    "truncate": lambda p: os.truncate(p, 0),
    "truncate while opening": lambda p: opened(p, os.O_WRONLY | os.O_TRUNC),
    "allocate": raw(lambda p: libc.fallocate(opened(p, os.O_RDWR), 1, ctypes.c_long(0), ctypes.c_long(4096))),
    "file": lambda p: os.open(p + "/new", os.O_CREAT | os.O_WRONLY),
    "file without a name": lambda p: os.open(p, os.O_TMPFILE | os.O_RDWR),
    "folder": lambda p: os.mkdir(p + "/newfolder"),
    "pipe": lambda p: os.mkfifo(p + "/newpipe"),
    "device": lambda p: os.mknod(p + "/newdevice", 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
    "link": lambda p: os.symlink("x", p + "/newlink"),
    "hard link": lambda p: os.link(p, "/tmp/linked"),
    "hard link beside": lambda p: os.link(p, p + ".linked"),
    "rename": lambda p: os.rename(p, p + ".renamed"),
    "exchange": raw(lambda p: libc.renameat2(-100, p.encode(), -100, b"/usr", 2)),
    "remove": lambda p: os.unlink(p),
    "remove the folder": lambda p: os.rmdir(p),
    "mount": raw(lambda p: libc.mount(b"x", p.encode(), b"tmpfs", 0, None)),
    "bind": raw(lambda p: libc.mount(b"/tmp", p.encode(), None, 0x1000, None)),
    "mount again": raw(lambda p: libc.mount(None, p.encode(), None, 0x1020, None)),
    "unmount": raw(lambda p: libc.umount2(p.encode(), 2)),
    "lease": lambda p: fcntl.fcntl(to(p), fcntl.F_SETLEASE, fcntl.F_RDLCK),
    "notice": lambda p: fcntl.fcntl(to(p), fcntl.F_NOTIFY, 0x3F),
    "owner of signals": lambda p: fcntl.fcntl(to(p), fcntl.F_SETOWN, os.getpid()),
    "flags of the file": lambda p: fcntl.ioctl(to(p), 0x40086602, b"\\x10\\0\\0\\0\\0\\0\\0\\0"),
    "key of the file system": lambda p: fcntl.ioctl(to(p), 0xC0506617, bytes(80)),
    "letter": lambda p: fcntl.ioctl(to(p), 0x5412, b"x"),
    "watch": raw(lambda p: min(0, libc.inotify_add_watch(libc.inotify_init(), p.encode(), 0xFFF))),
    "entropy": lambda p: fcntl.ioctl(opened(p, os.O_WRONLY), 0x40045201, b"\\xff\\0\\0\\0"),
}
# What is answered as if it had been done, or done for this notebook alone; the next one must see nothing of it.
QUIET = {
    "lock": lambda p: fcntl.flock(to(p), fcntl.LOCK_EX),
    "lock to read": lambda p: fcntl.fcntl(to(p), fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, 0, 0, 0, 0)),
    "lock of an open file": lambda p: fcntl.fcntl(to(p), 37, struct.pack("hhqqi", fcntl.F_RDLCK, 0, 0, 0, 0)),
    "flags": lambda p: fcntl.fcntl(to(p), fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND),
    "reading": lambda p: os.read(to(p), 10),
}
import resource
done = []
for path in [*reached(), 0]:
    for what, way in {**WAYS, **QUIET}.items():
        try:
            way(path)
        except (OSError, TypeError, AttributeError, ValueError):
            continue
        allowed = {"append", "truncate while opening"} if str(path).startswith(("/dev/", "0")) else set()
        if what not in {*QUIET, *allowed}:
            done.append((path, what))
        if len(os.listdir("/proc/self/fd")) > 200:
            os.closerange(20, 256)
for number in (1, 2):
    for what, way in QUIET.items():
        with contextlib.suppress(OSError):
            way(number)
for path in ("/dev/pts", "/dev/pts/ptmx"):
    for change in (lambda: os.chmod(path, 0), lambda: os.utime(path, (1, 2))):
        with contextlib.suppress(OSError):
            change()
print(done)
"""
)


def locks_of(*files):
    """Return the locks that anybody on this machine has on these files."""
    numbers = {f":{os.stat(file).st_ino}" for file in files}
    return [line for line in Path("/proc/locks").read_text().splitlines() if any(f"{n} " in line for n in numbers)]


def test_whatever_a_notebook_does_the_next_one_finds_everything_as_it_was():
    devices = [Path("/dev", name) for name in ("null", "full", "random", "urandom", "tty")]
    outside = [(path, path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in devices]
    with Box(LIMITS, Setup()) as box:
        before = eval(printed(box, LOOK))
    assert {"/usr", "/dev/null", "/dev", 0} <= set(before)
    with Box(LIMITS, Setup()) as hostile:
        assert eval(printed(hostile, CHANGE)) == []
        assert locks_of(sys.executable, os.__file__) == []
        with Box(LIMITS, Setup()) as sibling:
            assert eval(printed(sibling, LOOK)) == before
    with Box(LIMITS, Setup()) as box:
        assert eval(printed(box, LOOK)) == before
    assert [
        (path, path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in devices
    ] == outside


def test_nothing_of_the_machine_in_proc_can_be_written():
    code = """
import os
mine = {"self", "thread-self", *(name for name in os.listdir("/proc") if name.isdigit())}
found = []
for folder, folders, files in os.walk("/proc"):
    if folder == "/proc":
        folders[:] = [name for name in folders if name not in mine]
    for name in files:
        path = os.path.join(folder, name)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        try:
            with open(path) as file:
                content = file.read(1000)
            with open(path, "w") as file:
                file.write(content)
        except (OSError, ValueError):
            continue
        found.append(path)
print(found)
"""
    with Box(LIMITS, Setup()) as box:
        assert eval(printed(box, code)) == []


# Which pages of a file are in memory depends on who has read it.
ASKS_FOR_PAGES = """
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
path = os.path.realpath("/usr/bin/env")
file = os.open(path, os.O_RDONLY)
place = ctypes.c_void_p(libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file, ctypes.c_long(0)))
WAYS = {
    "reading without waiting": lambda: os.preadv(file, [bytearray(16)], 0, os.RWF_NOWAIT) - 16,
    "with other flags": lambda: os.preadv(file, [bytearray(16)], 0, os.RWF_NOWAIT | os.RWF_HIPRI) - 16,
    "reading and forgetting": lambda: os.preadv(file, [bytearray(16)], 0, 0x80) - 16,
    "in core": lambda: libc.mincore(place, ctypes.c_size_t(4096), ctypes.create_string_buffer(1)),
    "statistics": lambda: libc.syscall(451, file, bytes(16), ctypes.create_string_buffer(40), 0),
    "reading ahead": lambda: libc.readahead(file, ctypes.c_long(0), ctypes.c_size_t(4096)),
}
told = []
for what, way in WAYS.items():
    try:
        told += [what] * (way() == 0)
    except OSError:
        pass
assert os.preadv(file, [bytearray(16)], 0) == os.preadv(file, [bytearray(16)], 0, os.RWF_HIPRI) == 16
for advice in range(6):
    os.posix_fadvise(file, 0, 0, advice)
for advice in (20, 21):
    assert libc.madvise(place, ctypes.c_size_t(4096), advice) == 0
print((path, told))
"""


def in_memory(file):
    """Whether the first page of a file is in memory; None where the file system does not say."""
    try:
        return os.preadv(file, [bytearray(16)], 0, os.RWF_NOWAIT) == 16
    except BlockingIOError:
        return False
    except OSError:
        return None


def test_nobody_tells_or_changes_which_pages_of_a_file_are_in_memory():
    with Box(LIMITS, Setup()) as box, open("/usr/bin/env", "rb") as file:
        file.read(16)
        before = in_memory(file.fileno())
        path, told = eval(printed(box, ASKS_FOR_PAGES))
        assert (path, told) == (os.path.realpath("/usr/bin/env"), [])
        assert in_memory(file.fileno()) == before


# -- limits -----------------------------------------------------------------------------------

MEMORY = 700 << 20
MOMENT = 400 << 20  # what can be had between two looks, on a slow machine
START = """
import ctypes, mmap, os, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)

def tell(megabytes):
    print(int(megabytes), flush=True)

def many(work, count=6):
    # Let children do the work, each of which says in a pipe how many MB it holds.
    told, telling = os.pipe()
    for _ in range(count):
        if os.fork() == 0:
            def report(megabytes):
                os.write(telling, b"%6d" % megabytes)
            try:
                work(report)
                time.sleep(20)
            finally:
                os._exit(0)
    os.close(telling)
    total = 0
    while said := os.read(told, 6):
        total += int(said)
        tell(total)

def touch(megabytes):
    held = bytearray(megabytes << 20)
    held[::4096] = b"x" * len(held[::4096])
    return held
"""
GROW = """
def grow(report):
    held = []
    for _ in range(5):
        held.append(touch(50)); report(50)
    globals()["kept"] = held
    time.sleep(20)
"""
WAYS_TO_FILL = {
    "children": GROW + "many(grow)",
    "children that cannot be looked at": GROW + "many(lambda report: (libc.prctl(4, 0, 0, 0, 0), grow(report)))",
    "threads of a dead leader": GROW
    + "def leave(report):\n    threading.Thread(target=grow, args=[report]).start()\n    libc.syscall(60, 0)\n"
    "many(leave)",
    "orphans": GROW
    + "def orphan(report):\n    if os.fork() == 0:\n        os.setsid(); grow(report)\n    os._exit(0)\nmany(orphan)",
    "one after another": """
held = bytearray()
while len(held) < 2**29:
    held += touch(20); tell(2 * len(held) >> 20)
    if os.fork(): os._exit(0)
""",
    "files": """
total = 0
for place in ("/tmp", "/dev/shm", "/home/student"):
    try:
        for number in range(100):
            with open(f"{place}/{number}", "wb") as file:
                file.write(b"x" * (8 << 20))
            total += 8; tell(total)
    except OSError:
        pass
time.sleep(1)
""",
    "files that are deleted and open": """
total, held = 0, []
for place in ("/tmp", "/dev/shm", "/home/student"):
    try:
        while True:
            held.append(os.open(place, os.O_TMPFILE | os.O_RDWR)); os.write(held[-1], b"x" * (16 << 20))
            total += 16; tell(total)
    except OSError:
        pass
time.sleep(1)
""",
    "empty files": """
made = 0
for place in ("/tmp", "/dev/shm", "/home/student"):
    try:
        for number in range(10**6):
            os.mknod(f"{place}/{number:0240d}"); made += 1
            if made % 5000 == 0: tell(made * 2 // 1024)
    except OSError:
        pass
time.sleep(1)
""",
    "sockets": """
def fill(report):
    held = []
    for _ in range(110):
        pair = socket.socketpair(); held.append(pair); put = 0
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**24); end.setblocking(False)
            try:
                while True: put += end.send(b"x" * 2**15)
            except BlockingIOError: pass
        if len(held) % 10 == 0: report(put * 10 >> 20)
    time.sleep(20)
many(fill, 20)
""",
    "connections": """
def fill(report):
    server = socket.create_server(("127.0.0.1", 0)); held = []
    for _ in range(110):
        pair = socket.create_connection(server.getsockname()), server.accept()[0]; held.append(pair); put = 0
        for end in pair:
            end.setblocking(False)
            try:
                while True: put += end.send(b"x" * 2**15)
            except BlockingIOError: pass
        if len(held) % 10 == 0: report(put * 10 >> 20)
    time.sleep(20)
many(fill, 20)
""",
    "page tables": """
def sparse(report):
    held = mmap.mmap(-1, 600 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(held), 2**21): held[at]
    report(2); time.sleep(20)
many(sparse, 50)
""",
    "mappings": """
def map_many(report):
    libc.mmap.restype = ctypes.c_void_p
    held = 0
    while libc.mmap(None, ctypes.c_size_t(4096), 1 + held % 2, 0x22, -1, ctypes.c_long(0)) != ctypes.c_void_p(-1).value:
        held += 1
    report(held * 250 >> 20); time.sleep(20)
many(map_many, 40)
""",
}


@pytest.mark.parametrize("way", WAYS_TO_FILL)
def test_memory_has_an_end_in_every_way_that_it_can_be_had(way):
    limits = Limits(cell_seconds=12, call_seconds=5, notebook_seconds=40, memory=MEMORY, processes=100)
    with Box(limits, Setup()) as box:
        with contextlib.suppress(BoxDied):
            box.run_cell(0, START + WAYS_TO_FILL[way])
        found = box.outputs.cell
    told = [int(word) for output in found for word in output.get("text", "").split() if word.isdigit()]
    assert max(told, default=0) << 20 < MEMORY + MOMENT, (told[-5:], found[-1])


REFUSED = {
    "memory without a name": "os.memfd_create('x')",
    "shared memory": "mmap.mmap(-1, 4096)",
    "segments": "assert libc.shmget(0, 4096, 0o1600) >= 0",
    "messages": "assert libc.msgget(0, 0o1600) >= 0",
    "queues": "assert libc.mq_open(b'/x', 0o102, 0o600, None) >= 0",
    "keys": "assert libc.syscall(248, b'user', b'x', b'x', 1, -3) > 0",
    "pages in pipes": "assert libc.vmsplice(os.pipe()[1], struct.pack('PN', id(libc), 8), ctypes.c_size_t(1), 0) > 0",
    "pages in sockets": "os.sendfile(socket.socketpair()[0].fileno(), os.open(sys.executable, 0), 0, 4096)",
    "access lists": "open('x', 'w'); os.setxattr('x', 'user.x', b'x' * 60_000)",
    "larger pipes": "import fcntl; fcntl.fcntl(os.pipe()[1], 1031, 2**20)",
    "requests": "assert libc.syscall(206, 1000, ctypes.byref(ctypes.c_ulong())) == 0",
    "rings": "assert libc.syscall(425, 8, bytes(120)) >= 0",
    "watches": "assert libc.inotify_init() >= 0",
    "programs": "socket.socketpair()[0].setsockopt(1, 26, bytes(16))",
    "hundreds of terminals": "held = [os.open('/dev/ptmx', os.O_RDWR) for _ in range(100)]",
    "hundreds of descriptors": "held = [os.pipe() for _ in range(200)]",
    "locked pages": "assert libc.mlock(ctypes.create_string_buffer(2**20), ctypes.c_size_t(2**20)) == 0",
    "higher priority": "os.nice(-5)",
    "real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "pending signals": "assert max(libc.sigqueue(os.getpid(), 40, 0) == -1 for _ in range(5000)) == 0",
    "timers": "assert all(libc.timer_create(1, None, ctypes.byref(ctypes.c_long())) == 0 for _ in range(5000))",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_kernel_would_keep_without_end_is_refused(what):
    code = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {40})\n" + START + REFUSED[what]
    with Box(LIMITS, Setup()) as box:
        found = box.run_cell(0, code)
    assert found, what
    assert found[-1]["ename"] in ("OSError", "AssertionError", "PermissionError"), found
