"""Functions of one number, and paths down a function of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from coursekit._typing import Array

from .arguments import as_curves, as_numbers, counted, listed
from .drawing import COLOURS, MARKERS, STYLES, broken_at_jumps, literal, new_figure
from .picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show_functions(
    functions: Mapping[str, Callable[[Array], ArrayLike]],
    slopes: Mapping[str, Callable[[Array], ArrayLike]] | None = None,
    *,
    x: tuple[float, float] = (-4.0, 4.0),
    y: tuple[float, float] | None = None,
    at: float | None = None,
    points: Mapping[str, Sequence[ArrayLike]] | None = None,
    caption: str = "",
) -> Picture:
    """Show functions of one number, each in a plot of its own, with slopes, tangents and points.

    Parameters
    ----------
    functions : dict of str to function
        Each takes an array and returns the values, in its shape.
    slopes : dict of str to function, optional
        By the same names; drawn dashed.
    x, y : (float, float)
        The part of the plane that is shown; without `y`, all values of the function.
    at : float, optional
        Where to mark a point, with the tangent if there is a slope.
    points : dict of str to sequences, optional
        By the same names: rows of x that are drawn as dots on the curve, for example the steps of a descent. The
        first dot of each row is larger.
    caption : str

    Examples
    --------
    >>> print(show_functions({"square": lambda x: x**2}, {"square": lambda x: 2 * x}, at=1.0).text)
    square: 4, 0, 4 at x = -2, 0, 2; slope -4, 0, 4. At x = 1: value 1, slope 2.
    """
    functions = as_curves("show_functions", "functions", functions)
    slopes, points = dict(slopes or {}), dict(points or {})
    for what, names in (("slopes", slopes), ("points", points)):
        for name in names:
            if name not in functions:
                raise ValueError(f"show_functions: {what} names {name!r}, but functions has {', '.join(functions)}.")
    if not x[0] < x[1]:
        raise ValueError(f"show_functions: x goes from the smaller number to the larger, not {x}.")
    columns = min(3, len(functions))
    rows = math.ceil(len(functions) / columns)
    figure = new_figure(10 if columns == 3 else 5 * columns, 2.5 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_visible(False)
    lines = []
    for ax, (name, function) in zip(axes, functions.items(), strict=False):
        ax.set_visible(True)
        panel = _Panel(ax, name, function, slopes.get(name), np.linspace(*x, 321))
        said = [panel.draw_curves(y)]
        said += [panel.draw_point(at)] if at is not None else []
        said += [panel.draw_dots(row) for row in points.get(name, ())]
        lines.append(" ".join(said))
    if slopes:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    caption = caption or f"{', '.join(functions)}" + (" (solid) and slopes (dashed)" if slopes else "")
    return Picture(figure, caption=caption, alt=f"{caption}. {' '.join(lines)}", text="\n".join(lines))


@dataclass(frozen=True)
class _Panel:
    """The plot of one function.  Each method draws something and returns its description."""

    ax: Axes
    name: str
    function: Callable[[Array], ArrayLike]
    slope: Callable[[Array], ArrayLike] | None
    across: Array  # all x of the plot

    def draw_curves(self, y: tuple[float, float] | None) -> str:
        left, right = self.across[0], self.across[-1]
        told = [left + (right - left) * k / 4 for k in (1, 2, 3)]
        values = self._values(self.function, self.across)
        self.ax.plot(self.across, broken_at_jumps(values), color=COLOURS[0], linewidth=2, label="function")
        low, high = y or (np.nanmin(values), np.nanmax(values))
        margin = 0 if y else 0.08 * (high - low or 1.0)
        self.ax.set(title=literal(self.name), xlim=(left, right), ylim=(low - margin, high + margin))
        said = f"{self.name}: {listed(self._values(self.function, told))} at x = {listed(told)}"
        if self.slope is not None:
            values = broken_at_jumps(self._values(self.slope, self.across))
            self.ax.plot(self.across, values, color=COLOURS[1], linestyle="--", linewidth=1.6, label="slope")
            said += f"; slope {listed(self._values(self.slope, told))}"
        return said + "."

    def draw_point(self, at: float) -> str:
        (height,) = self._values(self.function, [at])
        said = f"At x = {at:g}: value {height:.3g}"
        if self.slope is not None:
            (steep,) = self._values(self.slope, [at])
            tangent = height + steep * (self.across - at)
            self.ax.plot(self.across, tangent, color="0.4", linestyle=":", label=f"tangent at {at:g}")
            said += f", slope {steep:.3g}"
        self.ax.plot(at, height, "o", color="black")
        return said + "."

    def draw_dots(self, row: ArrayLike) -> str:
        row = as_numbers("show_functions", f"points[{self.name!r}]", row, ndim=1)
        values = self._values(self.function, row)
        self.ax.plot(row, values, "o", color=COLOURS[1], markersize=4, alpha=0.75)
        self.ax.plot(row[:1], values[:1], "o", color=COLOURS[1], markersize=8)
        dots = f"Dots from {row[0]:.3g} to {row[-1]:.3g}" if len(row) > 1 else f"A dot at {row[0]:.3g}"
        return f"{dots}, value {values[-1]:.3g}."

    def _values(self, function: Callable[[Array], ArrayLike], where: ArrayLike) -> Array:
        where = np.asarray(where, dtype=np.float64)
        values = np.asarray(function(where), dtype=np.float64)
        if values.shape != where.shape:
            raise ValueError(
                f"show_functions: {self.name} returned the shape {values.shape} for numbers of shape {where.shape}."
            )
        return values


def show_paths(
    f: Callable[[Array], Any],
    paths: Mapping[str, ArrayLike],
    low: tuple[float, float],
    high: tuple[float, float],
    caption: str = "",
    apart: bool = False,
) -> Picture:
    """Show paths of descent on the contours of a loss of two weights.

    Parameters
    ----------
    f : function
        Takes a point, shape (2,), and returns the loss, a number.
    paths : dict of str to array, shape (T, 2)
        The points of each path.
    low, high : (float, float)
        Two opposite corners of the part of the plane that is shown.
    caption : str
    apart : bool
        Whether each path gets a plot of its own.

    Examples
    --------
    >>> print(show_paths(lambda w: w @ w, {"straight": [[1, 1], [0.5, 0.5]]}, (-1, -1), (1, 1)).text)
    straight: 1 step from (1, 1), loss 2, to (0.5, 0.5), loss 0.5.
    """
    paths = as_curves("show_paths", "paths", paths)
    steps = {name: as_numbers("show_paths", f"paths[{name!r}]", path, ndim=2) for name, path in paths.items()}
    for name, path in steps.items():
        if path.shape[1] != 2 or len(path) == 0:
            raise ValueError(f"show_paths: paths[{name!r}] is points in the plane, shape (T, 2), not {path.shape}.")
    across, up = np.meshgrid(np.linspace(low[0], high[0], 100), np.linspace(low[1], high[1], 100))
    losses = [float(f(point)) for point in np.column_stack([across.ravel(), up.ravel()])]
    heights = np.reshape(losses, across.shape)
    # Closer together near the bottom, where the paths end.
    levels = heights.min() + (heights.max() - heights.min()) * np.linspace(0.002, 1, 16) ** 2

    columns = min(2, len(steps)) if apart else 1
    rows = math.ceil(len(steps) / columns) if apart else 1
    figure = new_figure(10, 2.3 * rows + 0.3) if apart else new_figure(7.2, 4.6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.contour(across, up, heights, levels=np.unique(levels), colors="#bbbbbb", linewidths=0.8)
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    lines = []
    for k, (name, path) in enumerate(steps.items()):
        ax = axes[k] if apart else axes[0]
        look = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k % len(STYLES)]}
        ax.plot(*path.T, **look, marker=MARKERS[k % len(MARKERS)], markersize=3 if apart else 4, label=literal(name))
        if apart:
            ax.set_title(literal(name), fontsize=10)
        ends = [f"({a:.3g}, {b:.3g}), loss {float(f(np.array([a, b]))):.3g}" for a, b in (path[0], path[-1])]
        lines.append(f"{name}: {counted(len(path) - 1, 'step')} from {ends[0]}, to {ends[1]}.")
    if not apart:
        axes[0].set(xlabel="first weight", ylabel="second weight")
        axes[0].legend(frameon=False)
    caption = caption or f"{counted(len(steps), 'way')} down a loss of two weights"
    return Picture(figure, caption=caption, alt=f"{caption}, over contours. {' '.join(lines)}", text="\n".join(lines))
