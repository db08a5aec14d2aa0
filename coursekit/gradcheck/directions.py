"""The comparison along random directions: a few evaluations, however many parameters there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from coursekit._typing import Array

from .numeric import SMALLER

ENOUGH = 1e-6  # an error below which nobody asks further


def error_along(
    f: Callable[[], float],
    value: Callable[[], float],
    points: Sequence[Array],
    gradients: Sequence[Array],
    directions: int,
    rng: np.random.Generator,
) -> tuple[float, bool]:
    """The largest difference between the slopes of a function and of its gradient, relative to the size of a slope.

    Parameters
    ----------
    f : callable
        The function of `points`, which are moved in place and put back.
    value : callable
        What it is now; asked for only where slopes do not agree.
    points, gradients : arrays
    directions : int
        A direction is a random sign for each entry of each array, the shorter the larger its gradient: so
        each array has the same share in the slope, and the same chance to show that it is wrong.
    rng : numpy.random.Generator

    Returns
    -------
    error : float
    at_kink : bool
        Whether left and right of the point the slopes differ, however small the step.
    """
    pairs = [(x, g) for x, g in zip(points, gradients, strict=True) if x.size]
    if not pairs:
        return 0.0, False
    sizes = [float(np.linalg.norm(g)) for _, g in pairs]
    largest = max(sizes)
    eps = max(float(np.finfo(x.dtype).eps) for x, _ in pairs)
    scale = max(float(np.linalg.norm(x)) / math.sqrt(x.size) for x, _ in pairs)
    step = eps ** (1 / 3) * max(1.0, scale)
    shares = [min(largest / size, 100.0) if size else 100.0 for size in sizes]
    lengths = [step * share / math.sqrt(x.size) for share, (x, _) in zip(shares, pairs, strict=True)]
    usual = max(1e-12 * step, *(size * length for size, length in zip(sizes, lengths, strict=True)))
    kept = [x.copy() for x, _ in pairs]
    xs = [x for x, _ in pairs]
    worst, at_kink = 0.0, False
    for _ in range(directions):
        moves = [_signs(rng, x.shape, length) for x, length in zip(xs, lengths, strict=True)]
        claimed = sum(float(np.vdot(g, move)) for (_, g), move in zip(pairs, moves, strict=True))
        typical = max(abs(claimed), usual)
        for smaller in (1.0, *SMALLER):
            if smaller < 1:
                moves = [0.1 * move for move in moves]
            above, below = _both_sides(f, xs, kept, moves)
            rounding = 8 * eps * abs(above) / smaller
            error = max(abs((above - below) / (2 * smaller) - claimed) - rounding, 0.0) / typical
            if error <= ENOUGH:
                break
            right, left = (above - value()) / smaller, (value() - below) / smaller
            if not abs(right - left) > 1e-4 * typical + 2 * rounding:
                break  # else there is a kink in between: closer to the point it may be gone
        else:
            at_kink = True
            if min(left, right) - rounding <= claimed <= max(left, right) + rounding:
                error = 0.0
        worst = worst if error <= worst else error  # a nan stays
    return worst, at_kink


def _signs(rng: np.random.Generator, shape: tuple[int, ...], length: float) -> Array:
    """±`length` in every entry, from as many random bits."""
    count = math.prod(shape)
    bits = np.unpackbits(np.frombuffer(rng.bytes(count // 8 + 1), np.uint8), count=count)
    signs = bits * (2 * length)
    signs -= length
    return signs.reshape(shape)


def _both_sides(f: Callable[[], float], xs: list[Array], kept: list[Array], moves: list[Array]) -> tuple[float, float]:
    try:
        for x, move in zip(xs, moves, strict=True):
            x += move
        above = f()
        for x, before, move in zip(xs, kept, moves, strict=True):
            np.subtract(before, move, out=x)
        return above, f()
    finally:
        for x, before in zip(xs, kept, strict=True):
            x[...] = before
