"""Pictures for the notebooks, each with a text that says the same in words.

>>> from coursekit.plots import show_hinge_and_softmax
>>> show_hinge_and_softmax()
<Picture: SVM and softmax loss of one example against its lead>

Every function returns a `Picture`; leave it on the last line of a cell, or pass
it to ``display``.  Its numbers are in ``.text``, and ``.save(path)`` writes it
to a file.

Matplotlib is imported when the first picture is drawn, not before, and without
pyplot: no figure stays open, and nothing is drawn twice.
"""

from __future__ import annotations

import base64
import html
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Picture",
    "describe_losses",
    "figure_html",
    "show_curves",
    "show_decision_regions",
    "show_digits",
    "show_functions",
    "show_heatmap",
    "show_hinge_and_softmax",
    "show_losses",
    "show_paths",
    "show_schedules",
    "show_templates",
]

# Okabe and Ito's colours can be told apart with any colour vision; the line
# styles and markers tell the curves apart without any colour at all.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = "osv^DPX*<>"
# Zero is white, and red against blue stays readable for every colour vision.
_DIVERGING = "RdBu_r"
_DPI = 100


# ---------------------------------------------------------------- one picture


class Picture:
    """A drawn figure, its caption, and its content in words.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The figure, if you want to change it before it is shown or saved.
    caption : str
        The line below the picture.
    alt : str
        What a screen reader says in place of the picture.
    text : str
        The numbers of the picture, in words.
    """

    def __init__(self, figure: Figure, *, caption: str, alt: str, text: str) -> None:
        self.figure = figure
        self.caption = caption
        self.alt = alt
        self.text = text

    def __repr__(self) -> str:
        return f"<Picture: {self.caption}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file; the ending (.png, .svg, .pdf) says how."""
        self.figure.savefig(path, dpi=2 * _DPI)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {
            "text/html": figure_html(_png(self.figure), "image/png", alt=self.alt, caption=self.caption),
            "text/plain": f"{self.caption}\n{self.text}",
        }


def figure_html(image: bytes, mime_type: str, *, alt: str, caption: str) -> str:
    """Put an image into a ``<figure>`` that needs no other file.

    An ``<img>`` with a data URI and alt text survives what other forms do not:
    the sanitizer of a notebook that is not trusted, HTML export, and nbgrader's
    feedback.

    Parameters
    ----------
    image : bytes
        The file, for example a PNG.
    mime_type : str
        For example ``image/png`` or ``image/svg+xml``.
    alt, caption : str
        Plain text; it is escaped here.

    Examples
    --------
    >>> print(figure_html(b"...", "image/png", alt="Three dots", caption="1 < 2"))
    <figure style="margin: 0.5em 0">
    <img src="data:image/png;base64,Li4u" alt="Three dots" style="max-width: 100%">
    <figcaption>1 &lt; 2</figcaption>
    </figure>
    """
    data = base64.b64encode(image).decode("ascii")
    return (
        '<figure style="margin: 0.5em 0">\n'
        f'<img src="data:{mime_type};base64,{data}" alt="{html.escape(alt)}" style="max-width: 100%">\n'
        f"<figcaption>{html.escape(caption)}</figcaption>\n"
        "</figure>"
    )


# --------------------------------------------------------- digits and weights


def show_digits(
    images: ArrayLike, labels: ArrayLike | None = None, columns: int = 10, caption: str | None = None
) -> Picture:
    """Show images in a grid, row by row.

    Parameters
    ----------
    images : array, shape (N, H, W)
        Up to 200 images; larger numbers are darker.
    labels : array, shape (N,), optional
        What to write above each image: labels, or predictions.
    columns : int
        Images in a row.
    caption : str, optional
        The line below the picture, if it should say more than how many there are.

    Examples
    --------
    >>> from coursekit.data import digit_images
    >>> images, labels = digit_images()
    >>> show_digits(images[:20], labels[:20])
    <Picture: 20 images, 10 in a row>
    """
    images = _numbers("show_digits", "images", images, ndim=3)
    _between("show_digits", "the number of images", len(images), 1, 200)
    _between("show_digits", "columns", columns, 1, 50)
    names = _names("show_digits", "labels", labels, len(images))
    columns = min(columns, len(images))
    darkest = images.max()
    figure = _draw_grid(images, names, columns, 0.62, cmap="gray_r", vmin=0, vmax=darkest or 1)

    count = _count(len(images), "image")
    said = f" Labels, row by row: {', '.join(names)}." if names else ""
    ink = f"Each is {images.shape[1]}×{images.shape[2]}, with values from {images.min():g} to {darkest:g}."
    return Picture(
        figure,
        caption=caption or f"{count}, {columns} in a row",
        alt=f"{count} in a grid, {columns} in a row.{said}",
        text=ink + said,
    )


