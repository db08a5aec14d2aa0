"""Numerical gradients: what the definition of the derivative says, however the function is written.

For its user, `numerical_gradient`. For the checker, `measure`: a gradient together with how far it can be
trusted, for a number without its error can prove nothing.

Every entry of x is moved in place, as the courses do it, and put back, also if the function raises.
So it does not matter whether a function computes with the array that it is handed or with the
same array known to it by another name (``net.params["W1"]``).

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
    """The gradient of f at x from values of f alone.

    Parameters
    ----------
    f : callable
        f(x) is a number, or an array Y: then the gradient is that of ΣY·upstream.
    x : array_like of floats, any shape and memory layout
        Its entries are moved one after the other, in place, and are afterwards what they were.
    upstream : array_like of the shape of f(x), optional
        Unless given, standard normal numbers from `rng`.
    method : {"auto", "central", "complex", "richardson"}
        "central", which is "auto": (f(x + h) − f(x − h)) / 2h in each entry, two evaluations an entry and nothing more.
        "complex": Im f(x + ih) / h, one evaluation an entry and exact to rounding, for an f that computes with
        complex numbers (no abs, no max, nothing that it makes real).
        "richardson": two central differences with steps h and 2h, four evaluations an entry.
    h : float, optional
        The step; unless given, a power of the machine precision of x (the cube root for "central"),
        times max(1, abs(x)), entry by entry.
    directions : int, optional
        Compare in so many random directions instead of entry by entry: 2 evaluations each, whatever the size of x.
    rng : numpy.random.Generator, optional
        For the upstream gradient and the directions; ``np.random.default_rng(0)`` unless given.

    Returns
    -------
    array of the shape of x, float64
        Or, with `directions`, the pair (slopes, directions) of shapes (k,) and (k, \\*x.shape): the slope along v
        is ∇f · v.

    Raises
    ------
    TypeError
        If x holds integers, which cannot be moved by a small step, or f returns no number.
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
        step /= max(1.0, float(np.sqrt(np.mean(vs**2))) * np.sqrt(x.size))  # as far as one entry alone would go
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
    """x itself if its entries can be moved in place; else a copy; an error if they are no floats."""
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
    """f as a function with a single real number as its value: ΣY·upstream, where f returns an array Y."""

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
        array = np.asarray(getattr(y, "value", y))  # of a Tensor or a Value its number
    except ValueError:
        raise TypeError(
            "f must return a number or an array of numbers, not a list of arrays of several shapes"
        ) from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"f must return a number or an array of numbers, not {type(y).__name__}")
    return array


@contextmanager
def restored(*arrays: Array) -> Iterator[list[Array]]:
    """Put the arrays back afterwards, whatever happens inside; yield copies of what they were."""
    before = [x.copy() for x in arrays]
    try:
        yield before
    finally:
        for x, kept in zip(arrays, before, strict=True):
            x[...] = kept


def slope(f: Callable[[Any], Any], x: Array, v: Array, step: float) -> float:
    """The derivative of f along v: a central difference."""
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
    """f with each of `entries` moved up and down, and how far it really moved, as four rows."""
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
    """A numerical gradient with what is known about its error.

    Attributes
    ----------
    gradient : array of the shape of x, float64
    slack : array of the shape of x
        How much an entry may be off by rounding in f, and by the step.
    kinks : array of bool
        Where f has no derivative: left and right of x the slopes differ, however small the step.
    low, high : arrays
        The smaller and the larger of these slopes; elsewhere the gradient.
    """

    gradient: Array
    slack: Array
    kinks: Array
    low: Array
    high: Array

    def close(self, other: Array, tolerance: Tolerance, more: float = 0.0) -> Array:
        """Where `other` is this gradient, within tolerance; at a kink anything between the slopes is right."""
        allowed = tolerance.allowed(self.gradient) + self.slack + more
        return np.asarray((other >= self.low - allowed) & (other <= self.high + allowed))


SMALLER = (1e-1, 1e-2, 1e-3)  # steps to try where a kink may be near
SECOND_LOOKS = 20


