"""The table of gradients: a row for each NumPy function.

A row gives, for each array argument, the vector-Jacobian product (VJP): how the
upstream gradient ``g`` of the result ``ans`` becomes the gradient of that argument.

    elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)

reads: for ``ans = x * y``, the gradient of x is ``g * y`` and that of y is ``g * x``.  The
arguments are those of the call, so a row can use anything the forward step knew, and
what no VJP of a row reads is not kept for it.

VJPs use only operators, methods and NumPy functions that arrays and tensors share.
Handed arrays they compute at NumPy's speed; handed tensors they are recorded, and
this is all there is to second and third derivatives.  (``t *= y`` writes into ``t`` if it is
an array, and makes a new one if it is a tensor.)

Three kinds of function need no VJP: a `composite` is written with functions that
have a row, a `constant` is flat wherever it has a derivative, and whatever is not
in the table raises an error with its name.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Sequence
from functools import partial
from operator import getitem, pow
from typing import Any

import numpy as np

from coursekit.autograd.tensor import RULES, Tensor, primitive, stop_gradient, unbroadcast

elementwise = partial(primitive, broadcasts=True)
_function: Any


def composite(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: when one of `functions` meets a tensor, call this instead, written with functions in the table."""

    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(functions, replacement))
        return replacement

    return register