def show_templates(
    W: ArrayLike,
    image_shape: tuple[int, int] = (8, 8),
    class_names: Sequence[object] | None = None,
    caption: str | None = None,
) -> Picture:
    """Show each class's weights as an image: its template.

    A linear classifier scores an image by its product with every template. Red
    pixels speak for the class, blue ones against it; white ones do not matter.

    Parameters
    ----------
    W : array, shape (D, C)
        One column a class.  If D is one more than the pixels of an image, the
        last row is the bias and is left out.
    image_shape : (int, int)
        Height and width of an image.
    class_names : sequence, optional
        C names; 0 … C − 1 if left out.
    caption : str, optional
        The line below the picture, for columns that are no classes.
    """
    W = _numbers("show_templates", "W", W, ndim=2)
    height, width = image_shape
    if len(W) == height * width + 1:
        W = W[:-1]
    if len(W) != height * width:
        raise ValueError(
            f"show_templates: W has {len(W)} rows, but a {height}×{width} image has {height * width} pixels "
            f"({height * width + 1} with the bias). Is W transposed? It should be (D, C)."
        )
    _between("show_templates", "the number of classes (columns of W)", W.shape[1], 1, 50)
    names = _names("show_templates", "class_names", class_names, W.shape[1]) or [str(c) for c in range(W.shape[1])]
    templates = W.T.reshape(-1, height, width)
    limit = np.abs(W[np.isfinite(W)]).max(initial=0.0) or 1.0

    columns = min(5, len(templates))
    figure = _draw_grid(templates, names, columns, 1.25, cmap=_DIVERGING, vmin=-limit, vmax=limit)
    (ax,) = figure.axes
    figure.colorbar(ax.images[0], ax=ax, shrink=0.8, label="weight")

    lines = []
    for name, template in zip(names, templates, strict=True):
        if not np.isfinite(template).all():
            broken = int((~np.isfinite(template)).sum())
            lines.append(f"{name}: holds {_count(broken, 'weight')} that {_are(broken)} nan or inf.")
            continue
        lines.append(
            f"{name}: weights from {template.min():.3g} at {_place(template.argmin(), width)}"
            f" to {template.max():.3g} at {_place(template.argmax(), width)}."
        )
    return Picture(
        figure,
        caption=caption
        or f"Templates of {_count(len(templates), 'class', 'classes')}: "
        f"red speaks for the class, blue against it (weights from {-limit:.3g} to {limit:.3g})",
        alt=(caption or f"The weights of {_count(len(templates), 'class', 'classes')} as images")
        + ". "
        + " ".join(lines),
        text="\n".join(lines),
    )


# ---------------------------------------------------------- losses over time


def show_losses(histories: Mapping[str, ArrayLike], log: bool = False) -> Picture:
    """Compare the losses of several training runs.

    Parameters
    ----------
    histories : dict of str to sequence of float
        One curve a run, for example ``{"lr 0.1": history}``.
    log : bool
        Logarithmic axis; values that are not positive leave a gap.

    Examples
    --------
    >>> print(show_losses({"slow": [2.0, 1.5], "fast": [2.0, 0.5]}).text)
    slow: 2 iterations; first loss 2, last 1.5, smallest 1.5 at iteration 1.
    fast: 2 iterations; first loss 2, last 0.5, smallest 0.5 at iteration 1.
    """
    curves = _curves("show_losses", "histories", histories)
    series = {name: _numbers("show_losses", f"histories[{name!r}]", curves[name], ndim=1) for name in curves}

    figure, ax = _axes(6.4, 3.4)
    _draw_curves(ax, {name: (np.arange(len(losses)), losses) for name, losses in series.items()})
    if log:
        # "mask" leaves a gap where the logarithm does not exist.
        ax.set_yscale("log", nonpositive="mask")
    ax.set(xlabel="iteration", ylabel="loss (log scale)" if log else "loss")

    lines = [f"{name}: {describe_losses(losses)}" for name, losses in series.items()]
    hidden = sum(int((losses <= 0).sum()) for losses in series.values()) if log else 0
    if hidden:
        lines.append(f"{_count(hidden, 'loss', 'losses')} {_are(hidden)} not positive: not on a log scale.")
    return Picture(
        figure,
        caption=f"Loss of {_count(len(series), 'run')} over the iterations",
        alt="Line plot of the loss against the iteration. " + " ".join(lines),
        text="\n".join(lines),
    )


