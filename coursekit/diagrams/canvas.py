"""A canvas for SVG, and the finished diagram: SVG with a caption, an alt text and a text."""

from __future__ import annotations

import os

from coursekit.diagrams.text import clean, escaped
from coursekit.plots import figure_html

BLUE, GREEN, ORANGE, GREY = "#0072B2", "#00704f", "#b34700", "#555555"  # all readable on white
INK, PALE = "#222222", "#f3f3f3"
DASHES = "5 4"
FITTING = "display: block; max-width: 100%; height: auto"


class Diagram:
    """A finished diagram with its caption, and its content in words.

    Attributes
    ----------
    svg : str
        The drawing, on a white ground.
    caption : str
        The line below it.
    alt : str
        The alternative text for a screen reader.
    text : str
        The numbers of the diagram, as text.

    Examples
    --------
    >>> from coursekit.diagrams import show_layers
    >>> show_layers([3, 4, 1])
    <Diagram: Fully connected network with layers of 3, 4, 1 units>
    """

    def __init__(self, svg: str, *, caption: str, alt: str, text: str) -> None:
        self.svg = svg
        self.caption = clean(caption)
        self.alt = clean(alt)
        self.text = clean(text)

    def __repr__(self) -> str:
        return f"<Diagram: {self.caption}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the diagram to a file, as SVG."""
        if not os.fspath(path).endswith(".svg"):
            raise ValueError(f"a diagram is saved as SVG: let the name end in .svg, not {os.fspath(path)!r}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {
            "text/html": figure_html(self.svg.encode(), "image/svg+xml", alt=self.alt, caption=self.caption),
            "text/plain": f"{self.caption}\n{self.text}",
        }


