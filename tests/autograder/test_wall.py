"""What a notebook can and cannot do behind the wall, and how its process ends."""

import contextlib
import encodings
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest

import coursekit
from autograder.errors import NoWall
from autograder.wall import box as box_module
from autograder.wall import guard, outputs
from autograder.wall.box import Box, BoxDied, Limits
from autograder.wall.messages import Channel, Closed
from autograder.wall.python import installed
from autograder.wall.sandbox import Setup
from autograder.wall.server import close_servers
from coursekit.checks.cases import Case, Expected, Step
from coursekit.checks.codec import Callback, Generator, Opaque, Ref
from coursekit.checks.probes import Probe

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
LIMITS = Limits(cell_seconds=20, call_seconds=20, notebook_seconds=100)
SHORT = Limits(cell_seconds=1, call_seconds=1, notebook_seconds=30)
FORBIDDEN = {
    "coursekit.autograd": "write the gradients yourself",
    "coursekit.tracing": "write the gradients yourself",
    "jinja2": "no templates",
    "six": "a module of one file",
    "autograd": "not even where it is installed",
    "torch": "not even where it is installed",
}


@pytest.fixture(scope="module")
def box():
    """A process for all cells that leave it unchanged."""
    files = {"data.txt": b"of the submission", "deep/er/x.npy": b"123"}
    with Box(LIMITS, Setup(forbidden=FORBIDDEN, hide=(REPOSITORY,)), files) as box:
        yield box


@pytest.fixture
def impatient(monkeypatch):
    """End a process soon that does not stop when its time is over."""
    monkeypatch.setattr(box_module, "GRACE", 0.5)


def shown(box, code):
    """Run a cell and return its outputs, which must be valid in a notebook."""
    cells = json.loads(json.dumps(box.run_cell(7, code)))
    for output in cells:
        if output["output_type"] == "execute_result":
            output["execution_count"] = 1
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, outputs=cells)])
    nbformat.validate(nbformat.from_dict(json.loads(json.dumps(nb))))
    return cells


def printed(box, code):
    """Return what a cell prints; it must have no other output."""
    found = shown(box, code)
    assert all(output["output_type"] == "stream" for output in found), found
    return "".join(output["text"] for output in found)


def error(box, code):
    """Return the name and the message of the error that ends a cell."""
    last = shown(box, code)[-1]
    assert last["output_type"] == "error", last
    return last["ename"], last["evalue"]


def ended(code, limits=SHORT):
    """Return why the process that runs `code` ends."""
    with Box(limits, Setup()) as box, pytest.raises(BoxDied) as death:
        box.run_cell(0, code)
    return death.value


# -- outputs --------------------------------------------------------------------------------


def test_streams_keep_their_order_and_their_names(box):
    found = shown(box, "import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\nprint('d')")
    assert [(output["name"], output["text"]) for output in found] == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("stdout", "c\nd\n"),
    ]


def test_results_and_displays_come_in_every_form_they_have(box):
    found = shown(box, "from IPython.display import HTML, display\nprint(1)\ndisplay(HTML('<b>x</b>'))\n{'a': 2}")
    assert [output["output_type"] for output in found] == ["stream", "display_data", "execute_result"]
    assert found[1]["data"]["text/html"] == "<b>x</b>"
    assert found[2]["data"] == {"text/plain": "{'a': 2}"}


def test_a_picture_keeps_the_size_at_which_it_is_shown(box):
    code = "from IPython.display import Image\nImage(b'GIF89a' + bytes(20), format='gif', width=50, height=10**9)"
    (output,) = shown(box, code)
    assert output["metadata"] == {"image/gif": {"width": 50}}


