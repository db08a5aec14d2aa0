"""Curves over a common axis: losses, learning rates, and other series of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from .arguments import are, as_curves, as_numbers, counted, require_between
from .drawing import draw_curves, literal, new_axes
from .picture import Picture


def show_losses(histories: Mapping[str, ArrayLike], log: bool = False) -> Picture:
    """Compare the losses of several training runs.

    Parameters
    ----------
    histories : dict of str to sequence of float
        One curve per run, for example ``{"lr 0.1": history}``.
    log : bool
        Whether the axis is logarithmic; values that are not positive leave a gap.

    Examples
    --------
    >>> print(show_losses({"slow": [2.0, 1.5], "fast": [2.0, 0.5]}).text)
    slow: 2 iterations; first loss 2, last 1.5, smallest 1.5 at iteration 1.
    fast: 2 iterations; first loss 2, last 0.5, smallest 0.5 at iteration 1.
    """
    curves = as_curves("show_losses", "histories", histories)
    series = {name: as_numbers("show_losses", f"histories[{name!r}]", curves[name], ndim=1) for name in curves}

    figure, ax = new_axes(6.4, 3.4)
    draw_curves(ax, {name: (np.arange(len(losses)), losses) for name, losses in series.items()})
    if log:
        # "mask" leaves a gap where the logarithm does not exist.
        ax.set_yscale("log", nonpositive="mask")
    ax.set(xlabel="iteration", ylabel="loss (log scale)" if log else "loss")

    lines = [f"{name}: {describe_losses(losses)}" for name, losses in series.items()]
    hidden = sum(int((losses <= 0).sum()) for losses in series.values()) if log else 0
    if hidden:
        lines.append(f"{counted(hidden, 'loss', 'losses')} {are(hidden)} not positive: not on a log scale.")
    return Picture(
        figure,
        caption=f"Loss of {counted(len(series), 'run')} over the iterations",
        alt="Line plot of the loss against the iteration. " + " ".join(lines),
        text="\n".join(lines),
    )


def describe_losses(losses: ArrayLike) -> str:
    """Describe a loss curve in words.

    Parameters
    ----------
    losses : array, shape (T,)
        One loss per iteration; nan and inf are named.

    Examples
    --------
    >>> describe_losses([2.5, 0.5, 0.75])
    '3 iterations; first loss 2.5, last 0.75, smallest 0.5 at iteration 1.'
    >>> describe_losses([2.5, 9.0, float("inf"), float("nan")])
    '4 iterations; first loss 2.5, last nan, smallest 2.5 at iteration 0. The loss became inf at iteration 2.'
    """
    losses = np.asarray(losses, dtype=np.float64)
    if len(losses) == 0:
        return "No losses yet."
    finite = np.isfinite(losses)
    said = f"{counted(len(losses), 'iteration')}; first loss {losses[0]:.4g}, last {losses[-1]:.4g}"
    if finite.any():
        best = int(np.argmin(np.where(finite, losses, np.inf)))
        said += f", smallest {losses[best]:.4g} at iteration {best}"
    if not finite.all():
        broken = int(np.argmin(finite))
        said += f". The loss became {losses[broken]:g} at iteration {broken}"
        if finite[broken:].any():
            broken_ones = int((~finite).sum())
            said += f" ({broken_ones} of the losses {are(broken_ones)} not finite)"
    return said + "."


def show_schedules(schedules: Mapping[str, Callable[[int], float]], T: int) -> Picture:
    """Compare learning rate schedules over T iterations.

    Parameters
    ----------
    schedules : dict of str to function
        Each takes the iteration t and returns the learning rate.
    T : int
        The schedules are called with t = 0, …, T − 1 (about 2000 of these if T is larger).

    Examples
    --------
    >>> print(show_schedules({"linear": lambda t: 0.1 * (1 - t / 100)}, T=100).text)
    linear: 0.1 at t = 0, 0.05 at t = 50, 0.001 at t = 99.
    """
    schedules = as_curves("show_schedules", "schedules", schedules)
    for name, schedule in schedules.items():
        if not callable(schedule):
            raise TypeError(
                f"show_schedules: schedules[{name!r}] is a function of t, for example "
                f"lambda t: cosine_decay(t, T, lr0), not {schedule!r}."
            )
    require_between("show_schedules", "T", T, 1, 10**9)
    steps = np.unique(np.linspace(0, T - 1, min(T, 2001)).astype(int))
    told = sorted({0, T // 2, T - 1})

    figure, ax = new_axes(6.4, 3.4)
    lines, drawn = [], {}
    for name, schedule in schedules.items():
        drawn[name] = steps, np.array([float(schedule(t)) for t in steps.tolist()])
        lines.append(f"{name}: " + ", ".join(f"{float(schedule(t)):.3g} at t = {t}" for t in told) + ".")
    draw_curves(ax, drawn)
    ax.set(xlabel="iteration t", ylabel="learning rate")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    return Picture(
        figure,
        caption=f"{counted(len(drawn), 'learning rate schedule')} over {counted(T, 'iteration')}",
        alt="Line plot of the learning rate against the iteration. " + " ".join(lines),
        text="\n".join(lines),
    )


def show_curves(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str = "",
    caption: str = "",
    log: bool = False,
) -> Picture:
    """Compare curves over the same x.

    Parameters
    ----------
    x : array, shape (T,)
    curves : dict of str to array, shape (T,)
    xlabel, ylabel, caption : str
    log : bool
        Whether both axes are logarithmic; values that are not positive leave a gap.

    Examples
    --------
    >>> print(show_curves([0, 1, 2], {"x²": [0, 1, 4], "2x": [0, 2, 4]}, "x").text)
    x²: 0 at x = 0, 4 at x = 2; smallest 0 at x = 0, largest 4 at x = 2.
    2x: 0 at x = 0, 4 at x = 2; smallest 0 at x = 0, largest 4 at x = 2.
    """
    curves = as_curves("show_curves", "curves", curves)
    x = as_numbers("show_curves", "x", x, ndim=1)
    drawn, lines = {}, []
    for name, curve in curves.items():
        y = as_numbers("show_curves", f"curves[{name!r}]", curve, ndim=1)
        if len(y) != len(x) or len(x) == 0:
            raise ValueError(f"show_curves: curves[{name!r}] has {counted(len(y), 'value')} for {len(x)} of x.")
        drawn[name] = x, y
        said = f"{name}: {y[0]:.3g} at {xlabel} = {x[0]:.3g}, {y[-1]:.3g} at {xlabel} = {x[-1]:.3g}"
        if np.isfinite(y).any():
            low, high = int(np.nanargmin(y)), int(np.nanargmax(y))
            said += (
                f"; smallest {y[low]:.3g} at {xlabel} = {x[low]:.3g}, largest {y[high]:.3g} at {xlabel} = {x[high]:.3g}"
            )
        lines.append(said + ".")

    figure, ax = new_axes(6.4, 3.4)
    draw_curves(ax, drawn)
    if log:
        ax.set_xscale("log", nonpositive="mask")
        ax.set_yscale("log", nonpositive="mask")
    ax.set(xlabel=literal(xlabel), ylabel=literal(ylabel))
    caption = caption or f"{', '.join(curves)} against {xlabel}"
    return Picture(figure, caption=caption, alt=f"{caption}. Line plot. {' '.join(lines)}", text="\n".join(lines))
