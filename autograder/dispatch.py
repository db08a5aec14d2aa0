"""Hand tasks to workers, and try those again whose worker died or does not answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .workers import Workers, lost

MAX_ATTEMPTS = 3
MAX_LATENESS = 120.0  # seconds beyond its own limits after which a worker is taken to be lost

T = TypeVar("T")


class GivenUp(Exception):
    """A task was lost with its worker time and again; the message says how."""


@dataclass
class _Attempted(Generic[T]):
    task: T
    attempts: int = 0


class Dispatch(Generic[T]):
    """Yields each task with its future, which is done, as soon as it is.

    A task that is given up has a future with the exception :class:`GivenUp`.

    Parameters
    ----------
    tasks : iterable
        Drawn from as workers become free.
    start : callable
        Starts a task on the workers and returns its future; called again for each attempt.
    pool : Workers
    seconds : float
        The most that a task should take.
    """

    def __init__(self, tasks: Iterable[T], start: Callable[[T], Future[Any]], pool: Workers, seconds: float) -> None:
        self.tasks = iter(tasks)
        self.start = start
        self.pool = pool
        self.seconds = seconds
        # Those whose worker died: each is tried again alone, so that none is blamed for another one.
        self.suspects: deque[_Attempted[T]] = deque()
        self.running: dict[Future[Any], _Attempted[T]] = {}

    def __iter__(self) -> Iterator[tuple[T, Future[Any]]]:
        self._fill()
        while self.running:
            finished, _ = wait(self.running, self.seconds + MAX_LATENESS, FIRST_COMPLETED)
            if not finished:
                self.pool.restart()
                stuck, self.running = self.running, {}
                for one in stuck.values():
                    yield from self._again(one, "its worker did not answer any more")
            for future in finished:
                one = self.running.pop(future)
                if future.cancelled() or lost(future.exception()):
                    yield from self._again(one, "its worker died, time and again")
                else:
                    yield one.task, future
            self._fill()

    def _fill(self) -> None:
        """Keep the workers busy, with a task in store for each."""
        if self.suspects:
            if not self.running:
                self._run(self.suspects.popleft())
            return
        while len(self.running) < 2 * self.pool.count:
            for task in self.tasks:
                self._run(_Attempted(task))
                break
            else:
                return

    def _run(self, one: _Attempted[T]) -> None:
        self.running[self.start(one.task)] = one

    def _again(self, one: _Attempted[T], reason: str) -> Iterator[tuple[T, Future[Any]]]:
        """Suspect a task, or give it up."""
        one.attempts += 1
        if one.attempts < MAX_ATTEMPTS:
            self.suspects.append(one)
        else:
            future: Future[Any] = Future()
            future.set_exception(GivenUp(reason))
            yield one.task, future