def describe_losses(losses: ArrayLike) -> str:
    """Say in words what a loss curve shows.

    Parameters
    ----------
    losses : array, shape (T,)
        One loss an iteration; nan and inf are named, not hidden.

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
    said = f"{_count(len(losses), 'iteration')}; first loss {losses[0]:.4g}, last {losses[-1]:.4g}"
    if finite.any():
        best = int(np.argmin(np.where(finite, losses, np.inf)))
        said += f", smallest {losses[best]:.4g} at iteration {best}"
    if not finite.all():
        broken = int(np.argmin(finite))
        said += f". The loss became {losses[broken]:g} at iteration {broken}"
        if finite[broken:].any():
            broken_ones = int((~finite).sum())
            said += f" ({broken_ones} of the losses {_are(broken_ones)} not finite)"
    return said + "."


def show_schedules(schedules: Mapping[str, Callable[[int], float]], T: int) -> Picture:
    """Compare learning rate schedules over T iterations.

    Parameters
    ----------
    schedules : dict of str to function
        Each takes the iteration t and returns the learning rate.
    T : int
        They are called with t = 0, …, T − 1 (about 2000 of these when T is larger).

    Examples
    --------
    >>> print(show_schedules({"linear": lambda t: 0.1 * (1 - t / 100)}, T=100).text)
    linear: 0.1 at t = 0, 0.05 at t = 50, 0.001 at t = 99.
    """
    schedules = _curves("show_schedules", "schedules", schedules)
    for name, schedule in schedules.items():
        if not callable(schedule):
            raise TypeError(
                f"show_schedules: schedules[{name!r}] is a function of t, for example "
                f"lambda t: cosine_decay(t, T, lr0), not {schedule!r}."
            )
    _between("show_schedules", "T", T, 1, 10**9)
    steps = np.unique(np.linspace(0, T - 1, min(T, 2001)).astype(int))
    told = sorted({0, T // 2, T - 1})

    figure, ax = _axes(6.4, 3.4)
    lines, drawn = [], {}
    for name, schedule in schedules.items():
        drawn[name] = steps, np.array([float(schedule(t)) for t in steps.tolist()])
        lines.append(f"{name}: " + ", ".join(f"{float(schedule(t)):.3g} at t = {t}" for t in told) + ".")
    _draw_curves(ax, drawn)
    ax.set(xlabel="iteration t", ylabel="learning rate")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    return Picture(
        figure,
        caption=f"{_count(len(drawn), 'learning rate schedule')} over {_count(T, 'iteration')}",
        alt="Line plot of the learning rate against the iteration. " + " ".join(lines),
        text="\n".join(lines),
    )


# ------------------------------------------------------ functions and paths


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
        Both axes logarithmic; values that are not positive leave a gap.

    Examples
    --------
    >>> print(show_curves([0, 1, 2], {"x²": [0, 1, 4], "2x": [0, 2, 4]}, "x").text)
    x²: 0 at x = 0, 4 at x = 2; smallest 0 at x = 0, largest 4 at x = 2.
    2x: 0 at x = 0, 4 at x = 2; smallest 0 at x = 0, largest 4 at x = 2.
    """
    curves = _curves("show_curves", "curves", curves)
    x = _numbers("show_curves", "x", x, ndim=1)
    drawn, lines = {}, []
    for name, curve in curves.items():
        y = _numbers("show_curves", f"curves[{name!r}]", curve, ndim=1)
        if len(y) != len(x) or len(x) == 0:
            raise ValueError(f"show_curves: curves[{name!r}] has {_count(len(y), 'value')} for {len(x)} of x.")
        drawn[name] = x, y
        said = f"{name}: {y[0]:.3g} at {xlabel} = {x[0]:.3g}, {y[-1]:.3g} at {xlabel} = {x[-1]:.3g}"
        if np.isfinite(y).any():
            low, high = int(np.nanargmin(y)), int(np.nanargmax(y))
            said += (
                f"; smallest {y[low]:.3g} at {xlabel} = {x[low]:.3g}, largest {y[high]:.3g} at {xlabel} = {x[high]:.3g}"
            )
        lines.append(said + ".")

    figure, ax = _axes(6.4, 3.4)
    _draw_curves(ax, drawn)
    if log:
        ax.set_xscale("log", nonpositive="mask")
        ax.set_yscale("log", nonpositive="mask")
    ax.set(xlabel=_plain(xlabel), ylabel=_plain(ylabel))
    caption = caption or f"{', '.join(curves)} against {xlabel}"
    return Picture(figure, caption=caption, alt=f"{caption}. Line plot. {' '.join(lines)}", text="\n".join(lines))