def test_an_error_has_its_name_its_message_and_its_traceback(box):
    (found,) = shown(box, "def f():\n    return 1 / 0\nf()")
    assert (found["ename"], found["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert "return" in "\n".join(found["traceback"])
    kind, message = error(box, "def f(:")
    assert kind == "SyntaxError"
    assert message.startswith("invalid syntax")


def test_an_error_whose_message_cannot_be_made_is_shown_all_the_same(box):
    code = "class Broken(Exception):\n    def __str__(self):\n        raise KeyError\nraise Broken"
    assert "Broken" in [output.get("ename") for output in shown(box, code)]


@pytest.mark.parametrize("magic", ["", "%matplotlib inline\n"])
def test_a_figure_is_shown(box, magic):
    found = shown(box, magic + "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()")
    (picture,) = [output["data"] for output in found if "image/png" in output.get("data", {})]
    assert picture["image/png"].startswith("iVBOR")
    assert "Figure" in picture["text/plain"]


def test_a_display_can_be_updated_even_from_a_later_cell(box):
    first = box.run_cell(0, "h = display('before', display_id=True)")
    assert first[0]["data"]["text/plain"] == "'before'"
    assert shown(box, "h.update('after')") == []
    assert first[0]["data"]["text/plain"] == "'after'"


def test_outputs_can_be_cleared_now_or_when_the_next_one_comes(box):
    setup = "from IPython.display import clear_output\n"
    assert printed(box, setup + "print('a')\nclear_output()\nprint('b')") == "b\n"
    assert printed(box, setup + "for i in range(3):\n    clear_output(wait=True)\n    print(i)") == "2\n"
    assert printed(box, setup + "print('a')\nclear_output(wait=True)") == "a\n"


def test_magics_shell_commands_and_await_work(box):
    assert "data.txt" in printed(box, "!ls")
    assert printed(box, "%%bash\necho $HOME") == "/home/student\n"
    assert "loop" in printed(box, "%timeit -n 1 -r 1 1 + 1")
    (found,) = shown(box, "import asyncio\nawait asyncio.sleep(0.01)\n5")
    assert found["data"]["text/plain"] == "5"


def test_numpy_without_a_message_stays_an_output_of_text(box):
    assert printed(box, "import numpy as np\nprint(np.arange(3.0))") == "[0. 1. 2.]\n"


def test_half_a_surrogate_pair_does_not_break_the_notebook(box):
    text = printed(box, "print('a\\ud800b', '\\x00\\x1b[31m')")
    assert text.startswith("a?b")
    text.encode()


def test_a_flood_is_cut_and_the_error_after_it_is_told(box):
    found = shown(box, "print('x' * 20_000_000)\nfor i in range(3000):\n    display(i)\n1 / 0")
    assert sum(len(output.get("text", "")) for output in found) < 2 * outputs.MAX_OF_CELL
    assert len(found) <= outputs.MAX_OUTPUTS + 2
    assert [output["text"] for output in found[-2:-1]] == [outputs.TOO_MUCH]
    assert found[-1]["ename"] == "ZeroDivisionError"


def test_a_cell_that_is_too_long_to_be_sent_says_so_and_the_next_one_runs(box):
    (output,) = box.run_cell(0, f"x = {'1' * 10**6!r}")
    assert output["ename"] == "TooLong"
    assert "1000000 is the most that is run: read data from a file" in output["evalue"]
    assert shown(box, "print(1)")[0]["text"] == "1\n"


def test_a_picture_that_is_too_large_is_named(box):
    found = shown(box, "from IPython.display import HTML\nHTML('x' * 30_000_000)")
    assert "text/html shown here is too large" in found[0]["text"]
    assert "text/plain" in found[-1]["data"]


def test_threads_that_print_do_not_tear_messages(box):
    code = """
import threading
from IPython.display import HTML
def talk():
    for _ in range(5):
        print("y" * 100_000)
        display(HTML("z" * 200_000))
threads = [threading.Thread(target=talk) for _ in range(4)]
for thread in threads: thread.start()
talk()
for thread in threads: thread.join()
"""
    found = shown(box, code)
    assert sum(output.get("text", "").count("y") for output in found) == 25 * 100_000
    assert [output["data"]["text/html"] for output in found if "data" in output] == ["z" * 200_000] * 25


def test_a_forked_child_does_not_speak_for_the_notebook(box):
    quiet = "import os, warnings\nwarnings.simplefilter('ignore')\n"  # Python 3.12 warns of a fork beside threads
    code = "if os.fork() == 0:\n    display('child')\nelse:\n    print('parent', os.wait()[1])"
    assert printed(box, quiet + code) == "parent 0\n"
    found = shown(box, "from multiprocessing import Pool\nwith Pool(2) as pool:\n    r = pool.map(abs, [-1, 2])\nr")
    assert found[-1]["data"]["text/plain"] == "[1, 2]"


def test_a_program_that_is_started_does_not_inherit_the_socket(box):
    code = "import os, subprocess\nwords = ['ls', '-l', '/proc/self/fd']\n"
    found = printed(box, code + "print(subprocess.run(words, close_fds=False, capture_output=True, text=True).stdout)")
    assert "/dev/null" in found
    assert "socket" not in found


def test_input_is_refused_with_what_to_do(box):
    kind, message = error(box, "input('name? ')")
    assert kind == "RuntimeError"
    assert "put the value into the code" in message


# -- what can be seen, and reached ----------------------------------------------------------


def test_the_files_of_the_submission_can_be_read(box):
    assert printed(box, "print(open('data.txt').read(), open('deep/er/x.npy').read())") == "of the submission 123\n"


def test_of_the_system_only_python_and_libraries_are_seen(box):
    code = "import os\nprint(sorted(os.listdir('/')), [os.path.exists(top) for top in ('/root', '/work', '/home')])"
    top, rest = printed(box, code).strip().split("] ", 1)
    names = {
        "bin",
        "dev",
        "etc",
        "home",
        "kit",
        "lib",
        "lib32",
        "lib64",
        "proc",
        "python",
        "sbin",
        "tmp",
        "usr",
        "venv",
    }
    assert {name.strip(" '[]") for name in top.split(",")} <= names
    assert rest == "[False, False, True]"


@pytest.mark.parametrize(
    "path", [REPOSITORY / "solutions", REPOSITORY / "autograder", REPOSITORY / "pyproject.toml", "/etc/shadow", "/sys"]
)
def test_neither_course_nor_grader_nor_accounts_exist(box, path):
    assert printed(box, "print(open('/etc/passwd').read())").split(":")[::6] == ["student", "/bin/sh\n\n"]
    assert printed(box, f"import os\nprint(os.path.exists({str(path)!r}))") == "False\n"


def test_a_course_inside_a_folder_that_must_be_seen_is_hidden(tmp_path):
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    folder = packages / "jinja2"  # stands for a course there
    (seen,) = installed().seen(folder)
    with Box(LIMITS, Setup(hide=(folder,))) as box:
        assert printed(box, f"import os\nprint(os.listdir({str(seen)!r}))") == "[]\n"


def test_nothing_is_known_of_the_grader_s_environment_command_line_and_files(box, monkeypatch):
    monkeypatch.setenv("AUTOGRADER_SECRET", "hunter2")
    with Box(LIMITS, Setup(hide=(REPOSITORY,))) as box:
        environment = printed(box, "print(open('/proc/self/environ').read())")
        assert "hunter2" not in environment
        assert "HOME=/home/student" in environment
        assert "PWD" not in os.environ or f"PWD={os.environ['PWD']}" not in environment
        assert "bind" not in printed(box, "print(open('/proc/1/cmdline').read(), open('/proc/self/cmdline').read())")
        for name in ("environ", "mem", "maps"):
            assert error(box, f"open('/proc/1/{name}').read()")[0] == "PermissionError"
        code = "import os\nnames = [f'/proc/self/fd/{n}' for n in range(100)]\n"
        opened = printed(box, code + "print([os.readlink(name) for name in names if os.path.lexists(name)])")
    null, out, err, *others = eval(opened)
    assert null == "/dev/null"
    kinds = sorted(name.partition(":")[0] for name in others if name not in (out, err))  # it reads these itself
    assert kinds == ["anon_inode", "socket", "socket", "socket"]  # the event loop's, and the channel
    assert {out.partition(":")[0], err.partition(":")[0]} == {"pipe"}
    assert others.count(out) == others.count(err) == 1


def test_other_processes_do_not_exist(box):
    code = "import os\nprint([p for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())])"
    with Box(LIMITS, Setup()) as box:
        assert printed(box, code) == "[]\n"
        assert error(box, f"os.kill({os.getpid()}, 0)" if os.getpid() > 10 else "os.kill(99999, 0)")[0] == (
            "ProcessLookupError"
        )


def test_there_is_no_network(box):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert error(box, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)")[0] in (
            "ConnectionRefusedError",
            "OSError",
        )
    assert error(box, "socket.create_connection(('192.0.2.1', 53), 5)")[0] == "OSError"
    assert error(box, "socket.getaddrinfo('example.org', 443)")[0] == "gaierror"


def test_only_home_tmp_and_shared_memory_can_be_written_and_only_so_much():
    limits = Limits(cell_seconds=20, notebook_seconds=60, disk=2**20)
    code = """
import os, sys
writable = []
for folder in ['/', '/usr', '/usr/lib', '/kit', '/kit/wall', '/kit/coursekit', '/kit/coursekit/autograd', '/dev',
               '/dev/pts', '/proc', '/etc', sys.prefix, sys.base_prefix, '/home/student', '/tmp', '/dev/shm']:
    try:
        open(folder + '/new', 'w').close()
        writable.append(folder)
    except OSError:
        pass
print(writable)
for folder in ['/home/student', '/tmp', '/dev/shm']:
    try:
        open(folder + '/large', 'wb').write(bytes(2**21))
    except OSError as error:
        print(error)
"""
    with Box(limits, Setup(forbidden=FORBIDDEN)) as box:
        found = printed(box, code)
    assert found == "['/home/student', '/tmp', '/dev/shm']\n" + "[Errno 28] No space left on device\n" * 3


def test_nobody_in_there_is_root_or_can_become_it(box):
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(os.getuid(), libc.unshare(0x10000000), libc.mount(b'x', b'/tmp', b'tmpfs', 0, None), libc.setuid(0))
print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapBnd', 'NoNewPrivs'))])
"""
    assert printed(box, code) == "1000 -1 -1 -1\n['0000000000000000', '0000000000000000', '1']\n"


# -- forbidden modules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["import coursekit.autograd", "from coursekit.autograd import Tensor", "from coursekit.autograd import flat"],
)
def test_a_forbidden_module_is_missing_and_the_message_says_why(box, statement):
    kind, message = error(box, statement)
    assert kind == "ModuleNotFoundError"
    assert message == "No module named 'coursekit.autograd': write the gradients yourself"


@pytest.mark.parametrize(
    "statement",
    ["import coursekit.tracing", "from coursekit.tracing import flat", "import coursekit; coursekit.tracing"],
)
def test_what_writes_gradients_as_a_program_is_missing_too(box, statement):
    kind, message = error(box, statement)
    assert kind == "ModuleNotFoundError"
    assert message == "No module named 'coursekit.tracing': write the gradients yourself"


def test_a_forbidden_module_is_gone_even_without_the_hook_that_says_so():
    site = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    assert (site / "jinja2").is_dir()  # or this would show nothing
    assert (site / "six.py").is_file()
    assert (Path(coursekit.__file__).parent / "autograd" / "tensor.py").is_file()
    assert (Path(coursekit.__file__).parent / "tracing" / "values.py").is_file()
    code = """
import importlib, importlib.util, os, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != 'Forbidden']
found = []
for name in ['coursekit.autograd.tensor', 'coursekit.tracing.values', 'jinja2.environment', 'six']:
    try:
        importlib.import_module(name)
        found.append(name)
    except ImportError:
        pass
