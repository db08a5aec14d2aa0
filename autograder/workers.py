"""Run functions in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from .errors import Refused


class Workers(Protocol):
    """Runs functions elsewhere, `count` at a time."""

    @property
    def count(self) -> int:
        """The number of functions that run at a time."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start `function(*args)` and return its future."""

    def restart(self) -> None:
        """End whatever runs, and start again; earlier futures are lost."""


def lost(problem: BaseException | None) -> bool:
    """Return whether a future failed with its worker, which says nothing about the task."""
    return isinstance(problem, BrokenExecutor | CancelledError) or type(problem).__name__ in (
        "KilledWorker",  # Dask's, after several workers in a row
        "ServerDied",
    )


def end_with(process: int) -> None:
    """End this process when `process` ends, in whatever way."""
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


class WorkerDied(BrokenExecutor):
    """The process that ran a function has ended, and with it this function's result."""


class _Processes:
    """Processes of this machine, each with a thread here that hands it one function after another.

    The pool of `concurrent.futures` gives up all its processes when one dies, and before Python 3.12
    it may lose a function that is submitted at that moment. Here a dead process costs one result.
    """

    def __init__(self, count: int) -> None:
        self.count = count or os.cpu_count() or 1
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["autograder.preloaded"])

    def __enter__(self) -> _Processes:
        self._begin()
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self.threads.shutdown()
            self.crew.dismiss()
        else:
            self._end()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        return self.threads.submit(self.crew.run, function, args)

    def restart(self) -> None:
        self._end()
        self._begin()

    def _begin(self) -> None:
        self.threads = ThreadPoolExecutor(self.count)
        self.crew = _Crew(self.context)

    def _end(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.crew.end()


class _Crew:
    """One process for each thread that calls `run`, started when the thread first needs it."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.own = threading.local()  # this thread's `worker`
        self.starting = threading.Lock()
        self.workers: list[_Worker] = []
        self.ended = False

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Run `function(*args)` in this thread's process.

        Raises
        ------
        WorkerDied
            If the process ends before it has answered.
        """
        worker = getattr(self.own, "worker", None) or self._start()
        self.own.worker = worker
        try:
            worker.channel.send((function, args))
            result, problem = worker.channel.recv()
        except (EOFError, OSError):
            self.own.worker = None
            worker.process.kill()
            worker.process.join()
            raise WorkerDied(f"a worker process has ended with exit code {worker.process.exitcode}") from None
        if problem is not None:
            raise problem
        return result

    def dismiss(self) -> None:
        """Let all processes end by themselves. None of them may be at work."""
        for worker in self.workers:
            worker.channel.close()
        for worker in self.workers:
            worker.process.join()

    def end(self) -> None:
        """Kill all processes; what they run behind the wall ends with them."""
        with self.starting:
            self.ended = True
            for worker in self.workers:
                worker.process.kill()

    def _start(self) -> _Worker:
        with self.starting:
            if self.ended:
                raise WorkerDied("the workers have been stopped")
            channel, theirs = self.context.Pipe()
            with theirs:
                process = self.context.Process(target=_work, args=(theirs, os.getpid()))
                process.start()
            self.workers.append(_Worker(process, channel))
            return self.workers[-1]


@dataclass(frozen=True)
class _Worker:
    process: Any
    channel: Connection


def _work(channel: Connection, coordinator: int) -> None:
    """Run what comes through `channel` and send back the result, or the exception, while `coordinator` lives."""
    end_with(coordinator)
    with contextlib.suppress(EOFError):
        while True:
            function, args = channel.recv()
            try:
                answer = pickle.dumps((function(*args), None))
            except Exception as problem:
                answer = pickle.dumps((None, problem))
            channel.send_bytes(answer)


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
