"""Images of digits, and of the weights of a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .arguments import are, as_names, as_numbers, counted, require_between
from .drawing import DIVERGING, draw_grid
from .picture import Picture


def show_digits(
    images: ArrayLike, labels: ArrayLike | None = None, columns: int = 10, caption: str | None = None
) -> Picture:
    """Show images in a grid, row by row.

    Parameters
    ----------
    images : array, shape (N, H, W)
        Up to 200 images; larger numbers are darker.
    labels : array, shape (N,), optional
        Written above each image: labels or predictions.
    columns : int
        Images in a row.
    caption : str, optional
        The line below the picture; by default, the number of images.

    Examples
    --------
    >>> from coursekit.data import digit_images
    >>> images, labels = digit_images()
    >>> show_digits(images[:20], labels[:20])
    <Picture: 20 images, 10 in a row>
    """
    images = as_numbers("show_digits", "images", images, ndim=3)
    require_between("show_digits", "the number of images", len(images), 1, 200)
    require_between("show_digits", "columns", columns, 1, 50)
    names = as_names("show_digits", "labels", labels, len(images))
    columns = min(columns, len(images))
    darkest = images.max()
    figure = draw_grid(images, names, columns, 0.62, cmap="gray_r", vmin=0, vmax=darkest or 1)

    count = counted(len(images), "image")
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

    A linear classifier scores an image by its dot product with every template.
    Red pixels count for the class, blue ones against it, white ones not at all.

    Parameters
    ----------
    W : array, shape (D, C)
        One column per class.  If D is the number of pixels plus one, the last row
        is the bias and is left out.
    image_shape : (int, int)
        Height and width of an image.
    class_names : sequence, optional
        C names; by default 0 … C − 1.
    caption : str, optional
        The line below the picture, if the columns are not classes.
    """
    W = as_numbers("show_templates", "W", W, ndim=2)
    height, width = image_shape
    if len(W) == height * width + 1:
        W = W[:-1]
    if len(W) != height * width:
        raise ValueError(
            f"show_templates: W has {len(W)} rows, but a {height}×{width} image has {height * width} pixels "
            f"({height * width + 1} with the bias). Is W transposed? It should be (D, C)."
        )
    require_between("show_templates", "the number of classes (columns of W)", W.shape[1], 1, 50)
    names = as_names("show_templates", "class_names", class_names, W.shape[1]) or [str(c) for c in range(W.shape[1])]
    templates = W.T.reshape(-1, height, width)
    limit = np.abs(W[np.isfinite(W)]).max(initial=0.0) or 1.0

    columns = min(5, len(templates))
    figure = draw_grid(templates, names, columns, 1.25, cmap=DIVERGING, vmin=-limit, vmax=limit)
    (ax,) = figure.axes
    figure.colorbar(ax.images[0], ax=ax, shrink=0.8, label="weight")

    lines = []
    for name, template in zip(names, templates, strict=True):
        if not np.isfinite(template).all():
            broken = int((~np.isfinite(template)).sum())
            lines.append(f"{name}: holds {counted(broken, 'weight')} that {are(broken)} nan or inf.")
            continue
        lines.append(
            f"{name}: weights from {template.min():.3g} at {_place(int(template.argmin()), width)}"
            f" to {template.max():.3g} at {_place(int(template.argmax()), width)}."
        )
    return Picture(
        figure,
        caption=caption
        or f"Templates of {counted(len(templates), 'class', 'classes')}: "
        f"red speaks for the class, blue against it (weights from {-limit:.3g} to {limit:.3g})",
        alt=(caption or f"The weights of {counted(len(templates), 'class', 'classes')} as images")
        + ". "
        + " ".join(lines),
        text="\n".join(lines),
    )


def _place(flat_index: int, width: int) -> str:
    row, column = divmod(flat_index, width)
    return f"row {row}, column {column}"
