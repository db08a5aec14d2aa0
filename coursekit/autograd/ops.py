"""The table of gradients: a row for each NumPy function.

A row gives, for each array argument, the vector-Jacobian product (VJP): how the
upstream gradient ``g`` of the result ``ans`` becomes the gradient of that argument.

    elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)

reads: for ``ans = x * y``, the gradient of x is ``g * y`` and that of y is ``g * x``.  The
arguments are those of the call, so a row can use anything the forward step knew.

VJPs use only operators, methods and NumPy functions that arrays and tensors share.
Handed arrays they compute at NumPy's speed; handed tensors they are recorded, and
this is all there is to second and third derivatives.

Three kinds of function need no VJP: a `composite` is written with functions that
have a row, a `constant` is flat wherever it has a derivative, and whatever is not
in the table raises an error with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import getitem, pow
from typing import Any

import numpy as np

from coursekit.autograd.tensor import RULES, VJP, Array, Primitive, stop_gradient


def primitive(function: Any, *vjps: VJP | None, **options: Any) -> Primitive:
    """Add a row: `function`, and a VJP for each array argument (see `Primitive`)."""
    RULES[function] = row = Primitive(function, *vjps, **options)
    return row


def elementwise(function: Any, *vjps: VJP | None, **options: Any) -> Primitive:
    """Add a row for a function that broadcasts its arguments: each VJP is written as if shapes were equal."""
    return primitive(function, *vjps, fit=unbroadcast, **options)


def composite(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: when `function` meets a tensor, call this instead, written with functions in the table."""

    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        RULES[function] = replacement
        return replacement

    return register


