"""ArrayLike: what has the operators and methods of an array.

There are two such classes: `Tensor`, and the lines of :mod:`coursekit.tracing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import getitem
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["METHODS", "ArrayLike"]


def _method(function: Any) -> Callable[..., Any]:
    def method(self: ArrayLike, *args: Any, **kwargs: Any) -> Any:
        return self._apply(function, self, *args, **kwargs)

    method.stands_for = function, False  # type: ignore[attr-defined]
    return method


def _swapped(function: Any) -> Callable[..., Any]:
    def method(self: ArrayLike, other: Any) -> Any:
        return self._apply(function, other, self)

    method.stands_for = function, True  # type: ignore[attr-defined]
    return method


class ArrayLike:
    """What looks like an array: its operators and methods hand the NumPy function that they stand for to `_apply`.

    Besides `_apply`, a subclass whose values the engine is to compute with has two methods: ``put(index, shape)``,
    zeros of `shape` with the values added at `index`; and ``as_last()``, itself as the result of the last operation.
    """

    __slots__ = ()
    value: Any

    def _apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    __add__, __radd__ = _method(np.add), _swapped(np.add)
    __sub__, __rsub__ = _method(np.subtract), _swapped(np.subtract)
    __mul__, __rmul__ = _method(np.multiply), _swapped(np.multiply)
    __truediv__, __rtruediv__ = _method(np.true_divide), _swapped(np.true_divide)
    __floordiv__, __rfloordiv__ = _method(np.floor_divide), _swapped(np.floor_divide)
    __mod__, __rmod__ = _method(np.remainder), _swapped(np.remainder)
    __pow__, __rpow__ = _method(np.power), _swapped(np.power)
    __matmul__, __rmatmul__ = _method(np.matmul), _swapped(np.matmul)
    __neg__, __pos__, __abs__ = _method(np.negative), _method(np.positive), _method(np.absolute)
    __lt__, __le__, __gt__, __ge__ = map(_method, (np.less, np.less_equal, np.greater, np.greater_equal))
    __and__, __or__, __xor__ = map(_method, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __rand__, __ror__, __rxor__ = map(_swapped, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __invert__ = _method(np.invert)
    __eq__, __ne__ = _method(np.equal), _method(np.not_equal)
    __hash__ = object.__hash__
    __getitem__ = _method(getitem)

    sum, mean, prod, var, std = map(_method, (np.sum, np.mean, np.prod, np.var, np.std))
    max, min, argmax, argmin, argsort = map(_method, (np.max, np.min, np.argmax, np.argmin, np.argsort))
    cumsum, clip, dot, trace, diagonal = map(_method, (np.cumsum, np.clip, np.dot, np.trace, np.diagonal))
    exp, log, sqrt, tanh = map(_method, (np.exp, np.log, np.sqrt, np.tanh))  # arrays have no such methods; circuits do
    squeeze, swapaxes, repeat, take = map(_method, (np.squeeze, np.swapaxes, np.repeat, np.take))
    ravel = flatten = _method(np.ravel)
    copy = _method(np.copy)

    def reshape(self, *shape: Any) -> Any:
        return self._apply(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        return self._apply(np.transpose, self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: npt.DTypeLike) -> Any:
        return self._apply(np.ndarray.astype, self, np.dtype(dtype))

    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))
    shape: Any = property(lambda self: self.value.shape)
    dtype: Any = property(lambda self: self.value.dtype)
    ndim: Any = property(lambda self: self.value.ndim)
    size: Any = property(lambda self: self.value.size)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be changed in place, because earlier results may depend on it. "
            "For A[mask] = 0 write A = np.where(mask, 0, A), or A = A * ~mask"
        )


# function -> the methods that stand for it, and whether the operands are swapped: np.add -> __add__, __radd__
METHODS: dict[Any, list[tuple[str, bool]]] = {}
for _name, _attribute in vars(ArrayLike).items():
    if hasattr(_attribute, "stands_for"):
        _function, _is_swapped = _attribute.stands_for
        METHODS.setdefault(_function, []).append((_name, _is_swapped))
