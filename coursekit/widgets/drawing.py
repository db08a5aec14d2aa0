"""The drawing of a loss curve: axes, the curve, and a mark where the loss first became nan or inf."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from coursekit._typing import Array
from coursekit.diagrams import Canvas

from .curve import Axis, View, linear_ticks, scale, thinned


class Ink(NamedTuple):
    """The colours of text and paper."""

    text: str
    paper: str


# In a page, the axes have the colour of the text around, light or dark; a file has a white ground.
# The blue of the curve has a contrast of 3 on both.
ON_THE_PAGE = Ink(text="currentColor", paper="none")
ON_WHITE = Ink(text="#222222", paper="#ffffff")
_BLUE = "#2b7bba"

_WIDTH, _HEIGHT = 560, 270
_TOP, _RIGHT, _BOTTOM = 36, 16, 44


@np.errstate(all="ignore")  # a student's np.seterr(all="raise") must not stop the picture
def draw_svg(view: View, title: str, words: str, name: str, ink: Ink) -> str:
    """Draw the curve; `title` and `words` are its name and description for a screen reader."""
    heights, smooth = view.heights()
    low, high, y_ticks = scale(heights, view.log)
    left = 42 + 7 * max((len(label) for _, label in y_ticks), default=1)
    y = Axis(low, high, _HEIGHT - _BOTTOM, _TOP, y_ticks)
    last = max(len(view.losses) - 1, 1)
    whole = [(t, f"{t:g}") for t, _ in linear_ticks(0, last, about=6) if t == round(t)]
    x = Axis(0, last, left, _WIDTH - _RIGHT, whole)

    canvas = Canvas(_WIDTH, _HEIGHT, paper=ink.paper, font="system-ui, sans-serif")
    across, middle = (x.start + x.end) / 2, (y.start + y.end) / 2
    _write(canvas, ink, left, 20, _shortened(title), size=14, anchor="start", bold=True)
    _frame(canvas, x, y, ink)
    _write(canvas, ink, across, _HEIGHT - 8, "iteration")
    _write(canvas, ink, 16, middle, f"loss{' (log scale)' if view.log else ''}", upwards=True)
    if view.smooth > 1:
        _curve(canvas, heights, x, y, width=1.0, opacity=0.35)
    _curve(canvas, smooth, x, y, width=2.0)
    _mark_first_break(canvas, view.losses, x, ink)
    if not np.isfinite(heights).any():
        _write(canvas, ink, across, middle, "no losses yet" if len(view.losses) == 0 else "no loss that can be drawn")
    return canvas.svg(title=title, description=words, name=name)


def _frame(canvas: Canvas, x: Axis, y: Axis, ink: Ink) -> None:
    """Draw the grid lines and the numbers of both axes."""
    for value, label in y.ticks:
        at = y.place(value)
        canvas.path(f"M{x.start:.1f},{at:.1f}H{x.end:.1f}", ink.text, opacity=0.18)
        _write(canvas, ink, x.start - 8, at + 4, label, anchor="end")
    for value, label in x.ticks:
        at = x.place(value)
        canvas.path(f"M{at:.1f},{y.start:.1f}v5", ink.text)
        _write(canvas, ink, at, y.start + 19, label)
    canvas.path(f"M{x.start:.1f},{y.end:.1f}V{y.start:.1f}H{x.end:.1f}", ink.text)


def _curve(canvas: Canvas, heights: Array, x: Axis, y: Axis, width: float, opacity: float = 1.0) -> None:
    """Draw a curve with a gap wherever a height is nan."""
    steps, heights = thinned(heights)
    points = np.column_stack([x.place(steps), y.place(heights)]).tolist()
    commands, pen_down = [], False
    for across, up in points:
        if math.isnan(up):
            pen_down = False
            continue
        # h0 draws a dot for a point without neighbours.
        commands.append(f"L{across:.1f},{up:.1f}" if pen_down else f"M{across:.1f},{up:.1f}h0")
        pen_down = True
    canvas.path("".join(commands), _BLUE, width=width, opacity=opacity, rounded=True)


def _mark_first_break(canvas: Canvas, losses: Array, x: Axis, ink: Ink) -> None:
    """Draw a dashed line where the loss first became nan or inf."""
    finite = np.isfinite(losses)
    if finite.all():
        return
    first = int(np.argmin(finite))
    at = x.place(first)
    canvas.path(f"M{at:.1f},{_TOP}V{_HEIGHT - _BOTTOM}", ink.text, dashes="4 3")
    # The curve seldom goes on after it, so there is room for the word.
    anchor, aside = ("start", 5) if at < x.end - 30 else ("end", -5)
    _write(canvas, ink, at + aside, _TOP + 12, f"{losses[first]:g}", anchor=anchor)


def _write(canvas: Canvas, ink: Ink, x: float, y: float, words: str, size: float = 12, **how: Any) -> None:
    canvas.text(x, y, words, ink.text, size=size, halo=False, **how)


def _shortened(title: str, longest: int = 60) -> str:
    return title if len(title) <= longest else title[: longest - 1] + "…"
