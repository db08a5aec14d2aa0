"""What a program finds around it in a notebook's kernel: the shell, one event loop, pictures, a kernel to ask for.

There is no kernel here.  What programs do with theirs works as far as it can without a person who looks on: windows
become pictures below the cell, and nobody is asked anything.
"""

from __future__ import annotations

import asyncio
import bdb
import builtins
import contextlib
import functools
import getpass
import os
import pdb
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Application, Config

T = TypeVar("T")

INLINE = "module://matplotlib_inline.backend_inline"
# Matplotlib's names of what draws into files, and IPython's of what draws below the cell; all others open windows.
NO_WINDOW = ("agg", "cairo", "inline", "pdf", "pgf", "ps", "svg", "template", INLINE)
PATIENCE = 0.05  # seconds between two cells for the tasks that one has started
SETTINGS = {  # of the environment, which a kernel makes for the programs that it starts
    **{"TERM": "xterm-color", "CLICOLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"},
    **{"PAGER": "cat", "GIT_PAGER": "cat"},
}


class Shows(Protocol):
    """Who sends outputs."""

    def send_output(self, **output: Any) -> None: ...
    def send_bundle(
        self, output_type: str, data: dict[str, Any], metadata: Any = None, display_id: str | None = None
    ) -> None: ...
    def show_error(self, kind: Any, error: Any, lines: Sequence[str]) -> None: ...


# -- the shell ----------------------------------------------------------------------------


class Kernel:
    """Takes the place of the kernel of `get_ipython().kernel`."""

    session = iopub_socket = parent = None

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._parent_header: dict[str, Any] = {}
        self._parent_ident: dict[str, bytes] = {}

    @property
    def comm_manager(self) -> Any:
        from comm import get_comm_manager

        return get_comm_manager()

    @property
    def execution_count(self) -> int:
        return int(self.shell.execution_count)

    def get_parent(self, channel: object = None) -> dict[str, Any]:
        return self._parent_header

    def do_one_iteration(self) -> None:
        """Do nothing: no message waits."""

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """Go on: a program that wants its kernel restarted has installed something before."""
        return {"status": "ok", "restart": restart}


class App(Application):  # type: ignore[misc]
    """Takes the place of `IPKernelApp`, which programs look for to ask for its kernel."""

    kernel: Any = None


def make_shell(shows: Shows) -> InteractiveShell:
    """Make an IPython shell whose outputs are sent."""

    class Publisher(DisplayPublisher):  # type: ignore[misc]
        def publish(  # type: ignore[no-untyped-def]
            self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs
        ) -> None:
            kind = "update_display_data" if update else "display_data"
            shows.send_bundle(kind, data, metadata, (transient or {}).get("display_id"))

        def clear_output(self, wait: bool = False) -> None:
            shows.send_output(output_type="clear_output", wait=bool(wait))

    class Hook(DisplayHook):  # type: ignore[misc]
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
            shows.send_bundle("execute_result", format_dict, md_dict)

        def finish_displayhook(self) -> None:
            pass  # here IPython would end the terminal's line

    class ZMQInteractiveShell(InteractiveShell):  # type: ignore[misc]
        """Programs ask for this name to learn whether a notebook runs them."""

        def _showtraceback(self, etype: Any, evalue: Any, stb: Sequence[str]) -> None:
            shows.show_error(etype, evalue, stb)

        def enable_gui(self, gui: Any = None) -> None:
            pass  # there are no windows here, but `%matplotlib inline` asks for them

        def enable_matplotlib(self, gui: Any = None) -> Any:
            return super().enable_matplotlib(gui if str(gui).lower() in NO_WINDOW else "inline")

        def ask_exit(self) -> None:
            raise SystemExit

        def init_environment(self) -> None:
            os.environ.update(SETTINGS)

        def init_hooks(self) -> None:
            super().init_hooks()
            self.set_hook("show_in_pager", _nothing)  # `f?` opens a pane beside the notebook

    ZMQInteractiveShell.__module__, ZMQInteractiveShell.__qualname__ = "ipykernel.zmqshell", "ZMQInteractiveShell"
    # Nobody needs a database of what was typed here.  Programs look for a section of the kernel's name.
    config = Config(HistoryManager={"enabled": False}, IPKernelApp={"log_level": 30})
    shell = ZMQInteractiveShell.instance(config=config, displayhook_class=Hook, display_pub_class=Publisher)
    shell.kernel = App.instance().kernel = Kernel(shell)
    return shell


def pass_over_what_asks() -> None:
    """Let a program go on where it would open a window, start a debugger or ask somebody."""
    sys.breakpointhook = _nothing
    # `breakpoint`, `set_trace` of whatever debugger, `%debug` and `pdb.pm` come to these.
    bdb.Bdb.set_trace = pdb.Pdb.set_trace = pdb.Pdb.interaction = _nothing  # type: ignore[method-assign]
    with contextlib.suppress(ImportError):
        from IPython.core.debugger import Pdb

        Pdb.set_trace = Pdb.interaction = _nothing
    builtins.input = getpass.getpass = _no_input
    _draw_below_the_cell()


def _draw_below_the_cell() -> None:
    try:
        import matplotlib
        from matplotlib import pyplot
    except ImportError:
        return
    for module, name in ((matplotlib, "use"), (pyplot, "switch_backend")):
        setattr(module, name, _without_windows(getattr(module, name)))


def _without_windows(choose: Callable[..., None]) -> Callable[..., None]:
    """Let a function that chooses a backend choose none that opens windows."""

    @functools.wraps(choose)
    def chosen(backend: object, **how: Any) -> None:
        choose(backend if str(backend).lower() in NO_WINDOW else INLINE, **how)

    return chosen


def _nothing(*args: object, **kwargs: object) -> None:
    pass


def _no_input(prompt: object = "", stream: object = None) -> str:
    raise RuntimeError("input() cannot be answered while a notebook is graded: put the value into the code")


# -- the event loop -----------------------------------------------------------------------


class Loop(asyncio.SelectorEventLoop):
    """The event loop of a notebook: as in a kernel, it is running whenever a cell is.

    A cell that does not await runs as one step of the loop, so that tasks of others do not run in between.
    """

    in_step = False

    def is_running(self) -> bool:
        return self.in_step or super().is_running()

    def step(self, run: Callable[[], T]) -> T:
        """Return what `run` returns, within the running loop."""
        asyncio.set_event_loop(self)
        self._in_step(True)
        try:
            return run()
        finally:
            self._in_step(False)

    def finish(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a cell that awaits; tasks go on meanwhile."""
        with self._stepped_out():
            task = self.create_task(coroutine)
            try:
                return self.run_until_complete(task)
            except BaseException as error:
                if task.done():
                    raise
                # It was raised while all waited, so it is the cell's: raised where it waits, it is told with its line.
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
                task.cancel()
                try:
                    coroutine.throw(error)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                raise

    def let_tasks_go_on(self) -> None:
        """Let the tasks that a cell has started run until they wait for something, as between two cells."""
        if tasks := asyncio.all_tasks(self):
            with self._stepped_out():
                self.run_until_complete(asyncio.wait(tasks, timeout=PATIENCE))

    @contextlib.contextmanager
    def _stepped_out(self) -> Iterator[None]:
        before = self.in_step
        self._in_step(False)
        try:
            yield
        finally:
            self._in_step(before)

    def _in_step(self, now: bool) -> None:
        self.in_step = now
        asyncio._set_running_loop(self if now else None)
