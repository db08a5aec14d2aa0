"""One vocabulary of reports, for gradients and for exercises: findings, tolerances, plain text and HTML.

A report is shown as a `Section`: a headline, and blocks below it.  Each block says the same twice, in lines of plain
text and in HTML.  The HTML stands alone (inline styles, no scripts), and everything in it is escaped.

>>> found = Finding("sign", "The sign is flipped.", explains=1.0, of=("W",))
>>> print(Section(WRONG, "The gradient is not right.", (Found(found),)).text())
The gradient is not right.
Finding: dW: The sign is flipped. [sign, explains 100 %]
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np

from coursekit._typing import Array


@dataclass(frozen=True)
class Finding:
    """What is wrong, or worth knowing.

    Attributes
    ----------
    code : str
        To count by.
    message : str
        One sentence for the person who wrote the code.
    explains : float or None
        The share of a gradient's squared error that this explains, together with the findings beside it.
    of : tuple of str
        The parameters whose gradients it is about.
    where : tuple of str
        The student's lines that it came from, outermost first.
    """

    code: str
    message: str
    explains: float | None = None
    of: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return the message, after the gradients that it is about."""
        of = " and ".join(f"d{name}" for name in self.of)
        return f"{of}: {self.message}" if of else self.message

    def label(self) -> str:
        """Return the code, and the share that is explained."""
        return self.code if self.explains is None else f"{self.code}, explains {100 * self.explains:.4g} %"

    def to_dict(self) -> FindingRecord:
        """Return what a grading record keeps."""
        return {"code": self.code, "message": printable(self.message)}


class FindingRecord(TypedDict):
    """A finding in a grading record."""

    code: str
    message: str


@dataclass(frozen=True)
class Tolerance:
    """How far an entry may be off: a share of itself, plus a share of the largest entry.

    Attributes
    ----------
    relative : float
        The share of the entry itself.
    of_largest : float
        The share of the largest finite entry, which every entry may be off.
    least : float
        Takes the place of the share of the largest entry where that is smaller.
    """

    relative: float = 1e-5
    of_largest: float = 1e-6
    least: float = 0.0

    def floor(self, right: Array) -> float:
        """Return what every entry of `right` may be off, whatever its size."""
        finite = np.abs(right[np.isfinite(right)])
        return max(self.least, self.of_largest * float(np.max(finite, initial=0)))

    def allowed(self, right: Array) -> Array:
        """Return how far each entry may be off `right`; the shape is that of `right`."""
        sizes = np.where(np.isfinite(right), np.abs(right), 0.0)
        return np.asarray(self.relative * sizes + self.floor(right))

    def agree(self, got: Array, right: Array) -> bool:
        """Return whether `got` is `right`, within this tolerance, with nan where that is nan."""
        if not np.isfinite(right).all():
            return bool(np.allclose(got, right, self.relative, self.floor(right), equal_nan=True))
        with np.errstate(all="ignore"):  # the same, several times as fast
            sizes = np.abs(right)
            floor = max(self.least, self.of_largest * float(np.max(sizes, initial=0)))
            return bool((np.abs(got - right) <= self.relative * sizes + floor).all())


# -- a report as it is shown ------------------------------------------------------------------------


class Tone(NamedTuple):
    """The colour and the sign of a headline."""

    colour: str
    sign: str


# Dark enough on white and light enough on JupyterLab's dark theme to be read on both.
RIGHT = Tone("#1a7f37", "✓")
PARTLY = Tone("#9a6700", "✗")
WRONG = Tone("#cf222e", "✗")
WAITING = Tone("#57606a", "…")


class Block(Protocol):
    """A part of a report, in two forms that say the same."""

    def lines(self) -> list[str]:
        """Return the lines of plain text; none for what only HTML can show."""

    def html(self) -> str:
        """Return the HTML, with everything escaped."""


@dataclass(frozen=True)
class Section:
    """A report as it is shown: a headline, and what stands below it, block by block."""

    tone: Tone
    headline: str
    blocks: tuple[Block, ...] = ()

    def text(self) -> str:
        return "\n".join([printable(self.headline), *(line for block in self.blocks for line in block.lines())])

    def html(self) -> str:
        return (
            f"<section style='border-left:4px solid {self.tone.colour};padding:.2em .8em;margin:.4em 0'>"
            f"<p style='margin:.2em 0'><strong><span aria-hidden='true'>{self.tone.sign}</span> "
            f"{html_text(self.headline)}</strong></p>{''.join(block.html() for block in self.blocks)}</section>"
        )


class Renderable:
    """A report that can be shown: printed, in a notebook, or in a page."""

    def section(self) -> Section:
        """Return the report as it is shown."""
        raise NotImplementedError

    def text(self) -> str:
        """Return the report as plain text."""
        return self.section().text()

    def html(self) -> str:
        """Return the report as HTML that stands alone: inline styles, no scripts, everything escaped."""
        return self.section().html()

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


# -- blocks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A finding; `code_style` is CSS for its code."""

    finding: Finding
    code_style: str = ""

    def lines(self) -> list[str]:
        return [f"Finding: {printable(self.finding.sentence())} [{self.finding.label()}]"]

    def html(self) -> str:
        style = f" style='{self.code_style}'" if self.code_style else ""
        return (
            f"<p style='margin:.4em 0'><strong>{html_text(self.finding.sentence())}</strong> "
            f"<code{style}>{html_text(self.finding.label())}</code></p>"
        )


class Marked(NamedTuple):
    """Words with an HTML tag around them, and a quotation mark in plain text."""

    words: str
    tag: str
    quote: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A line of words, some of them marked; `margin` is above and below it in HTML, `indent` before it in text."""

    parts: tuple[str | Marked, ...]
    indent: str = ""
    margin: str = ".2em 0"

    def lines(self) -> list[str]:
        words = [
            f"{part.quote}{printable(part.words)}{part.quote}" if isinstance(part, Marked) else printable(part)
            for part in self.parts
        ]
        return [self.indent + "".join(words)]

    def html(self) -> str:
        words = [
            f"<{part.tag}>{html_text(part.words)}</{part.tag}>" if isinstance(part, Marked) else html_text(part)
            for part in self.parts
        ]
        return f"<p style='margin:{self.margin}'>{''.join(words)}</p>"


@dataclass(frozen=True)
class Preformatted:
    """Lines that keep their spaces, such as values and source code."""

    content: tuple[str, ...]
    indent: str = ""

    def lines(self) -> list[str]:
        return [self.indent + printable(line) for line in self.content]

    def html(self) -> str:
        text = "\n".join(self.content)
        return text and f"<pre style='margin:.2em 0;white-space:pre-wrap'>{html_text(text)}</pre>"


# -- words ------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Replace control characters: a terminal or a page must not obey what a student's code says."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text.expandtabs(4)
    )


def html_text(text: str) -> str:
    """Return `text` as HTML: printable and escaped."""
    return escape(printable(text))


def number(value: float) -> str:
    """Return a number of points without needless zeros."""
    return f"{value:g}"


def entries_are(which: Array, whose: str = "") -> str:
    """Count the entries that are marked, as the beginning of a sentence.

    >>> entries_are(np.array([True, False, False]))
    '1 of 3 entries is'
    """
    count = int(np.sum(which))
    return f"{count} of {whose}{which.size} entries {'is' if count == 1 else 'are'}"
