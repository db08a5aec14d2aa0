"""A loss curve that draws itself while a training loop runs.

>>> from coursekit.widgets import LossCurve
>>> curve = LossCurve("Softmax on digits")
>>> curve.extend([2.3, 1.1, 0.6])
>>> curve
LossCurve('Softmax on digits'): 3 iterations; first loss 2.3, last 0.6, smallest 0.6 at iteration 2.

The file goes from the widget to the words beside the picture to the SVG.
"""

from __future__ import annotations

import functools
import html
import math
import time
from array import array
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

import ipywidgets
import numpy as np
from IPython import get_ipython
from IPython.display import display
from numpy.typing import NDArray

from coursekit.plots import describe_losses, figure_html

__all__ = ["LossCurve"]

P = ParamSpec("P")
R = TypeVar("R")
Floats = NDArray[np.float64]


class LossCurve(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Watch a loss while it falls.

    Parameters
    ----------
    title : str
        Stands above the curve.
    smooth : int
        Draw the mean of the last `smooth` losses, and each loss in pale behind
        it.  1 draws the losses alone.
    log : bool
        Start with a logarithmic axis.
    every : float
        Seconds between two drawings, at least.  A drawing takes well under a
        millisecond, so 0.1 costs a loop less than one percent.

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

    `watch` changes nothing but the picture:

    >>> curve = LossCurve()
    >>> square = curve.watch(lambda x: (x * x, 2 * x))
    >>> square(3.0)
    (9.0, 6.0)
    >>> curve.history
    [9.0]

    The box below the curve that chooses a log scale and the one for smoothing
    answer when the cell has ended: a loop keeps the kernel to itself.
    """

    def __init__(self, title: str = "Training loss", *, smooth: int = 1, log: bool = False, every: float = 0.1) -> None:
        if isinstance(smooth, bool) or not isinstance(smooth, int | np.integer) or smooth < 1:
            raise ValueError(f"LossCurve: smooth is how many losses to average, 1 or more, not {smooth!r}.")
        if not every >= 0:
            raise ValueError(f"LossCurve: every is a number of seconds, 0 or more, not {every!r}.")
        self._title = str(title)
        self._losses = array("d")
        self._every = float(every)
        self._stale = False  # whether losses came in after the last drawing
        self._ended = ""  # what ended the with-block, if it was an exception
        self._figures: list[Any] = []  # display handles of the figures that stay

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
        """Return a function that does the same and records the loss of every call.

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
            self._vanish()  # an exercise is not written yet: an empty plot would only be in the way
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
        """Show the widget, and below it the figure that stays when the widget is gone.

        These are two outputs because JupyterLab chooses between widget and HTML by
        trust, not by whether the widget still exists: in one output, a notebook
        opened the next day says "Error displaying widget" and hides the figure.
        Of the two, the reader sees one: see `_HIDE_FIGURE` and `_HIDE_DEAD_WIDGET`.
        """
        shell = get_ipython()
        if shell is None:
            print(self)
            return
        display(self._live_bundle(), raw=True)
        self._figures.append(display(self._lasting_bundle(), raw=True, display_id=True))
        # Losses that came in after the last drawing are drawn when the cell ends.
        shell.events.register("post_run_cell", self._settle_if_stale)

    def _live_bundle(self) -> dict[str, Any]:
        # Where widgets are not shown, this output should not be seen: the figure follows.
        words = f"LossCurve({self._title!r}), live; its figure follows."
        return {**super()._repr_mimebundle_(), "text/plain": words, "text/html": ""}

    def _lasting_bundle(self) -> dict[str, Any]:
        words = self._words()
        svg = _draw_svg(self._view(), self._title, words, self._class, _ON_WHITE)
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
        """Bring the widget and the figures that stay up to date."""
        self._draw()
        for figure in self._figures:
            figure.update(self._lasting_bundle(), raw=True)

    def _vanish(self) -> None:
        """Take back what was shown."""
        self.layout.display = "none"
        for figure in self._figures:
            figure.update({"text/html": "", "text/plain": ""}, raw=True)

    def _draw(self) -> None:
        started = time.monotonic()
        words = self._words()
        svg = _draw_svg(self._view(), self._title, words, self._class, _ON_THE_PAGE)
        self._picture.value = (
            f"{_HIDE_FIGURE.format(self._class)}"
            f'<div class="{self._class}-live">{svg}<p style="{_TEXT}">{html.escape(words)}</p></div>'
        )
        self._stale = False
        # A very long history takes longer to draw: still leave 95 % of the time to the loop.
        now = time.monotonic()
        self._draw_after = now + max(self._every, 20 * (now - started))

    def _view(self) -> _View:
        return _View(np.array(self._losses, dtype=np.float64), self._smooth.value, self._log.value)

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
        """The CSS class that ties the widget to its figures."""
        return f"coursekit-{self.model_id}"


def _one_number(loss: Any) -> float:
    """
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


# One of the two outputs is in the way: the figure while the widget lives, and
# after that JupyterLab's message that it cannot find the widget. Both rules are
# harmless where nothing matches them.
_HIDE_FIGURE = "<style>.{0}, .jp-OutputArea-child:has(> .jp-RenderedHTML > .{0}) {{ display: none }}</style>"
_HIDE_DEAD_WIDGET = (
    "<style>.jp-OutputArea-child:not(:has(.{0}-live))"
    ":has(+ .jp-OutputArea-child > .jp-RenderedHTML > .{0}) {{ display: none }}</style>"
)
# Digits of one width, so that the sentence does not shiver while it counts.
_TEXT = "margin: 0; line-height: 1.5; font-variant-numeric: tabular-nums"


# ------------------------------------------------------------------- the SVG


class _View(NamedTuple):
    """What is to be seen: the losses (T,), and how."""

    losses: Floats
    smooth: int
    log: bool


class _Ink(NamedTuple):
    text: str
    paper: str


# In the page the curve takes the colour of the text around it, light or dark; a
# file has no page to ask. The blue of the curve has a contrast of 3 on both.
_ON_THE_PAGE = _Ink(text="currentColor", paper="none")
_ON_WHITE = _Ink(text="#222222", paper="#ffffff")
_BLUE = "#2b7bba"

_WIDTH, _HEIGHT = 560, 270
_TOP, _RIGHT, _BOTTOM = 36, 16, 44
_COLUMNS = 480  # more points across than this cannot be seen


class _Axis(NamedTuple):
    """A scale from `low` to `high` onto pixels `start` to `end`, and its ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[tuple[float, str]]

    def place(self, value: Any) -> Any:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@np.errstate(all="ignore")  # a student's np.seterr(all="raise") is not meant for the picture
def _draw_svg(view: _View, title: str, words: str, name: str, ink: _Ink) -> str:
    """Draw the curve; `title` and `words` are its name and description for a screen reader."""
    losses = view.losses
    # Far beyond any loss worth seeing, differences would overflow.
    heights = np.clip(np.where(np.isfinite(losses), losses, np.nan), -1e300, 1e300)
    smooth = running_mean(heights, view.smooth)
    if view.log:
        heights, smooth = _log10(heights), _log10(smooth)

    low, high = _limits(heights, view.log)
    y_ticks = _log_ticks(low, high) if view.log else _linear_ticks(low, high)
    left = 42 + 7 * max((len(label) for _, label in y_ticks), default=1)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, y_ticks)
    last = max(len(losses) - 1, 1)
    whole = [(t, f"{t:g}") for t, _ in _linear_ticks(0, last, about=6) if t == round(t)]
    x = _Axis(0, last, left, _WIDTH - _RIGHT, whole)

    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d"'
        f' style="display: block; max-width: 100%; height: auto"'
        f' font-family="system-ui, sans-serif" font-size="12" fill="{ink.text}">',
        f'<title id="{name}-t">{html.escape(title)}</title>',
        f'<desc id="{name}-d">{html.escape(words)}</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{ink.paper}"/>',
        f'<text x="{left}" y="20" font-size="14" font-weight="600">{html.escape(_shortened(title))}</text>',
        *_frame(x, y, ink),
        f'<text x="{(x.start + x.end) / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">iteration</text>',
        f'<text transform="translate(16 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"loss{' (log scale)' if view.log else ''}</text>",
    ]
    if view.smooth > 1:
        parts.append(_line(heights, x, y, width=1.0, opacity=0.35))
    parts.append(_line(smooth, x, y, width=2.0, opacity=1.0))
    parts += _mark_first_break(losses, x, ink)
    if not np.isfinite(heights).any():
        nothing = "no losses yet" if len(losses) == 0 else "no loss that can be drawn"
        parts.append(f'<text x="{(x.start + x.end) / 2:.1f}" y="{middle:.1f}" text-anchor="middle">{nothing}</text>')
    return "".join([*parts, "</svg>"])


