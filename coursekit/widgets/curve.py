"""The numbers of a loss curve: heights, scales and ticks."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from coursekit._typing import Array

COLUMNS = 480  # more points than these cannot be seen
Ticks = list[tuple[float, str]]


class View(NamedTuple):
    """The losses (T,), and how to show them."""

    losses: Array
    smooth: int
    log: bool

    def heights(self) -> tuple[Array, Array]:
        """Return the heights of the losses and of their running mean, (T,) each, with nan for a gap."""
        # Differences of larger losses would overflow.
        losses = np.clip(np.where(np.isfinite(self.losses), self.losses, np.nan), -1e300, 1e300)
        smooth = running_mean(losses, self.smooth)
        return (_log10(losses), _log10(smooth)) if self.log else (losses, smooth)


class Axis(NamedTuple):
    """A scale from `low` to `high` onto pixels `start` to `end`, and its ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: Ticks

    def place(self, value: Any) -> Any:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def scale(heights: Array, log: bool) -> tuple[float, float, Ticks]:
    """Return the limits of the vertical axis and its ticks."""
    low, high = _limits(heights, log)
    return low, high, _log_ticks(low, high) if log else linear_ticks(low, high)


def running_mean(values: Array, window: int) -> Array:
    """Return the mean of each value and of up to `window` − 1 values before it.

    A nan stays nan, and is left out of the other means.

    >>> running_mean(np.array([4.0, 2.0, np.nan, 6.0]), 2)
    array([ 4.,  3., nan,  6.])
    """
    window = min(window, len(values))
    if window <= 1:
        return values
    here = np.isfinite(values)
    padding = np.zeros(window - 1)
    # Not by differences of a cumulative sum: after a loss of 1e10, it has no digits left for one of 1e-8.
    windows = np.lib.stride_tricks.sliding_window_view
    # Divide before adding, so that the sum cannot overflow.
    counts = windows(np.concatenate([padding, here]), window).sum(axis=-1)
    sums = windows(np.concatenate([padding, np.where(here, values / window, 0.0)]), window).sum(axis=-1)
    return np.where(here, sums * (window / np.maximum(counts, 1)), np.nan)


def linear_ticks(low: float, high: float, about: int = 5) -> Ticks:
    """Return ticks at multiples of 1, 2 or 5 times a power of ten.

    >>> [label for _, label in linear_ticks(0.0, 2.4)]
    ['0.0', '0.5', '1.0', '1.5', '2.0']
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= 0.75 * rough)
    values = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    large = max(abs(low), abs(high)) >= 1e6
    return [(v, f"{v:.3g}" if large or decimals > 5 else f"{v:.{decimals}f}") for v in values]


def _log_ticks(low: float, high: float) -> Ticks:
    """Return ticks at powers of ten, and between them if these are few; the limits are logarithms.

    >>> [label for _, label in _log_ticks(-3.1, 0.4)]
    ['0.001', '0.01', '0.1', '1']
    >>> [label for _, label in _log_ticks(-1.1, 0.4)]
    ['0.1', '0.2', '0.5', '1', '2']
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    if high - low > 2.5:
        step = math.ceil(len(decades) / 6)
        return [(float(k), f"{10.0**k:g}") for k in decades if low <= k <= high and k % step == 0]
    between = [(k + math.log10(m), f"{m * 10.0**k:g}") for k in decades for m in (1, 2, 5)]
    ticks = [(value, label) for value, label in between if low <= value <= high]
    if len(ticks) >= 3:
        return ticks
    return [(math.log10(v), label) for v, label in linear_ticks(10.0**low, 10.0**high) if v > 0]


def _limits(heights: Array, log: bool) -> tuple[float, float]:
    drawn = heights[np.isfinite(heights)]
    if drawn.size == 0:
        return (-1.0, 0.0) if log else (0.0, 1.0)
    low, high = float(drawn.min()), float(drawn.max())
    if not log and 0 < low < high / 2:
        low = 0.0  # show 0, the best loss
    spread = high - low
    if spread <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        spread = 1.0 if log else max(abs(high), 1e-12)
        return low - spread / 2, high + spread / 2
    return (low if low == 0 and not log else low - 0.04 * spread), high + 0.04 * spread


def thinned(heights: Array) -> tuple[Array, Array]:
    """Return the points that can be seen: the smallest and the largest of each column.

    A column with a nan becomes a gap, so that no nan is lost.
    """
    if len(heights) <= 2 * COLUMNS:
        return np.arange(len(heights), dtype=np.float64), heights
    starts = np.linspace(0, len(heights), COLUMNS, endpoint=False).astype(int)
    ends = np.append(starts[1:], len(heights)) - 1
    both = np.column_stack([np.minimum.reduceat(heights, starts), np.maximum.reduceat(heights, starts)])
    return np.column_stack([starts, ends]).ravel().astype(np.float64), both.ravel()


def _log10(values: Array) -> Array:
    return np.log10(np.where(values > 0, np.maximum(values, 1e-300), np.nan))