found += [name for name in sys.modules if any(part in name for part in ('autograd', 'tracing', 'jinja2'))]
places = []
for top in ['/usr/lib', '/usr/local/lib', sys.prefix + '/lib', sys.base_prefix + '/lib']:
    for python in os.listdir(top) if os.path.isdir(top) else []:
        places += [f'{top}/{python}/{kind}-packages' for kind in ('site', 'dist')]
ours = ['/kit/coursekit/autograd', '/kit/coursekit/tracing']
for name in [*ours, *[f'{place}/{name}' for place in places for name in ['jinja2', 'torch']]]:
    if os.path.isdir(name):
        found += os.listdir(name)
for place in places:
    for file in ['six.py', f'__pycache__/six.cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc']:
        try:
            found.append(open(f'{place}/{file}', 'rb').read())
        except OSError:
            pass
print(found)
"""
    with Box(LIMITS, Setup(forbidden=FORBIDDEN)) as box:
        assert eval(printed(box, code)) in ([], ["jinja2"])  # a namespace that holds nothing
        assert error(box, "from coursekit.autograd import Tensor")[0] == "ModuleNotFoundError"


def test_what_is_not_forbidden_can_be_imported():
    with Box(LIMITS, Setup()) as box:
        assert printed(box, "from coursekit.autograd import Tensor\nprint(Tensor([1.0]).value)") == "[1.]\n"


# -- limits -----------------------------------------------------------------------------------


def test_too_much_memory_is_an_error_and_the_notebook_goes_on():
    with Box(Limits(20, 20, 60, memory=2**30), Setup()) as box:
        kind, _ = error(box, "import numpy as np\nx = np.ones(2**28)")
        assert kind in ("MemoryError", "_ArrayMemoryError")
        assert printed(box, "print(2 + 2)") == "4\n"


@pytest.mark.parametrize(
    "loop",
    [
        "while True:\n    pass",
        "while True:\n    print('x' * 500)",
        "def f():\n    while True:\n        try:\n            1 / 0\n        except Exception:\n            pass\nf()",
        "import time\ntime.sleep(1000)",
        "import asyncio\nawait asyncio.sleep(1000)",
    ],
    ids=["computing", "printing", "catching", "sleeping", "awaiting"],
)
def test_an_endless_loop_is_interrupted_and_the_next_cell_runs(loop):
    with Box(SHORT, Setup()) as box:
        kind, message = error(box, loop)
        assert (kind, message) == ("Timeout", "Not finished after 1 s. Is there an endless loop?")
        assert printed(box, "print(2 + 2)") == "4\n"


def test_no_message_is_torn_by_the_end_of_its_time(monkeypatch):
    with Box(Limits(cell_seconds=0.3, notebook_seconds=60), Setup()) as box:
        # Read slowly, so that the other side waits in the middle of a message when its time is over.
        monkeypatch.setattr(box.outputs, "keep", lambda sent: time.sleep(0.05))
        for _ in range(3):
            box.run_cell(0, "while True:\n    print('x' * 400_000)")
        monkeypatch.undo()
        assert printed(box, "print(2 + 2)") == "4\n"


def test_a_loop_that_catches_even_that_is_ended_with_its_process(impatient):
    code = "import time\nwhile True:\n    try:\n        while True:\n            time.sleep(0.01)\n"
    death = ended(code + "    except BaseException:\n        pass")
    assert death.late
    assert "did not finish in time" in death.reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(0)", "ended by itself with exit status 0"),
        ("import os; os._exit(3)", "ended by itself with exit status 3"),
        ("import os; os._exit(255)", "ended by itself with exit status 255"),
        ("import ctypes; ctypes.string_at(0)", "was killed by signal 11 (Segmentation fault)"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9 (Killed)"),
        ("import os; os.abort()", "was killed by signal 6 (Aborted)"),
        ("import os; os.kill(os.getpid(), 19)", "was ended: a cell or a call did not finish in time"),
        ("import os; os.closerange(3, 100); os._exit(0)", "ended by itself with exit status 0"),
        ("import os, time; os.closerange(3, 100); os.write(2, b'\\x1b[2Jbwrap: forged'); os._exit(1)", "exit status 1"),
    ],
)
def test_the_ways_in_which_a_process_can_end_are_told_apart(impatient, code, reason):
    death = ended(code)
    assert reason in death.reason
    assert "\x1b" not in death.reason


def test_system_exit_ends_the_cell_alone(box):
    for code in ("raise SystemExit(3)", "import sys\nsys.exit()", "exit()", "quit()"):
        assert "SystemExit" in [output.get("ename") for output in shown(box, code)]
    assert printed(box, "print(2 + 2)") == "4\n"


def test_what_was_shown_before_the_end_is_not_lost():
    with Box(SHORT, Setup()) as box:
        with pytest.raises(BoxDied):
            box.run_cell(0, "print('still here', flush=True)\nimport os\nos._exit(0)")
        assert box.outputs.cell[0]["text"] == "still here\n"


def processes_with(marker):
    """Return the processes on this machine with `marker` in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if marker.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


