"""What every reader would shorten in a backward pass: −(−x), 1·x, and the derivative of 1 / (1 + exp(−x)).

The table at the end says which rules are tried for which function.  A rule gets the recorder, the arguments of
the call and its value for the examples, and returns what to use instead of a new line, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coursekit.tracing.line import Line, Recorder, compute, example_of
from coursekit.tracing.source import SYMBOLS, Quotient

__all__ = ["simplified", "without_broadcasts"]

Rule = Callable[[Recorder, Any, tuple[Any, ...], Any], Any]


def simplified(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    """Return a simpler line, or a number, that equals this call; None if there is none."""
    for rule in SIMPLER.get(function, ()):
        simpler = rule(recorder, function, args, value)
        if simpler is not None:
            return simpler
    return None


def without_broadcasts(args: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """Return the arguments of an elementwise function as they were before they were broadcast needlessly."""
    for i in range(len(args)):  # one after the other: two cannot both leave it to the other
        args = (*args[:i], _before_broadcast(args, i, value), *args[i + 1 :])
    return args


def _before_broadcast(args: tuple[Any, ...], i: int, value: Any) -> Any:
    """Return argument i before it was broadcast; a number, if every entry is that number."""
    arg = args[i]
    if not isinstance(arg, Line):
        return arg
    source = arg.args[0] if _is(arg, np.broadcast_to) else arg
    others = [np.shape(example_of(other)) for j, other in enumerate(args) if j != i]
    if source.uniform is not None and np.broadcast_shapes((), *others) == value.shape:
        numbers = [source.uniform if j == i else example_of(other) for j, other in enumerate(args)]
        weak = source.dtype == np.float64 or np.result_type(*numbers) == np.result_type(*map(example_of, args))
        return source.uniform if weak else source.dtype.type(source.uniform)
    if source is not arg and np.broadcast_shapes(source.shape, *others) == value.shape:
        return source
    return arg


# --- Rules -----------------------------------------------------------------------------------------


def _argument(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return args[0]


def _broadcast(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return args[0] if args[0].shape == value.shape else _reshaped(recorder, function, args, value)


def _reshaped(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return None if args[0].uniform is None else recorder.constant(value, args[0].uniform)


def _of_numbers(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    numbers = [_number(arg) for arg in args]
    if None in numbers or value.dtype.kind != "f":
        return None
    number = float(compute(function, numbers, {}))
    if function is np.true_divide and numbers[0] in (1, -1):  # 1 / N is what a reader looks for
        number = Quotient(number, f"{numbers[0]:g} / {numbers[1]:g}")
    return recorder.constant(value, number)


def _minus_minus(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return _without_sign(recorder, args[0])


def _without_sign(recorder: Recorder, line: Any) -> Any:
    """Return −line, if that has one sign less than line; else None."""
    if _is(line, np.negative):
        return line.args[0]
    if _is(line, np.multiply) or _is(line, np.true_divide):
        rest = _without_sign(recorder, line.args[0])
        return None if rest is None else recorder.record(line.function, (rest, line.args[1]), {})
    return None


OPPOSITE: dict[Any, Any] = {
    np.less_equal: np.greater,
    np.greater_equal: np.less,
    np.less: np.greater_equal,
    np.greater: np.less_equal,
}


def _opposite(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    opposite = OPPOSITE.get(getattr(args[0], "function", None))
    return recorder.record(opposite, args[0].args, {}) if opposite else None


# 1·z of single numbers stays: a gradient is a number of its own.


def _by_one(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return args[0] if value.ndim and _number(args[1]) == 1 and _fits(args[0], value) else None


def _one_times(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    return args[1] if value.ndim and _number(args[0]) == 1 and _fits(args[1], value) else None


def _sigmoid(recorder: Recorder, function: Any, args: tuple[Any, ...], value: Any) -> Any:
    # y = 1 / (1 + e) has y·e = 1 − y: so y·y·e, the derivative of the sigmoid, is y·(1 − y).
    if not (_is(args[0], np.multiply) and isinstance(args[1], Line)):
        return None
    rest, y = args[0].args
    if _is(y, np.true_divide) and _number(y.args[0]) == 1 and _is(y.args[1], np.add):
        one, e = y.args[1].args if y.args[1].args[1] is args[1] else reversed(y.args[1].args)
        if e is args[1] and _number(one) == 1:
            return rest * (1 - y)
    return None


SIMPLER: dict[Any, tuple[Rule, ...]] = {
    **dict.fromkeys(SYMBOLS, (_of_numbers,)),
    np.positive: (_argument,),
    np.negative: (_of_numbers, _minus_minus),
    np.multiply: (_of_numbers, _by_one, _one_times, _sigmoid),
    np.true_divide: (_of_numbers, _by_one),
    np.power: (_of_numbers, _by_one),
    np.logical_not: (_opposite,),
    np.broadcast_to: (_broadcast,),
    **dict.fromkeys((np.expand_dims, np.reshape, np.transpose), (_reshaped,)),
}


def _is(line: Any, function: Any) -> bool:
    return isinstance(line, Line) and line.function is function


def _fits(line: Any, value: Any) -> bool:
    return isinstance(line, Line) and line.shape == value.shape and line.dtype == value.dtype


def _number(arg: Any) -> float | None:
    """Return the number in every entry of an argument, if it is the same whatever the arguments of the trace."""
    if isinstance(arg, Line):
        return arg.uniform
    if isinstance(arg, Quotient):
        return arg
    return float(arg) if isinstance(arg, int | float) and not isinstance(arg, bool) else None