def constant(*functions: Any) -> None:
    """Add functions whose result is a plain array: their derivative is zero wherever it exists."""

    def on_values(function: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            named = {name: stop_gradient(arg) for name, arg in kwargs.items()}
            return function(*map(stop_gradient, args), **named)

        return call

    for function in functions:
        RULES[function] = on_values(function)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: an entry that was used many times gets the sum of the gradients of its copies.

    >>> unbroadcast(np.array([[1.0, 2.0], [3.0, 4.0]]), (2,))
    array([4., 6.])
    >>> unbroadcast(np.array([[1.0, 2.0], [3.0, 4.0]]), (2, 1))
    array([[3.],
           [7.]])
    """
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)
    stretched = tuple(new + i for i, n in enumerate(shape) if n == 1)
    g = g.sum(axis=(*range(new), *stretched))
    return g if g.shape == shape else g.reshape(shape)


# --- Arithmetic ------------------------------------------------------------------------------------

elementwise(np.add, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
elementwise(np.subtract, lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
elementwise(np.true_divide, lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * ans / y)
elementwise(np.positive, lambda g, ans, x: g)
elementwise(np.negative, lambda g, ans, x: -g)


def _power_dx(g: Any, ans: Any, x: Any, y: Any) -> Any:
    # y·x^(y−1).  Where y = 0 that is 0, but x^(−1) at x = 0 would make it nan.  A number stays a
    # number: an array of exponents would cost a call of pow per entry, and turn float32 into float64.
    lowered = (y - 1 if y != 0 else 1) if isinstance(y, int | float) else np.where(y == 0, 1, y - 1)
    return g * (y * x**lowered)


def _power_dy(g: Any, ans: Any, x: Any, y: Any) -> Any:
    return g * ans * np.log(np.where(x == 0, 1, x))  # 0^y stays 0 for y > 0; log 0 would make it nan


elementwise(np.power, _power_dx, _power_dy, forward=pow)  # x ** 2 is faster than np.power(x, 2)

# --- Elementwise functions -------------------------------------------------------------------------

elementwise(np.exp, lambda g, ans, x: g * ans)
elementwise(np.log, lambda g, ans, x: g / x)
elementwise(np.log1p, lambda g, ans, x: g / (1 + x))
elementwise(np.sqrt, lambda g, ans, x: 0.5 * g / ans)
elementwise(np.square, lambda g, ans, x: g * (2 * x))
elementwise(np.sin, lambda g, ans, x: g * np.cos(x))
elementwise(np.cos, lambda g, ans, x: -g * np.sin(x))
elementwise(np.tanh, lambda g, ans, x: g * (1 - ans * ans))
elementwise(np.absolute, lambda g, ans, x: g * np.sign(x))  # 0 at the kink

# At a tie the whole gradient goes to the first argument.  So np.maximum(0, z) passes nothing back where
# z = 0, as the lectures' ReLU, whose mask is z > 0.
elementwise(np.maximum, lambda g, ans, x, y: g * (x >= y), lambda g, ans, x, y: g * np.logical_not(x >= y))
elementwise(np.minimum, lambda g, ans, x, y: g * (x <= y), lambda g, ans, x, y: g * np.logical_not(x <= y))
elementwise(
    np.where, None, lambda g, ans, which, x, y: np.where(which, g, 0), lambda g, ans, which, x, y: np.where(which, 0, g)
)

# --- Reductions ------------------------------------------------------------------------------------


def _kept(g: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back with length 1, so that g broadcasts against what was reduced."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _sum(g: Any, ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.broadcast_to(_kept(g, axis, keepdims), x.shape)


def _mean(g: Any, ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    count = max(x.size // max(ans.size, 1), 1)
    return np.broadcast_to(_kept(g / count, axis, keepdims), x.shape)


def _extremum(g: Any, ans: Any, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    # Equal entries share the gradient equally.
    chosen = x == _kept(stop_gradient(ans), axis, keepdims)
    return _kept(g, axis, keepdims) * (chosen / np.sum(chosen, axis=axis, keepdims=True))


primitive(np.sum, _sum)
primitive(np.mean, _mean)
for _function in np.max, np.amax, np.min, np.amin:
    primitive(_function, _extremum)

# --- Linear algebra --------------------------------------------------------------------------------


def _matmul_dx(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return g * y if x.ndim == 1 else g[..., None] * y
    if x.ndim == 1:
        return unbroadcast((y @ g[..., None])[..., 0], x.shape)
    return unbroadcast(g @ y.mT, x.shape)


def _matmul_dy(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if x.ndim == 1:
        return g * x if y.ndim == 1 else unbroadcast(x[:, None] * g[..., None, :], y.shape)
    if y.ndim == 1:
        return unbroadcast((x.mT @ g[..., None])[..., 0], y.shape)
    return unbroadcast(x.mT @ g, y.shape)


primitive(np.matmul, _matmul_dx, _matmul_dy)


@composite(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(b) > 2:
        raise NotImplementedError("np.dot of a Tensor takes at most a matrix on the right; use @ for stacks")
    return RULES[np.matmul](a, b)


# --- Shape -----------------------------------------------------------------------------------------

primitive(np.reshape, lambda g, ans, x, shape: g.reshape(x.shape), forward=lambda x, shape: x.reshape(shape))
primitive(np.expand_dims, lambda g, ans, x, axis: g.reshape(x.shape))
primitive(np.squeeze, lambda g, ans, x, axis=None: g.reshape(x.shape))
primitive(np.swapaxes, lambda g, ans, x, axis1, axis2: np.swapaxes(g, axis1, axis2))
primitive(np.broadcast_to, lambda g, ans, x, shape: unbroadcast(g, x.shape))
primitive(
    np.ndarray.astype, lambda g, ans, x, dtype: g.astype(x.dtype, copy=False), forward=lambda x, dtype: x.astype(dtype)
)


@composite(np.ravel)
def _ravel(a: Any) -> Any:
    return a.reshape(-1)


def _transpose(g: Any, ans: Any, x: Any, axes: Sequence[int] | None = None) -> Any:
    return g.transpose(None if axes is None else np.argsort(np.asarray(axes) % x.ndim))


primitive(np.transpose, _transpose)


def _join_part(argnum: int, g: Any, ans: Any, *arrays: Any, axis: int = 0) -> Any:
    start = sum(array.shape[axis] for array in arrays[:argnum])
    along = slice(start, start + arrays[argnum].shape[axis])
    return g[(slice(None),) * (axis % g.ndim) + (along,)]


_join = Primitive(
    np.concatenate, _join_part, forward=lambda *arrays, axis=0: np.concatenate(arrays, axis), variadic=True
)


@composite(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    return _join(*map(np.ravel, arrays)) if axis is None else _join(*arrays, axis=axis)


@composite(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return _join(*(np.expand_dims(array, axis) for array in arrays), axis=axis)


# --- Indexing --------------------------------------------------------------------------------------


def _put(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """The transpose of indexing: zeros of `shape`, with g added at `index`."""
    out = np.zeros(shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, list | np.ndarray) and np.asarray(part).dtype != bool for part in parts):
        np.add.at(out, index, g)  # an array of integers may name an entry twice
    else:
        out[index] = g
    return out


put = Primitive(_put, lambda g, ans, x, index, shape: g[index])
primitive(getitem, lambda g, ans, x, index: put(g, index, x.shape))

# --- Flat functions: signs, comparisons, positions, shapes -----------------------------------------

constant(np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round)
constant(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isclose, np.allclose)
constant(np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.isnan, np.isinf, np.isfinite)
constant(np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.any, np.all, np.array_equal)
constant(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like)
