"""Tasks are handed to workers as these become free, and tried again when a worker is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from autograder import dispatch
from autograder.dispatch import MAX_ATTEMPTS, Dispatch, GivenUp
from autograder.workers import WorkerDied


class Pool:
    """Workers that do nothing: what becomes of a task is decided when it starts."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.restarts = 0
        self.started: list[str] = []

    def start(self, task: str, fails: Callable[[str, int], BaseException | None]) -> Future[Any]:
        attempts = self.started.count(task)
        self.started.append(task)
        future: Future[Any] = Future()
        if problem := fails(task, attempts):
            future.set_exception(problem)
        else:
            future.set_result(task.upper())
        return future

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        raise AssertionError("tasks start themselves")

    def restart(self) -> None:
        self.restarts += 1


def outcomes(pool: Pool, tasks: str, fails: Callable[[str, int], BaseException | None]) -> dict[str, Future[Any]]:
    return dict(Dispatch(tasks, lambda task: pool.start(task, fails), pool, 0.0))


def test_every_task_comes_back_once_with_its_result() -> None:
    found = outcomes(Pool(), "abcdefg", lambda task, attempts: None)
    assert {task: future.result() for task, future in found.items()} == {task: task.upper() for task in "abcdefg"}


def test_tasks_are_drawn_as_workers_become_free() -> None:
    drawn: list[str] = []

    def tasks() -> Iterator[str]:
        for task in "abcdefgh":
            drawn.append(task)
            yield task

    pool = Pool(count=2)
    next(iter(Dispatch(tasks(), lambda task: pool.start(task, lambda *anything: None), pool, 0.0)))
    assert drawn == list("abcd")  # one that runs and one in store for each of the two


def test_a_task_whose_worker_died_is_tried_again() -> None:
    pool = Pool()
    died = WorkerDied("killed")
    found = outcomes(pool, "abc", lambda task, attempts: died if task == "b" and attempts < MAX_ATTEMPTS - 1 else None)
    assert found["b"].result() == "B"
    assert pool.started.count("b") == MAX_ATTEMPTS


def test_a_task_that_loses_every_worker_is_given_up_and_the_others_are_done() -> None:
    pool = Pool()
    found = outcomes(pool, "abc", lambda task, attempts: WorkerDied("killed") if task == "b" else None)
    with pytest.raises(GivenUp, match="its worker died, time and again"):
        found["b"].result()
    assert (found["a"].result(), found["c"].result()) == ("A", "C")
    assert pool.started.count("b") == MAX_ATTEMPTS


def test_an_exception_of_the_task_itself_is_its_outcome() -> None:
    pool = Pool()
    found = outcomes(pool, "ab", lambda task, attempts: ValueError("wrong") if task == "a" else None)
    with pytest.raises(ValueError, match="wrong"):
        found["a"].result()
    assert pool.started == ["a", "b"]


def test_workers_that_do_not_answer_are_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_LATENESS", 0.01)
    pool = Pool()
    stuck: list[str] = []

    def start(task: str) -> Future[Any]:
        if task == "a" and not stuck:
            stuck.append(task)
            return Future()
        return pool.start(task, lambda *anything: None)

    found = dict(Dispatch("a", start, pool, 0.0))
    assert found["a"].result() == "A"
    assert pool.restarts == 1
