"""The table of gradients: a row for each NumPy function.

A row gives, for each array argument, the vector-Jacobian product (VJP): how the
upstream gradient ``g`` of the result ``ans`` becomes the gradient of that argument.

    elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)

reads: for ``ans = x * y``, the gradient of x is ``g * y`` and that of y is ``g * x``.  The
arguments are those of the call, so a row can use anything the forward step knew.  What the VJPs
of a row of one or two arrays do not read is not kept, and of what they call ``like`` only the
shape and dtype are.

VJPs use only operators, methods and NumPy functions that arrays and tensors share.
Handed arrays they compute at NumPy's speed; handed tensors they are recorded, and
this is all there is to second and third derivatives.  (``t *= y`` writes into ``t`` if it is
an array, and makes a new one if it is a tensor.)

Three kinds of function need no VJP: a `composite` is written with functions that
have a row, a `constant` is flat wherever it has a derivative, and whatever is not
in the table raises an error with its name.

Source: the table of vector-Jacobian products is the idea of HIPS autograd (Maclaurin, Duvenaud and Adams, 2015).
"""

import string
from functools import partial
from math import prod
from operator import getitem, pow
from typing import Any

import numpy as np

from coursekit.autograd.tensor import RULES, Tensor, primitive, stop_gradient, unbroadcast

elementwise = partial(primitive, broadcasts=True)


def composite(*functions):
    """Decorator: when one of `functions` meets a tensor, call this instead, written with functions in the table."""
    return lambda replacement: RULES.update(dict.fromkeys(functions, replacement)) or replacement


def constant(*functions):
    """Add functions whose result is a plain array: their derivative is zero wherever it exists."""
    for function in functions:
        RULES[function] = partial(_of_values, function)


def _of_values(function, *args, **kwargs):
    if any(type(out) is Tensor for out in (*args[getattr(function, "nin", 2) :], kwargs.get("out"))):
        raise TypeError(f"np.{function.__name__} cannot write its result into a Tensor: leave out `out`")
    return function(*map(stop_gradient, args), **{name: stop_gradient(arg) for name, arg in kwargs.items()})


# --- Arithmetic ------------------------------------------------------------------------------------


def _quotient_dy(g, ans, x, y):
    t = -g
    t *= ans
    t /= y
    return t


def _reciprocal(g, ans, x):
    t = -g
    t *= ans
    t *= ans
    return t


def _square(g, ans, x):
    t = x + x  # sooner done than 2 * x: Python numbers are slow
    t *= g
    return t


def _power_dx(g, ans, x, y):
    # y·x^(y−1).  Where y = 0 that is 0, but x^(−1) at x = 0 would make it nan.  A number stays a
    # number: an array of exponents would cost a call of pow per entry, and turn float32 into float64.
    if isinstance(y, int | float):
        return _square(g, None, x) if y == 2 else g * (y * x ** (y - 1 if y != 0 else 1))
    return g * (y * x ** np.where(y == 0, 1, y - 1))


def _power_dy(g, ans, x, y):
    # ans·log x, but 0^y stays 0 for y > 0, and log 0 would make it nan.
    return g * ans * (_log(x or 1, ans) if isinstance(x, int | float) else np.log(np.where(x == 0, 1, x)))


def _log(number, like):
    return np.log(like.dtype.type(number))  # of the right dtype


