"""Bound what the trusted side keeps, and computes with, of what comes out.

A well-formed message can still be hostile: a text of megabytes in the place of a number, a list that NumPy would
turn into a gigabyte, a thousand small answers that fill the memory together.  What passes here is plain data of
bounded size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from coursekit.checks.codec import PLAIN_KINDS, Opaque
from coursekit.checks.probes import Probe

from .messages import ProtocolError

MAX_ANSWERS = 64 * 2**20  # bytes of memory, about, that may come out while one exercise is checked
MAX_TEXT = 200  # characters of a text among results: it is shown, and never right
MAX_ARGUMENT = 2**20  # entries of one argument of a probe
MAX_CALLS = 20_000  # of a probe in one step
MAX_REFERRED = 2**12  # entries of all arguments of a reference, whose result may be the product of them
OBJECT = 100  # bytes, about, of any Python object


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
        size = OBJECT
        if isinstance(value, np.ndarray | np.generic):
            size += 8 * value.size + value.nbytes  # comparing makes floats of it
        if size > self.left:
            return Opaque(f"{type(value).__name__} that is too large to be looked at")
        self.left -= size
        if isinstance(value, str):
            return value[:MAX_TEXT]
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.plain(item) for item in value)
        if isinstance(value, dict):
            return {self.plain(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, Opaque):
            return Opaque(value.kind[:MAX_TEXT], value.text[:MAX_TEXT])
        if isinstance(value, int) and value.bit_length() > 1024:
            return Opaque("int", "an integer of more than 1024 bits")
        if value is None or isinstance(value, bool | int | float | complex | np.ndarray | np.generic):
            return value
        raise ProtocolError(f"a {type(value).__name__} came out")


class Reference:
    """A right function of `checks.py` that a student's code calls in place of its own wrong one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.parameters = tuple(inspect.signature(function).parameters)
        self.calls = 0

    def __call__(self, args: list[Any], kwargs: dict[Any, Any]) -> Any:
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise RuntimeError(f"the function was called more than {MAX_CALLS} times")
        # What is returned may be larger than what came in, as a Jacobian is.
        if sum(np.size(value) for value in _leaves([*args, *kwargs.values()])) > MAX_REFERRED:
            raise ValueError("the arguments are too large")
        return self.function(*args, **kwargs)


def _leaves(value: Any) -> Iterator[np.ndarray]:
    """Yield the numbers and arrays in `value`, which may be a cache: a tuple, a list or a dictionary of them."""
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif np.asarray(value).dtype.kind in PLAIN_KINDS:
        yield np.asarray(value)
    else:
        raise TypeError(f"the function takes numbers and arrays of numbers, not {type(value).__name__}")


def call(probe: Probe | Reference, args: list[Any], kwargs: dict[Any, Any]) -> Any:
    """Call `probe` with arguments of the student's, which are plain data already.

    Raises
    ------
    Exception
        Whatever the probe and NumPy raise; the message is for the student.
    """
    if isinstance(probe, Reference):
        with np.errstate(all="ignore"):
            return probe(args, kwargs)
    if len(probe.calls) >= MAX_CALLS:
        raise RuntimeError(f"the function was called more than {MAX_CALLS} times")
    for value in [*args, *kwargs.values()]:
        array = np.asarray(value)
        # A text or a list times a number would not be a product but as many copies.
        if array.dtype.kind not in PLAIN_KINDS:
            raise TypeError(f"the function takes numbers and arrays of numbers, not {type(value).__name__}")
        if array.size > MAX_ARGUMENT:
            raise ValueError(f"an argument of shape {array.shape} is too large")
    with np.errstate(all="ignore"):
        return probe(*args, **kwargs)
