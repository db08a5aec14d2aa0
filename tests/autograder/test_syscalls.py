"""What programs of students need is on the list of system calls, and what is not on it does not exist."""

import ctypes

import pytest

from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

LIMITS = Limits(cell_seconds=40, call_seconds=20, notebook_seconds=200)

HONEST = {
    "files": """
import os, pathlib, shutil, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "a"); path.write_text("x" * 10**6)
    for copy in (shutil.copy, shutil.copy2, shutil.copyfile):
        copy(path, path.with_name("b"))
    shutil.copytree(folder, folder + "/c"); path.with_name("b").replace(path); path.chmod(0o600)
    os.link(path, folder + "/l"); os.symlink(path, folder + "/s"); os.utime(path); os.mkfifo(folder + "/f")
    assert shutil.copy2(os.__file__, folder) and path.read_text() == "x" * 10**6
    assert shutil.make_archive(folder + "/z", "gztar", folder + "/c")
    with tempfile.NamedTemporaryFile() as file, tempfile.SpooledTemporaryFile() as other:
        file.write(b"x"); other.write(b"x"); file.flush(); os.fsync(file.fileno())
""",
    "a database": """
import sqlite3
for place in (":memory:", "data.db"):
    book = sqlite3.connect(place); book.execute("pragma journal_mode=wal"); book.execute("create table t (x)")
    with book:
        book.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    assert book.execute("select sum(x) from t").fetchone() == (499500,)
    second = sqlite3.connect(place); book.close()
""",
    "locks": """
import fcntl
with open("lock", "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.lockf(file, fcntl.LOCK_UN)
""",
    "threads": """
import concurrent.futures, queue, threading
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(abs, range(-100, 0))) == 5050
ready = threading.Condition()
with threading.Lock(), ready:
    assert not ready.wait(0.01)
""",
    "processes": """
import concurrent.futures, multiprocessing, numpy as np
from multiprocessing import shared_memory
for method in ("fork", "spawn", "forkserver"):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
with concurrent.futures.ProcessPoolExecutor(2) as pool:
    assert list(pool.map(abs, [-1, 2])) == [1, 2]
number, items = multiprocessing.Value("i", 1), multiprocessing.Array("d", 10)
with number.get_lock():
    number.value += 1
with multiprocessing.Manager() as manager:
    assert list(manager.list([1, 2])) == [1, 2]
left, right = multiprocessing.Pipe(); left.send(np.ones(10**4)); assert right.recv().sum() == 10**4
queue = multiprocessing.Queue(); queue.put(1); assert queue.get() == 1
block = shared_memory.SharedMemory(create=True, size=4096); block.buf[0] = 7; block.close(); block.unlink()
""",
    "asyncio": """
import asyncio, sys
async def main():
    async def serve(reader, writer):
        writer.write(await reader.readline()); await writer.drain(); writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\\n"); assert await reader.readline() == b"hello\\n"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(5)", stdout=asyncio.subprocess.PIPE)
    assert (await child.communicate())[0] == b"5\\n"
    assert await asyncio.to_thread(abs, -1) == 1
    await asyncio.wait_for(asyncio.sleep(0.01), 1)
await main()
""",
    "programs": """
import shutil, subprocess
def run(*words, text=""):
    return subprocess.run(words, check=True, capture_output=True, text=True, input=text).stdout
assert run("bash", "-c", "echo a | sort | uniq -c; (sleep 0.01 &); wait; cat <<< x > y; ls -la / > /dev/null")
run("sh", "-c", "mkdir -p q/r; cp -a q p; mv p o; touch -d yesterday o")
assert run("sh", "-c", "find . | xargs ls -d; tar cf - q | tar tf -")
if shutil.which("gcc"):
    open("a.c", "w").write('#include <stdio.h>\\nint main(void) { puts("made"); return 0; }')
    run("gcc", "-O2", "a.c", "-o", "a"); assert run("./a") == "made\\n"
if shutil.which("git"):
    run("git", "init", "-q", "g"); open("g/x", "w").write("x"); run("git", "-C", "g", "add", "x")
    run("git", "-C", "g", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    assert "first" in run("git", "-C", "g", "log")
for tool, words in {"make": ["--version"], "perl": ["-e", "print `echo 1`"], "awk": ["BEGIN { print 1 }"]}.items():
    assert shutil.which(tool) is None or run(tool, *words)
""",
    "terminals": """
import os, pty
child, terminal = pty.fork()
if child == 0:
    os.execvp("sh", ["sh", "-c", "tty; stty size; echo done"])
said = b""
try:
    while b"done" not in said:
        said += os.read(terminal, 1000)
except OSError:
    pass
assert b"/dev/pts/0" in said and b"done" in said, said
os.waitpid(child, 0); os.close(terminal)
""",
    "pictures": """
import matplotlib, matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
figure, axes = plt.subplots(); line, = axes.plot([1, 2, 3])
for kind in ("png", "svg", "pdf", "jpg"):
    figure.savefig(f"f.{kind}")
FuncAnimation(figure, lambda n: line.set_ydata([n, 2, 3]), frames=2).save("a.gif", writer="pillow")
plt.close("all")
""",
    "numbers": """
import numpy as np
a = np.random.default_rng(0).normal(size=(300, 300))
np.linalg.svd(a); np.linalg.eig(a); np.fft.fft2(a); a @ a
np.save("a.npy", a); np.savez_compressed("a.npz", a=a); m = np.load("a.npy", mmap_mode="r+"); m[0] = 1; m.flush()
f = np.memmap("m", dtype=float, mode="w+", shape=(100,)); f[:] = 1; f.flush()
""",
    "the system": """
import getpass, locale, os, platform, resource, signal, socket, sys, time, uuid
uuid.uuid1(); uuid.uuid4(); platform.platform(); socket.gethostname(); os.cpu_count(); os.getloadavg(); time.localtime()
resource.getrusage(resource.RUSAGE_SELF); resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.nice(0)
signal.signal(signal.SIGUSR1, lambda *_: None); os.kill(os.getpid(), signal.SIGUSR1); os.sched_getaffinity(0)
socket.getaddrinfo("127.0.0.1", 80); os.get_terminal_size if sys.stdout.isatty() else None; os.urandom(8)
with socket.socketpair()[0] as one:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
try:
    import psutil
    psutil.virtual_memory(), psutil.cpu_percent(), psutil.Process().memory_info(), psutil.Process().open_files()
except ImportError:
    pass
""",
    "magics": "x = !echo hello\nassert x == ['hello'], x",
}


@pytest.fixture(scope="module")
def box():
    with Box(LIMITS, Setup()) as box:
        yield box


@pytest.mark.parametrize("what", HONEST)
def test_honest_programs_find_all_they_need(box, what):
    found = box.run_cell(0, "import warnings; warnings.simplefilter('ignore')\n" + HONEST[what])
    assert found == [], found


def test_a_call_that_is_not_on_the_list_does_not_exist(box):
    code = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
found = []
for number in range(440, 700):
    libc.syscall(number, -1, -1, -1, -1, -1, -1)
    found.append(ctypes.get_errno())
print([number for number, answer in enumerate(found, 440) if answer != errno.ENOSYS])
"""
    (found,) = box.run_cell(0, code)
    known = {441, 449, 452, 453, 454, 455, 456}  # epoll_pwait2, futex_waitv, fchmodat2, map_shadow_stack, futex_...
    assert set(eval(found["text"])) <= known, found
    assert ctypes.sizeof(ctypes.c_void_p) == 8
