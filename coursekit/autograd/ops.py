"""The table of gradients: a row for each NumPy function that the course uses.

A row gives, for each array argument, the vector-Jacobian product (VJP): how the
upstream gradient ``g`` of the result ``ans`` becomes the gradient of that argument.

    elementwise(np.multiply, lambda g, _, _x, y: g * y, lambda g, _, x, _y: g * x)

reads: for ``ans = x * y``, the gradient of x is ``g * y``, for which y must be kept, and that of y is ``g * x``,
for which x must be kept.  What has an underscore in front is not kept, and of what is called ``like`` only the
shape and dtype are (see ``recording.py``).

VJPs use only operators, methods and NumPy functions that arrays and tensors share.
Handed arrays they compute at NumPy's speed; handed tensors they are recorded, and
this is all there is to second and third derivatives.  (``t *= y`` writes into ``t`` if it is
an array, and makes a new one if it is a tensor.)

Three kinds of function need no VJP: a `composite` is written with functions that
have a row, a `constant` is flat wherever it has a derivative, and whatever is not
in the table raises an error with its name.

The rest of NumPy is in ``numpy_ops.py``.

Source: the table of vector-Jacobian products is the idea of HIPS autograd (Maclaurin, Duvenaud and Adams, 2015).
"""

from functools import partial
from math import prod
from operator import getitem, pow
from typing import Any

import numpy as np

from coursekit.autograd.recording import primitive
from coursekit.autograd.tensor import RULES, Tensor, stop_gradient, unbroadcast

elementwise = partial(primitive, broadcasts=True)


def composite(*functions):
    """Decorate what to call when one of `functions` meets a tensor: it is written with functions in the table."""

    def add(replacement):
        for function in functions:
            RULES[function] = replacement
        return replacement

    return add


def constant(*functions):
    """Add functions whose result is a plain array: their derivative is zero wherever it exists."""
    for function in functions:
        RULES[function] = _of_values(function)


def _of_values(function):
    def operation(*args, **kwargs):
        if any(type(out) is Tensor for out in (*args[getattr(function, "nin", 2) :], kwargs.get("out"))):
            raise TypeError(f"np.{function.__name__} cannot write its result into a Tensor: leave out `out`")
        return function(*map(stop_gradient, args), **{name: stop_gradient(arg) for name, arg in kwargs.items()})

    return operation


# --- Arithmetic ------------------------------------------------------------------------------------


def _quotient_dy(g, ans, _x, y):
    t = -g
    t *= ans
    t /= y
    return t


def _reciprocal(g, ans, _x):
    t = -g
    t *= ans
    t *= ans
    return t


def _square(g, _, x):
    t = x + x  # faster than 2 * x: Python numbers are slow
    t *= g
    return t


def _power_dx(g, _, x, y):
    # y·x^(y−1).  Where y = 0 that is 0, but x^(−1) at x = 0 would make it nan.  A number stays a
    # number: an array of exponents would cost a call of pow per entry, and turn float32 into float64.
    if isinstance(y, int | float):
        return _square(g, None, x) if y == 2 else g * (y * x ** (y - 1 if y != 0 else 1))
    return g * (y * x ** np.where(y == 0, 1, y - 1))


def _power_dy(g, ans, x, _y):
    # ans·log x, but 0^y stays 0 for y > 0, and log 0 would make it nan.
    return g * ans * (log_of(x or 1, ans) if isinstance(x, int | float) else np.log(np.where(x == 0, 1, x)))


def log_of(number, like):
    return np.log(like.dtype.type(number))  # of the right dtype


elementwise(np.add, lambda g, *_: g, lambda g, *_: g)
elementwise(np.subtract, lambda g, *_: g, lambda g, *_: -g)
elementwise(np.multiply, lambda g, _, _x, y: g * y, lambda g, _, x, _y: g * x)
elementwise(np.true_divide, lambda g, _, _x, y: g / y, _quotient_dy)
elementwise(np.power, _power_dx, _power_dy, forward=pow)  # x ** 2 is faster than np.power(x, 2)
primitive(np.positive, lambda g, *_: g, forward=lambda x: x if type(x) is np.ndarray else +x)
primitive(np.negative, lambda g, *_: -g)
primitive(np.square, _square)
primitive(np.reciprocal, _reciprocal, forward=lambda x: 1 / x)  # in half the time of np.reciprocal

# --- Functions of one number -----------------------------------------------------------------------

primitive(np.exp, lambda g, ans, _x: g * ans)
primitive(np.log, lambda g, _, x: g / x)
primitive(np.sqrt, lambda g, ans, _x: 0.5 * g / ans)
primitive(np.absolute, lambda g, _, x: g * np.sign(x))  # 0 at the kink
primitive(np.tanh, lambda g, ans, _x: g * (1 - ans * ans))

# --- Functions of two numbers, and choices ---------------------------------------------------------

# At a tie the whole gradient goes to the first argument.  So np.maximum(0, z) passes nothing back where
# z = 0, as the lectures' ReLU, whose mask is z > 0.
elementwise(np.maximum, lambda g, _, x, y: g * (x >= y), lambda g, _, x, y: g * np.logical_not(x >= y))
elementwise(np.minimum, lambda g, _, x, y: g * (x <= y), lambda g, _, x, y: g * np.logical_not(x <= y))
elementwise(np.where, None, lambda g, _, c, _x, _y: np.where(c, g, 0), lambda g, _, c, _x, _y: np.where(c, 0, g))


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


