"""What a page shows of a notebook: text and pictures, each in a box of its own.

nbgrader makes feedback pages and formgrader's pages with nbconvert's `HTMLExporter`.  `nbgrader_config.py` gives it
:class:`OnePage`, which leaves of a notebook what a page may show, and replaces the filters through which all text of
students goes: it is rendered in a process that can be ended, cleaned, and put into a box that it cannot leave.
"""

from __future__ import annotations

import base64
import html
import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from jinja2 import pass_context
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

from .apart import Helper, Unanswered
from .fields import keep_known
from .markup import as_text, shows_something
from .outputs import MAX_OUTPUTS_OF_NOTEBOOK, as_kept

# Whatever is in a box is painted, scrolls and takes clicks there alone.  Browsers lay out about 33 million pixels, and
# what comes below lies at the end of them: all boxes that a page can have stay within.
BOX = "display:block;overflow:auto;max-height:3000px;contain:layout paint"
NAME = "of-student"
NO_FORMULAS = "tex2jax_ignore"
# MathJax keeps one list of definitions for a page: one in a student's cell would change the formulas of all others.
DEFINES = re.compile(
    r"\\(?:[gex]?def|let|futurelet|(?:re|provide)?(?:newcommand|newenvironment)|providecommand|label|require"
    r"|Declare\w+|Newextarrow|begingroup|global|long|unicode)(?![A-Za-z])"
)
TAGS = re.compile(r"<[^>]*>")

MAX_SECONDS = 5.0  # for one piece
MAX_PAGE_SECONDS = 20.0
MAX_PAGE_TAGS = 200_000  # nbconvert parses the whole page once more
MAX_PAGE_CHARACTERS = 50_000_000
MAX_REST = 1000  # characters shown of each piece after that
SPENT = "autograder_spent"
NOTHING = "[Of this output, a page can show nothing.]"

RENDERER = Helper("autograder.wall.rendering")
log = logging.getLogger(__name__)


class Shown(str):
    """HTML in its box, which no filter changes any more."""


# -- the filters ------------------------------------------------------------------------------


@pass_context
def markdown2html(context: Any, source: str) -> Shown:
    """Return the HTML of Markdown."""
    if isinstance(source, Shown):
        return source
    attachments = context.get("cell", {}).get("attachments", {})
    return _shown(context, "markdown", source, attachments, _folder(context))


@pass_context
def clean_html(context: Any, text: str) -> Shown:
    """Return HTML that shows what `text` shows, and does nothing."""
    return text if isinstance(text, Shown) else _shown(context, "clean", str(text), _folder(context))


@pass_context
def highlight_code(context: Any, source: str, language: object = None, metadata: object = None) -> Shown:
    """Return the HTML of code, which is Python whatever the notebook says."""
    return _shown(context, "code", source)


@pass_context
def ansi2html(context: Any, text: str) -> Shown:
    """Return the HTML of printed text; it stands in a `pre` element."""
    return _shown(context, "printed", text, element="span")


def strip_files_prefix(text: str) -> str:
    """Return `text`: links to the notebook's folder lead nowhere from a page."""
    return text


def _folder(context: Any) -> str:
    """Return where the notebook lies, with the pictures that its cells show."""
    return os.path.abspath(context.get("resources", {}).get("metadata", {}).get("path") or os.devnull)


def _shown(context: Any, function: str, text: str, *args: Any, element: str = "div") -> Shown:
    """Return `text` as `function` of the renderer makes it HTML, in its box; as text if the page has had too much."""
    return _boxed(context, _made(context, function, text, *args), element)


def _boxed(context: Any, made: str, element: str = "div") -> Shown:
    return Shown(box(made, element, formulas=_may_define(context) or not defines(made)))


def _made(context: Any, function: str, text: str, *args: Any) -> str:
    """Return `text` as `function` of the renderer makes it HTML; as text if the page has had too much."""
    spent = context.get("resources", {}).setdefault(SPENT, {"seconds": 0.0, "tags": 0, "characters": 0})
    made = as_text(text[:MAX_REST])
    if spent["characters"] + len(text) <= MAX_PAGE_CHARACTERS and spent["seconds"] < MAX_PAGE_SECONDS:
        started = time.monotonic()
        try:
            found = str(RENDERER.call(MAX_SECONDS, function, text, *args))
        except Unanswered as trouble:
            log.warning("A part of the page is shown as text: %s", trouble)
            found = as_text(text)
        spent["seconds"] += time.monotonic() - started
        if spent["tags"] + found.count("<") <= MAX_PAGE_TAGS:
            made = found
    spent["tags"] += made.count("<")
    spent["characters"] += len(made)
    return made