LEAVE_BEHIND = """
import os, subprocess, sys
script = '''
import os, signal, time
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
time.sleep(1000)
'''
subprocess.run([sys.executable, '-c', script, MARKER])
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', MARKER], start_new_session=True)
"""


@pytest.mark.parametrize("end", ["close", "kill -9 of the grader"])
def test_what_a_notebook_started_ends_with_it(end):
    marker = f"left-behind-{os.getpid()}-{time.monotonic_ns()}"
    code = LEAVE_BEHIND.replace("MARKER", repr(marker))
    if end == "close":
        with Box(LIMITS, Setup()) as box:
            shown(box, code)
            assert until(lambda: len(processes_with(marker)) == 2)
    else:
        script = (
            "import sys, time; from autograder.wall.box import *; from autograder.wall.sandbox import Setup\n"
            "with Box(Limits(), Setup()) as box:\n    box.run_cell(0, sys.stdin.read())\n    time.sleep(1000)"
        )
        grader = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, cwd=REPOSITORY)
        grader.stdin.write(code.encode())
        grader.stdin.close()
        assert until(lambda: len(processes_with(marker)) == 2)
        grader.kill()
        grader.wait()
    assert until(lambda: not processes_with(marker))


def test_nothing_is_left_in_the_grader_s_tmp(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for setup in (Setup(), Setup(kind="none")):
        with Box(SHORT, setup) as box:
            shown(box, "open('file', 'w').write('x')")
    with Box(SHORT, Setup()) as box, pytest.raises(BoxDied):
        box.run_cell(0, "import os; os._exit(1)")
    close_servers()
    assert list(tmp_path.iterdir()) == []


def test_a_wall_that_cannot_be_built_is_not_blamed_on_a_student(monkeypatch):
    close_servers()
    monkeypatch.setattr("autograder.wall.sandbox._wall", lambda *anything: ["--no-such-option"])
    with pytest.raises(NoWall, match="bubblewrap does not work here"), Box(SHORT, Setup()):
        pass


STARTS_A_NOTEBOOK = """
from autograder.errors import NoWall
from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup, why_no_wall

print("here:", why_no_wall())
try:
    with Box(Limits(), Setup()) as box:
        print("ran:", box.run_cell(0, "print(open('/proc/self/uid_map').read())"))
except NoWall as refusal:
    print("refused:", refusal)
"""


def only_root_is_mapped(folder: Path) -> list[str]:
    """A namespace in which root is the only user: nobody can become another one."""
    return ["unshare", "--user", "--map-root-user"]


def only_root_may_read(folder: Path) -> list[str]:
    """What Python needs to start is readable for root alone."""
    needed = Path(encodings.__file__).parent
    shutil.copytree(needed, folder / "encodings")
    (folder / "encodings").chmod(0o700)
    hide = f"mount --bind {shlex.quote(str(folder / 'encodings'))} {shlex.quote(str(needed))}"
    return ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"]


@pytest.mark.parametrize("place", [only_root_is_mapped, *[only_root_may_read] * (os.getuid() == 0)])
def test_a_grader_that_is_root_and_cannot_become_nobody_starts_no_notebook(place, tmp_path):
    command = [*place(tmp_path), sys.executable, "-c", STARTS_A_NOTEBOOK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    here, there = done.stdout.split("\n", 1)
    assert here.startswith("here: you are root, and students' code would have to run as the user nobody")
    assert "Grade with an account of its own" in here
    assert there.startswith("refused: nothing starts behind the wall")
    assert "ran:" not in there


# -- messages that no honest process sends ------------------------------------------------------


class Gone:
    """A stub of a process that has ended well."""

    def wait(self, timeout=None):
        return 0


@pytest.fixture
def forger():
    """A box, and a channel on which the test plays the process behind the wall."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        box = Box(Limits(cell_seconds=2, call_seconds=2), Setup())
        box.channel, box.process = Channel(ours), Gone()
        box.ends_at = time.monotonic() + 30
        yield box, Channel(theirs)


X = np.ones((2, 3))
STEP = Step("f", (Probe("wave", {"a": X}), X), expected=(Expected("secret", 41.5, "hidden part", compare="labels"),))
CASE = Case("a secret title", (STEP,))
RESULT = {"returned": 1.0, "failure": None, "arrays": {}, "notes": []}


@contextlib.contextmanager
def saying(forger, *messages):
    """Send `messages`, given as kinds and fields, as fast as they are read."""
    box, channel = forger

    def send():
        with contextlib.suppress(Closed):
            for kind, fields in messages:
                channel.send(kind, **fields)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join(2)
        if thread.is_alive():  # nobody will read the rest
            box.channel.sock.close()
            thread.join()


def outcome_of(forger, *messages):
    """Return what the trusted side does with `messages`."""
    with saying(forger, *messages):
        (outcome,) = forger[0].run_case(CASE, ("f",))
    return outcome


def everything_sent(channel):
    found = []
    channel.sock.settimeout(0.2)
    try:
        while True:
            found.append(channel.receive(time.monotonic() + 0.2))
    except Exception:
        return found


def test_an_honest_result_is_taken(forger):
    outcome = outcome_of(
        forger, ("call", {"name": "", "args": [2 * X], "kwargs": {}}), ("result", RESULT | {"arrays": {1: 3 * X}})
    )
    assert outcome.returned == 1.0
    assert outcome.failure is None
    assert [call.result for call in outcome.calls] == [pytest.approx(np.sin(12))]
    np.testing.assert_array_equal(outcome.changed[1], 3 * X)


def test_of_a_step_only_the_call_crosses(forger):
    outcome_of(forger, ("result", RESULT))
    sent = everything_sent(forger[1])
    assert [kind for kind, _ in sent] == ["case", "step"]
    assert sent[0][1] == {"names": ["f"], "stand_ins": {}}
    assert set(sent[1][1]["step"]) == {"target", "args", "names", "kwargs", "evaluate", "save_as", "counted"}
    assert sent[1][1]["step"]["args"][0] == Callback(("x",))
    assert not any(word in repr(sent) for word in ("secret", "41.5", "hidden", "labels", "wave"))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("result", {}),
        ("result", RESULT | {"arrays": None}),
        ("result", RESULT | {"arrays": [1]}),
        ("result", RESULT | {"notes": "text"}),
        ("result", RESULT | {"notes": {"a": 1}}),
        ("result", RESULT | {"failure": "text"}),
        ("result", RESULT | {"failure": True}),
        ("result", RESULT | {"failure": []}),
        ("result", RESULT | {"failure": ["Error", None, []]}),
        ("result", RESULT | {"failure": ["Error", "message", "where"]}),
        ("result", RESULT | {"failure": [{}, "message", []]}),
        ("result", RESULT | {"returned": Probe("wave", {})}),
        ("result", RESULT | {"returned": [{"deep": (Generator(1),)}]}),
        ("result", RESULT | {"returned": Ref("net", 10**6)}),
        ("result", RESULT | {"arrays": {1: Callback(("x",))}}),
        ("call", {}),
        ("call", {"name": "", "args": None, "kwargs": {}}),
        ("call", {"name": "", "args": [X], "kwargs": [X]}),
        ("call", {"name": "", "args": [Probe("wave", {})], "kwargs": {}}),
        ("verdict", {"score": 5.0}),
        ("step", {}),
        ("done", {"number": 7}),
        ("check", {"name": "f", "count": 1}),
        ("ready", {}),
        ("", {}),
        ("output", {}),
        ("output", {"output": [1]}),
    ],
)
def test_a_forged_answer_ends_the_process_and_nothing_else(forger, kind, fields):
    with pytest.raises(BoxDied, match="broke the protocol"):
        outcome_of(forger, (kind, fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 5, "count": 1},
        {"name": "f", "count": True},
        {"name": "f", "count": 1.0},
        {"name": None, "count": None},
        {},
    ],
)
def test_a_forged_check_ends_the_process_and_nothing_else(forger, fields):
    box, channel = forger
    channel.send("check", **fields)
    with pytest.raises(BoxDied, match="broke the protocol"):
        box.run_cell(7, "", lambda name, count: pytest.fail("must not be asked"))


def test_results_that_are_no_data_are_bounded(forger):
    returned = ["x" * 900_000, Opaque("k" * 5000, "t" * 5000), 2**1020, float("nan"), {1: None}]
    notes = ["n" * 5000, 5, None, {"a": 1}, "ok", "sixth"]
    failure = ["K" * 500, "m" * 5000, ["w" * 999] * 50 + [5]]
    changed = {-1: X, 0: X, 1: None, 2: X, 10**300: X, "x": X}
    outcome = outcome_of(
        forger,
        ("result", {"returned": returned, "notes": notes, "failure": failure, "arrays": changed, "seconds": "x"}),
    )
    assert len(outcome.returned[0]) == guard.MAX_TEXT
    assert len(outcome.returned[1].kind) == guard.MAX_NAME
    assert [len(note) for note in outcome.notes] == [300, 2]
    assert (len(outcome.failure.kind), len(outcome.failure.message)) == (100, 1000)
    assert [len(line) for line in outcome.failure.where] == [300] * 6
    assert set(outcome.changed) == {1}  # no other argument is an array
    assert 0 <= outcome.seconds < 30  # measured here


def test_what_comes_out_of_one_exercise_has_an_end(forger, monkeypatch):
    monkeypatch.setattr(guard, "MAX_ANSWERS", 2**20)
    forger[0].answers = guard.Answers()
    large = ("result", RESULT | {"returned": np.zeros(3 * 10**4)})
    small = ("result", RESULT)
    with saying(forger, *[large] * 5, small):
        *kept, last = [forger[0].run_case(CASE, ("f",))[0].returned for _ in range(6)]
    assert 1 <= sum(isinstance(value, np.ndarray) for value in kept) < 5
    assert "too large to be looked at" in kept[-1].kind
    forger[0].answers.left = 0
    assert outcome_of(forger, ("result", RESULT | {"arrays": {1: X}})).changed.keys() == {1}
    assert last == 1.0
    forger[0].answers = guard.Answers()  # as for the next cell
    assert isinstance(outcome_of(forger, large).returned, np.ndarray)


@pytest.mark.parametrize(
    ("probe", "args"),
    [
        ("wave", [np.ones((10**5, 1))]),
        ("wave", ["text" * 1000]),
        ("wave", [None]),
        ("wave", [[[1, 2], [3]]]),
        ("wave", [Opaque("Tensor")]),
        ("wave", [{"x": 1}]),
        ("wave", []),
        ("wave", [X, X]),
        ("least_squares", [np.ones((1, 10**5)), np.ones((10**5, 1)), np.zeros(10**5, int), 0.1]),
        ("least_squares", [np.ones((3, 3)), np.ones((10**5, 3)), np.zeros((10**5, 1), int), 0.1]),
        ("least_squares", [np.ones((3, 3), int), np.ones((1, 3)), np.zeros(1, int), "text"]),
        ("least_squares", [np.full((3, 3), 10**4), np.ones((1, 3)), np.zeros(1, int), [0]]),
        ("least_squares", [np.ones((0, 3)), np.ones((2 * 10**6, 0)), np.zeros(2 * 10**6, np.int8), 0.1]),
        ("least_squares", [np.ones((3, 3)), np.ones((1, 3)), np.array([99]), 0.1]),
        ("least_squares", [np.ones((3, 3)), np.ones((1, 3)), np.array([0.5]), 0.1]),
    ],
)
def test_a_probe_is_not_evaluated_on_what_does_not_fit(probe, args):
    constants = {"a": X} if probe == "wave" else {"targets": np.ones((3, 3))}
    function = Probe(probe, constants)
    with pytest.raises((TypeError, ValueError, IndexError)):
        guard.call(function, guard.Answers().plain(args), {})
    assert function.calls == []


def test_a_probe_takes_what_fits_and_its_arguments_by_name():
    function = Probe("wave", {"a": X})
    assert guard.call(function, [], {"x": X}) == guard.call(function, [X.tolist()], {}) == pytest.approx(np.sin(6))
    with pytest.raises(TypeError):
        guard.call(function, [X], {5: X})


@pytest.mark.parametrize("value", ["text", "", None, {"x": 1}, [None], Opaque("Tensor"), b"x"])
def test_a_probe_computes_with_numbers_alone(value):
    # A text times a number would not be a product but as many copies of it.
    function = Probe("least_squares", {"targets": np.ones((3, 3))})
    with pytest.raises(TypeError, match="takes numbers"):
        guard.call(function, [np.ones((3, 3), int), np.ones((1, 3)), np.zeros(1, int), value], {})


def test_a_wrong_call_of_a_probe_is_told_to_the_student_and_goes_on(forger):
    outcome = outcome_of(
        forger,
        ("call", {"name": "", "args": [np.ones(7)], "kwargs": {}}),
        ("call", {"name": "", "args": [X], "kwargs": {5: X}}),
        ("call", {"name": "", "args": [X], "kwargs": {}}),
        ("result", RESULT),
    )
    assert len(outcome.calls) == 1
    answers = [fields for kind, fields in everything_sent(forger[1]) if kind == "answer"]
    assert [answer["error"] and answer["error"][0] for answer in answers] == ["ValueError", "TypeError", None]


def test_calls_of_a_probe_have_an_end():
    function = Probe("wave", {"a": X})
    for _ in range(guard.MAX_CALLS):
        guard.call(function, [X], {})
    with pytest.raises(RuntimeError, match="more than"):
        guard.call(function, [X], {})


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"output_type": None},
        {"output_type": ["stream"]},
        {"output_type": {"a": 1}},
        {"output_type": "stream"},
        {"output_type": "stream", "name": "stdin", "text": "x"},
        {"output_type": "stream", "name": ["stdout"], "text": "x"},
        {"output_type": "stream", "name": "stdout", "text": 5},
        {"output_type": "display_data"},
        {"output_type": "display_data", "data": [1]},
        {"output_type": "display_data", "data": {"image/png": 5, 3: "x", "application/json": {"a": 1}}},
        {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": 5, "transient": 3, "display_id": [1]},
        {"output_type": "execute_result", "data": {"text/plain": "12.0"}, "execution_count": "x", "extra": 1},
        {"output_type": "update_display_data", "data": {"text/plain": "x"}, "display_id": {"a": 1}},
        {"output_type": "error"},
        {"output_type": "error", "ename": 5, "evalue": ["x"], "traceback": "text"},
        {"output_type": "error", "ename": "E", "evalue": "x", "traceback": [1, None, {"a": 1}, "x" * 10**6] * 1000},
        {"output_type": "pyout", "text": "x"},
        {"output_type": "clear_output", "wait": 5},
    ],
)
def test_an_output_that_a_notebook_cannot_hold_is_not_kept(sent):
    kept = outputs.Outputs()
    kept.begin_cell()
    kept.keep({"output_type": "stream", "name": "stdout", "text": "first\n"})
    kept.keep(sent)
    for output in kept.cell:
        if output["output_type"] == "execute_result":
            output["execution_count"] = 1
    assert len(json.dumps(kept.cell)) < 2 * 10**6
    nbformat.validate(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=nbformat.from_dict(kept.cell))])
    )


def test_what_is_kept_of_a_notebook_has_an_end():
    kept = outputs.Outputs()
    total = []
    for _ in range(50):
        kept.begin_cell()
        for number in range(20):
            kept.keep({"output_type": "display_data", "data": {"text/plain": "x" * 10**6}, "display_id": f"{number}"})
            kept.keep({"output_type": "clear_output"})
        for _ in range(20):
            kept.keep({"output_type": "display_data", "data": {"x" * 10**6: "y"}})
        total.append(kept.cell)
    assert len(json.dumps(total)) < 2 * outputs.MAX_OF_NOTEBOOK
    assert len(kept.displayed) == 0


def test_a_process_that_floods_until_its_time_is_over_is_ended(impatient):
    code = """
import gc, signal
signal.signal(signal.SIGALRM, signal.SIG_IGN)
channel = next(o for o in gc.get_objects() if type(o).__name__ == 'Channel')
while True:
    channel.send('output', output={'output_type': 'stream', 'name': 'stdout', 'text': 'x' * 100_000})
"""
    death = ended(code)
    assert death.late


def test_a_closed_socket_is_noticed(impatient):
    code = """
import os, socket, time
for n in range(3, 100):
    try:
        socket.socket(fileno=n).close()
    except OSError:
        pass
while True:
    try:
        time.sleep(100)
    except BaseException:
        pass
"""
    death = ended(code)
    assert death.reason == "stopped answering"
