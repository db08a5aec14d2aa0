"""Say which pictures of students a page shows: of a bounded number of pixels, or drawings that do not grow.

A picture is decoded and drawn in the browser of whoever reads the page: a small file can be one of gigapixels, and a
drawing can repeat itself thirty times over.  A picture that lies beside the notebook becomes a part of the page; what
it is, its bytes say and not its name.
"""

from __future__ import annotations

import base64
import html
import os
import re
import stat
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

DATA_URI = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,([A-Za-z0-9+/=\s]*)")
KINDS = {b"\x89PNG": "png", b"GIF8": "gif", b"\xff\xd8": "jpeg", b"RIFF": "webp"}
ELSEWHERE = re.compile(r"[A-Za-z][\w+.-]*:|//|#")
MAX_FILE = 16 * 2**20
MAX_PIXELS = 40_000_000
MAX_DRAWING = 4_000_000  # characters
MAX_SHAPES = 200_000  # with what is repeated
MAX_NESTED = 100

# A drawing is refused for any other element, such as filters, which are slow.
ELEMENTS = {
    *("circle", "clipPath", "defs", "desc", "ellipse", "g", "image", "line", "linearGradient", "marker", "metadata"),
    *(
        "path",
        "pattern",
        "polygon",
        "polyline",
        "radialGradient",
        "rect",
        "stop",
        "style",
        "svg",
        "symbol",
        "text",
        "title",
    ),
    *("tspan", "use"),
}
SVG = "{http://www.w3.org/2000/svg}"
REFERENCE = re.compile(r"\s*#(.*)", re.DOTALL)
PAINT = re.compile(r"url\(\s*[\"']?#(.*?)[\"']?\s*\)")
SLOW = re.compile(r"@|\\|url|filter|animat|mask|marker", re.IGNORECASE)
SLOW_ATTRIBUTE = re.compile(r"\\|filter|animat|mask|marker", re.IGNORECASE)


def is_shown(uri: str) -> bool:
    """Return whether a page shows the picture in a `data:` URI."""
    found = DATA_URI.fullmatch(uri)
    if found is None:
        return False
    kind, text = found.groups()
    try:
        data = base64.b64decode(text + "==")
        if kind == "svg+xml":
            return is_plain_drawing(data.decode())
        width, height = _size(data)
    except (ValueError, struct.error):  # broken, or of a kind that browsers know and this module does not
        return False
    return width * height <= MAX_PIXELS


# -- pictures beside the notebook ---------------------------------------------------------------------------------


def beside(folder: str, source: str) -> str | None:
    """Return the picture to which `source` refers, seen from a notebook in `folder`, as a `data:` URI.

    None if it refers to something elsewhere; a picture of the reason if it cannot be shown.
    """
    if not source or ELSEWHERE.match(source):
        return None
    name = unquote(re.split(r"[?#]", source)[0]).replace("\\", "/")
    try:
        data = _content(Path(folder), [part for part in name.split("/") if part not in ("", ".")])
        kind = next((kind for begin, kind in KINDS.items() if data.startswith(begin)), "svg+xml")
        uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        if not is_shown(uri):
            raise ValueError(
                f"it is no picture of a kind that a page shows (PNG, JPEG, GIF, WebP, a plain SVG), or has more than "
                f"{MAX_PIXELS // 10**6} million pixels"
            )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return _as_picture(f"The picture {name[:100]!r} is not shown: {reason}.")
    return uri


def _content(folder: Path, parts: list[str]) -> bytes:
    """Read a file that lies in `folder` or below; links are not followed."""
    if not parts or ".." in parts:
        raise ValueError("it does not lie beside the notebook")
    path = folder
    for part in parts:
        # What people write differs in capitals, and in how letters with accents are written, from what lies there.
        there = {name: _folded(name) for name in os.listdir(path)}
        alike = next((name for name, folded in there.items() if folded == _folded(part)), None)
        path = path / (part if part in there else alike or part)
        if path.is_symlink():
            raise ValueError("it is a link")
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no file")
        if about.st_size > MAX_FILE:
            raise ValueError(f"it is larger than {MAX_FILE >> 20} MB")
        return file.read()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _as_picture(sentence: str) -> str:
    text = f'<text x="4" y="20" font-family="sans-serif" font-size="14">{html.escape(sentence)}</text>'
    width = 16 + 8 * len(sentence)
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="30">{text}</svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}"


