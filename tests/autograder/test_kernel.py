"""What a notebook finds around it behind the wall is what it finds in a Jupyter kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box(Limits(cell_seconds=20, notebook_seconds=120), Setup()) as box:
        box.run_cell(0, "import asyncio, os, subprocess, sys")
        yield box


def run(box: Box, *cells: str) -> list[Any]:
    """Run cells; return the outputs of the last one."""
    for number, code in enumerate(cells):
        outputs = box.run_cell(number, code)
    return outputs


def text(box: Box, *cells: str) -> str:
    """Run cells; return what the last one prints and the text of what it shows, with names of errors."""
    said = []
    for output in run(box, *cells):
        said.append(output.get("text") or output.get("ename") or output["data"]["text/plain"])
    return "".join(said)


# -- the event loop ---------------------------------------------------------------------------


def test_one_event_loop_serves_all_cells(box: Box) -> None:
    start = "async def work(n):\n    await asyncio.sleep(0.01)\n    return n\ntask = asyncio.create_task(work(3))"
    assert text(box, start, "await task") == "3"
    assert (
        text(box, start, "loop = asyncio.get_running_loop()", "await task; loop is asyncio.get_running_loop()")
        == "True"
    )
    assert text(box, "queue = asyncio.Queue(); queue.put_nowait(4)", "await queue.get()") == "4"
    assert text(box, "asyncio.get_event_loop().is_running()") == "True"


def test_tasks_go_on_between_cells(box: Box) -> None:
    start = (
        "seen = []\nasync def work():\n    for n in range(3):\n        seen.append(n)\n        await asyncio.sleep(0)\n"
    )
    assert text(box, start + "task = asyncio.ensure_future(work())", "seen") == "[0, 1, 2]"


def test_what_a_running_loop_refuses_is_refused(box: Box) -> None:
    assert text(box, "asyncio.run(asyncio.sleep(0))").startswith("RuntimeError")
    assert text(box, "asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))").startswith("RuntimeError")
    in_thread = "import threading\nthread = threading.Thread(target=lambda: asyncio.run(asyncio.sleep(0)))\n"
    assert text(box, in_thread + "thread.start(); thread.join(); 5") == "5"


def test_an_await_that_never_ends_is_ended_where_it_waits() -> None:
    with Box(Limits(cell_seconds=0.5), Setup()) as box:
        (late,) = box.run_cell(0, "import asyncio\nwaits = 1\nawait asyncio.Future()")
        assert late["ename"] == "Timeout"
        assert text(box, "async def endless():\n    while True:\n        await asyncio.sleep(0)", "waits") == "1"
        assert (
            text(box, "task = asyncio.create_task(endless())", "1", "await asyncio.sleep(0.01); task.cancel() + 1")
            == "2"
        )
        kept = "try:\n    await asyncio.sleep(9)\nexcept BaseException as error:\n    print(type(error).__name__)"
        assert text(box, kept) == "Timeout\n"


# -- what others write ------------------------------------------------------------------------

OTHERS = {
    "a shell": "os.system('echo b')",
    "a program": "subprocess.run(['echo', 'b'])",
    "a program with Python's stream": "subprocess.run(['echo', 'b'], stdout=sys.stdout)",
    "the descriptor": "os.write(1, b'b\\n')",
    "the descriptor of the stream": "os.write(sys.stdout.fileno(), b'b\\n')",
    "a fork": "if os.fork() == 0:\n    print('b'); os._exit(0)\nos.wait()",
    "a process": "p = Process(target=print, args=('b',)); p.start(); p.join()",
    "a pool": "with Pool(1) as pool:\n    pool.map(print, ['b'])",
    "a library in C": "libc.puts(b'b'); libc.fflush(None)",
    "Python's own stream": "print('b', file=sys.__stdout__, flush=True)",
    "a device": "subprocess.run('echo b > /dev/stdout', shell=True)",
    "a shell of asyncio": "p = await asyncio.create_subprocess_shell('echo b'); await p.wait()",
}


@pytest.mark.parametrize("how", OTHERS.values(), ids=OTHERS)
def test_what_others_write_stands_where_it_was_written(box: Box, how: str) -> None:
    start = "import ctypes, warnings\nfrom multiprocessing import Pool, Process\nlibc = ctypes.CDLL(None)\n"
    start += "warnings.simplefilter('ignore')\n"  # Python 3.12 warns of a fork beside threads
    assert text(box, start + f"print('a')\n{how}\nprint('c')") == "a\nb\nc\n"


def test_errors_of_others_are_on_the_error_stream(box: Box) -> None:
    (output,) = run(box, "os.system('echo oh >&2');")
    assert (output["name"], output["text"]) == ("stderr", "oh\n")


def test_what_others_write_may_be_much(box: Box) -> None:
    """More than a pipe holds; and of what has no end, the beginning."""
    assert text(box, "os.system('seq 100000');").endswith("99999\n100000\n")
    assert len(text(box, "os.system('head -c 40000000 /dev/zero');")) < 10_000_000
    assert text(box, "os.write(1, 'h\\u00e9'.encode()[:2]);", "os.write(1, 'h\\u00e9'.encode()[2:]);") == "é"


def test_the_streams_can_be_closed_replaced_and_joined(box: Box) -> None:
    assert text(box, "kept = os.dup(1)\nos.close(1)\nprint('a')\nos.dup2(kept, 1)\nos.system('echo b');") == "a\nb\n"
    assert text(box, "own, sys.stdout = sys.stdout, open('own', 'w')", "print('x')") == ""
    assert text(box, "sys.stdout.close(); sys.stdout = own", "print(open('own').read())") == "x\n\n"
    joins = "import threading\n[one.join() for one in threading.enumerate() if one is not threading.main_thread()]"
    assert text(box, joins + "\nprint(threading.active_count())") == "1\n"
    assert text(box, "import faulthandler; faulthandler.enable(); print(sys.stdout.encoding)") == "UTF-8\n"


# -- windows, debuggers, questions ------------------------------------------------------------

WINDOWS = (
    *("%matplotlib widget", "%matplotlib ipympl", "%matplotlib qt", "%matplotlib notebook", "%matplotlib tk"),
    *("%matplotlib nbagg", "%matplotlib osx", "%pylab qt", "%matplotlib", "%matplotlib inline"),
    "import matplotlib; matplotlib.use('TkAgg')",
    "import matplotlib; matplotlib.use('nbagg')",
    "import matplotlib; matplotlib.use('module://ipympl.backend_nbagg')",
    "import matplotlib.pyplot as plt; plt.switch_backend('Qt5Agg')",
)


@pytest.mark.parametrize("line", WINDOWS)
def test_windows_become_pictures_below_the_cell(box: Box, line: str) -> None:
    assert not any(output["output_type"] == "error" for output in run(box, line))
    (picture,) = run(box, "import matplotlib.pyplot as plt", "plt.plot([1, 2]);")
    assert "image/png" in picture["data"]


def test_a_file_backend_stays_one(box: Box) -> None:
    assert run(box, "%matplotlib agg", "plt.plot([1, 2]);") == []
    assert text(box, "plt.close('all'); print(plt.get_backend())") == "agg\n"
    run(box, "%matplotlib inline")


DEBUGGERS = (
    *("breakpoint()", "import pdb; pdb.set_trace()", "from IPython.core.debugger import set_trace; set_trace()"),
    *("import pdb; pdb.Pdb().set_trace()", "import bdb; bdb.Bdb().set_trace()", "%debug", "import pdb; pdb.pm()"),
    "get_ipython().kernel.do_shutdown(True);",
)


@pytest.mark.parametrize("line", DEBUGGERS)
def test_debuggers_are_passed_over(box: Box, line: str) -> None:
    run(box, "1 / 0")
    assert text(box, f"def f(x):\n    {line}\n    return x" if line[0] != "%" else "f = int", "f(3)") == "3"
    assert text(box, line) == ""


def test_nobody_is_asked(box: Box) -> None:
    for question in ("input('?')", "import getpass; getpass.getpass()"):
        (output,) = run(box, question)
        assert "put the value into the code" in output["evalue"]


# -- the kernel -------------------------------------------------------------------------------


def test_programs_find_that_a_notebook_runs_them(box: Box) -> None:
    assert text(box, "type(get_ipython())") == "ipykernel.zmqshell.ZMQInteractiveShell"
    assert text(box, "'IPKernelApp' in get_ipython().config") == "True"
    assert (
        text(box, "k = get_ipython().kernel; k.shell is get_ipython(), k.get_parent(), k.session") == "(True, {}, None)"
    )
    assert text(box, "k.comm_manager.register_target('mine', print); k.do_one_iteration()") == ""
    restart = "import traitlets.config\ntraitlets.config.Application.instance().kernel.do_shutdown(True)['status']"
    assert text(box, restart) == "'ok'"
    assert text(box, "os.environ['PAGER'], sys.stdout.isatty()") == "('cat', True)"
    assert run(box, "len?") == []


def test_it_is_known_who_runs_it_and_where(box: Box) -> None:
    assert (
        text(box, "import getpass, pwd\nprint(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name)")
        == "student student\n"
    )
    assert text(box, "os.path.expanduser('~student') == os.path.expanduser('~') == os.getcwd()") == "True"
    assert (
        text(box, "import socket\nprint(socket.gethostbyname('localhost'), socket.gethostbyname(socket.gethostname()))")
        == "127.0.0.1 127.0.0.1\n"
    )
    serves = """
import http.server, threading, urllib.request
server = http.server.HTTPServer(("localhost", 0), http.server.SimpleHTTPRequestHandler)
server.RequestHandlerClass.log_message = lambda *args: None
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f"http://localhost:{server.server_port}/").status)
server.shutdown()
"""
    assert text(box, serves) == "200\n"
