"""Numerical gradients: the definition of the derivative, for any function.

Users call `numerical_gradient`.  The checker calls `measure`, which also returns the error of each entry: without it,
a number proves nothing.

Every entry of x is moved in place, as in the courses, and put back, even if the function raises.
So a function may compute with its argument or with the same array under another name (``net.params["W1"]``).

Source: the numerical gradients of the first lecture; step sizes as in Nocedal and Wright, Numerical Optimization, 8.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coursekit._typing import Array
from coursekit.reporting import Tolerance


def numerical_gradient(
    f: Callable[[Any], Any],
    x: npt.ArrayLike,
    upstream: npt.ArrayLike | None = None,
    method: str = "auto",
    h: float | None = None,
    directions: int | None = None,
    rng: np.random.Generator | None = None,
) -> Any:
    """Compute the gradient of f at x from values of f alone.

    Parameters
    ----------
    f : callable
        f(x) is a number, or an array Y: then the gradient is that of ΣY·upstream.
    x : array_like of floats, any shape and memory layout
        Its entries are moved in place, one after the other, and put back.
    upstream : array_like of the shape of f(x), optional
        Standard normal numbers from `rng` by default.
    method : {"auto", "central", "complex", "richardson"}
        "central", the default: (f(x + h) − f(x − h)) / 2h in each entry, with two evaluations per entry.
        "complex": Im f(x + ih) / h, exact to rounding with one evaluation per entry, for an f that computes with
        complex numbers (no abs, no max, nothing that makes them real).
        "richardson": two central differences with steps h and 2h, four evaluations per entry.
    h : float, optional
        The step.  By default, a power of the machine precision of x (the cube root for "central")
        times max(1, abs(x)), entry by entry.
    directions : int, optional
        Measure along this many random directions instead of entry by entry: 2 evaluations each for x of any size.
    rng : numpy.random.Generator, optional
        For the upstream gradient and the directions; ``np.random.default_rng(0)`` by default.

    Returns
    -------
    array of the shape of x, float64
        With `directions`, the pair (slopes, directions) of shapes (k,) and (k, \\*x.shape); the slope along v
        is ∇f · v.

    Raises
    ------
    TypeError
        If x holds integers, which cannot be moved by a small step, or f does not return a number.
    ValueError
        If `upstream` does not have the shape of f(x), or "complex" is asked for and f does not allow it.

    Examples
    --------
    >>> numerical_gradient(lambda x: np.sum(x ** 2), np.array([5.0, 3.0])).round(6)
    array([10.,  6.])
    >>> numerical_gradient(np.sin, np.array([0.0, 1.0]), upstream=[1.0, 10.0]).round(6)
    array([1.      , 5.403023])
    >>> slopes, v = numerical_gradient(lambda x: np.sum(x ** 2), np.ones((50, 50)), directions=3)
    >>> bool(np.allclose(slopes, 2 * v.sum(axis=(1, 2))))
    True
    """
    x = moveable(x)
    rng = np.random.default_rng(0) if rng is None else rng
    if method not in ("auto", "central", "complex", "richardson"):
        raise ValueError(f"method is 'auto', 'central', 'complex' or 'richardson', not {method!r}")
    f = Scalar(f, upstream, rng)
    if directions is not None:
        vs = rng.standard_normal((directions, *x.shape))
        step = h or np.cbrt(np.finfo(x.dtype).eps) * max(1.0, float(np.max(np.abs(x), initial=0)))
        step /= max(1.0, float(np.sqrt(np.mean(vs**2))) * np.sqrt(x.size))  # as long as a step in one entry
        return np.array([slope(f, x, v, step) for v in vs]), vs
    if method == "complex":
        return _complex_step(f, x, h or 1e-30)
    power = 1 / 5 if method == "richardson" else 1 / 3
    steps = np.full(x.shape, h) if h else np.finfo(x.dtype).eps ** power * np.maximum(1.0, np.abs(x))
    central = _differences(f, x, steps)
    if method != "richardson":
        return central
    return (4 * central - _differences(f, x, 2 * steps)) / 3  # the errors of order h² cancel


def moveable(x: npt.ArrayLike) -> Array:
    """Return x if its entries can be moved in place, else a copy; raise TypeError if they are not floats."""
    array = np.asarray(x)
    if array.dtype.kind in "iub":
        raise TypeError(
            f"x holds {array.dtype}, and an integer cannot be moved by a small step (1 + 0.00001 would be stored "
            "as 1): use x.astype(float), or write 3.0 for 3"
        )
    if array.dtype.kind != "f":
        raise TypeError(f"x holds {array.dtype}; a gradient needs real floating-point numbers")
    return array if array is x and array.flags.writeable else array.copy()


class Scalar:
    """A function whose value is one real number: f(x), or ΣY·upstream where f returns an array Y."""

    def __init__(self, f: Callable[[Any], Any], upstream: npt.ArrayLike | None, rng: np.random.Generator) -> None:
        self.f, self.rng = f, rng
        self.upstream = None if upstream is None else np.asarray(upstream)
        self.evaluations = 0

    def __call__(self, x: Any) -> Any:
        self.evaluations += 1
        y = number_or_array(self.f(x))
        if self.upstream is None:
            if y.size == 1:
                return y.item()
            self.upstream = self.rng.standard_normal(y.shape)
        if y.shape != self.upstream.shape and (y.size, self.upstream.size) != (1, 1):
            raise ValueError(f"the upstream gradient has shape {self.upstream.shape}, but f(x) has {y.shape}")
        return (y * self.upstream).sum().item()


def number_or_array(y: Any) -> Array:
    if y is None:
        raise TypeError("f returned None: is a `return` missing?")
    if type(y) is float:
        return np.asarray(y)
    if isinstance(y, tuple):
        raise TypeError(f"f returned {len(y)} values; one is needed: lambda x: f(x)[0] takes the first of them")
    try:
        array = np.asarray(getattr(y, "value", y))  # the number in a Tensor or a Value
    except ValueError:
        raise TypeError(
            "f must return a number or an array of numbers, not a list of arrays of several shapes"
        ) from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"f must return a number or an array of numbers, not {type(y).__name__}")
    return array


@contextmanager
def restored(*arrays: Array) -> Iterator[list[Array]]:
    """Yield copies of the arrays, and restore them afterwards, even after an exception."""
    before = [x.copy() for x in arrays]
    try:
        yield before
    finally:
        for x, kept in zip(arrays, before, strict=True):
            x[...] = kept


def slope(f: Callable[[Any], Any], x: Array, v: Array, step: float) -> float:
    """Return the derivative of f along v, by a central difference."""
    with restored(x) as (before,):
        x[...] = before + step * v
        above = f(x)
        x[...] = before - step * v
        return float((above - f(x)) / (2 * step))


def _differences(f: Callable[[Any], Any], x: Array, steps: Array) -> Array:
    above, below, width_above, width_below = _both_sides(f, x, steps, np.ndindex(x.shape))
    slopes: Array = (above - below) / (width_above + width_below)
    return slopes.reshape(x.shape)


def _both_sides(f: Callable[[Any], Any], x: Array, steps: Array, entries: Any) -> Array:
    """Move each of `entries` up and down; return f above, f below, and the two distances moved, as four rows."""
    rows = []
    for i in entries:
        kept, step = x[i], steps[i]
        try:
            x[i] = kept + step
            up = float(x[i]) - float(kept)  # not quite `step`: x + h is rounded
            above = f(x)
            x[i] = kept - step
            rows.append((above, f(x), up, float(kept) - float(x[i])))
        finally:
            x[i] = kept
    return np.array(rows, dtype=float).reshape(-1, 4).T


def _complex_step(f: Scalar, x: Array, h: float) -> Array:
    moved = x.astype(complex)
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        moved[i] += 1j * h
        with np.errstate(all="ignore"):
            y = f(moved)
        moved[i] = x[i]
        if not isinstance(y, complex):
            raise ValueError("f makes its result real, so a complex step sees nothing; use method='central'")
        gradient[i] = y.imag / h
    rng = np.random.default_rng(1)
    v = rng.standard_normal(x.shape)
    expected = slope(f, x, v, 1e-6 / max(1.0, float(np.sqrt(x.size))))
    found = float(np.sum(gradient * v))
    if not abs(found - expected) <= 1e-4 * (abs(found) + abs(expected)) + 1e-6:
        raise ValueError(
            "with complex numbers f is another function (np.abs, a comparison, a maximum or .real in it?): "
            "use method='central'"
        )
    return gradient


# --- For the checker: a gradient, and how far it can be trusted ------------------------------------------------


@dataclass
class Measured:
    """A numerical gradient and its error.

    Attributes
    ----------
    gradient : array of the shape of x, float64
    slack : array of the shape of x
        The error of an entry from rounding in f and from the step.
    kinks : array of bool
        Where f has no derivative: the slopes on the left and right of x differ for any step.
    low, high : arrays
        The smaller and the larger of these two slopes; elsewhere the gradient.
    """

    gradient: Array
    slack: Array
    kinks: Array
    low: Array
    high: Array

    def close(self, other: Array, tolerance: Tolerance, more: float = 0.0) -> Array:
        """Return where `other` agrees with this gradient; at a kink, any number between the two slopes does."""
        allowed = tolerance.allowed(self.gradient) + self.slack + more
        return np.asarray((other >= self.low - allowed) & (other <= self.high + allowed))


SMALLER = (1e-1, 1e-2, 1e-3)  # steps to try where a kink may be near
SECOND_LOOKS = 20


def measure(f: Callable[[Any], Any], x: Array, claimed: Array | None = None) -> Measured:
    """Measure the gradient of f at x, entry by entry, with a step that suits f, and find the entries at kinks.

    This takes two evaluations per entry, and about forty to find the step.  An entry in which `claimed` differs is
    measured again: there may be a kink nearby, or the entry may need its own step.
    """
    value = f(x)
    step, error = best_step(f, x, value, claimed)
    entries = list(np.ndindex(x.shape))
    above, below, up, down = _both_sides(f, x, np.full(x.shape, step), entries)
    central = (above - below) / (up + down)
    right, left = (above - value) / up, (value - below) / down
    result = Measured(
        central, np.full(len(entries), error), np.zeros(len(entries), bool), central.copy(), central.copy()
    )
    largest = float(np.max(np.abs(central[np.isfinite(central)]), initial=0))
    jump = np.abs(right - left)  # large at a kink or a strong curvature between x − h and x + h
    jumps = jump > 1e-4 * largest + 4 * error
    if claimed is None or claimed.size != central.size:
        doubtful = np.flatnonzero(jumps)[np.argsort(-jump[jumps])][: max(50, len(entries) // 20)]
        alone = doubtful[:0]
    else:
        other = claimed.ravel().astype(float)
        off = ~(np.abs(other - central) <= 1e-6 * (np.abs(central) + largest) + error) & np.isfinite(other)
        between = (other >= np.minimum(left, right) - error) & (other <= np.maximum(left, right) + error)
        doubtful = np.flatnonzero(off & jumps)
        if len(doubtful) > 0.1 * len(entries):  # kinks cannot explain so many
            doubtful = np.append(np.flatnonzero(off & jumps & between), doubtful[:50])
        alone = np.flatnonzero((off & ~jumps) | ~np.isfinite(central))
    for k in doubtful:
        _look_for_kink(f, x, entries[k], int(k), value, step, float(jump[k]), result)
    for k in alone if len(alone) <= SECOND_LOOKS else ():
        _look_again(f, x, entries[k], int(k), value, result)
    shaped = (a.reshape(x.shape) for a in (result.gradient, result.slack, result.kinks, result.low, result.high))
    return Measured(*shaped)


def _look_for_kink(
    f: Callable[[Any], Any], x: Array, entry: Any, k: int, value: float, step: float, jump: float, result: Measured
) -> None:
    """Take smaller steps: the slopes on the left and right become equal, unless the kink is at x itself."""
    error = float(result.slack[k])
    for smaller in SMALLER:
        (a,), (b,), (up,), (down,) = _both_sides(f, x, np.full(x.shape, step * smaller), [entry])
        right, left = (a - value) / up, (value - b) / down
        # A jump from rounding proves nothing; one from curvature shrinks with the step.
        if abs(right - left) <= max(2 * smaller * jump, 4 * error / smaller):
            result.gradient[k] = result.low[k] = result.high[k] = (a - b) / (up + down)
            result.slack[k] = error / smaller
            return
    result.kinks[k] = True
    result.low[k], result.high[k] = min(right, left), max(right, left)


def _look_again(f: Callable[[Any], Any], x: Array, entry: Any, k: int, value: float, result: Measured) -> None:
    """Measure one entry again with its own step."""

    def of_entry(_: Any) -> Any:
        kept = x[entry]
        try:
            x[entry] = alone[()]
            return f(x)
        finally:
            x[entry] = kept

    alone = np.array(x[entry])
    step, error = best_step(of_entry, alone, value)
    again = slope(of_entry, alone, np.ones(()), step)
    result.gradient[k] = result.low[k] = result.high[k] = again
    result.slack[k] = error


def best_step(f: Callable[[Any], Any], x: Array, value: float, claimed: Array | None = None) -> tuple[float, float]:
    """Find a step for central differences that suits f; return it and the error of a difference with it.

    The slope along one direction is measured with steps of many sizes.  Large steps suffer from the curvature of
    f, small ones from its rounding errors; between them the slope is stable.  The smallest step with a slope
    that is stable to nine digits (or as many as possible) also avoids most kinks.
    The direction is a step in the entry in which `claimed` is largest, and smaller random steps in the others.
    """
    eps = float(np.finfo(x.dtype).eps)
    largest = float(np.max(np.abs(x), initial=0))
    rng = np.random.default_rng(2)
    # Not only signs: along (1, 1, 1), a softmax is linear.
    v = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape) / np.sqrt(max(x.size, 1))
    if claimed is not None and claimed.size == x.size > 0:
        v.flat[int(np.argmax(np.nan_to_num(np.abs(claimed))))] = 1.0
    scales = {10.0**k for k in range(-11, 0)} | {largest * 10.0**k for k in range(-11, 0)}
    # Leave out steps so small that x + h is x, and those close to another.
    steps = [h for h in sorted(scales) if h / np.sqrt(max(x.size, 1)) > 4 * eps * largest and h > 1e-290]
    steps = [h for i, h in enumerate(steps) if i == 0 or h > 2 * steps[i - 1]]
    with np.errstate(all="ignore"):
        slopes = np.array([slope(f, x, v, h) for h in steps])
        gaps = np.abs(np.diff(slopes))
        # The noise in the values of f: the smallest steps show nothing else.
        trembling = float(np.median((gaps * steps[:-1])[:4])) if len(steps) > 4 else 0.0
        rounding = np.fmax(4 * eps * abs(value), trembling if np.isfinite(trembling) else 0.0) / np.array(steps)
        # The larger difference to a neighbour counts: two equal slopes may be a coincidence.
        errors = np.maximum(np.maximum(np.append(gaps, 0.0), np.append(0.0, gaps)), rounding)
    errors[~np.isfinite(errors)] = np.inf
    if not np.isfinite(errors).any():
        return float(np.cbrt(eps) * max(1.0, largest)), 0.0
    chosen = int(np.argmin(errors))
    for digits in range(9, 3, -1):
        good = np.flatnonzero(errors <= 10.0**-digits * np.abs(slopes))
        if len(good):
            chosen = int(good[0])
            break
    return steps[chosen], float(10 * errors[chosen])
