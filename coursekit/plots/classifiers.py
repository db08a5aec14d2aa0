"""Pictures of a classifier: its confusions, its decision regions, and the losses that train it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from coursekit._typing import Array

from .arguments import are, as_labels, as_numbers, counted, require_between
from .drawing import COLOURS, DIVERGING, MARKERS, draw_curves, ink_on, literal, mixed_with_white, new_axes
from .picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def show_heatmap(A: ArrayLike, row_label: str, column_label: str, caption: str) -> Picture:
    """Show a matrix as coloured cells, with the numbers in them if they fit.

    Parameters
    ----------
    A : array, shape (rows, columns)
        If it has both signs, zero is white, red positive and blue negative.
    row_label, column_label : str
        What the rows and the columns stand for.
    caption : str
        The line below the picture.

    Examples
    --------
    >>> print(show_heatmap([[9, 1], [0, 8]], "true digit", "predicted digit", "Confusions").text)
    2 rows (true digit) and 2 columns (predicted digit); values from 0 to 9.
    true digit 0: 9, 1
    true digit 1: 0, 8
    """
    A = as_numbers("show_heatmap", "A", A, ndim=2)
    rows, columns = A.shape
    require_between("show_heatmap", "the number of rows", rows, 1, 2000)
    require_between("show_heatmap", "the number of columns", columns, 1, 2000)
    finite = A[np.isfinite(A)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    colours: dict[str, Any] = {"cmap": "viridis"}
    if low < 0 < high:
        limit = max(-low, high)
        colours = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
    numbers_fit = rows <= 15 and columns <= 12

    cell = 0.5 if numbers_fit else 4.2 / max(rows, columns)
    figure, ax = new_axes(max(cell * columns, 1.2) + 1.9, max(cell * rows, 1.2) + 0.9, grid=False)
    image = ax.imshow(A, interpolation="nearest", aspect="auto" if not numbers_fit else "equal", **colours)
    figure.colorbar(image, ax=ax)
    ax.set(xlabel=literal(column_label), ylabel=literal(row_label))
    if numbers_fit:
        _write_numbers(ax, A, image)

    said = f"{counted(rows, 'row')} ({row_label}) and {counted(columns, 'column')} ({column_label})"
    said += f"; values from {low:.3g} to {high:.3g}."
    numbers = [f"{row_label} {i}: " + ", ".join(f"{a:.3g}" for a in row) for i, row in enumerate(A)]
    return Picture(
        figure,
        caption=caption,
        alt=f"{caption}. A table of coloured cells: {said}",
        text="\n".join([said, *numbers]) if numbers_fit else said,
    )


def _write_numbers(ax: Axes, A: Array, image: AxesImage) -> None:
    """Write the entries of `A` into their cells, and number its rows and columns."""
    rows, columns = A.shape
    ax.set_xticks(range(columns))
    ax.set_yticks(range(rows))
    for i, j in np.ndindex(rows, columns):
        ink = ink_on(image, float(A[i, j]))
        # Each number lies within its cell, so the layout need not make room for it.
        ax.text(j, i, f"{A[i, j]:.3g}", ha="center", va="center", fontsize=9, color=ink, in_layout=False)


def show_decision_regions(
    predict: Callable[[Array], ArrayLike], X: ArrayLike, y: ArrayLike, resolution: int = 200
) -> Picture:
    """Colour the plane by the predictions of a classifier, with the data on top.

    Parameters
    ----------
    predict : function
        Takes points (M, 2) and returns labels (M,).
    X : array, shape (N, 2)
    y : array, shape (N,)
        The true labels.
    resolution : int
        `predict` is called once with resolution × resolution points.

    Examples
    --------
    >>> print(show_decision_regions(lambda P: P[:, 0] > 0, [[-1, 0], [1, 0], [2, 1]], [0, 1, 0]).text)
    2 of 3 points are classified right (66.7 %).
    class 0: 2 points, 1 right, 36 % of the plane shown.
    class 1: 1 point, 1 right, 64 % of the plane shown.
    """
    X = as_numbers("show_decision_regions", "X", X, ndim=2)
    y = as_labels("show_decision_regions", "y", y, len(X))
    if X.shape[1] != 2 or len(X) == 0:
        raise ValueError(f"show_decision_regions: X is points in the plane, shape (N, 2), not {X.shape}.")
    require_between("show_decision_regions", "resolution", resolution, 2, 1000)

    left, right, bottom, top = _extent(X)
    across, up = np.meshgrid(np.linspace(left, right, resolution), np.linspace(bottom, top, resolution))
    answers = predict(np.column_stack([across.ravel(), up.ravel()]))
    regions = as_labels("show_decision_regions", "the result of predict", answers, resolution**2)
    answered = as_labels("show_decision_regions", "the result of predict", predict(X), len(X))

    classes = np.unique(np.concatenate([y, answered, regions]))
    figure, ax = new_axes(5.2, 4.2, grid=False)
    colours = [COLOURS[k % len(COLOURS)] for k in range(len(classes))]
    ax.imshow(
        mixed_with_white(colours)[np.searchsorted(classes, regions)].reshape(resolution, resolution, 3),
        extent=(left, right, bottom, top),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    correct = answered == y
    lines = [
        f"{correct.sum()} of {counted(len(y), 'point')} {are(correct.sum())} classified right "
        f"({100 * correct.mean():.1f} %)."
    ]
    for k, label in enumerate(classes):
        own = y == label
        ax.scatter(
            X[own, 0],
            X[own, 1],
            s=22,
            c=colours[k],
            marker=MARKERS[k % len(MARKERS)],
            edgecolors="white",
            linewidths=0.6,
            label=f"class {label}",
        )
        lines.append(
            f"class {label}: {counted(own.sum(), 'point')}, {correct[own].sum()} right, "
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


def _extent(X: Array) -> tuple[float, float, float, float]:
    """The rectangle (left, right, bottom, top) that holds all points of `X`, and a margin."""
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    (left, bottom), (right, top) = low - margin, high + margin
    return left, right, bottom, top


def show_hinge_and_softmax() -> Picture:
    """Show the SVM loss and the softmax loss of one example.

    Both depend on the lead: the score of the correct class minus the best score
    among the others.  With two classes the SVM loss is ``max(0, 1 − lead)`` and
    the softmax loss ``log(1 + exp(−lead))``.
    """
    lead = np.linspace(-4, 4, 161)
    hinge = np.maximum(0, 1 - lead)
    softmax = np.logaddexp(0, -lead)

    figure, ax = new_axes(6.4, 3.4)
    draw_curves(ax, {"SVM: max(0, 1 − lead)": (lead, hinge), "softmax: log(1 + exp(−lead))": (lead, softmax)})
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
