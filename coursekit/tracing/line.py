"""Line: an array that writes down what is computed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from coursekit.autograd.arraylike import ArrayLike
from coursekit.autograd.ops import put
from coursekit.autograd.tensor import RULES, Tensor, stop_gradient, tick

__all__ = ["Line", "Recorder", "compute", "example_of", "lines_in", "refuse", "substitute"]


class Recorder(Protocol):
    """What a line reports its operations to: a `Trace`."""

    lines: list[Line]

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def constant(self, value: Any, number: float) -> Line: ...


def refuse(*_: Any, **__: Any) -> Any:
    """Raise the error of a computation that depends on its numbers."""
    raise TypeError(
        "the course of this computation depends on a number in it, and a graph has no numbers yet, only their shapes: "
        "if, while, float(), int(), print, np.asarray(), grad, or a plain array indexed or changed by an argument. "
        "For a branch write np.where, np.maximum or a mask; for labels y, lambda W, X: loss(W, X, y)"
    )


class Line(ArrayLike):
    """An array, or a number, and the operation that gave it.

    Attributes
    ----------
    value : ndarray or NumPy scalar
        For the examples that the function was traced with.
    function, args, kwargs
        The call that gave it; function is None for an argument of the traced function.
    kind : "input", "parameter", "compute", or "gradient" for the lines of the backward pass
    name : str
    named : bool
        Whether that is a name in the traced function itself.
    uniform : float or None
        The number in every entry, if it is the same whatever the arguments.
    order : int
        On the clock of the nodes, so that the last line before a node is its result.
    """

    __slots__ = ("args", "function", "kind", "kwargs", "name", "named", "order", "recorder", "uniform", "value")

    def __init__(
        self, recorder: Recorder, value: Any, kind: str, function: Any = None, args: Any = (), kwargs: Any = None
    ):
        self.recorder, self.value, self.kind, self.function = recorder, value, kind, function
        self.args, self.kwargs, self.name = args, kwargs or {}, ""
        self.uniform: float | None = None
        self.named = False
        self.order = tick()
        recorder.lines.append(self)

    def sources(self) -> list[Line]:
        """List the lines that this one is computed from, once for each use."""
        return list(lines_in((self.args, self.kwargs)))

    def _apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        if any(type(arg) is Tensor for arg in args):
            return RULES[function](*args, **kwargs)
        return self.recorder.record(function, args, kwargs)

    # The engine calls these two where it needs more than operators and NumPy functions.

    def as_last(self) -> Any:
        """Return this line, written down once more if others came after it."""
        return self if self.recorder.lines[-1] is self else +self

    def put(self, index: Any, shape: tuple[int, ...]) -> Any:
        """Return zeros of `shape` with this line added at `index`."""
        parts = index if isinstance(index, tuple) else (index,)
        if all(part is None or part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts):
            return self.reshape(shape)
        return self.recorder.record(put, (self, index, shape), {})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if method == "reduce" and ufunc is np.add:
            options = {name: kwargs[name] for name in ("axis", "keepdims") if kwargs.get(name) is not None}
            return self.recorder.record(np.sum, inputs, options)
        if method != "__call__" or "out" in kwargs:
            raise TypeError(f"np.{ufunc.__name__}.{method} cannot be written as flat code")
        return self.recorder.record(ufunc, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if Tensor in types:
            return NotImplemented
        return self.recorder.record(function, args, kwargs)

    item = tolist = __array__ = __bool__ = __float__ = __int__ = __index__ = refuse


def lines_in(item: Any) -> Iterator[Line]:
    """Iterate over the lines in an argument of a call."""
    if isinstance(item, Line):
        yield item
    elif isinstance(item, slice):
        yield from lines_in((item.start, item.stop, item.step))
    elif isinstance(item, dict | list | tuple):
        for part in item.values() if isinstance(item, dict) else item:
            yield from lines_in(part)


def substitute(item: Any, replace: Callable[[Line], Any]) -> Any:
    """Return `item` with each line replaced, also a line in a tensor."""
    item = stop_gradient(item)
    if isinstance(item, Line):
        return replace(item)
    if isinstance(item, list | tuple):
        return type(item)(substitute(part, replace) for part in item)
    if isinstance(item, dict):
        return {key: substitute(part, replace) for key, part in item.items()}
    return item


def example_of(arg: Any) -> Any:
    """Return the numbers of a line for the examples; anything else as it is."""
    return arg.value if isinstance(arg, Line) else arg


def compute(function: Any, args: Any, kwargs: Any) -> Any:
    """Call `function` on plain arrays."""
    if function is np.ndarray.astype:
        return np.asarray(args[0]).astype(args[1])
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)
