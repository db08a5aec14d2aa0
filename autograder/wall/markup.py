"""Make HTML of students safe for the browsers of others.

Outputs are cleaned when they are kept (:mod:`autograder.wall.outputs`), and again with all else that students write
when a page is made (:mod:`autograder.wall.pages`).
nh3 parses as browsers do and writes only what is listed here: no scripts, no forms, nothing that is
fetched from elsewhere, nothing that could cover the page or look like a part of it.
"""

from __future__ import annotations

import functools
import html
import logging
import re
from typing import Any

import nh3
from pygments.token import STANDARD_TYPES

from .apart import Helper, Unanswered
from .pictures import DATA_URI, beside, is_shown

TEXT = (
    *("a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "data", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q"),
    *("s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
)
BLOCKS = (
    *("blockquote", "center", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5"),
    *("h6", "header", "footer", "hr", "img", "li", "ol", "p", "pre", "section", "summary", "ul"),
    *("caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"),
)
DRAWING = ("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "desc")
OF_ANY = {"class", "dir", "id", "lang", "role", "style", "title"}
OF_DRAWING = {
    *("cx", "cy", "d", "dominant-baseline", "dx", "dy", "fill", "fill-opacity", "fill-rule", "font-family"),
    *("font-size", "font-style", "font-weight", "height", "opacity", "points", "preserveAspectRatio", "r", "rx", "ry"),
    *("stroke", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width"),
    *("text-anchor", "transform", "viewBox", "width", "x", "x1", "x2", "xmlns", "y", "y1", "y2"),
}
ATTRIBUTES = {
    "*": OF_ANY,
    "a": {"href"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start", "type"},
    "table": {"border"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan", "scope"},
    **dict.fromkeys(DRAWING, OF_DRAWING),
}
STYLES = {
    *("background", "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left"),
    *("border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width", "color"),
    *("display", "fill", "font-family", "font-size", "font-style", "font-variant", "font-weight", "height"),
    *("line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top"),
    *("max-height", "max-width", "min-height", "min-width", "overflow", "overflow-wrap", "overflow-x", "overflow-y"),
    *("padding", "padding-bottom", "padding-left", "padding-right", "padding-top", "stroke", "stroke-width"),
    *("text-align", "text-decoration", "text-indent", "vertical-align", "white-space", "width", "word-break"),
}
# What a class does depends on the page's own styles and scripts: these are harmless.
CLASSES = {"dataframe", "anchor-link", "highlight", *STANDARD_TYPES.values()}
LINK = re.compile(r"(https?://|mailto:)[^\s]*", re.IGNORECASE)
# No function but a colour, no negative length (it would cover what comes before), no escapes.
STYLE = re.compile(r"(?:rgba?\(|hsla?\(|(?<!\d)-(?![\d.])|[^(\\@-])*", re.IGNORECASE)
# A picture in the notebook's own folder, or below.
BESIDE = re.compile(r"(?!.*\.\.)\w[^:?#\\<>\"']*\.(?:png|jpe?g|gif|webp|svg)", re.IGNORECASE)
PREFIX = "in-notebook-"  # an id must differ from those of the page

# HTML's rules for what is not closed copy and compare: what could cost seconds is not cleaned but shown as text.
COPIED = re.compile(r"<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)\b", re.IGNORECASE)
MAX_HTML = 2_000_000  # without its pictures
MAX_TAGS = 20_000
MAX_ENTITIES = 100_000
MAX_COPIES = 1_000_000
MAX_COMPARED = 4 * 10**8  # every word before the next tag might be an attribute, compared with all others
MAX_DEPTH = 200  # browsers give up nesting at 512
MAX_SECONDS = 3.0  # what is slow all the same
MAX_SHOWN = 20_000  # characters of what is shown as text
NOT_RENDERED = "This is shown as text: as a page it is too large, too involved or broken."
VOID = ("br", "col", "hr", "img", "wbr")
TAG = re.compile(r"<(/?)([a-z0-9]+)")
ANY_TAG = re.compile(r"<[^>]*>")
SHOWS = re.compile(r"<img [^>]*(?:src|alt)=|<svg|<hr")

HELPER = Helper(__name__)
log = logging.getLogger(__name__)


def cleaned(text: str, seconds: float = MAX_SECONDS) -> str:
    """Return what :func:`clean` makes of `text` within `seconds`, or the text itself."""
    if seconds <= 0:
        return as_text(text)
    try:
        return str(HELPER.call(min(seconds, MAX_SECONDS), "clean", text))
    except Unanswered as trouble:
        log.warning("HTML is shown as text: %s", trouble)
        return as_text(text)


def clean(text: Any, folder: str | None = None) -> str:
    """Return HTML that shows what `text` shows, and does nothing.

    Pictures in the notebook's `folder` become a part of it; without a folder, what refers to one stays as it is.

    >>> clean("<p onclick='f()'>1 <b>2<script>f()</script>")
    '<p>1 <b>2</b></p>'
    >>> clean("<a href='javascript:f()' style='position:fixed; color: red'>x</a><img src='http://x.org' alt='y'>")
    '<a style="color:red" rel="noopener noreferrer nofollow">x</a><img alt="y">'
    """
    text = str(text)
    if _too_involved(text):
        return as_text(text)
    cleaned = nh3.clean(
        text,
        tags={*TEXT, *BLOCKS, *DRAWING},
        attributes=ATTRIBUTES,
        attribute_filter=functools.partial(_attribute, folder),
        generic_attribute_prefixes={"aria-"},
        filter_style_properties=STYLES,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
    )
    return cleaned if _depth(cleaned) <= MAX_DEPTH else as_text(text)


def shows_something(cleaned: str) -> bool:
    """Return whether clean HTML shows more than an empty place.

    >>> shows_something("<div><p> </p></div>"), shows_something("<p>1</p>"), shows_something('<img src="data:…">')
    (False, True, True)
    """
    return SHOWS.search(cleaned) is not None or html.unescape(ANY_TAG.sub("", cleaned)).strip() != ""


def as_text(text: str) -> str:
    """Return HTML that shows the beginning of `text` as it is written."""
    return f"<p>{NOT_RENDERED}</p><pre>{html.escape(text[:MAX_SHOWN])}</pre>"


def _too_involved(text: str) -> bool:
    text = DATA_URI.sub("", text)
    if len(text) > MAX_HTML or text.count("&") > MAX_ENTITIES:
        return True
    pieces = re.split(r"<(?=[A-Za-z])", text)
    tags = len(pieces) - 1
    compared = sum(len(re.findall(r"[^\s/\"'>=]+", piece)) ** 2 for piece in pieces)
    return (
        tags > MAX_TAGS
        or text.count("</") > 2 * MAX_TAGS
        or compared > MAX_COMPARED
        or tags * len(COPIED.findall(text)) > MAX_COPIES
    )


def _depth(cleaned: str) -> int:
    """Return how deep the elements of clean HTML are nested."""
    depth = deepest = 0
    for end, name in TAG.findall(cleaned):
        depth += -1 if end else name not in VOID
        deepest = max(deepest, depth)
    return deepest


def _attribute(folder: str | None, tag: str, name: str, value: str) -> str | None:
    """Return the cleaned value of an attribute, or None to remove it."""
    match name:
        case "class":
            return " ".join(word for word in value.split() if word in CLASSES) or None
        case "id":
            return PREFIX + value
        case "style":
            return value if STYLE.fullmatch(value) else None
        case "src":
            if folder is None:
                return value if is_shown(value) or BESIDE.fullmatch(value) else None
            return value if is_shown(value) else beside(folder, value)
        case "href":
            if value.startswith("#"):
                return f"#{PREFIX}{value[1:]}"
            return value if LINK.fullmatch(value) else None
    return value if "url(" not in value.lower() else None