class Canvas:
    """A sheet to draw a diagram on.

    Words lie above lines and shapes, each in the order of the calls. Words are plain text and shown unchanged.

    Parameters
    ----------
    width, height : float
        In pixels; x runs to the right and y downwards.
    paper : str
        The colour of the ground, or ``"none"``.
    font : str

    Examples
    --------
    >>> canvas = Canvas(200, 60)
    >>> canvas.box(40, 30, "x")
    >>> canvas.line(80, 30, 120, 30, tip=True)
    >>> canvas.box(160, 30, "x²")
    >>> canvas.diagram(caption="A square", alt="x goes into x squared.")
    <Diagram: A square>
    """

    def __init__(self, width: float, height: float, *, paper: str = "white", font: str = "sans-serif") -> None:
        self.width, self.height = width, height
        self.paper, self.font = paper, font
        self._shapes: list[str] = []
        self._words: list[str] = []
        self._tips: dict[str, str] = {}  # by colour: in SVG, an arrow's tip does not inherit the colour of its line

    def text(
        self,
        x: float,
        y: float,
        words: object,
        colour: str = INK,
        *,
        size: float = 15,
        anchor: str = "middle",
        italic: bool = False,
        bold: bool = False,
        upwards: bool = False,
        halo: bool = True,
    ) -> None:
        """Write words on the baseline `y`, centred at `x`; with `anchor` "start" or "end", from x or up to it.

        `upwards` turns them to read from bottom to top; `halo` draws a white edge around the letters.
        """
        style = ' font-style="italic"' if italic else ""
        style += ' font-weight="600"' if bold else ""
        # The halo keeps words readable where a line passes below them.
        style += ' stroke="white" stroke-width="4" paint-order="stroke"' if halo else ""
        where = f'transform="translate({x:g} {y:g}) rotate(-90)"' if upwards else f'x="{x:g}" y="{y:g}"'
        how = f'font-size="{size:g}" text-anchor="{escaped(anchor)}" fill="{escaped(colour)}"{style}'
        self._words.append(f"<text {where} {how}>{escaped(words)}</text>")

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        colour: str = GREY,
        *,
        tip: bool = False,
        dashed: bool = False,
    ) -> None:
        """Draw a straight line, with `tip` an arrow to (x2, y2)."""
        self.path(f"M{x1:g} {y1:g}L{x2:g} {y2:g}", colour, tip=tip, dashes=DASHES * dashed)

    def curve(
        self,
        start: tuple[float, float],
        control1: tuple[float, float],
        control2: tuple[float, float],
        end: tuple[float, float],
        colour: str = GREY,
        *,
        tip: bool = False,
        dashed: bool = False,
    ) -> None:
        """Draw a Bézier curve from `start` towards `control1`, and from `control2` to `end`."""
        points = [f"{x:g} {y:g}" for x, y in (start, control1, control2, end)]
        self.path(f"M{points[0]}C{' '.join(points[1:])}", colour, tip=tip, dashes=DASHES * dashed)

    def path(
        self,
        commands: str,
        colour: str = GREY,
        *,
        tip: bool = False,
        dashes: str = "",
        width: float = 1.0,
        opacity: float = 1.0,
        rounded: bool = False,
    ) -> None:
        """Draw the line of an SVG path with these `commands`."""
        style = f' stroke-dasharray="{escaped(dashes)}"' if dashes else ""
        style += f' stroke-width="{width:g}"' if width != 1 else ""
        style += f' stroke-opacity="{opacity:g}"' if opacity != 1 else ""
        style += ' stroke-linejoin="round" stroke-linecap="round"' if rounded else ""
        if tip:
            name = self._tips.setdefault(escaped(colour), f"tip{len(self._tips)}")
            style += f' marker-end="url(#{name})"'
        self._shapes.append(f'<path d="{escaped(commands)}" fill="none" stroke="{escaped(colour)}"{style}/>')

    def box(
        self,
        x: float,
        y: float,
        words: object = "",
        *,
        width: float = 80,
        height: float = 40,
        corner: float = 8,
        fill: str = PALE,
        stroke: str = INK,
        size: float = 15,
    ) -> None:
        """Draw a box around (x, y) with words in it; `corner` is the radius of its corners."""
        where = f'x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="{corner:g}"'
        self._shapes.append(f'<rect {where} fill="{escaped(fill)}" stroke="{escaped(stroke)}"/>')
        if str(words):
            self.text(x, y + size / 3, words, size=size, halo=False)

    def circle(
        self,
        x: float,
        y: float,
        words: object = "",
        *,
        radius: float = 20,
        width: float | None = None,
        fill: str = PALE,
        size: float = 15,
    ) -> None:
        """Draw a circle around (x, y) with words in it; with a `width`, an ellipse."""
        across = radius if width is None else width / 2
        where = f'cx="{x:g}" cy="{y:g}" rx="{across:g}" ry="{radius:g}"'
        self._shapes.append(f'<ellipse {where} fill="{escaped(fill)}" stroke="{INK}"/>')
        if str(words):
            self.text(x, y + size / 3, words, size=size, halo=False)

    def diagram(self, *, caption: str, alt: str, text: str | None = None) -> Diagram:
        """Return the diagram drawn so far; `text` has its numbers, and is `alt` by default."""
        return Diagram(self.svg(), caption=caption, alt=alt, text=alt if text is None else text)

    def svg(self, *, title: str = "", description: str = "", name: str = "") -> str:
        """Return the drawing so far as SVG.

        Parameters
        ----------
        title, description : str, optional
            Name and description for a screen reader, for SVG that is not inside a figure with an alt text.
        name : str
            The prefix of the ids of both; unique in the page.
        """
        size = f'width="{self.width:g}" height="{self.height:g}"'
        about = words = ""
        if title:
            about = (
                f' role="img" aria-labelledby="{name}-t {name}-d" style="display: block; max-width: 100%; height: auto"'
            )
            words = f'<title id="{name}-t">{escaped(title)}</title><desc id="{name}-d">{escaped(description)}</desc>'
        tips = "".join(
            f'<marker id="{tip}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
            for colour, tip in self._tips.items()
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width:g} {self.height:g}"{about} '
            f'font-family="{escaped(self.font)}">{words}<defs>{tips}</defs><rect {size} fill="{escaped(self.paper)}"/>'
            f"{''.join(self._shapes)}{''.join(self._words)}</svg>"
        )
