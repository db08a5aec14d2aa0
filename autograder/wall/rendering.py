"""Turn what students write into HTML, in a :class:`~autograder.wall.apart.Helper` of the process that makes a page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.filters import ansi2html, strip_ansi
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from .markup import clean

__all__ = ["clean", "code", "markdown", "printed"]

LANGUAGE = "ipython3"
MAX_MARKDOWN = 20_000
MAX_CODE = 200_000
MAX_COPIED = 10**9  # characters: each change of colour copies the rest of the text
# Characters that make code read otherwise than it runs.
TURNING = {
    ord(sign): f"\\u{ord(sign):04x}" for sign in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
}

EXPORTER = HTMLExporter()
LEXER = get_lexer_by_name(LANGUAGE)


class TooLong(ValueError):
    """It is not rendered but shown as text."""


def markdown(source: str, attachments: Mapping[str, Any], folder: str) -> str:
    """Return the HTML of Markdown in a notebook in `folder`."""
    if len(source) > MAX_MARKDOWN:
        raise TooLong(f"it has more than {MAX_MARKDOWN} characters")
    return clean(EXPORTER.markdown2html({"cell": {"attachments": attachments}}, source), folder)


def code(source: str) -> str:
    """Return the HTML of Python code."""
    if len(source) > MAX_CODE:
        raise TooLong(f"it has more than {MAX_CODE} characters")
    formatter = HtmlFormatter(cssclass=f" highlight hl-{LANGUAGE}")  # as nbconvert writes it
    return str(highlight(source.translate(TURNING) or " ", LEXER, formatter))


def printed(text: str) -> str:
    """Return the HTML of text with the colours of a terminal."""
    text = text.translate(TURNING)
    if text.count("\x1b") * len(text) > MAX_COPIED:
        return html.escape(strip_ansi(text))
    return str(ansi2html(text))