def show_functions(
    functions: Mapping[str, Callable[[NDArray[np.float64]], ArrayLike]],
    slopes: Mapping[str, Callable[[NDArray[np.float64]], ArrayLike]] | None = None,
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
        The part of the plane that is shown; unless `y` is given, all of the function.
    at : float, optional
        Where to mark a point, with the tangent if there is a slope.
    points : dict of str to sequences, optional
        By the same names: rows of x that become dots on the curve, for example the steps of a descent. The
        first dot of each row is larger.
    caption : str

    Examples
    --------
    >>> print(show_functions({"square": lambda x: x**2}, {"square": lambda x: 2 * x}, at=1.0).text)
    square: 4, 0, 4 at x = -2, 0, 2; slope -4, 0, 4. At x = 1: value 1, slope 2.
    """
    functions = _curves("show_functions", "functions", functions)
    slopes, points = dict(slopes or {}), dict(points or {})
    for what, names in (("slopes", slopes), ("points", points)):
        for name in names:
            if name not in functions:
                raise ValueError(f"show_functions: {what} names {name!r}, but functions has {', '.join(functions)}.")
    if not x[0] < x[1]:
        raise ValueError(f"show_functions: x goes from the smaller number to the larger, not {x}.")
    columns = min(3, len(functions))
    rows = math.ceil(len(functions) / columns)
    figure = _figure(10 if columns == 3 else 5 * columns, 2.5 * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_visible(False)
    across = np.linspace(*x, 321)
    told = [x[0] + (x[1] - x[0]) * k / 4 for k in (1, 2, 3)]
    lines = []
    for ax, (name, f) in zip(axes, functions.items(), strict=False):
        ax.set_visible(True)

        def asked(function: Any, where: ArrayLike, name: str = name) -> NDArray[np.float64]:
            where = np.asarray(where, dtype=np.float64)
            values = np.asarray(function(where), dtype=np.float64)
            if values.shape != where.shape:
                raise ValueError(
                    f"show_functions: {name} returned the shape {values.shape} for numbers of shape {where.shape}."
                )
            return values

        values = asked(f, across)
        ax.plot(across, _broken_at_jumps(values), color=_COLOURS[0], linewidth=2, label="function")
        low, high = y or (np.nanmin(values), np.nanmax(values))
        margin = 0 if y else 0.08 * (high - low or 1.0)
        ax.set(title=_plain(name), xlim=x, ylim=(low - margin, high + margin))
        said = f"{name}: {_series(asked(f, told))} at x = {_series(told)}"
        slope = slopes.get(name)
        if slope is not None:
            values = _broken_at_jumps(asked(slope, across))
            ax.plot(across, values, color=_COLOURS[1], linestyle="--", linewidth=1.6, label="slope")
            said += f"; slope {_series(asked(slope, told))}"
        said += "."
        if at is not None:
            (height,) = asked(f, [at])
            said += f" At x = {at:g}: value {height:.3g}"
            if slope is not None:
                (steep,) = asked(slope, [at])
                ax.plot(across, height + steep * (across - at), color="0.4", linestyle=":", label=f"tangent at {at:g}")
                said += f", slope {steep:.3g}"
            ax.plot(at, height, "o", color="black")
            said += "."
        for row in points.get(name, ()):
            row = _numbers("show_functions", f"points[{name!r}]", row, ndim=1)
            ax.plot(row, asked(f, row), "o", color=_COLOURS[1], markersize=4, alpha=0.75)
            ax.plot(row[:1], asked(f, row[:1]), "o", color=_COLOURS[1], markersize=8)
            dots = f"Dots from {row[0]:.3g} to {row[-1]:.3g}" if len(row) > 1 else f"A dot at {row[0]:.3g}"
            said += f" {dots}, value {asked(f, row[-1:])[0]:.3g}."
        lines.append(said)
    if slopes:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    caption = caption or f"{', '.join(functions)}" + (" (solid) and slopes (dashed)" if slopes else "")
    return Picture(figure, caption=caption, alt=f"{caption}. {' '.join(lines)}", text="\n".join(lines))


def show_paths(
    f: Callable[[NDArray[np.float64]], Any],
    paths: Mapping[str, ArrayLike],
    low: tuple[float, float],
    high: tuple[float, float],
    caption: str = "",
    apart: bool = False,
) -> Picture:
    """Show ways down a loss of two weights, on the contours of the loss.

    Parameters
    ----------
    f : function
        Takes a point, shape (2,), and returns the loss, a number.
    paths : dict of str to array, shape (T, 2)
        The points that each method passed.
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
    paths = _curves("show_paths", "paths", paths)
    steps = {name: _numbers("show_paths", f"paths[{name!r}]", path, ndim=2) for name, path in paths.items()}
    for name, path in steps.items():
        if path.shape[1] != 2 or len(path) == 0:
            raise ValueError(f"show_paths: paths[{name!r}] is points in the plane, shape (T, 2), not {path.shape}.")
    across, up = np.meshgrid(np.linspace(low[0], high[0], 100), np.linspace(low[1], high[1], 100))
    heights = np.array([float(f(point)) for point in np.column_stack([across.ravel(), up.ravel()])]).reshape(
        across.shape
    )
    # Closer together near the bottom, where the paths end.
    levels = heights.min() + (heights.max() - heights.min()) * np.linspace(0.002, 1, 16) ** 2

    columns = min(2, len(steps)) if apart else 1
    rows = math.ceil(len(steps) / columns) if apart else 1
    figure = _figure(10, 2.3 * rows + 0.3) if apart else _figure(7.2, 4.6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.contour(across, up, heights, levels=np.unique(levels), colors="#bbbbbb", linewidths=0.8)
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    lines = []
    for k, (name, path) in enumerate(steps.items()):
        ax = axes[k] if apart else axes[0]
        look = {"color": _COLOURS[k % len(_COLOURS)], "linestyle": _STYLES[k % len(_STYLES)]}
        ax.plot(*path.T, **look, marker=_MARKERS[k % len(_MARKERS)], markersize=3 if apart else 4, label=_plain(name))
        if apart:
            ax.set_title(_plain(name), fontsize=10)
        ends = [f"({a:.3g}, {b:.3g}), loss {float(f(np.array([a, b]))):.3g}" for a, b in (path[0], path[-1])]
        lines.append(f"{name}: {_count(len(path) - 1, 'step')} from {ends[0]}, to {ends[1]}.")
    if not apart:
        axes[0].set(xlabel="first weight", ylabel="second weight")
        axes[0].legend(frameon=False)
    caption = caption or f"{_count(len(steps), 'way')} down a loss of two weights"
    return Picture(figure, caption=caption, alt=f"{caption}, over contours. {' '.join(lines)}", text="\n".join(lines))


# ------------------------------------------------- matrices, regions, losses


def show_heatmap(A: ArrayLike, row_label: str, column_label: str, caption: str) -> Picture:
    """Show a matrix as coloured cells, with the numbers in them if they fit.

    Parameters
    ----------
    A : array, shape (rows, columns)
        If it has both signs, zero is white, red positive and blue negative.
    row_label, column_label : str
        What the rows and the columns are.
    caption : str
        The line below the picture.

    Examples
    --------
    >>> print(show_heatmap([[9, 1], [0, 8]], "true digit", "predicted digit", "Confusions").text)
    2 rows (true digit) and 2 columns (predicted digit); values from 0 to 9.
    true digit 0: 9, 1
    true digit 1: 0, 8
    """
    A = _numbers("show_heatmap", "A", A, ndim=2)
    rows, columns = A.shape
    _between("show_heatmap", "the number of rows", rows, 1, 2000)
    _between("show_heatmap", "the number of columns", columns, 1, 2000)
    finite = A[np.isfinite(A)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    colours: dict[str, Any] = {"cmap": "viridis"}
    if low < 0 < high:
        limit = max(-low, high)
        colours = {"cmap": _DIVERGING, "vmin": -limit, "vmax": limit}
    numbers_fit = rows <= 15 and columns <= 12

    cell = 0.5 if numbers_fit else 4.2 / max(rows, columns)
    figure, ax = _axes(max(cell * columns, 1.2) + 1.9, max(cell * rows, 1.2) + 0.9, grid=False)
    image = ax.imshow(A, interpolation="nearest", aspect="auto" if not numbers_fit else "equal", **colours)
    figure.colorbar(image, ax=ax)
    ax.set(xlabel=_plain(column_label), ylabel=_plain(row_label))
    if numbers_fit:
        ax.set_xticks(range(columns))
        ax.set_yticks(range(rows))
        for i, j in np.ndindex(rows, columns):
            ax.text(
                j,
                i,
                f"{A[i, j]:.3g}",
                ha="center",
                va="center",
                fontsize=9,
                color=_ink_on(image, float(A[i, j])),
                in_layout=False,  # it lies within its cell
            )

    said = f"{_count(rows, 'row')} ({row_label}) and {_count(columns, 'column')} ({column_label})"
    said += f"; values from {low:.3g} to {high:.3g}."
    numbers = [f"{row_label} {i}: " + ", ".join(f"{a:.3g}" for a in row) for i, row in enumerate(A)]
    return Picture(
        figure,
        caption=caption,
        alt=f"{caption}. A table of coloured cells: {said}",
        text="\n".join([said, *numbers]) if numbers_fit else said,
    )


def show_decision_regions(
    predict: Callable[[NDArray[np.float64]], ArrayLike], X: ArrayLike, y: ArrayLike, resolution: int = 200
) -> Picture:
    """Colour the plane by what a classifier answers there, with the data on top.

    Parameters
    ----------
    predict : function
        Takes points (M, 2) and returns their labels (M,).
    X : array, shape (N, 2)
    y : array, shape (N,)
        The true labels.
    resolution : int
        The plane is asked at resolution × resolution points, all in one call.

    Examples
    --------
    >>> print(show_decision_regions(lambda P: P[:, 0] > 0, [[-1, 0], [1, 0], [2, 1]], [0, 1, 0]).text)
    2 of 3 points are classified right (66.7 %).
    class 0: 2 points, 1 right, 36 % of the plane shown.
    class 1: 1 point, 1 right, 64 % of the plane shown.
    """
    X = _numbers("show_decision_regions", "X", X, ndim=2)
    y = _labels("show_decision_regions", "y", y, len(X))
    if X.shape[1] != 2 or len(X) == 0:
        raise ValueError(f"show_decision_regions: X is points in the plane, shape (N, 2), not {X.shape}.")
    _between("show_decision_regions", "resolution", resolution, 2, 1000)

    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    left, bottom = low - margin
    right, top = high + margin
    across, up = np.meshgrid(np.linspace(left, right, resolution), np.linspace(bottom, top, resolution))
    answers = predict(np.column_stack([across.ravel(), up.ravel()]))
    regions = _labels("show_decision_regions", "the result of predict", answers, resolution**2)
    answered = _labels("show_decision_regions", "the result of predict", predict(X), len(X))

    classes = np.unique(np.concatenate([y, answered, regions]))
    figure, ax = _axes(5.2, 4.2, grid=False)
    colours = [_COLOURS[k % len(_COLOURS)] for k in range(len(classes))]
    ax.imshow(
        _mixed_with_white(colours)[np.searchsorted(classes, regions)].reshape(resolution, resolution, 3),
        extent=(left, right, bottom, top),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    correct = answered == y
    lines = [
        f"{correct.sum()} of {_count(len(y), 'point')} {_are(correct.sum())} classified right "
        f"({100 * correct.mean():.1f} %)."
    ]
    for k, label in enumerate(classes):
        own = y == label
        ax.scatter(
            X[own, 0],
            X[own, 1],
            s=22,
            c=colours[k],
            marker=_MARKERS[k % len(_MARKERS)],
            edgecolors="white",
            linewidths=0.6,
            label=f"class {label}",
        )
        lines.append(
            f"class {label}: {_count(own.sum(), 'point')}, {correct[own].sum()} right, "
            f"{100 * (regions == label).mean():.0f} % of the plane shown."
        )
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="first feature", ylabel="second feature")
    figure.legend(loc="outside right upper", frameon=False)
    return Picture(
        figure,
        caption=f"Decision regions; {lines[0]}",
        alt="Points in the plane; the colour behind them is the class that is predicted there. " + " ".join(lines),
        text="\n".join(lines),
    )


def show_hinge_and_softmax() -> Picture:
    """Show what the SVM loss and the softmax loss think of one example.

    Both look at the lead: the score of the correct class minus the best score
    among the others.  With two classes the SVM loss is ``max(0, 1 − lead)`` and
    the softmax loss ``log(1 + exp(−lead))``.
    """
    lead = np.linspace(-4, 4, 161)
    hinge = np.maximum(0, 1 - lead)
    softmax = np.logaddexp(0, -lead)

    figure, ax = _axes(6.4, 3.4)
    _draw_curves(ax, {"SVM: max(0, 1 − lead)": (lead, hinge), "softmax: log(1 + exp(−lead))": (lead, softmax)})
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.annotate("wrong", (-0.15, 4.7), ha="right")
    ax.annotate("right", (0.15, 4.7), ha="left")
    ax.set(xlabel="lead = correct score − best other score", ylabel="loss of the example")

    told = [f"lead {x:g}: SVM {max(0.0, 1 - x):.3g}, softmax {np.logaddexp(0, -x):.3g}." for x in (-4, -2, 0, 1, 2, 4)]
    meaning = "The SVM loss is content once the lead reaches the margin 1; the softmax loss always wants a little more."
    return Picture(
        figure,
        caption="SVM and softmax loss of one example against its lead",
        alt=f"Two falling curves. {' '.join(told)} {meaning}",
        text="\n".join([*told, meaning]),
    )


# -------------------------------------------------------------------- drawing


def _figure(width: float, height: float) -> Figure:
    """Make a figure (size in inches) that pyplot does not know of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def _axes(width: float, height: float, grid: bool = True) -> tuple[Figure, Axes]:
    figure = _figure(width, height)
    ax = figure.subplots()
    if grid:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _draw_grid(images: NDArray[Any], names: Sequence[str], columns: int, inches: float, **how: Any) -> Figure:
    """Draw equally large images row by row, `inches` wide each, with their names above them.

    They are drawn as one large image: axes for each would take a hundred times as long.
    """
    count, height, width = images.shape
    rows = math.ceil(count / columns)
    longest = max(map(len, names), default=0) * 0.09 * width / inches  # a letter is 0.09 inches wide
    gap = max(1, width // 8, math.ceil(longest) - width)
    above = max(2, round(0.24 * width / inches)) if names else gap  # a line of text is 0.24 inches high
    whole = np.full((rows * (height + above), columns * (width + gap)), np.nan)  # what is not a number stays white
    inches_each = inches / (width + max(1, width // 8))
    figure = _figure(inches_each * whole.shape[1] + 0.1, inches_each * whole.shape[0] + 0.1)
    ax = figure.subplots()
    ax.set_axis_off()
    for i, image in enumerate(images):
        top, left = i // columns * (height + above) + above, i % columns * (width + gap)
        whole[top : top + height, left : left + width] = image
        if names:
            x, y = left + width / 2 - 0.5, top - 0.9
            ax.text(x, y, _plain(names[i]), fontsize=10, ha="center", va="bottom", in_layout=False)  # it has its room
    ax.imshow(whole, interpolation="nearest", **how)
    return figure


def _png(figure: Figure) -> bytes:
    """Draw the figure as a small PNG: a palette of 256 colours takes a third of the bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # Matplotlib cannot be installed without it.

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # `savefig` would draw twice: once for the layout, and once for the file
    whole: Any = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # The octree takes a tenth of the time, which is good enough for lines, but it draws a colour map in steps.
    has_colour_map = any(ax.images or ax.collections for ax in figure.axes)
    method = Image.Quantize.MEDIANCUT if has_colour_map else Image.Quantize.FASTOCTREE
    small: Any = whole.quantize(256, method=method)
    # A colour of the palette is the mean of several, but the page is to stay white.
    corner, palette = small.getpixel((0, 0)), small.getpalette()
    palette[3 * corner : 3 * corner + 3] = whole.getpixel((0, 0))
    small.putpalette(palette)
    file = io.BytesIO()
    small.save(file, format="png")
    return file.getvalue()


def _draw_curves(ax: Axes, curves: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
    lines = []
    for k, (x, y) in enumerate(curves.values()):
        # One point alone makes no line, so it gets a dot.
        marker = "o" if len(x) == 1 else None
        lines += ax.plot(
            x,
            y,
            color=_COLOURS[k % len(_COLOURS)],
            linestyle=_STYLES[k % len(_STYLES)],
            linewidth=1.8,
            marker=marker,
        )
    ax.legend(lines, [_plain(name) for name in curves], frameon=False, handlelength=3.5)


def _broken_at_jumps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """With a gap where the values jump by a quarter of their range: no line that climbs a step."""
    finite = values[np.isfinite(values)]
    limit = 0.25 * np.ptp(finite) if finite.size else 0.0
    jumps = np.append(np.abs(np.diff(values)) > limit, False) if limit else np.zeros(len(values), dtype=bool)
    return np.where(jumps, np.nan, values)


def _ink_on(image: Any, value: float) -> str:
    """Black or white, whichever is easier to read on the cell's colour."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _mixed_with_white(colours: Sequence[str]) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    return 1 - 0.3 * (1 - np.array([to_rgb(colour) for colour in colours]))


def _plain(text: str) -> str:
    """Dollar signs are money here, not the start of a formula that may not parse."""
    return text.replace("$", r"\$")


# ---------------------------------------------------------- words and checks


def _count(number: Any, one: str, many: str | None = None) -> str:
    """
    >>> _count(1, "run"), _count(2, "run"), _count(2, "class", "classes")
    ('1 run', '2 runs', '2 classes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def _series(values: ArrayLike) -> str:
    return ", ".join(f"{value:.3g}" for value in np.asarray(values, dtype=np.float64))


def _are(number: Any) -> str:
    return "is" if number == 1 else "are"


def _place(flat_index: np.integer[Any], width: int) -> str:
    row, column = divmod(int(flat_index), width)
    return f"row {row}, column {column}"


def _numbers(caller: str, name: str, value: ArrayLike, ndim: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} is an array of numbers; {error}.") from error
    if array.ndim != ndim:
        raise ValueError(f"{caller}: {name} has {ndim} dimensions, but its shape is {array.shape}.")
    return array


def _labels(caller: str, name: str, value: ArrayLike, length: int) -> NDArray[np.int64]:
    labels = np.asarray(value)
    if labels.shape != (length,):
        raise ValueError(f"{caller}: {name} should have shape ({length},), one label a point, not {labels.shape}.")
    whole = labels.astype(np.int64)
    if not (whole == labels).all():
        raise ValueError(f"{caller}: {name} holds labels, which are whole numbers; the first are {labels[:3]}.")
    return whole


def _names(caller: str, name: str, values: object, length: int) -> list[str]:
    """The values as text; an empty list if there are none."""
    if values is None:
        return []
    names = [str(value) for value in np.asarray(values, dtype=object)]
    if len(names) != length:
        raise ValueError(f"{caller}: {name} has {_count(len(names), 'entry', 'entries')} for {length}.")
    return names


def _curves(caller: str, name: str, curves: Any) -> dict[str, Any]:
    if not isinstance(curves, Mapping):
        raise TypeError(f"{caller}: {name} is a dict from a name to its curve, not {type(curves).__name__}.")
    if not curves:
        raise ValueError(f"{caller}: {name} is empty; give at least one curve.")
    return {str(key): curve for key, curve in curves.items()}


def _between(caller: str, name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{caller}: {name} is a whole number, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"{caller}: {name} is {value}; it should lie between {low} and {high}.")
