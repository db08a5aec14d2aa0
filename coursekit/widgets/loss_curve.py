"""A loss curve that is drawn while a training loop runs.

>>> from coursekit.widgets import LossCurve
>>> curve = LossCurve("Softmax on digits")
>>> curve.extend([2.3, 1.1, 0.6])
>>> curve
LossCurve('Softmax on digits'): 3 iterations; first loss 2.3, last 0.6, smallest 0.6 at iteration 2.

The numbers are in `curve`, the picture in `drawing`.
"""

from __future__ import annotations

import functools
import html
import time
from array import array
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import ipywidgets
import numpy as np
from IPython import get_ipython
from IPython.display import display

from coursekit.plots import describe_losses, figure_html

from .curve import View
from .drawing import ON_THE_PAGE, ON_WHITE, draw_svg

__all__ = ["LossCurve"]

P = ParamSpec("P")
R = TypeVar("R")


class LossCurve(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Watch a loss while it falls.

    Parameters
    ----------
    title : str
        The title above the curve.
    smooth : int
        Draw the mean of the last `smooth` losses, and the losses themselves in pale behind it.  1 draws only the
        losses.
    log : bool
        Start with a logarithmic axis.
    every : float
        The least time between two drawings, in seconds.  A drawing takes a few milliseconds at most.

    Attributes
    ----------
    history : list of float
        All losses so far; ``history[i]`` is drawn above iteration i.

    Examples
    --------
    In a notebook, around any loop or any function that calls a loss function::

        with LossCurve("SVM on digits") as curve:
            W, history = train(X, y, 10, curve.watch(svm_loss_vectorized), ...)

    or, without a loss function to watch::

        with LossCurve() as curve:
            for t in range(1000):
                curve.append(step())

    `watch` only changes the picture:

    >>> curve = LossCurve()
    >>> square = curve.watch(lambda x: (x * x, 2 * x))
    >>> square(3.0)
    (9.0, 6.0)
    >>> curve.history
    [9.0]

    The controls below the curve, for a log scale and for smoothing, react when the cell has ended: a running loop
    blocks the kernel.
    """

    def __init__(self, title: str = "Training loss", *, smooth: int = 1, log: bool = False, every: float = 0.1) -> None:
        if isinstance(smooth, bool) or not isinstance(smooth, int | np.integer) or smooth < 1:
            raise ValueError(f"LossCurve: smooth is how many losses to average, 1 or more, not {smooth!r}.")
        if not every >= 0:
            raise ValueError(f"LossCurve: every is a number of seconds, 0 or more, not {every!r}.")
        self._title = str(title)
        self._losses = array("d")
        self._every = float(every)
        self._stale = False  # whether there are losses since the last drawing
        self._ended = ""  # the exception that ended the with-block
        self._figures: list[Any] = []  # display handles of the lasting figures

        self._picture = ipywidgets.HTML()
        self._log = ipywidgets.Checkbox(
            value=bool(log), description="Log scale", indent=False, layout={"width": "auto"}
        )
        self._smooth = ipywidgets.BoundedIntText(
            value=int(smooth),
            min=1,
            max=1_000_000,
            description="Average over the last",
            style={"description_width": "initial"},
            layout={"width": "230px"},
        )
        controls = ipywidgets.HBox([self._log, self._smooth], layout={"grid_gap": "2em", "align_items": "center"})
        super().__init__([self._picture, controls])
        self._draw()
        self._draw_after = 0.0  # the first loss is drawn at once
        for control in (self._log, self._smooth):
            control.observe(lambda change: self._settle(), names="value")

    # ------------------------------------------------------------ recording

    @property
    def history(self) -> list[float]:
        return self._losses.tolist()

    def append(self, loss: Any) -> None:
        """Record one loss: a number, or an array or tensor that holds one."""
        self._losses.append(_one_number(loss))
        self._draw_if_due()

    def extend(self, losses: Iterable[Any]) -> None:
        """Record several losses at once."""
        self._losses.extend([_one_number(loss) for loss in losses])
        self._draw_if_due()

    def watch(self, loss_function: Callable[P, R]) -> Callable[P, R]:
        """Return the same function, which also records the loss of every call.

        Parameters
        ----------
        loss_function : function
            Returns the loss, or a tuple that begins with it: ``(loss, dW)``.
        """
        if not callable(loss_function):
            raise TypeError(f"LossCurve.watch takes a loss function, not {loss_function!r}.")
        name = getattr(loss_function, "__name__", "the loss function")

        @functools.wraps(loss_function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> R:
            result = loss_function(*args, **kwargs)
            loss = result[0] if isinstance(result, tuple) and result else result
            try:
                number = _one_number(loss)
            except TypeError as error:
                raise TypeError(f"{name} should return a loss, or (loss, gradient). {error}") from None
            self.append(number)
            return result

        return watched

    def reset(self) -> None:
        """Forget all losses."""
        del self._losses[:]
        self._ended = ""
        self._settle()

    # -------------------------------------------------------------- showing

    def __enter__(self) -> LossCurve:
        self._ended = ""
        if get_ipython() is not None:
            display(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is NotImplementedError and not self._losses:
            self._vanish()  # the exercise is not written yet: show no empty plot
            return
        if kind is not None:
            self._ended = f"Stopped by {kind.__name__}."
        self._settle()
        if get_ipython() is None:
            print(self)

    def __repr__(self) -> str:
        return f"LossCurve({self._title!r}): {self._words()}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {**self._live_bundle(), **self._lasting_bundle()}

    def _ipython_display_(self) -> None:
        """Show the widget, and below it the figure that remains without a kernel.

        They are two outputs because JupyterLab chooses between widget and HTML by
        trust, not by whether the widget still exists: with one output, a notebook
        that is opened the next day shows "Error displaying widget" in place of the figure.
        CSS hides one of the two: see `_HIDE_FIGURE` and `_HIDE_DEAD_WIDGET`.
        """
        shell = get_ipython()
        if shell is None:
            print(self)
            return
        display(self._live_bundle(), raw=True)
        self._figures.append(display(self._lasting_bundle(), raw=True, display_id=True))
        # Draw the remaining losses when the cell ends.
        shell.events.register("post_run_cell", self._settle_if_stale)

    def _live_bundle(self) -> dict[str, Any]:
        # Without widgets this output stays empty: the figure follows.
        words = f"LossCurve({self._title!r}), live; its figure follows."
        return {**super()._repr_mimebundle_(), "text/plain": words, "text/html": ""}

    def _lasting_bundle(self) -> dict[str, Any]:
        words = self._words()
        svg = draw_svg(self._view(), self._title, words, self._class, ON_WHITE)
        figure = figure_html(
            svg.encode(),
            "image/svg+xml",
            alt=f"{self._title}: line plot of the loss against the iteration. {words}",
            caption=f"{self._title}: {words}",
        )
        style = _HIDE_DEAD_WIDGET.format(self._class)
        return {
            "text/html": f'<div class="{self._class}">{style}{figure}</div>',
            "text/plain": repr(self),
        }

    # -------------------------------------------------------------- drawing

    def _draw_if_due(self) -> None:
        self._stale = True
        if time.monotonic() >= self._draw_after:
            self._draw()

    def _settle_if_stale(self, result: object = None) -> None:
        if self._stale:
            self._settle()

    def _settle(self) -> None:
        """Update the widget and the lasting figures."""
        self._draw()
        for figure in self._figures:
            figure.update(self._lasting_bundle(), raw=True)

    def _vanish(self) -> None:
        """Hide everything that was shown."""
        self.layout.display = "none"
        for figure in self._figures:
            figure.update({"text/html": "", "text/plain": ""}, raw=True)

    def _draw(self) -> None:
        started = time.monotonic()
        words = self._words()
        svg = draw_svg(self._view(), self._title, words, self._class, ON_THE_PAGE)
        self._picture.value = (
            f"{_HIDE_FIGURE.format(self._class)}"
            f'<div class="{self._class}-live">{svg}<p style="{_TEXT}">{html.escape(words)}</p></div>'
        )
        self._stale = False
        # A long history takes longer to draw: leave 95 % of the time to the loop.
        now = time.monotonic()
        self._draw_after = now + max(self._every, 20 * (now - started))

    def _view(self) -> View:
        return View(np.array(self._losses, dtype=np.float64), self._smooth.value, self._log.value)

    def _words(self) -> str:
        losses, smooth, log = self._view()
        words = [describe_losses(losses)]
        if smooth > 1:
            words.append(f"The line is the mean of the last {smooth} losses.")
        hidden = int((losses <= 0).sum()) if log else 0
        if hidden:
            words.append(f"A log scale cannot show losses that are not positive ({hidden} here).")
        if self._ended:
            words.append(self._ended)
        return " ".join(words)

    @property
    def _class(self) -> str:
        """Return the CSS class that connects the widget to its figures."""
        return f"coursekit-{self.model_id}"


def _one_number(loss: Any) -> float:
    """Return a loss as a float.

    >>> _one_number(np.array([[2.5]]))
    2.5
    >>> _one_number([1.0, 2.0])
    Traceback (most recent call last):
    TypeError: LossCurve: a loss is one number, not 2 numbers of shape (2,).
    """
    if type(loss) is float:
        return loss
    # The engine's Value and Tensor keep their number in `.value`.
    number = np.asarray(getattr(loss, "value", loss))
    if number.dtype.kind not in "fiu":
        raise TypeError(f"LossCurve: a loss is one number, not {loss!r}.")
    if number.size != 1:
        raise TypeError(f"LossCurve: a loss is one number, not {number.size} numbers of shape {number.shape}.")
    return float(number.item())


# Hide one of the two outputs: the figure while the widget is live, and later JupyterLab's message that it
# cannot find the widget. Without a match, the rules have no effect.
_HIDE_FIGURE = "<style>.{0}, .jp-OutputArea-child:has(> .jp-RenderedHTML > .{0}) {{ display: none }}</style>"
_HIDE_DEAD_WIDGET = (
    "<style>.jp-OutputArea-child:not(:has(.{0}-live))"
    ":has(+ .jp-OutputArea-child > .jp-RenderedHTML > .{0}) {{ display: none }}</style>"
)
# Digits of equal width keep the sentence still while the numbers change.
_TEXT = "margin: 0; line-height: 1.5; font-variant-numeric: tabular-nums"
