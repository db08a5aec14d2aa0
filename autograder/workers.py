"""Where submissions are graded: in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from typing import Any, Protocol

from .errors import Refused


class Workers(Protocol):
    """What runs functions somewhere else, so many at a time."""

    @property
    def count(self) -> int:
        """How many at a time."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Begin `function(*args)` and give its future."""

    def restart(self) -> None:
        """End whatever runs, and begin anew; futures that were given before are lost."""


def lost(problem: BaseException | None) -> bool:
    """Whether a future failed with its worker, which says nothing about what it worked on."""
    return isinstance(problem, BrokenExecutor | CancelledError) or type(problem).__name__ in (
        "KilledWorker",  # Dask's, after several workers in a row
        "ServerDied",
    )


def end_with(process: int) -> None:
    """Let this process end when `process` does, however that ends."""
    ends = os.pidfd_open(process)

    def wait() -> None:
        select.select([ends], [], [])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def workers(count: int, scheduler: str | None) -> Iterator[Workers]:
    """`count` processes here, or the cluster of the Dask `scheduler` (``"tcp://host:8786"``)."""
    if scheduler:
        with _Cluster(scheduler) as cluster:
            yield cluster
    else:
        with _Processes(count) as processes:
            yield processes


class _Processes:
    def __init__(self, count: int) -> None:
        self.count = count or os.cpu_count() or 1
        self.pool: Executor | None = None

    def __enter__(self) -> _Processes:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["autograder.grade"])
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None and self.pool is not None:
            self.pool.shutdown()
        self._end()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        if self.pool is None:
            self.pool = ProcessPoolExecutor(
                self.count, mp_context=self.context, initializer=end_with, initargs=(os.getpid(),)
            )
        try:
            return self.pool.submit(function, *args)
        except BrokenExecutor:  # one of its processes has died, and all its futures with it
            self._end()
            return self.submit(function, *args)

    def restart(self) -> None:
        self._end()

    def _end(self) -> None:
        """Kill what runs; whatever it runs behind the wall ends with it."""
        pool, self.pool = self.pool, None
        if pool is not None:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            pool.shutdown(wait=False, cancel_futures=True)


class _Cluster:
    def __init__(self, scheduler: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise Refused("--scheduler needs Dask: pip install 'coursekit[cluster]'") from None
        try:
            self.client = Client(scheduler, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise Refused(f"there is no Dask scheduler at {scheduler}: {error}. Start one: `dask scheduler`") from error

    def __enter__(self) -> _Cluster:
        self.executor = self.client.get_executor(pure=False, retries=3)
        return self

    def __exit__(self, *exception: object) -> None:
        self.executor.shutdown(wait=False)
        self.client.close()

    @property
    def count(self) -> int:
        return max(1, int(sum(self.client.nthreads().values())))

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = self.executor.submit(function, *args)
        return future

    def restart(self) -> None:
        self.client.restart(wait_for_workers=False)
        self.executor = self.client.get_executor(pure=False, retries=3)
