"""What the pictures have in common: sizes, colours, grids of images and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coursekit._typing import Array

from .picture import DPI

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours can be told apart with any colour vision; the line
# styles and markers tell the curves apart without any colour at all.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = "osv^DPX*<>"
# Zero is white, and red against blue stays readable for every colour vision.
DIVERGING = "RdBu_r"


def new_figure(width: float, height: float) -> Figure:
    """Make a figure, its size in inches, without pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def new_axes(width: float, height: float, grid: bool = True) -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    ax = figure.subplots()
    if grid:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def draw_grid(images: Array, names: Sequence[str], columns: int, inches: float, **how: Any) -> Figure:
    """Draw images of one size row by row, each `inches` wide, with their names above them.

    They are drawn as one large image: an axes for each would take a hundred times as long.
    """
    count, height, width = images.shape
    rows = math.ceil(count / columns)
    longest = max(map(len, names), default=0) * 0.09 * width / inches  # a letter is 0.09 inches wide
    gap = max(1, width // 8, math.ceil(longest) - width)
    above = max(2, round(0.24 * width / inches)) if names else gap  # a line of text is 0.24 inches high
    whole = np.full((rows * (height + above), columns * (width + gap)), np.nan)  # nan is drawn white
    inches_each = inches / (width + max(1, width // 8))
    figure = new_figure(inches_each * whole.shape[1] + 0.1, inches_each * whole.shape[0] + 0.1)
    ax = figure.subplots()
    ax.set_axis_off()
    for i, image in enumerate(images):
        top, left = i // columns * (height + above) + above, i % columns * (width + gap)
        whole[top : top + height, left : left + width] = image
        if names:
            x, y = left + width / 2 - 0.5, top - 0.9
            ax.text(
                x, y, literal(names[i]), fontsize=10, ha="center", va="bottom", in_layout=False
            )  # room is left for it
    ax.imshow(whole, interpolation="nearest", **how)
    return figure


def draw_curves(ax: Axes, curves: Mapping[str, tuple[Array, Array]]) -> None:
    lines = []
    for k, (x, y) in enumerate(curves.values()):
        # One point alone makes no line, so it gets a dot.
        marker = "o" if len(x) == 1 else None
        lines += ax.plot(
            x,
            y,
            color=COLOURS[k % len(COLOURS)],
            linestyle=STYLES[k % len(STYLES)],
            linewidth=1.8,
            marker=marker,
        )
    ax.legend(lines, [literal(name) for name in curves], frameon=False, handlelength=3.5)


def broken_at_jumps(values: Array) -> Array:
    """Put a nan where the values jump by a quarter of their range, so that no line is drawn across the jump."""
    finite = values[np.isfinite(values)]
    limit = 0.25 * np.ptp(finite) if finite.size else 0.0
    jumps = np.append(np.abs(np.diff(values)) > limit, False) if limit else np.zeros(len(values), dtype=bool)
    return np.where(jumps, np.nan, values)


def ink_on(image: Any, value: float) -> str:
    """Return black or white, whichever is easier to read on the colour of `value`."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def mixed_with_white(colours: Sequence[str]) -> Array:
    from matplotlib.colors import to_rgb

    return 1 - 0.3 * (1 - np.array([to_rgb(colour) for colour in colours]))


def literal(text: str) -> str:
    """Escape dollar signs, which would start a formula."""
    return text.replace("$", r"\$")