def running_mean(values: Floats, window: int) -> Floats:
    """Mean of each value and the `window` − 1 before it, as far as there are any.

    Values that are nan stay nan, and count in no other mean.

    >>> running_mean(np.array([4.0, 2.0, np.nan, 6.0]), 2)
    array([ 4.,  3., nan,  6.])
    """
    window = min(window, len(values))
    if window <= 1:
        return values
    here = np.isfinite(values)
    padding = np.zeros(window - 1)
    # Windows, not differences of a cumulative sum: after a loss of 1e10 those
    # would have no digits left for one of 1e-8.
    windows = np.lib.stride_tricks.sliding_window_view
    # Divided before they are added, so that the sum cannot overflow.
    counts = windows(np.concatenate([padding, here]), window).sum(axis=-1)
    sums = windows(np.concatenate([padding, np.where(here, values / window, 0.0)]), window).sum(axis=-1)
    return np.where(here, sums * (window / np.maximum(counts, 1)), np.nan)


def _log10(values: Floats) -> Floats:
    return np.log10(np.where(values > 0, np.maximum(values, 1e-300), np.nan))


def _limits(heights: Floats, log: bool) -> tuple[float, float]:
    drawn = heights[np.isfinite(heights)]
    if drawn.size == 0:
        return (-1.0, 0.0) if log else (0.0, 1.0)
    low, high = float(drawn.min()), float(drawn.max())
    if not log and 0 < low < high / 2:
        low = 0.0  # a loss near 0 is good news, so 0 should be in sight
    spread = high - low
    if spread <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        spread = 1.0 if log else max(abs(high), 1e-12)
        return low - spread / 2, high + spread / 2
    return (low if low == 0 and not log else low - 0.04 * spread), high + 0.04 * spread