def box(made: str, element: str = "div", formulas: bool = True) -> str:
    """Put clean HTML into a box."""
    name = NAME if formulas else f"{NAME} {NO_FORMULAS}"
    return f'<{element} class="{name}" style="{BOX}">{made}</{element}>'


def defines(made: str) -> bool:
    """Return whether formulas in `made` would change those of other cells."""
    return "\\" in made and DEFINES.search(html.unescape(TAGS.sub("", made))) is not None


def _may_define(context: Any) -> bool:
    cell = context.get("cell", {})
    about = cell.get("metadata", {}).get("nbgrader", {})
    locked = bool(about.get("locked")) and not about.get("solution")  # nbgrader has put back the instructor's text
    return locked and cell.get("cell_type") == "markdown"


FILTERS = {
    "ansi2html": ansi2html,
    "clean_html": clean_html,
    "highlight_code": highlight_code,
    "markdown2html": markdown2html,
    "strip_files_prefix": strip_files_prefix,
}


# -- the notebook -----------------------------------------------------------------------------


class OnePage(Preprocessor):  # type: ignore[misc]
    """Leave of a notebook what a page may show; each output in one form."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        for name, function in FILTERS.items():
            self.parent.register_filter(name, function)
        resources["should_sanitize_html"] = True  # HTML goes through the filter too, and scripts are not shown
        keep_known(nb)
        left = MAX_OUTPUTS_OF_NOTEBOOK
        for number, cell in enumerate(nb.cells):
            if "id" in cell:
                cell["id"] = f"cell-{number}"
            if cell.cell_type == "code":
                cell["execution_count"] = cell.execution_count if isinstance(cell.execution_count, int) else None
                outputs = [output for output in map(as_kept, cell.outputs[:left]) if output is not None]
                left -= len(outputs)
                context = {"resources": resources, "cell": cell}
                cell["outputs"] = [NotebookNode(_in_one_form(context, output)) for output in outputs]
        return nb, resources


def _in_one_form(context: Any, output: Any) -> Any:
    """Return an output in the first of its forms that shows something; for text there is a filter."""
    if output["output_type"] == "error":
        return output | {"traceback": ["\n".join(output["traceback"])]}  # one box, not one for each line
    if "data" not in output:
        return output
    data = output["data"]
    forms = [mime for mime in FORMS if mime in data]
    chosen: dict[str, str] = {"text/plain": data.get("text/plain", NOTHING)}
    if forms:  # which of them is shown is seen in the box alone
        sizes = output["metadata"]
        made = (FORMS[mime](context, mime, data[mime], sizes.get(mime, {})) for mime in forms)
        shown = next(filter(shows_something, made), None) or _printed(context, chosen["text/plain"])
        chosen = {"text/html": _boxed(context, shown)}
    return output | {"data": NotebookNode(chosen), "metadata": NotebookNode()}


def _printed(context: Any, text: str) -> str:
    return f"<pre>{_made(context, 'printed', text)}</pre>"


def _html(context: Any, mime: str, data: str, size: Mapping[str, int]) -> str:
    return _made(context, "clean", data, _folder(context))


def _markdown(context: Any, mime: str, data: str, size: Mapping[str, int]) -> str:
    return _made(context, "markdown", data, {}, _folder(context))


def _picture(context: Any, mime: str, data: str, size: Mapping[str, int]) -> str:
    shown = "".join(f' {side}="{pixels}"' for side, pixels in size.items())
    return _html(context, mime, f'<img src="data:{mime};base64,{data}"{shown}>', {})


def _drawing(context: Any, mime: str, data: str, size: Mapping[str, int]) -> str:
    return _picture(context, mime, base64.b64encode(data.encode("utf-8", "replace")).decode(), {})


def _formula(context: Any, mime: str, data: str, size: Mapping[str, int]) -> str:
    return _html(context, mime, f"<div>{html.escape(data)}</div>", {})


# In nbconvert's order.
FORMS = {
    "text/html": _html,
    "text/markdown": _markdown,
    "image/svg+xml": _drawing,
    "text/latex": _formula,
    "image/png": _picture,
    "image/jpeg": _picture,
    "image/gif": _picture,
}
