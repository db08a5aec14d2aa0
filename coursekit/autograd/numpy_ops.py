"""The table of gradients, continued: the rest of NumPy.

Nothing here is new.  Each section adds rows to the one of the same kind in ``ops.py``.
"""

import string
from functools import partial

import numpy as np

from coursekit.autograd.ops import along, composite, constant, elementwise, log_of, put
from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES, stop_gradient

# --- Functions of one number -----------------------------------------------------------------------

primitive(np.exp2, lambda g, ans, _x: g * ans * log_of(2, ans))
primitive(np.expm1, lambda g, ans, _x: g * (ans + 1))
primitive(np.log2, lambda g, _, x: g / x / log_of(2, x))
primitive(np.log10, lambda g, _, x: g / x / log_of(10, x))
primitive(np.log1p, lambda g, _, x: g / (1 + x))
primitive(np.cbrt, lambda g, ans, _x: g / (3 * ans * ans))
primitive(np.fabs, lambda g, _, x: g * np.sign(x))
primitive(np.sin, lambda g, _, x: g * np.cos(x))
primitive(np.cos, lambda g, _, x: -g * np.sin(x))
primitive(np.tan, lambda g, ans, _x: g * (1 + ans * ans))
primitive(np.arcsin, lambda g, _, x: g / np.sqrt(1 - x * x))
primitive(np.arccos, lambda g, _, x: -g / np.sqrt(1 - x * x))
primitive(np.arctan, lambda g, _, x: g / (1 + x * x))
primitive(np.sinh, lambda g, _, x: g * np.cosh(x))
primitive(np.cosh, lambda g, _, x: g * np.sinh(x))
primitive(np.arcsinh, lambda g, _, x: g / np.sqrt(x * x + 1))
primitive(np.arccosh, lambda g, _, x: g / np.sqrt(x * x - 1))
primitive(np.arctanh, lambda g, _, x: g / (1 - x * x))
for f in np.radians, np.deg2rad:
    primitive(f, lambda g, *_: np.radians(g))
for f in np.degrees, np.rad2deg:
    primitive(f, lambda g, *_: np.degrees(g))

# --- Functions of two numbers, and choices ---------------------------------------------------------

elementwise(np.remainder, lambda g, *_: g, lambda g, _, x, y: -g * (x // y))
elementwise(np.arctan2, lambda g, _, y, x: g * x / (x * x + y * y), lambda g, _, y, x: -g * y / (x * x + y * y))
elementwise(np.hypot, lambda g, ans, x, _y: g * x / ans, lambda g, ans, _x, y: g * y / ans)
elementwise(np.logaddexp, lambda g, ans, x, _y: g * np.exp(x - ans), lambda g, ans, _x, y: g * np.exp(y - ans))
for f, first in (np.fmax, np.greater_equal), (np.fmin, np.less_equal):  # these pass over a nan
    RULES[f] = lambda x, y, first=first: np.where(np.logical_or(first(x, y), np.isnan(y)), x, y)


# --- Reductions ------------------------------------------------------------------------------------

RULES[np.amax], RULES[np.amin] = RULES[np.max], RULES[np.min]


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


_cumsum = primitive(np.cumsum, lambda g, _, _x, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis))
RULES[np.cumsum] = lambda x, axis=None: _cumsum(x.ravel(), 0) if axis is None else _cumsum(x, axis)

# --- Linear algebra --------------------------------------------------------------------------------


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


def _einsum_vjp(argnum, options, g, _, *arrays):
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


def _solve_db(g, _, a, b):
    return np.linalg.solve(a.mT, g) if b.ndim > 1 else np.linalg.solve(a.mT, g[..., None])[..., 0]


def _solve_da(g, ans, a, b):
    db = _solve_db(g, ans, a, b)
    return -db @ ans.mT if b.ndim > 1 else -db[..., None] * ans[..., None, :]


primitive(np.linalg.solve, _solve_da, _solve_db, broadcasts=True)
primitive(np.linalg.inv, lambda g, ans, _a: -ans.mT @ g @ ans.mT)
primitive(np.linalg.det, lambda g, ans, a: (g * ans)[..., None, None] * np.linalg.inv(a).mT)


@composite(np.linalg.norm)
def _norm(x, ord=None, axis=None, keepdims=False):
    vector = np.ndim(x) == 1 if axis is None else np.size(axis) == 1
    if ord is None or (ord == 2 and vector) or (ord == "fro" and not vector):
        squares = np.sum(x * x, axis=axis, keepdims=keepdims)
        zero = squares == 0  # the norm has a kink there: its gradient is 0, and not 0/0
        return np.where(zero, 0, np.sqrt(np.where(zero, 1, squares)))
    if vector and ord in (1, np.inf, -np.inf):
        return {1: np.sum, np.inf: np.max, -np.inf: np.min}[ord](np.abs(x), axis=axis, keepdims=keepdims)
    raise NotImplementedError(
        f"np.linalg.norm of a Tensor with ord={ord!r}: vectors have None, 1, 2, inf and -inf, matrices None and 'fro'"
    )


# --- Shape -----------------------------------------------------------------------------------------


def _roll(g, _, _x, shift, axis=None):
    return np.roll(g, -np.sum(shift) if axis is None else tuple(-np.atleast_1d(shift)), axis)


primitive(np.swapaxes, lambda g, _, _x, axis1, axis2: np.swapaxes(g, axis1, axis2))
primitive(np.moveaxis, lambda g, _, _x, source, destination: np.moveaxis(g, destination, source))
primitive(np.flip, lambda g, _, _x, axis=None: np.flip(g, axis))
primitive(np.roll, _roll)
primitive(np.copy, lambda g, *_: g)
RULES[np.fliplr] = lambda x: np.flip(x, 1)
RULES[np.flipud] = lambda x: np.flip(x, 0)


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


@composite(np.hstack)
def _hstack(arrays):
    arrays = [np.atleast_1d(array) for array in arrays]
    return np.concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


@composite(np.column_stack)
def _column_stack(arrays):
    return np.concatenate([array if np.ndim(array) > 1 else np.reshape(array, (-1, 1)) for array in arrays], 1)


RULES[np.vstack] = lambda arrays: np.concatenate([np.atleast_2d(array) for array in arrays])
RULES[np.append] = lambda x, values, axis=None: np.concatenate([x, values], axis)


def _split(split, x, indices_or_sections, axis=0):
    places = split(np.arange(x.shape[axis]), indices_or_sections)  # where NumPy cuts these, cut the array
    starts = [place[0] if len(place) else 0 for place in places]
    pieces = zip(starts, map(len, places), strict=True)
    return [x[along(axis, x.ndim, slice(start, start + n))] for start, n in pieces]


RULES[np.split], RULES[np.array_split] = partial(_split, np.split), partial(_split, np.array_split)


@composite(np.diff)
def _diff(x, n=1, axis=-1):
    for _ in range(n):
        x = x[along(axis, x.ndim, slice(1, None))] - x[along(axis, x.ndim, slice(None, -1))]
    return x


# --- Indexing --------------------------------------------------------------------------------------


@composite(np.take)
def _take(x, indices, axis=None):
    indices = np.asarray(stop_gradient(indices))
    indices = indices.astype(int) if indices.dtype == bool else indices  # positions 0 and 1, no mask
    return x.ravel()[indices] if axis is None else x[along(axis, x.ndim, indices)]


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


# --- Flat functions: signs, comparisons, positions, shapes -----------------------------------------

constant(np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide, np.round)
constant(np.logical_xor, np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal)
constant(np.argsort, np.nonzero, np.count_nonzero, np.searchsorted, np.empty_like)