def _linear_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Ticks at multiples of 1, 2 or 5 times a power of ten.

    >>> [label for _, label in _linear_ticks(0.0, 2.4)]
    ['0.0', '0.5', '1.0', '1.5', '2.0']
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= 0.75 * rough)
    values = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    large = max(abs(low), abs(high)) >= 1e6
    return [(v, f"{v:.3g}" if large or decimals > 5 else f"{v:.{decimals}f}") for v in values]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks at powers of ten, and between them if these are few. The limits are logarithms.

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
    return [(math.log10(v), label) for v, label in _linear_ticks(10.0**low, 10.0**high) if v > 0]


def _frame(x: _Axis, y: _Axis, ink: _Ink) -> list[str]:
    """Grid lines and numbers of both axes."""
    parts = []
    for value, label in y.ticks:
        at = y.place(value)
        parts.append(
            f'<path d="M{x.start:.1f},{at:.1f}H{x.end:.1f}" stroke="{ink.text}" stroke-opacity=".18"/>'
            f'<text x="{x.start - 8:.1f}" y="{at + 4:.1f}" text-anchor="end">{label}</text>'
        )
    for value, label in x.ticks:
        at = x.place(value)
        parts.append(
            f'<path d="M{at:.1f},{y.start:.1f}v5" stroke="{ink.text}"/>'
            f'<text x="{at:.1f}" y="{y.start + 19:.1f}" text-anchor="middle">{label}</text>'
        )
    parts.append(f'<path d="M{x.start:.1f},{y.end:.1f}V{y.start:.1f}H{x.end:.1f}" fill="none" stroke="{ink.text}"/>')
    return parts


def _line(heights: Floats, x: _Axis, y: _Axis, width: float, opacity: float) -> str:
    """A curve with a gap wherever a height is nan."""
    steps, heights = _thinned(heights)
    points = np.column_stack([x.place(steps), y.place(heights)]).tolist()
    commands, pen_down = [], False
    for across, up in points:
        if math.isnan(up):
            pen_down = False
            continue
        # h0 makes a dot of a point that has no neighbour.
        commands.append(f"L{across:.1f},{up:.1f}" if pen_down else f"M{across:.1f},{up:.1f}h0")
        pen_down = True
    return (
        f'<path d="{"".join(commands)}" fill="none" stroke="{_BLUE}" stroke-width="{width}"'
        f' stroke-opacity="{opacity}" stroke-linejoin="round" stroke-linecap="round"/>'
    )


def _thinned(heights: Floats) -> tuple[Floats, Floats]:
    """Not more points than can be seen: of each column its smallest and its largest.

    A column that holds a nan becomes a gap, so that no nan is lost.
    """
    if len(heights) <= 2 * _COLUMNS:
        return np.arange(len(heights), dtype=np.float64), heights
    starts = np.linspace(0, len(heights), _COLUMNS, endpoint=False).astype(int)
    ends = np.append(starts[1:], len(heights)) - 1
    both = np.column_stack([np.minimum.reduceat(heights, starts), np.maximum.reduceat(heights, starts)])
    return np.column_stack([starts, ends]).ravel().astype(np.float64), both.ravel()


def _mark_first_break(losses: Floats, x: _Axis, ink: _Ink) -> list[str]:
    """A dashed line where the loss first became nan or inf."""
    finite = np.isfinite(losses)
    if finite.all():
        return []
    first = int(np.argmin(finite))
    at = x.place(first)
    # After it there is seldom more to draw, so that is where the word is least in the way.
    anchor, aside = ("start", 5) if at < x.end - 30 else ("end", -5)
    return [
        f'<path d="M{at:.1f},{_TOP}V{_HEIGHT - _BOTTOM}" stroke="{ink.text}" stroke-dasharray="4 3"/>',
        f'<text x="{at + aside:.1f}" y="{_TOP + 12}" text-anchor="{anchor}">{losses[first]:g}</text>',
    ]


def _shortened(title: str, longest: int = 60) -> str:
    return title if len(title) <= longest else title[: longest - 1] + "…"