# -- pictures: browsers go by what is in a file, and not by the kind that is written above it ---------------------


def _size(data: bytes) -> tuple[int, int]:
    """Return the width and height of a picture."""
    for signature, size in SIZES.items():
        if data.startswith(signature):
            return size(data)
    raise ValueError("no picture of a kind that is shown")


def _size_of_png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _size_of_gif(data: bytes) -> tuple[int, int]:
    width, height, flags = struct.unpack("<HHB", data[6:11])
    place = 13 + _colours(flags)
    while data[place : place + 1] == b"!":  # extensions
        place += 2
        while length := data[place]:
            place += 1 + length
        place += 1
    left, top, across, down = struct.unpack("<HHHH", data[place + 1 : place + 9])
    return max(width, left + across), max(height, top + down)  # the first frame may be larger


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _size_of_jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        mark, length = struct.unpack(">HH", data[place : place + 4])
        if 0xFFC0 <= mark <= 0xFFCF and mark not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length


def _size_of_webp(data: bytes) -> tuple[int, int]:
    match data[8:16]:
        case b"WEBPVP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"WEBPVP8L":
            (bits,) = struct.unpack("<I", data[21:25])
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"WEBPVP8 ":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no WebP")


SIZES = {
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": _size_of_png,
    b"GIF8": _size_of_gif,
    b"\xff\xd8": _size_of_jpeg,
    b"RIFF": _size_of_webp,
}


# -- drawings -----------------------------------------------------------------------------------


def is_plain_drawing(svg: str) -> bool:
    """Return whether a drawing has shapes alone, and not too many of them however often they are used."""
    if len(svg) > MAX_DRAWING or "<!ENTITY" in svg:
        return False
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError:
        return False
    elements = list(root.iter())
    named = {element.attrib["id"]: element for element in elements if "id" in element.attrib}
    return all(map(_is_plain, elements)) and _shapes(root, named) <= MAX_SHAPES


def _is_plain(element: ElementTree.Element) -> bool:
    """Return whether an element is quick to draw, or not drawn."""
    name = element.tag.removeprefix(SVG)
    if name == element.tag:
        return True  # of another language: browsers draw none of it
    if name == "style" and SLOW.search("".join(element.itertext())):
        return False
    if name == "image" and not all(
        value.startswith("data:image/") and "svg" not in value[:20] and is_shown(value)
        for attribute, value in element.attrib.items()
        if attribute.endswith("href")
    ):
        return False
    if "marker-mid" in element.attrib or "marker" in element.attrib:
        return False  # drawn at every point of a line
    return name in ELEMENTS and not SLOW_ATTRIBUTE.search(element.attrib.get("style", ""))


def _shapes(root: ElementTree.Element, named: dict[str, ElementTree.Element]) -> float:
    """Return how many elements are drawn; infinity if they are nested too deeply or use themselves."""
    known: dict[int, float] = {}

    def count(element: ElementTree.Element, depth: int) -> float:
        if depth > MAX_NESTED:
            return float("inf")
        if id(element) not in known:
            used = [named[name] for name in _references(element) if name in named]
            known[id(element)] = 1 + sum(count(one, depth + 1) for one in [*element, *used])
        return known[id(element)]

    return count(root, 0)


def _references(element: ElementTree.Element) -> Iterator[str]:
    """Yield the names of the elements that an element repeats or paints with."""
    for name, value in element.attrib.items():
        if name.endswith("href") and (found := REFERENCE.fullmatch(value)):
            yield found[1]
        yield from PAINT.findall(value)
