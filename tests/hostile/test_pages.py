"""Pages made of every field that a notebook has: outside the students' boxes they are those of an honest notebook.

The fields come from nbformat's schema, so that one that nbformat adds is tried too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from arena import active
from attacks import ATTACKS
from browser import Browser, browser, served, skeleton
from jinja2 import Environment, nodes
from nbconvert.exporters import HTMLExporter
from nbgrader.server_extensions.formgrader import handlers
from sampled import some
from traitlets.config import Config

from autograder.course import Course
from autograder.submitted import MAX_CELLS
from autograder.wall import pages
from autograder.wall.outputs import MAX_OUTPUTS_OF_NOTEBOOK

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(nbformat.__file__).parent / "v4" / "nbformat.v4.schema.json").read_text())
# Known to programs that show notebooks, and in no schema.
METADATA = (
    "magics_language",
    "raw_mimetype",
    "transient",
    "slideshow",
    "celltoolbar",
    "widgets",
    "varInspector",
    "toc",
)
METADATA += ("language", "vscode", "rise", "filenames", "isolated", "width", "height", "unconfined", "alt", "image/png")
MIMES = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg")
MIMES += ("image/gif", "image/webp", "image/bmp", "application/pdf", "application/javascript", "application/json")
MIMES += ("text/javascript", "text/vnd.mermaid", "application/vnd.jupyter.widget-view+json", "application/geo+json")
MIMES += ("application/vnd.vega.v5+json", "application/vnd.plotly.v1+json", "video/mp4", "application/xhtml+xml")
# What says which kind of thing a field belongs to; the honest notebook has it too.
KINDS = ("nbformat", "nbformat_minor", "cell_type", "output_type", "execution_count", "orig_nbformat")

ACT = "document.title='PWNED'"
EVIL = [
    f'"\'></title></div></pre></span></td></style><script>{ACT}</script><img src=x onerror="{ACT}">',
    "x hidden navbar-fixed-top modal invisible",
    "<svg width=1 height=1 style='overflow:visible'><rect x=-3000 y=-3000 width=6000 height=6000 fill=white /></svg>",
    "<a href='https://example.org/'><b style='position:fixed;inset:0;font-size:999px;text-indent:-99px'>x</b>",
    "<p style='margin:-999px;line-height:0;font-size:900px;white-space:nowrap;overflow:visible'>W W W W",
    "Z" + "\u0310\u0311\u0322\u0330" * 300 + "\u202e\u2067 x",
    "\x1b[7;41mx\x1b[1000C\x1b]8;;https://example.org\x07y\x1b[2J" + "W" * 3000,
    "<style>*{display:none}</style><link rel=stylesheet href=https://example.org/a.css><base href=https://example.org>",
    "<img src=https://example.org/x.png width=9999 height=9999><img src='data:image/png;base64,AAAA' width=9999>",
]
OF_ATTACKS = ["\n\n".join(block.text for block in attack.blocks) for attack in ATTACKS if attack.group == "pages"]


def notebook(evil: str) -> dict[str, Any]:
    """A notebook in which every field says `evil`."""
    made = {**filled(SCHEMA, evil), "nbformat": 4, "nbformat_minor": 5}
    for number, cell in enumerate(made["cells"]):
        cell["id"] += str(number)
    return made


def filled(schema: dict[str, Any], evil: str, name: str = "") -> Any:
    """A value that the schema allows, with `evil` wherever it allows a text."""
    if "$ref" in schema:
        return filled(resolved(schema), evil, name)
    if name == "attachments":
        return {evil: dict.fromkeys(MIMES, encoded(evil)), "a.png": {evil: evil}}
    if name == "data":
        return dict.fromkeys(MIMES, evil)
    if "enum" in schema:
        return schema["enum"][0]
    if name == "id":
        return "notebook-container" if evil != "x" else "x"
    if name in KINDS:
        return 7
    if "pattern" in schema:  # of tags: no comma
        return evil.replace(",", ";").replace("\n", " ")
    match schema.get("type", "object" if "properties" in schema else "string"):
        case "object":
            found = {key: filled(value, evil, key) for key, value in schema.get("properties", {}).items()}
            if schema.get("additionalProperties") or schema.get("patternProperties"):
                found |= {key: evil for key in METADATA if key not in found}
            return found
        case "array":
            items = schema.get("items", {})
            return variants(items, evil) if items else [evil]
        case "boolean":
            return True
        case "integer" | ["integer", "null"]:
            return 7
    return evil


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: Any = SCHEMA
    for key in schema["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found  # type: ignore[no-any-return]


def variants(items: dict[str, Any], evil: str) -> list[Any]:
    """One value of each kind that a list may hold; of an output with forms, one for each form."""
    schema = resolved(items) if "$ref" in items else items
    found = [filled(one, evil) for one in schema.get("oneOf", [items])]
    return [one for each in found for one in forms(each, evil)] if found and isinstance(found[0], dict) else found


def forms(one: dict[str, Any], evil: str) -> Iterator[dict[str, Any]]:
    if one.get("output_type") == "stream":
        yield from ({**one, "name": name} for name in ("stdout", "stderr"))
    elif "data" in one:
        for mime in MIMES:
            binary = mime.startswith("image/") and "svg" not in mime
            yield {**one, "data": {mime: encoded(evil) if binary else evil}}
    elif one.get("cell_type") in ("code", "markdown"):
        about = {"schema_version": 3, "locked": True, "task": False, "grade_id": "check_x", "grade": True}
        yield one
        for solution in (True, False):
            graded = about | {"solution": solution, "points": 3, "score": 1}
            yield {**one, "metadata": {**one["metadata"], "nbgrader": graded}}
    else:
        yield one


def encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def exporter(template: str) -> HTMLExporter:
    """nbgrader's exporter for feedback or for formgrader, with the course's configuration."""
    config = Config(Course.at(Path(__file__).parents[2]).config)
    config.HTMLExporter.template_name = template
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    bootstrap = Path(handlers.static_path) / "node_modules" / "bootstrap" / "dist" / "css"
    config.HTMLExporter.extra_template_paths = [str(bootstrap)]
    return HTMLExporter(config=config)


def page(template: str, nb: dict[str, Any]) -> str:
    names = {"assignment_id": "x", "notebook_id": "x", "submission_id": "1", "student": "x", "base_url": ""}
    resources = {**names, "index": 0, "total": 1, "first_name": "", "last_name": "", "notebook_path": "x"}
    resources["nbgrader"] = {"notebook": "x", "score": 1.0, "max_score": 2.0, "late_penalty": 0}
    return str(exporter(template).from_notebook_node(nbformat.from_dict(nb), resources)[0])


TEMPLATES = ("feedback", "formgrade")


def test_every_field_of_the_schema_is_tried() -> None:
    text = json.dumps(notebook("EVIL"))
    names = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            names.update(schema["properties"] if isinstance(schema.get("properties"), dict) else ())
            for name, value in schema.items():
                if name != "unrecognized_cell":
                    walk(value)

    walk(SCHEMA)
    assert [name for name in sorted(names) if f'"{name}":' not in text] == []
    assert text.count("EVIL") > 100


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_field_changes_what_is_outside_the_boxes(template: str) -> None:
    honest = skeleton(page(template, notebook("x")))
    allowed = set(active(honest))
    assert honest.count("of-student") > 50
    for evil in (*EVIL, *some(OF_ATTACKS, 6)):
        made = page(template, notebook(evil))
        assert skeleton(made) == honest, evil[:60]
        assert [what for what in active(made) if what not in allowed] == [], evil[:60]


@pytest.mark.needs("chromium", "playwright")
@pytest.mark.parametrize("template", some(TEMPLATES, 1))
def test_nothing_in_a_box_is_painted_or_clicked_outside(template: str, tmp_path: Path) -> None:
    def opened(tab: Browser, evil: str) -> list[str]:
        path = tmp_path / "page.html"
        path.write_text(served(page(template, notebook(evil))), encoding="utf-8")
        tab.open(path)
        return sorted(set(tab.fetched) - {path.as_uri()})

    with browser() as tab:
        fetched = opened(tab, "x")
        for evil in (*EVIL, *some(OF_ATTACKS, 2)):
            assert [url for url in opened(tab, evil) if url not in fetched and not url.startswith("data:")] == []
            assert tab.page.title() == "x", evil[:60]
            assert tab.reached_outside() == [], evil[:60]
            assert tab.painted_outside() == 0, evil[:60]


@pytest.mark.needs("chromium", "playwright")
def test_what_looks_at_pages_would_see_what_leaves_its_box(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    cover = "<svg width=1 height=1 style='overflow:visible'><rect x=-300 y=-300 width=600 height=600 /></svg>"
    with browser() as tab:
        for style, leaves in ((pages.BOX, False), ("display:block", True)):
            box = f'<div class="{pages.NAME}" style="margin:90px;{style}">{cover}</div>'
            path.write_text(f"<!DOCTYPE html><p>x</p>{box}", encoding="utf-8")
            tab.open(path)
            assert bool(tab.reached_outside()) == leaves
            assert bool(tab.painted_outside()) == leaves


@pytest.mark.needs("chromium", "playwright")
@pytest.mark.parametrize("template", TEMPLATES)
def test_what_stands_below_the_boxes_is_within_what_a_browser_lays_out(template: str, tmp_path: Path) -> None:
    tall = nbformat.v4.new_output("display_data", {"text/html": "<p style='height:16000000px'>x</p>"})
    last = nbformat.v4.new_markdown_cell("last")
    made = page(template, nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=4 * [tall]), last]))
    path = tmp_path / "page.html"
    path.write_text(served(made), encoding="utf-8")
    most = (MAX_CELLS + MAX_OUTPUTS_OF_NOTEBOOK) * 3000
    with browser() as tab:
        tab.open(path)
        height = tab.page.evaluate("document.documentElement.scrollHeight")
    assert height < 16_000
    assert most + MAX_CELLS * 100 < 2**25


HARMLESS = {
    *("escape_html", "e", "float", "round", "length", "replace", "json_dumps", "escape_html_script", "posix_path"),
    *("get_metadata", "filter_data_type", "text_base64", "escape_html_keep_quotes"),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_filter_of_the_templates_is_replaced_or_does_little(template: str) -> None:
    environment: Environment = exporter(template).environment
    used, waiting, seen = set(), ["index.html.j2"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        tree = environment.parse(environment.loader.get_source(environment, name)[0])  # type: ignore[union-attr]
        used |= {node.name for node in tree.find_all(nodes.Filter)}
        for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
            waiting.append(node.template.value)  # type: ignore[attr-defined]
    assert len(seen) > 4
    assert used - HARMLESS == set(pages.FILTERS)