elementwise(np.add, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
elementwise(np.subtract, lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
elementwise(np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
elementwise(np.true_divide, lambda g, ans, x, y: g / y, _quotient_dy)
elementwise(np.remainder, lambda g, ans, x, y: g, lambda g, ans, x, y: -g * (x // y))
elementwise(np.power, _power_dx, _power_dy, forward=pow)  # x ** 2 is faster than np.power(x, 2)
primitive(np.positive, lambda g, ans, x: g, forward=lambda x: x if type(x) is np.ndarray else +x)
primitive(np.negative, lambda g, ans, x: -g)
primitive(np.square, _square)
primitive(np.reciprocal, _reciprocal, forward=lambda x: 1 / x)  # in half the time of np.reciprocal

# --- Functions of one number -----------------------------------------------------------------------


primitive(np.exp, lambda g, ans, x: g * ans)
primitive(np.exp2, lambda g, ans, x: g * ans * _log(2, ans))
primitive(np.expm1, lambda g, ans, x: g * (ans + 1))
primitive(np.log, lambda g, ans, x: g / x)
primitive(np.log2, lambda g, ans, x: g / x / _log(2, x))
primitive(np.log10, lambda g, ans, x: g / x / _log(10, x))
primitive(np.log1p, lambda g, ans, x: g / (1 + x))
primitive(np.sqrt, lambda g, ans, x: 0.5 * g / ans)
primitive(np.cbrt, lambda g, ans, x: g / (3 * ans * ans))
for f in np.absolute, np.fabs:
    primitive(f, lambda g, ans, x: g * np.sign(x))  # 0 at the kink

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
for f in np.radians, np.deg2rad:
    primitive(f, lambda g, ans, x: np.radians(g))
for f in np.degrees, np.rad2deg:
    primitive(f, lambda g, ans, x: np.degrees(g))

# --- Functions of two numbers, and choices ---------------------------------------------------------

elementwise(np.arctan2, lambda g, ans, y, x: g * x / (x * x + y * y), lambda g, ans, y, x: -g * y / (x * x + y * y))
elementwise(np.hypot, lambda g, ans, x, y: g * x / ans, lambda g, ans, x, y: g * y / ans)
elementwise(np.logaddexp, lambda g, ans, x, y: g * np.exp(x - ans), lambda g, ans, x, y: g * np.exp(y - ans))

# At a tie the whole gradient goes to the first argument.  So np.maximum(0, z) passes nothing back where
# z = 0, as the lectures' ReLU, whose mask is z > 0.
elementwise(np.maximum, lambda g, ans, x, y: g * (x >= y), lambda g, ans, x, y: g * np.logical_not(x >= y))
elementwise(np.minimum, lambda g, ans, x, y: g * (x <= y), lambda g, ans, x, y: g * np.logical_not(x <= y))
for f, first in (np.fmax, np.greater_equal), (np.fmin, np.less_equal):  # these pass over a nan
    RULES[f] = lambda x, y, first=first: np.where(np.logical_or(first(x, y), np.isnan(y)), x, y)
elementwise(np.where, None, lambda g, ans, c, x, y: np.where(c, g, 0), lambda g, ans, c, x, y: np.where(c, 0, g))


@composite(np.clip)
def _clip(x, a_min=None, a_max=None, *, min=None, max=None):
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


# --- Reductions ------------------------------------------------------------------------------------


def _spread(g, shape):
    if not isinstance(g, np.generic):
        return np.broadcast_to(g, shape)
    if prod(shape) > 10_000:
        return np.ndarray(shape, g.dtype, g, 0, (0,) * len(shape))  # as np.broadcast_to, in a tenth of its time
    out = np.empty(shape, g.dtype)
    out.fill(g)
    return out


spread = primitive(_spread, lambda g, ans, like, shape: unbroadcast(g, like.shape))
primitive(np.broadcast_to, lambda g, ans, like, shape: unbroadcast(g, like.shape))


def _restored(g, axis, keepdims):
    """Put the reduced axes back with length 1, so that g broadcasts against what was reduced."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _sum(g, ans, like, axis=None, keepdims=False):
    return spread(_restored(g, axis, keepdims), like.shape)


def _mean(g, ans, like, axis=None, keepdims=False):
    return spread(_restored(g / max(like.size // max(g.size, 1), 1), axis, keepdims), like.shape)


def _extremum(g, ans, x, axis=None, keepdims=False):
    # Equal entries share the gradient equally.
    chosen = stop_gradient(x) == _restored(stop_gradient(ans), axis, keepdims)
    return _restored(g, axis, keepdims) * (chosen / np.sum(chosen, axis=axis, keepdims=True, dtype=ans.dtype))


def _reduction(function):
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims)


def _add_reduce(x, axis=None, keepdims=False, reduce=np.add.reduce):
    return reduce(x, axis, None, None, keepdims)  # np.sum, without the detour


primitive(np.sum, _sum, forward=_add_reduce)
primitive(np.mean, _mean, forward=_reduction(np.mean))
for f in np.max, np.amax, np.min, np.amin:
    primitive(f, _extremum, forward=_reduction(f))


@composite(np.prod)
def _prod(x, axis=None, keepdims=False):
    # Pairs, pairs of pairs, …: no division, so a zero among the factors does no harm.
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis) % max(x.ndim, 1)
    for i in axes:
        x = np.moveaxis(x, i, 0)
        while (n := len(x)) > 1:
            x = np.concatenate([x[: n // 2] * x[n // 2 : n - n % 2], x[n - n % 2 :]])
        x = np.moveaxis(x if n else np.concatenate([x, np.ones((1, *x.shape[1:]), x.dtype)]), 0, i)
    return x if keepdims else np.squeeze(x, axis=tuple(axes))


@composite(np.var)
def _var(x, axis=None, ddof=0, keepdims=False):
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    total = np.sum(deviation * deviation, axis=axis, keepdims=keepdims)
    return total / (x.size // max(total.size, 1) - ddof)


@composite(np.std)
def _std(x, axis=None, ddof=0, keepdims=False):
    return np.sqrt(np.var(x, axis=axis, ddof=ddof, keepdims=keepdims))


_cumsum = primitive(np.cumsum, lambda g, ans, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis))
RULES[np.cumsum] = lambda x, axis=None: _cumsum(x.ravel(), 0) if axis is None else _cumsum(x, axis)

# --- Linear algebra --------------------------------------------------------------------------------


def _matmul(x, y):
    return x.dot(y) if x.ndim == 2 == y.ndim else np.matmul(x, y)  # dot starts sooner, which small matrices feel


def _matmul_dx(g, ans, x, y):
    if y.ndim == 2 == x.ndim:
        return g.dot(y.T)
    if y.ndim == 1:
        return g * y if x.ndim == 1 else g[..., None] * y
    if x.ndim == 1:
        return np.dot(y, g) if y.ndim == 2 else unbroadcast((y @ g[..., None])[..., 0], x.shape)
    return unbroadcast(g @ y.mT, x.shape)


def _matmul_dy(g, ans, x, y):
    if x.ndim == 2 >= y.ndim:
        return x.T.dot(g) if type(g) is np.ndarray else x.T @ g
    if x.ndim == 1:
        return g * x if y.ndim == 1 else unbroadcast(x[:, None] * g[..., None, :], y.shape)
    if y.ndim == 1:
        return unbroadcast((x.mT @ g[..., None])[..., 0], y.shape)
    return unbroadcast(x.mT @ g, y.shape)


primitive(np.matmul, _matmul_dx, _matmul_dy, forward=_matmul)


@composite(np.dot)
def _dot(a, b):
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return np.matmul(a, b) if np.ndim(b) <= 2 else np.tensordot(a, b, axes=(-1, -2))


@composite(np.inner)
def _inner(a, b):
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, axes=(-1, -1))


RULES[np.vdot] = lambda a, b: np.ravel(a) @ np.ravel(b)
RULES[np.vecdot] = lambda a, b, axis=-1: np.sum(a * b, axis=axis)
RULES[np.outer] = lambda a, b: np.ravel(a)[:, None] * np.ravel(b)


@composite(np.tensordot)
def _tensordot(a, b, axes=2):
    if np.ndim(axes) == 0:
        axes = range(np.ndim(a) - axes, np.ndim(a)), range(axes)
    left, right = np.split(list(string.ascii_letters[: np.ndim(a) + np.ndim(b)]), [np.ndim(a)])
    summed = left[np.atleast_1d(axes[0]).astype(int)]
    right[np.atleast_1d(axes[1]).astype(int)] = summed
    kept = [name for name in (*left, *right) if name not in summed]
    return np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b, optimize=True)


def _einsum_vjp(argnum, options, g, ans, *arrays):
    # y = Σ a·b·… over the indices that y lacks, so dL/da is a product of the same kind: g·b·… with the indices of a.
    # An index that only a has (at its full length) is met by ones; one that a has twice picks a diagonal: the identity.
    inputs, output = options["inputs"], options["output"]
    factors = [
        (g, output),
        *((x, names) for i, (x, names) in enumerate(zip(arrays, inputs, strict=True)) if i != argnum),
    ]
    known = {pair for array, names in factors for pair in zip(names, array.shape, strict=True)}
    wanted, unused = "", iter(sorted(set(string.ascii_letters).difference(*inputs)))
    for name, n in zip(inputs[argnum], arrays[argnum].shape, strict=True):
        if name in wanted:
            wanted += (new := next(unused))
            factors.append((np.eye(n, dtype=g.dtype), name + new))
            continue
        wanted += name
        if (name, n) not in known:
            factors.append((np.ones(n, dtype=g.dtype), name))
    subscripts = ",".join(names for _, names in factors)
    return np.einsum(f"{subscripts}->{wanted}", *(array for array, _ in factors), optimize=options["optimize"])


def _einsum_forward(*arrays, inputs, output, optimize):
    return np.einsum(f"{','.join(inputs)}->{output}", *arrays, optimize=optimize)


_einsum_of = primitive(np.einsum, _einsum_vjp, forward=_einsum_forward, variadic=True)


@composite(np.einsum)
def _einsum(subscripts, *arrays, optimize=False):
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum of a Tensor takes its subscripts as text: np.einsum('ij,jk->ik', A, B)")
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs, arrays = left.split(","), [x if hasattr(x, "ndim") else np.asarray(x) for x in arrays]
    if len(inputs) != len(arrays):
        raise ValueError(f"np.einsum: {subscripts!r} names {len(inputs)} arrays, but {len(arrays)} were given")
    # Give every axis behind an ellipsis a letter, and write the result out.
    free = "".join(sorted(set(string.ascii_letters) - set(subscripts)))
    hidden = [np.ndim(x) - len(names) + 3 if "." in names else 0 for x, names in zip(arrays, inputs, strict=True)]
    dots = free[: max(hidden)]
    inputs = [names.replace("...", dots[len(dots) - n :]) for names, n in zip(inputs, hidden, strict=True)]
    if not arrow:
        letters = "".join(inputs)
        output = "..." + "".join(c for c in sorted(set(letters) - set(dots)) if letters.count(c) == 1)
    return _einsum_of(*arrays, inputs=inputs, output=output.replace("...", dots), optimize=optimize)


@composite(np.diagonal)
def _diagonal(x, offset=0, axis1=0, axis2=1):
    x = np.moveaxis(x, (axis1, axis2), (-2, -1))
    n = max(min(x.shape[-2] + min(offset, 0), x.shape[-1] - max(offset, 0)), 0)
    return x[..., np.arange(n) - min(offset, 0), np.arange(n) + max(offset, 0)]


@composite(np.diag)
def _diag(v, k=0):
    n = len(v)
    place = np.arange(n) - min(k, 0), np.arange(n) + max(k, 0)
    return np.diagonal(v, k) if v.ndim == 2 else put(v, place, (n + abs(k), n + abs(k)))


RULES[np.trace] = lambda x, offset=0, axis1=0, axis2=1: np.sum(np.diagonal(x, offset, axis1, axis2), axis=-1)
RULES[np.tril] = lambda x, k=0: np.where(np.tri(*x.shape[-2:], k, bool), x, 0)
RULES[np.triu] = lambda x, k=0: np.where(np.tri(*x.shape[-2:], k - 1, bool), 0, x)


def _solve_db(g, ans, a, b):
    return np.linalg.solve(a.mT, g) if b.ndim > 1 else np.linalg.solve(a.mT, g[..., None])[..., 0]


def _solve_da(g, ans, a, b):
    db = _solve_db(g, ans, a, b)
    return -db @ ans.mT if b.ndim > 1 else -db[..., None] * ans[..., None, :]


primitive(np.linalg.solve, _solve_da, _solve_db, broadcasts=True)
primitive(np.linalg.inv, lambda g, ans, a: -ans.mT @ g @ ans.mT)
primitive(np.linalg.det, lambda g, ans, a: (g * ans)[..., None, None] * np.linalg.inv(a).mT)


@composite(np.linalg.norm)
def _norm(x, ord=None, axis=None, keepdims=False):
    vector = np.ndim(x) == 1 if axis is None else np.size(axis) == 1
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        squares = np.sum(x * x, axis=axis, keepdims=keepdims)
        zero = squares == 0  # the norm has a kink there: its slope is 0, and not 0/0
        return np.where(zero, 0, np.sqrt(np.where(zero, 1, squares)))
    if vector and ord in (1, np.inf, -np.inf):
        return {1: np.sum, np.inf: np.max, -np.inf: np.min}[ord](np.abs(x), axis=axis, keepdims=keepdims)
    raise NotImplementedError(
        f"np.linalg.norm of a Tensor with ord={ord!r}: vectors have None, 1, 2, inf and -inf, matrices None and 'fro'"
    )


# --- Shape -----------------------------------------------------------------------------------------


def _transpose(g, ans, like, axes=None):
    return g.transpose(None if axes is None else np.argsort(np.asarray(axes) % like.ndim))


def _roll(g, ans, x, shift, axis=None):
    return np.roll(g, -np.sum(shift) if axis is None else tuple(-np.atleast_1d(shift)), axis)


def _cast(x, dtype):
    return x.astype(dtype)


primitive(np.reshape, lambda g, ans, like, shape: g.reshape(like.shape), forward=lambda x, shape: x.reshape(shape))
primitive(np.expand_dims, lambda g, ans, like, axis: g.reshape(like.shape))
primitive(np.squeeze, lambda g, ans, like, axis=None: g.reshape(like.shape))
primitive(np.transpose, _transpose)
primitive(np.swapaxes, lambda g, ans, x, axis1, axis2: np.swapaxes(g, axis1, axis2))
primitive(np.moveaxis, lambda g, ans, x, source, destination: np.moveaxis(g, destination, source))
primitive(np.flip, lambda g, ans, x, axis=None: np.flip(g, axis))
primitive(np.roll, _roll)
primitive(np.copy, lambda g, ans, x: g)
_cast = primitive(_cast, lambda g, ans, like, dtype: g.astype(like.dtype))
RULES[np.ndarray.astype] = lambda x, dtype: _cast(x, dtype) if dtype.kind == "f" else x.value.astype(dtype)
RULES[np.ravel] = lambda x: np.reshape(x, -1)
RULES[np.fliplr] = lambda x: np.flip(x, 1)
RULES[np.flipud] = lambda x: np.flip(x, 0)
RULES[np.atleast_1d] = lambda x: x if x.ndim else x.reshape(1)
RULES[np.atleast_2d] = lambda x: x if x.ndim > 1 else x.reshape(1, -1)


@composite(np.tile)
def _tile(x, reps):
    ndim = max(x.ndim, np.size(reps))
    x = x.reshape((1,) * (ndim - x.ndim) + x.shape)
    for axis, times in enumerate(np.atleast_1d(reps)[::-1], 1):
        x = np.concatenate([x] * times, -axis) if times else x[(..., slice(0), *(slice(None),) * (axis - 1))]
    return x


@composite(np.repeat)
def _repeat(x, repeats, axis=None):
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return np.take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)


# --- Joining and splitting -------------------------------------------------------------------------


def _along(axis, ndim, index):
    """The index that is `index` for one axis and everything for the others."""
    return (slice(None),) * (axis % ndim) + (index,)


def _part(argnum, options, g, ans, *arrays):
    start, *_, stop = np.cumsum([0, *(x.shape[options["axis"]] for x in arrays[: argnum + 1])])[[argnum, argnum + 1]]
    return g[_along(options["axis"], g.ndim, slice(start, stop))]


_join = primitive(np.concatenate, _part, forward=lambda *arrays, axis: np.concatenate(arrays, axis), variadic=True)


@composite(np.concatenate)
def _concatenate(arrays, axis=0):
    return _join(*map(np.ravel, arrays), axis=0) if axis is None else _join(*arrays, axis=axis)


@composite(np.hstack)
def _hstack(arrays):
    arrays = [np.atleast_1d(array) for array in arrays]
    return np.concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


@composite(np.column_stack)
def _column_stack(arrays):
    return np.concatenate([array if np.ndim(array) > 1 else np.reshape(array, (-1, 1)) for array in arrays], 1)


RULES[np.stack] = lambda arrays, axis=0: _join(*(np.expand_dims(array, axis) for array in arrays), axis=axis)
RULES[np.vstack] = lambda arrays: np.concatenate([np.atleast_2d(array) for array in arrays])
RULES[np.append] = lambda x, values, axis=None: np.concatenate([x, values], axis)


def _split(split, x, indices_or_sections, axis=0):
    places = split(np.arange(x.shape[axis]), indices_or_sections)  # where NumPy cuts these, cut the array
    starts = [place[0] if len(place) else 0 for place in places]
    pieces = zip(starts, map(len, places), strict=True)
    return [x[_along(axis, x.ndim, slice(start, start + n))] for start, n in pieces]


RULES[np.split], RULES[np.array_split] = partial(_split, np.split), partial(_split, np.array_split)


@composite(np.diff)
def _diff(x, n=1, axis=-1):
    for _ in range(n):
        x = x[_along(axis, x.ndim, slice(1, None))] - x[_along(axis, x.ndim, slice(None, -1))]
    return x


# --- Indexing --------------------------------------------------------------------------------------


def names_entries(index: Any) -> bool:
    """Whether an array of integers is among the parts of an index: it may name an entry more than once."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list | tuple | np.ndarray) and np.asarray(part).dtype != bool for part in parts)


def _put(g, index, shape):
    """The transpose of indexing: zeros of `shape`, with g added at `index`."""
    if not isinstance(g, np.ndarray | np.generic):
        return g.put(index, shape)  # whoever writes the computation down (see trace.py)
    out = np.zeros(shape, g.dtype)
    if names_entries(index):
        np.add.at(out, index, g)
    else:
        out[index] = g
    return out


put = primitive(_put, lambda g, ans, x, index, shape: g[index])
_pick = primitive(getitem, lambda g, ans, like, index: put(g, index, like.shape))


@composite(getitem)
def _getitem(x, index):
    return _pick(x, tuple(map(stop_gradient, index)) if type(index) is tuple else stop_gradient(index))


@composite(np.take)
def _take(x, indices, axis=None):
    indices = np.asarray(stop_gradient(indices))
    indices = indices.astype(int) if indices.dtype == bool else indices  # positions 0 and 1, no mask
    return x.ravel()[indices] if axis is None else x[_along(axis, x.ndim, indices)]


@composite(np.take_along_axis)
def _take_along_axis(x, indices, axis=-1):
    if axis is None:
        return x.ravel()[indices]
    grid = list(np.ogrid[tuple(map(slice, x.shape))])
    grid[axis] = indices
    return x[tuple(grid)]


@composite(np.sort)
def _sort(x, axis=-1):
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return np.take_along_axis(x, np.argsort(x, axis=axis, kind="stable"), axis)


@composite(np.pad)
def _pad(x, pad_width, mode="constant", constant_values=0):
    widths = np.broadcast_to(pad_width, (x.ndim, 2))
    if mode == "constant":
        inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
        frame = np.pad(np.zeros(x.shape, x.dtype), pad_width, constant_values=constant_values)
        return put(x, inside, frame.shape) + frame
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise NotImplementedError(
            f"np.pad of a Tensor with mode={mode!r}; constant, edge, reflect, symmetric, wrap work"
        )
    for axis, width in enumerate(widths):  # these modes repeat entries: let NumPy say which
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

    Source: the softmax classifier of the fourth lecture.

    Examples
    --------
    >>> softmax(np.array([[1000.0, 1000.0], [0.0, 0.0]]))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    exps = np.exp(x - np.max(stop_gradient(x), axis=axis, keepdims=True))
    return exps / np.sum(exps, axis=axis, keepdims=True)


# --- Flat functions: signs, comparisons, positions, shapes -----------------------------------------

constant(np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round)
constant(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isclose, np.allclose)
constant(np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.isnan, np.isinf, np.isfinite)
constant(np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.any, np.all, np.array_equal)
constant(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.searchsorted)

# --- Operators -------------------------------------------------------------------------------------

# `x + y` of tensors goes to its row directly: what the base class does, without a detour that small arrays feel.


def _reflected(operation):
    return lambda self, other: operation(other, self)


NAMES = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide}
for name, f in (NAMES | {"pow": np.power, "matmul": np.matmul}).items():
    setattr(Tensor, f"__{name}__", RULES[f])
    setattr(Tensor, f"__r{name}__", _reflected(RULES[f]))
for name, f in {"__neg__": np.negative, "__getitem__": getitem, "sum": np.sum, "mean": np.mean}.items():
    setattr(Tensor, name, RULES[f])


def _over(self, other):
    """other / self.  Nobody needs the denominator of 1 / (1 + exp(−z)) again: the reciprocal has a row of its own."""
    one = type(other) in (int, float) and other == 1
    return RULES[np.reciprocal](self) if one else RULES[np.true_divide](other, self)


Tensor.__rtruediv__ = _over