def constant(*functions: Any) -> None:
    """Add functions whose result is a plain array: their derivative is zero wherever it exists."""

    def on_values(function: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            named = {name: stop_gradient(arg) for name, arg in kwargs.items()}
            return function(*map(stop_gradient, args), **named)

        return call

    RULES.update({function: on_values(function) for function in functions})


# --- Arithmetic ------------------------------------------------------------------------------------

elementwise(np.add, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
elementwise(np.subtract, lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)


def _quotient_dy(g: Any, ans: Any, x: Any, y: Any) -> Any:
    t = -g
    t *= ans
    t /= y
    return t


elementwise(np.true_divide, lambda g, ans, x, y: g / y, _quotient_dy)
elementwise(np.remainder, lambda g, ans, x, y: g, lambda g, ans, x, y: -g * np.floor(x / y))
primitive(np.positive, lambda g, ans, x: g, forward=lambda x: x)
primitive(np.negative, lambda g, ans, x: -g)


def _square_dx(g: Any, ans: Any, x: Any) -> Any:
    t = x + x  # sooner done than 2 * x: Python numbers are slow
    t *= g
    return t


def _power_dx(g: Any, ans: Any, x: Any, y: Any) -> Any:
    # y·x^(y−1).  Where y = 0 that is 0, but x^(−1) at x = 0 would make it nan.  A number stays a
    # number: an array of exponents would cost a call of pow per entry, and turn float32 into float64.
    if isinstance(y, int | float) and y == 2:
        return _square_dx(g, None, x)
    lowered = (y - 1 if y != 0 else 1) if isinstance(y, int | float) else np.where(y == 0, 1, y - 1)
    return g * (y * x**lowered)


def _power_dy(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if isinstance(x, int | float):
        return g * ans * float(np.log(x or 1))  # 0^y stays 0 for y > 0; log 0 would make it nan
    return g * ans * np.log(np.where(x == 0, 1, x))


elementwise(np.power, _power_dx, _power_dy, forward=pow)  # x ** 2 is faster than np.power(x, 2)

# --- Functions of one number -----------------------------------------------------------------------

primitive(np.exp, lambda g, ans, x: g * ans)
primitive(np.exp2, lambda g, ans, x: g * ans * float(np.log(2)))
primitive(np.expm1, lambda g, ans, x: g * (ans + 1))
primitive(np.log, lambda g, ans, x: g / x)
primitive(np.log2, lambda g, ans, x: g / x / float(np.log(2)))
primitive(np.log10, lambda g, ans, x: g / x / float(np.log(10)))
primitive(np.log1p, lambda g, ans, x: g / (1 + x))
primitive(np.sqrt, lambda g, ans, x: 0.5 * g / ans)
primitive(np.cbrt, lambda g, ans, x: g / (3 * ans * ans))
primitive(np.square, _square_dx)


def _reciprocal(g: Any, ans: Any, x: Any) -> Any:
    t = -g
    t *= ans
    t *= ans
    return t


primitive(np.reciprocal, _reciprocal, forward=lambda x: 1 / x)  # in half the time of np.reciprocal
for _function in np.absolute, np.fabs:
    primitive(_function, lambda g, ans, x: g * np.sign(x))  # 0 at the kink

primitive(np.sin, lambda g, ans, x: g * np.cos(x))
primitive(np.cos, lambda g, ans, x: -g * np.sin(x))
primitive(np.tan, lambda g, ans, x: g * (1 + ans * ans))
primitive(np.arcsin, lambda g, ans, x: g / np.sqrt(1 - x * x))
primitive(np.arccos, lambda g, ans, x: -g / np.sqrt(1 - x * x))
primitive(np.arctan, lambda g, ans, x: g / (1 + x * x))
primitive(np.sinh, lambda g, ans, x: g * np.cosh(x))
primitive(np.cosh, lambda g, ans, x: g * np.sinh(x))
primitive(np.tanh, lambda g, ans, x: g * (1 - ans * ans))
primitive(np.arcsinh, lambda g, ans, x: g / np.sqrt(x * x + 1))
primitive(np.arccosh, lambda g, ans, x: g / np.sqrt(x * x - 1))
primitive(np.arctanh, lambda g, ans, x: g / (1 - x * x))
for _function in np.radians, np.deg2rad:
    primitive(_function, lambda g, ans, x: np.radians(g))
for _function in np.degrees, np.rad2deg:
    primitive(_function, lambda g, ans, x: np.degrees(g))

# --- Functions of two numbers, and choices ---------------------------------------------------------

elementwise(np.arctan2, lambda g, ans, y, x: g * x / (x * x + y * y), lambda g, ans, y, x: -g * y / (x * x + y * y))
elementwise(np.hypot, lambda g, ans, x, y: g * x / ans, lambda g, ans, x, y: g * y / ans)
elementwise(np.logaddexp, lambda g, ans, x, y: g * np.exp(x - ans), lambda g, ans, x, y: g * np.exp(y - ans))

# At a tie the whole gradient goes to the first argument.  So np.maximum(0, z) passes nothing back where
# z = 0, as the lectures' ReLU, whose mask is z > 0.
for _function in np.maximum, np.fmax:
    elementwise(_function, lambda g, ans, x, y: g * (x >= y), lambda g, ans, x, y: g * np.logical_not(x >= y))
for _function in np.minimum, np.fmin:
    elementwise(_function, lambda g, ans, x, y: g * (x <= y), lambda g, ans, x, y: g * np.logical_not(x <= y))
elementwise(
    np.where, None, lambda g, ans, which, x, y: np.where(which, g, 0), lambda g, ans, which, x, y: np.where(which, 0, g)
)


@composite(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


# --- Reductions ------------------------------------------------------------------------------------


def _spread(g: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(g, np.generic):  # np.broadcast_to does the same, ten times slower
        return np.ndarray(shape, g.dtype, g, 0, (0,) * len(shape))
    return np.broadcast_to(g, shape)


def _unspread(g: Any, ans: Any, like: Any, shape: Any) -> Any:
    return unbroadcast(g, like.shape)


spread = primitive(_spread, _unspread)
primitive(np.broadcast_to, _unspread)


def _kept(g: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back with length 1, so that g broadcasts against what was reduced."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _sum(g: Any, ans: Any, like: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return spread(_kept(g, axis, keepdims), like.shape)


def _mean(g: Any, ans: Any, like: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return spread(_kept(g / max(like.size // max(g.size, 1), 1), axis, keepdims), like.shape)


def _extremum(g: Any, ans: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    # Equal entries share the gradient equally.
    chosen = stop_gradient(x) == _kept(stop_gradient(ans), axis, keepdims)
    return _kept(g, axis, keepdims) * (chosen / np.sum(chosen, axis=axis, keepdims=True, dtype=ans.dtype))


_reduce: Any = np.add.reduce  # np.sum, without the detour


def _add_reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _reduce(x, axis, None, None, keepdims)


primitive(np.sum, _sum, forward=_add_reduce)
primitive(np.mean, _mean, forward=lambda x, axis=None, keepdims=False: np.mean(x, axis=axis, keepdims=keepdims))
for _function in np.max, np.amax, np.min, np.amin:
    primitive(
        _function,
        _extremum,
        forward=lambda x, axis=None, keepdims=False, reduce=_function: reduce(x, axis=axis, keepdims=keepdims),
    )


@composite(np.prod)
def _prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    # Pairs, pairs of pairs, …: no division, so a zero among the factors does no harm.
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis) % max(x.ndim, 1)
    for i in axes:
        x = np.moveaxis(x, i, 0)
        while (n := len(x)) > 1:
            x = np.concatenate([x[: n // 2] * x[n // 2 : n - n % 2], x[n - n % 2 :]])
        x = np.moveaxis(x if n else np.concatenate([x, np.ones((1, *x.shape[1:]), x.dtype)]), 0, i)
    return x if keepdims else np.squeeze(x, axis=tuple(axes))


@composite(np.var)
def _var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    total = np.sum(deviation * deviation, axis=axis, keepdims=keepdims)
    return total / (x.size // max(total.size, 1) - ddof)


@composite(np.std)
def _std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(np.var(x, axis=axis, ddof=ddof, keepdims=keepdims))


_cumsum_along = primitive(np.cumsum, lambda g, ans, _, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis))


@composite(np.cumsum)
def _cumsum(x: Any, axis: int | None = None) -> Any:
    return _cumsum_along(x.ravel(), 0) if axis is None else _cumsum_along(x, axis)


# --- Linear algebra --------------------------------------------------------------------------------


def _matmul_forward(x: Any, y: Any) -> Any:
    return x.dot(y) if x.ndim == 2 == y.ndim else np.matmul(x, y)  # dot starts sooner, which small matrices feel


def _matmul_dx(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if y.ndim == 2 == x.ndim:
        return np.dot(g, y.T)
    if y.ndim == 1:
        return g * y if x.ndim == 1 else g[..., None] * y
    if x.ndim == 1:
        return np.dot(y, g) if y.ndim == 2 else unbroadcast((y @ g[..., None])[..., 0], x.shape)
    return unbroadcast(g @ y.mT, x.shape)


def _matmul_dy(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if x.ndim == 2 >= y.ndim:
        return np.dot(x.T, g)
    if x.ndim == 1:
        return g * x if y.ndim == 1 else unbroadcast(x[:, None] * g[..., None, :], y.shape)
    if y.ndim == 1:
        return unbroadcast((x.mT @ g[..., None])[..., 0], y.shape)
    return unbroadcast(x.mT @ g, y.shape)


primitive(np.matmul, _matmul_dx, _matmul_dy, forward=_matmul_forward)


@composite(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return np.matmul(a, b) if np.ndim(b) <= 2 else np.tensordot(a, b, axes=(-1, -2))


@composite(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.ravel(a) @ np.ravel(b)


@composite(np.vecdot)
def _vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    return np.sum(a * b, axis=axis)


@composite(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, axes=(-1, -1))


@composite(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.ravel(a)[:, None] * np.ravel(b)


@composite(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        axes = range(np.ndim(a) - axes, np.ndim(a)), range(axes)
    names = list(string.ascii_letters)
    left, right = names[: np.ndim(a)], names[np.ndim(a) : np.ndim(a) + np.ndim(b)]
    summed = [left[i] for i in np.atleast_1d(axes[0])]
    for i, name in zip(np.atleast_1d(axes[1]), summed, strict=True):
        right[i] = name
    kept = [name for name in left + right if name not in summed]
    return np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b, optimize=True)


def _einsum_vjp(argnum: int, options: Any, g: Any, ans: Any, *arrays: Any) -> Any:
    # y = Σ a·b·… over the indices that y lacks, so dL/da is a product of the same kind: g·b·… with the indices of a.
    # An index that only a has (at its full length) is met by ones; one that a has twice picks a diagonal: the identity.
    inputs, output = options["inputs"], options["output"]
    others = [(array, names) for i, (array, names) in enumerate(zip(arrays, inputs, strict=True)) if i != argnum]
    factors = [(g, output), *others]
    known = {pair for array, names in factors for pair in zip(names, array.shape, strict=True)}
    wanted, unused = "", iter(sorted(set(string.ascii_letters).difference(*inputs)))
    for name, n in zip(inputs[argnum], arrays[argnum].shape, strict=True):
        if name in wanted:
            new = next(unused)
            factors.append((np.eye(n, dtype=g.dtype), name + new))
            wanted += new
        else:
            if (name, n) not in known:
                factors.append((np.ones(n, dtype=g.dtype), name))
            wanted += name
    subscripts = ",".join(names for _, names in factors)
    return np.einsum(f"{subscripts}->{wanted}", *(array for array, _ in factors), optimize=options["optimize"])


def _einsum_forward(*arrays: Any, inputs: list[str], output: str, optimize: Any) -> Any:
    return np.einsum(f"{','.join(inputs)}->{output}", *arrays, optimize=optimize)


_einsum_over = primitive(np.einsum, _einsum_vjp, forward=_einsum_forward, variadic=True)


@composite(np.einsum)
def _einsum(subscripts: str, *arrays: Any, optimize: Any = False) -> Any:
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum of a Tensor takes its subscripts as text: np.einsum('ij,jk->ik', A, B)")
    # Give every axis behind an ellipsis a letter, and write the result out.
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ValueError(f"np.einsum: {subscripts!r} names {len(inputs)} arrays, but {len(arrays)} were given")
    free = "".join(sorted(set(string.ascii_letters) - set(subscripts)))
    hidden = [np.ndim(array) - len(names) + 3 for array, names in zip(arrays, inputs, strict=True) if "." in names]
    dots = free[: max(hidden, default=0)]
    inputs = [
        names.replace("...", dots[len(dots) - (np.ndim(array) - len(names) + 3) :] if "." in names else "")
        for array, names in zip(arrays, inputs, strict=True)
    ]
    if not arrow:
        once = "".join(sorted(c for c in set("".join(inputs)) - set(dots) if "".join(inputs).count(c) == 1))
        output = ("..." if "." in left else "") + once
    return _einsum_over(*arrays, inputs=inputs, output=output.replace("...", dots), optimize=optimize)


@composite(np.diagonal)
def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x = np.moveaxis(x, (axis1, axis2), (-2, -1))
    n = max(min(x.shape[-2] + min(offset, 0), x.shape[-1] - max(offset, 0)), 0)
    return x[..., np.arange(n) - min(offset, 0), np.arange(n) + max(offset, 0)]


@composite(np.trace)
def _trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(x, offset, axis1, axis2), axis=-1)


@composite(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return np.diagonal(v, k)
    n = len(v) + abs(k)
    return put(v, (np.arange(len(v)) - min(k, 0), np.arange(len(v)) + max(k, 0)), (n, n))


@composite(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(x.shape[-2], x.shape[-1], k, bool), x, 0)


@composite(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(x.shape[-2], x.shape[-1], k - 1, bool), 0, x)


def _solve_db(g: Any, ans: Any, a: Any, b: Any) -> Any:
    return np.linalg.solve(a.mT, g)


def _solve_da(g: Any, ans: Any, a: Any, b: Any) -> Any:
    db = _solve_db(g, ans, a, b)
    return -db[..., None] * ans if b.ndim == 1 else -db @ ans.mT


elementwise(np.linalg.solve, _solve_da, _solve_db)
primitive(np.linalg.inv, lambda g, ans, a: -ans.mT @ g @ ans.mT)
primitive(np.linalg.det, lambda g, ans, a: (g * ans)[..., None, None] * np.linalg.inv(a).mT)


@composite(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    vector = np.ndim(x) == 1 if axis is None else np.size(axis) == 1
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        squares = np.sum(x * x, axis=axis, keepdims=keepdims)
        positive = squares > 0  # the norm has a kink at 0: the slope is 0 there, and not 0/0
        return np.where(positive, np.sqrt(np.where(positive, squares, 1)), 0)
    if vector and ord in (1, np.inf, -np.inf):
        reduce: Any = {1: np.sum, np.inf: np.max, -np.inf: np.min}[ord]
        return reduce(np.abs(x), axis=axis, keepdims=keepdims)
    raise NotImplementedError(
        f"np.linalg.norm of a Tensor with ord={ord!r}: vectors have None, 1, 2, inf and -inf, matrices None and 'fro'"
    )


# --- Shape -----------------------------------------------------------------------------------------

primitive(np.reshape, lambda g, ans, like, shape: g.reshape(like.shape), forward=lambda x, shape: x.reshape(shape))
primitive(np.expand_dims, lambda g, ans, like, axis: g.reshape(like.shape))
primitive(np.squeeze, lambda g, ans, like, axis=None: g.reshape(like.shape))
primitive(np.swapaxes, lambda g, ans, x, axis1, axis2: np.swapaxes(g, axis1, axis2))
primitive(np.moveaxis, lambda g, ans, x, source, destination: np.moveaxis(g, destination, source))
primitive(np.flip, lambda g, ans, x, axis=None: np.flip(g, axis))
primitive(
    np.roll, lambda g, ans, x, shift, axis=None: np.roll(g, tuple(-np.atleast_1d(shift)) if axis else -shift, axis)
)
primitive(
    np.transpose,
    lambda g, ans, like, axes=None: g.transpose(None if axes is None else np.argsort(np.asarray(axes) % like.ndim)),
)
primitive(np.ndarray.astype, lambda g, ans, like, dtype: g.astype(like.dtype), forward=lambda x, dtype: x.astype(dtype))


@composite(np.copy)
def _copy(x: Any) -> Any:
    return +x


@composite(np.ravel)
def _ravel(x: Any) -> Any:
    return np.reshape(x, -1)


@composite(np.fliplr)
def _fliplr(x: Any) -> Any:
    return np.flip(x, 1)


@composite(np.flipud)
def _flipud(x: Any) -> Any:
    return np.flip(x, 0)


@composite(np.atleast_1d)
def _atleast_1d(x: Any) -> Any:
    return x if x.ndim else x.reshape(1)


@composite(np.atleast_2d)
def _atleast_2d(x: Any) -> Any:
    return x if x.ndim > 1 else x.reshape(1, -1)


@composite(np.tile)
def _tile(x: Any, reps: Any) -> Any:
    reps = tuple(np.atleast_1d(reps))
    ndim = max(x.ndim, len(reps))
    shape, reps = (1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - len(reps)) + reps
    paired = tuple(n for pair in zip(reps, shape, strict=True) for n in pair)
    singles = tuple(n for n in shape for n in (1, n))
    return np.broadcast_to(x.reshape(singles), paired).reshape(
        tuple(int(r * n) for r, n in zip(reps, shape, strict=True))
    )


@composite(np.repeat)
def _repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return np.take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)


# --- Joining and splitting -------------------------------------------------------------------------


def _part(argnum: int, options: Any, g: Any, ans: Any, *arrays: Any) -> Any:
    axis = options["axis"]
    start = sum(array.shape[axis] for array in arrays[:argnum])
    along = slice(start, start + arrays[argnum].shape[axis])
    return g[(slice(None),) * (axis % g.ndim) + (along,)]


_join = primitive(np.concatenate, _part, forward=lambda *arrays, axis: np.concatenate(arrays, axis), variadic=True)


@composite(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    return _join(*map(np.ravel, arrays), axis=0) if axis is None else _join(*arrays, axis=axis)


@composite(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    return _join(*(np.expand_dims(array, axis) for array in arrays), axis=axis)


@composite(np.append)
def _append(x: Any, values: Any, axis: int | None = None) -> Any:
    return np.concatenate([x, values], axis)


@composite(np.hstack)
def _hstack(arrays: Sequence[Any]) -> Any:
    arrays = [np.atleast_1d(array) for array in arrays]
    return np.concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


@composite(np.vstack)
def _vstack(arrays: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_2d(array) for array in arrays], 0)


@composite(np.column_stack)
def _column_stack(arrays: Sequence[Any]) -> Any:
    return np.concatenate([array if np.ndim(array) > 1 else np.reshape(array, (-1, 1)) for array in arrays], 1)


@composite(np.split, np.array_split)
def _split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    # Where NumPy would cut the positions, cut the array.
    positions = np.array_split(np.arange(x.shape[axis]), indices_or_sections)
    bounds = np.cumsum([0, *map(len, positions)])
    before = (slice(None),) * (axis % x.ndim)
    return [x[(*before, slice(start, stop))] for start, stop in itertools.pairwise(bounds)]


@composite(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return x


# --- Indexing --------------------------------------------------------------------------------------


def _put(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of indexing: zeros of `shape`, with g added at `index`."""
    if not isinstance(g, np.ndarray | np.generic):
        return g.put(index, shape)  # whoever writes the computation down (see graph.py)
    out = np.zeros(shape, g.dtype)
    if names_entries(index):
        np.add.at(out, index, g)  # the same entry perhaps twice
    else:
        out[index] = g
    return out


def names_entries(index: Any) -> bool:
    """Whether an array of integers is among the parts of an index: it may name an entry more than once."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list | np.ndarray) and np.asarray(part).dtype != bool for part in parts)


put = primitive(_put, lambda g, ans, x, index, shape: g[index])
_pick = primitive(getitem, lambda g, ans, like, index: put(g, index, like.shape))


@composite(getitem)
def _getitem(x: Any, index: Any) -> Any:
    return _pick(x, tuple(map(stop_gradient, index)) if type(index) is tuple else stop_gradient(index))


@composite(np.take)
def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    return x.ravel()[indices] if axis is None else x[(slice(None),) * (axis % x.ndim) + (np.asarray(indices),)]


@composite(np.take_along_axis)
def _take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return x.ravel()[indices]
    grid = list(np.ogrid[tuple(map(slice, indices.shape))])
    grid[axis] = indices
    return x[tuple(grid)]


@composite(np.sort)
def _sort(x: Any, axis: int | None = -1) -> Any:
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return np.take_along_axis(x, np.argsort(x, axis=axis, kind="stable"), axis)


@composite(np.pad)
def _pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(pad_width, (x.ndim, 2))
    if mode == "constant":
        inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
        frame = np.pad(np.zeros(x.shape, x.dtype), pad_width, constant_values=constant_values)
        return put(x, inside, frame.shape) + frame
    for axis, width in enumerate(widths):  # the other modes repeat entries: let NumPy say which
        x = np.take(x, np.pad(np.arange(x.shape[axis]), width, mode=mode), axis)
    return x


# --- Softmax, stable for any scores ----------------------------------------------------------------


def logsumexp(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log Σ exp(x), without overflow: the largest x is taken out of the sum.

    Parameters
    ----------
    x : Tensor or array of any shape
    axis : int, tuple of int or None
        Summed over; None is all.
    keepdims : bool

    Returns
    -------
    Tensor or array
        Of the shape of ``np.sum(x, axis, keepdims=keepdims)``.

    Examples
    --------
    >>> round(float(logsumexp(np.array([1000.0, 1000.0])) - 1000), 6)  # log 2
    0.693147
    """
    largest = np.max(stop_gradient(x), axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=keepdims))
    return total + (largest if keepdims else np.squeeze(largest, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`, exact also where a probability is too small for a float.

    Examples
    --------
    >>> log_softmax(np.array([0.0, -2000.0]))
    array([    0., -2000.])
    """
    shifted = x - np.max(stop_gradient(x), axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def softmax(x: Any, axis: int = -1) -> Any:
    """Probabilities from scores: exp(x) / Σ exp(x) along `axis`, of the shape of x.

    Source: the softmax classifier of the third lecture.

    Examples
    --------
    >>> softmax(np.array([[1000.0, 1000.0], [0.0, 0.0]]))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    exps = np.exp(x - np.max(stop_gradient(x), axis=axis, keepdims=True))
    return exps / np.sum(exps, axis=axis, keepdims=True)


# --- Flat functions: signs, comparisons, positions, shapes -----------------------------------------

constant(np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round, np.fix)
constant(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isclose, np.allclose)
constant(np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.isnan, np.isinf, np.isfinite)
constant(np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.any, np.all, np.array_equal)
constant(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.searchsorted, np.unique)

# --- Operators -------------------------------------------------------------------------------------

# `x + y` of tensors goes to its row directly: what the base class does, without a detour that small arrays feel.


def _swapped(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: operation(other, self)


for _name, _function in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "pow": np.power,
    "matmul": np.matmul,
}.items():
    setattr(Tensor, f"__{_name}__", RULES[_function])
    commutes = _function in (np.add, np.multiply)
    setattr(Tensor, f"__r{_name}__", RULES[_function] if commutes else _swapped(RULES[_function]))


def _over(self: Tensor, other: Any) -> Any:
    """other / self.  Nobody needs the denominator of 1 / (1 + exp(−z)) again: the reciprocal has a row of its own."""
    one = type(other) in (int, float) and other == 1
    return RULES[np.reciprocal](self) if one else RULES[np.true_divide](other, self)


Tensor.__rtruediv__ = _over
for _name, _function in {"__neg__": np.negative, "__getitem__": getitem, "sum": np.sum, "mean": np.mean}.items():
    setattr(Tensor, _name, RULES[_function])
