"""The fields of a notebook that are kept: its cells with what nbgrader says of them, and nothing else.

A field that a student can fill decides things on pages: tags become classes, languages choose a highlighter, titles
stand at the top.  So it is not listed what goes, but what stays.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

NOTEBOOK = ("kernelspec",)  # of its metadata
CELL = ("nbgrader",)  # of a cell's
# What a released cell may say beside that: how it is shown and edited.
OF_EDITORS = (*CELL, "tags", "editable", "deletable", "collapsed", "scrolled", "jupyter", "slideshow", "hide_input")
OF_CELL = ("id", "cell_type", "source", "outputs", "execution_count")
KINDS = ("code", "markdown", "raw")
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def keep_known(nb: Any) -> None:
    """Remove from a notebook, as nbformat reads it, every field but the known ones."""
    nb["metadata"] = type(nb)({name: nb.metadata[name] for name in NOTEBOOK if name in nb.metadata})
    nb["cells"] = [_known(cell) for cell in nb.cells if cell.cell_type in KINDS]


def drop_leftovers(cell: Any) -> None:
    """Remove from a cell that is released what its text does not show any more, and what nobody has to know."""
    shown = {name: forms for name, forms in cell.get("attachments", {}).items() if _refers_to(cell.source, name)}
    cell.pop("attachments", None)
    if shown:
        cell["attachments"] = type(cell)(shown)
    for name in set(cell.metadata) - set(OF_EDITORS):
        del cell.metadata[name]


def _refers_to(source: str, attachment: str) -> bool:
    """Return whether a Markdown cell shows an attachment, whose name may be written with escapes."""
    ends = r"(?=[\s)\"'>]|$)"
    return any(re.search(f"attachment:{re.escape(name)}{ends}", source) for name in {attachment, quote(attachment)})


def _known(cell: Any) -> Any:
    kept = type(cell)({name: cell[name] for name in OF_CELL if name in cell})
    kept["metadata"] = type(cell)({name: cell.metadata[name] for name in CELL if name in cell.metadata})
    if pictures := _pictures(cell.get("attachments", {})):
        kept["attachments"] = type(cell)(pictures)
    return kept


def _pictures(attachments: Any) -> dict[str, dict[str, str]]:
    """Return what is attached, as far as it is pictures."""
    found = {}
    for name, forms in attachments.items():
        for kind, data in forms.items():
            if kind in PICTURES and isinstance(data, str) and BASE64.fullmatch(data):
                found[name] = {kind: data}
    return found