def measure(f: Callable[[Any], Any], x: Array, claimed: Array | None = None) -> Measured:
    """The numerical gradient of f at x, entry by entry, with a step that suits f, and the entries at kinks.

    Two evaluations an entry, and about forty to find the step.  Where `claimed` is something else, a second look
    is taken before anybody is blamed: is there a kink close by, or does this entry need a step of its own?
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
    jump = np.abs(right - left)  # much of it means a kink, or a strong curvature, between x − h and x + h
    jumps = jump > 1e-4 * largest + 4 * error
    if claimed is None or claimed.size != central.size:
        doubtful = np.flatnonzero(jumps)[np.argsort(-jump[jumps])][: max(50, len(entries) // 20)]
        alone = doubtful[:0]
    else:
        other = claimed.ravel().astype(float)
        off = ~(np.abs(other - central) <= 1e-6 * (np.abs(central) + largest) + error) & np.isfinite(other)
        between = (other >= np.minimum(left, right) - error) & (other <= np.maximum(left, right) + error)
        doubtful = np.flatnonzero(off & jumps)
        if len(doubtful) > 0.1 * len(entries):  # not all of these can be kinks' doing
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
    """Take smaller steps: the difference between the slopes left and right vanishes, unless the kink is at x itself."""
    error = float(result.slack[k])
    for smaller in SMALLER:
        (a,), (b,), (up,), (down,) = _both_sides(f, x, np.full(x.shape, step * smaller), [entry])
        right, left = (a - value) / up, (value - b) / down
        # A jump of rounding errors says nothing; of curvature it shrinks with the step.
        if abs(right - left) <= max(2 * smaller * jump, 4 * error / smaller):
            result.gradient[k] = result.low[k] = result.high[k] = (a - b) / (up + down)
            result.slack[k] = error / smaller
            return
    result.kinks[k] = True
    result.low[k], result.high[k] = min(right, left), max(right, left)


def _look_again(f: Callable[[Any], Any], x: Array, entry: Any, k: int, value: float, result: Measured) -> None:
    """Measure one entry with a step that suits it alone."""

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
    """A step for central differences that suits f, and how large the error of a difference then is.

    Along one direction the slope is taken with steps of many sizes.  Too large ones miss the curvature of
    f, too small ones drown in its rounding errors; between them the slope stays the same.  The smallest
    step at which it does, to nine digits or else to as many as can be had, also stays clear of most kinks.
    The direction is a step in one entry, where `claimed` is largest, and smaller random ones in all others.
    """
    eps = float(np.finfo(x.dtype).eps)
    largest = float(np.max(np.abs(x), initial=0))
    rng = np.random.default_rng(2)
    # Signs alone would be too regular: along (1, 1, 1) a softmax is linear.
    v = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape) / np.sqrt(max(x.size, 1))
    if claimed is not None and claimed.size == x.size > 0:
        v.flat[int(np.argmax(np.nan_to_num(np.abs(claimed))))] = 1.0
    scales = {10.0**k for k in range(-11, 0)} | {largest * 10.0**k for k in range(-11, 0)}
    # Steps that x + h does not feel at all are no use, and decades met twice neither.
    steps = [h for h in sorted(scales) if h / np.sqrt(max(x.size, 1)) > 4 * eps * largest and h > 1e-290]
    steps = [h for i, h in enumerate(steps) if i == 0 or h > 2 * steps[i - 1]]
    with np.errstate(all="ignore"):
        slopes = np.array([slope(f, x, v, h) for h in steps])
        gaps = np.abs(np.diff(slopes))
        # What the values of f tremble by: seen with the smallest steps, where nothing else is left.
        trembling = float(np.median((gaps * steps[:-1])[:4])) if len(steps) > 4 else 0.0
        rounding = np.fmax(4 * eps * abs(value), trembling if np.isfinite(trembling) else 0.0) / np.array(steps)
        # Of two neighbours the one that is farther off counts: a coincidence is no plateau.
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