spread = primitive(_spread, lambda g, _, like, shape: unbroadcast(g, like.shape))
primitive(np.broadcast_to, lambda g, _, like, shape: unbroadcast(g, like.shape))


def _restored(g, axis, keepdims):
    """Put the reduced axes back with length 1, so that g broadcasts against what was reduced."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _sum(g, _, like, axis=None, keepdims=False):
    return spread(_restored(g, axis, keepdims), like.shape)


def _mean(g, _, like, axis=None, keepdims=False):
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
for f in np.max, np.min:
    primitive(f, _extremum, forward=_reduction(f))


@composite(np.var)
def _var(x, axis=None, ddof=0, keepdims=False):
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    total = np.sum(deviation * deviation, axis=axis, keepdims=keepdims)
    return total / (x.size // max(total.size, 1) - ddof)


@composite(np.std)
def _std(x, axis=None, ddof=0, keepdims=False):
    return np.sqrt(np.var(x, axis=axis, ddof=ddof, keepdims=keepdims))


# --- Linear algebra --------------------------------------------------------------------------------


def _matmul(x, y):
    return x.dot(y) if x.ndim == 2 == y.ndim else np.matmul(x, y)  # dot has less overhead


def _matmul_dx(g, _, x, y):
    if y.ndim == 2 == x.ndim:
        return g.dot(y.T)
    if y.ndim == 1:
        return g * y if x.ndim == 1 else g[..., None] * y
    if x.ndim == 1:
        return np.dot(y, g) if y.ndim == 2 else unbroadcast((y @ g[..., None])[..., 0], x.shape)
    return unbroadcast(g @ y.mT, x.shape)


def _matmul_dy(g, _, x, y):
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


# --- Shape -----------------------------------------------------------------------------------------


def _transpose(g, _, like, axes=None):
    return g.transpose(None if axes is None else np.argsort(np.asarray(axes) % like.ndim))


def _cast(x, dtype):
    return x.astype(dtype)


primitive(np.reshape, lambda g, _, like, shape: g.reshape(like.shape), forward=lambda x, shape: x.reshape(shape))
primitive(np.expand_dims, lambda g, _, like, axis: g.reshape(like.shape))
primitive(np.squeeze, lambda g, _, like, axis=None: g.reshape(like.shape))
primitive(np.transpose, _transpose)
_cast = primitive(_cast, lambda g, _, like, dtype: g.astype(like.dtype))
RULES[np.ndarray.astype] = lambda x, dtype: _cast(x, dtype) if dtype.kind == "f" else x.value.astype(dtype)
RULES[np.ravel] = lambda x: np.reshape(x, -1)
RULES[np.atleast_1d] = lambda x: x if x.ndim else x.reshape(1)
RULES[np.atleast_2d] = lambda x: x if x.ndim > 1 else x.reshape(1, -1)


# --- Joining and splitting -------------------------------------------------------------------------


def along(axis, ndim, index):
    """Return the index that is `index` for one axis and everything for the others."""
    return (slice(None),) * (axis % ndim) + (index,)


def _part(argnum, options, g, _, *like):
    start, stop = np.cumsum([0, *(x.shape[options["axis"]] for x in like[: argnum + 1])])[[argnum, argnum + 1]]
    return g[along(options["axis"], g.ndim, slice(start, stop))]


join = primitive(np.concatenate, _part, forward=lambda *arrays, axis: np.concatenate(arrays, axis), variadic=True)


@composite(np.concatenate)
def _concatenate(arrays, axis=0):
    return join(*map(np.ravel, arrays), axis=0) if axis is None else join(*arrays, axis=axis)


RULES[np.stack] = lambda arrays, axis=0: join(*(np.expand_dims(array, axis) for array in arrays), axis=axis)

# --- Indexing --------------------------------------------------------------------------------------


def names_entries(index: Any) -> bool:
    """Say whether an array of integers is among the parts of an index: it may name an entry more than once."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list | tuple | np.ndarray) and np.asarray(part).dtype != bool for part in parts)


def _put(g, index, shape):
    """Return zeros of `shape` with g added at `index`: the transpose of indexing."""
    if not isinstance(g, np.ndarray | np.generic):
        return g.put(index, shape)  # a line of a trace (see coursekit/tracing)
    out = np.zeros(shape, g.dtype)
    if names_entries(index):
        np.add.at(out, index, g)
    else:
        out[index] = g
    return out


put = primitive(_put, lambda g, _, _x, index, shape: g[index])
_pick = primitive(getitem, lambda g, _, like, index: put(g, index, like.shape))


@composite(getitem)
def _getitem(x, index):
    return _pick(x, tuple(map(stop_gradient, index)) if type(index) is tuple else stop_gradient(index))


# --- Softmax, stable for any scores ----------------------------------------------------------------


def logsumexp(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """Compute log Σ exp(x) without overflow: the largest x is taken out of the sum.

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
    """Compute the logarithm of `softmax`, exact also where a probability is too small for a float.

    Examples
    --------
    >>> log_softmax(np.array([0.0, -2000.0]))
    array([    0., -2000.])
    """
    shifted = x - np.max(stop_gradient(x), axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def softmax(x: Any, axis: int = -1) -> Any:
    """Compute probabilities from scores: exp(x) / Σ exp(x) along `axis`, of the shape of x.

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

constant(np.sign, np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
constant(np.logical_and, np.logical_or, np.logical_not, np.argmax, np.argmin, np.any, np.all)
constant(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like)
