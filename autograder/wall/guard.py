"""Bound what the trusted side keeps, and computes with, of what comes out.

A well-formed message can still be hostile: a text of megabytes in the place of a number, a list that NumPy would
turn into a gigabyte, a thousand small answers that fill the memory together.  What passes here is plain data of
bounded size.
"""

from __future__ import annotations

import builtins
import contextlib
import signal
import threading
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np

from coursekit.checks.cases import Case, Exercise, Expected, Step
from coursekit.checks.codec import PLAIN_KINDS, Opaque, holds_only_numbers
from coursekit.checks.lines import Line
from coursekit.checks.probes import Probe
from coursekit.checks.run import Failure, StepOutcome
from coursekit.checks.shipped import ShippedCode

from .messages import ProtocolError

MAX_ANSWERS = 64 * 2**20  # bytes of memory, about, that may come out while one exercise is checked
MAX_TEXT = 10_000  # characters of a text among results
MAX_NAME = 200  # characters of the name of a type, and of an object that is no data
MAX_ARGUMENT = 2**20  # entries of one argument of a probe
MAX_CALLS = 20_000  # of a probe in one step
MAX_SEARCHED = 2**30  # characters of a notebook, each time that a word is looked for in it
OBJECT = 100  # bytes, about, of any Python object
PLAIN = (bool, int, float, complex, str, Opaque, np.ndarray, np.generic)


class Answers:
    """A budget of memory for what comes out while one exercise is checked."""

    def __init__(self) -> None:
        self.left = MAX_ANSWERS

    def plain(self, value: Any) -> Any:
        """Return `value` with nothing but numbers, arrays, short texts and containers of them.

        What exceeds the budget becomes an Opaque.

        Raises
        ------
        ProtocolError
            If it holds what only the trusted side may send.
        """
        if isinstance(value, str):
            value = value[:MAX_TEXT]
        elif isinstance(value, Opaque):
            value = Opaque(value.kind[:MAX_NAME], value.text[:MAX_NAME])
        size = _size(value)
        if size > self.left:
            return Opaque(f"{type(value).__name__} that is too large to be looked at")
        self.left -= size
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.plain(item) for item in value)
        if isinstance(value, set | frozenset):
            return frozenset(self.plain(item) for item in value)
        if isinstance(value, dict):
            return {self.plain(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, int) and value.bit_length() >= 1024:
            return Opaque("int", "an integer of more than 1024 bits")
        if value is None or isinstance(value, PLAIN):
            return value
        raise ProtocolError(f"a {type(value).__name__} came out")


def _size(value: Any) -> int:
    """Return what `value` costs; a container pays for what it holds, before that is looked at."""
    match value:
        case np.ndarray() | np.generic():
            return 8 * value.size + value.nbytes  # comparing makes floats of it
        case str():
            return 4 * len(value)
        case Opaque():
            return 4 * (len(value.kind) + len(value.text))
        case list() | tuple() | dict() | set() | frozenset():
            return OBJECT * (1 + len(value) * (2 if isinstance(value, dict) else 1))
    return 0


def call(probe: Probe, args: list[Any], kwargs: dict[Any, Any]) -> Any:
    """Call `probe` with arguments of the student's, which are plain data already.

    Raises
    ------
    Exception
        Whatever the probe and NumPy raise; the message is for the student.
    """
    if len(probe.calls) >= MAX_CALLS:
        raise RuntimeError(f"the function was called more than {MAX_CALLS} times")
    for value in [*args, *kwargs.values()]:
        # A text or a list times a number would not be a product but as many copies.
        if not holds_only_numbers(value) or (array := np.asarray(value)).dtype.kind not in PLAIN_KINDS:
            raise TypeError(f"the function takes numbers and arrays of numbers, not {type(value).__name__}")
        if array.size > MAX_ARGUMENT:
            raise ValueError(f"an argument of shape {array.shape} is too large")
    with np.errstate(all="ignore"):
        return probe(*args, **kwargs)


@contextlib.contextmanager
def ended_at(deadline: float) -> Iterator[None]:
    """Raise a TimeoutError in what is done here when it takes until `deadline` (`time.monotonic`).

    A reference loops as often as its arguments say, and no bound on them foresees that.  It is Python code, into
    which a signal gets; but into the main thread alone, so that in a Dask worker nothing is ended.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the time of this call is over")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


# -- numbers alone ---------------------------------------------------------------------------


class Words:
    """The texts that the grader has used in an exercise, or the student in the notebook, as far as there is time."""

    def __init__(self, exercise: Exercise, cells: Iterable[str]) -> None:
        self.text = "\n".join([*cells, *_texts(exercise.cases)])
        self.left = MAX_SEARCHED

    def __contains__(self, text: object) -> bool:
        self.left -= len(self.text)
        return isinstance(text, str) and self.left > 0 and text in self.text


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in cases, down to the keys of dictionaries."""
    match value:
        case str():
            yield value
        case dict():
            yield from _texts([*value, *value.values()])
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _texts(item)
        case Case():
            yield from _texts(value.steps)
        case Step():
            yield from _texts((value.target, value.args, dict(value.kwargs), value.expected))
        case Expected():
            yield from _texts((value.at, value.value))
        case ShippedCode():
            yield from _texts(value.constants)


RAISED = "its message is not shown, because it was raised beside right functions in place of your wrong ones"


def without_text(outcome: StepOutcome, words: Container[str]) -> StepOutcome:
    """Return `outcome` without any text but `words`, which the grader or the notebook itself has used."""

    def bare(value: Any) -> Any:
        if isinstance(value, Opaque) or (isinstance(value, str) and value not in words):
            return Opaque("object")
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(bare(item) for item in value)
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items() if not isinstance(key, str) or key in words}
        return value

    failure = outcome.failure
    if failure:
        known = failure.kind if failure.kind == "Timeout" or hasattr(builtins, failure.kind) else "Exception"
        failure = Failure(known, "Not finished in time." if known == "Timeout" else RAISED)
    return replace(
        outcome,
        returned=bare(outcome.returned),
        failure=failure,
        changed={position: bare(value) for position, value in outcome.changed.items()},
        notes=[],
        lines=outcome.lines
        and [
            Line(one.place, one.source if one.source in words else "one of your lines", one.times)
            for one in outcome.lines
        ],
    )
