"""In HTML of students, what the course shows is kept, the rest is harmless, and nothing takes long."""

import re
import time

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter

from autograder.wall import markup
from autograder.wall.markup import clean, markdown2html
from autograder.wall.outputs import Outputs
from coursekit import plots
from coursekit.gradcheck import check_gradient
from coursekit.widgets import LossCurve

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def structure(html):
    """Tags with their attributes and texts, however they are quoted; a `tbody` that HTML adds by itself is none."""
    page = BeautifulSoup(html, "html.parser")
    for tag in page.find_all("tbody"):
        tag.unwrap()
    for tag in page.find_all(["script", "style"]):
        tag.decompose()
    found = []
    for tag in page.find_all(True):
        attributes = {name: value for name, value in tag.attrs.items() if name != "class"}
        style = attributes.pop("style", "")
        style = re.sub(r"\d*\.\d+", lambda number: repr(float(number[0])), style)
        rules = sorted("".join(rule.split()) for rule in style.split(";") if rule.strip())
        found.append((tag.name, attributes, rules))
    return found, page.get_text().split()


def report():
    x = np.random.default_rng(0).normal(size=(2, 3))
    return check_gradient(lambda x: np.sum(x**3), x, 2 * x**2)


def curve():
    drawn = LossCurve(title="a < b")
    for loss in (3.0, 2.0, 1.0):
        drawn.append(loss)
    return drawn._lasting_bundle()["text/html"]


@pytest.mark.parametrize(
    "html",
    [
        lambda: report().html(),
        lambda: plots.show_heatmap([[1.0, -1.0]], "rows", "columns", "title")._repr_mimebundle_()["text/html"],
        lambda: plots.figure_html(b"<svg/>", "image/svg+xml", alt='"<b>"', caption="a & b"),
        curve,
        lambda: "<details open=''><summary>more</summary><p style='color: rgb(1, 2, 3)'>x</p></details>",
        lambda: (
            "<svg viewBox='0 0 9 9' role='img' aria-label='x'><g transform='translate(1 2)'>"
            "<path d='M0 0L9 9' stroke='#888'></path><text x='1' text-anchor='middle'>a</text></g></svg>"
        ),
        lambda: (
            "<table border='1'><thead><tr><th scope='col'>a</th></tr></thead><tr><td colspan='2'>1</td></tr></table>"
        ),
    ],
    ids=["gradient report", "picture", "figure", "loss curve", "details", "svg", "table"],
)
def test_what_the_course_shows_stays_as_it_is(html):
    shown = html()
    assert structure(clean(shown)) == structure(shown)


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<p onclick=f()>a<script>f()</script>b", "<p>ab</p>"),
        ("<a href='javascript:f()'>x</a>", '<a rel="noopener noreferrer nofollow">x</a>'),
        ("<a href='data:text/html,x'>x</a>", '<a rel="noopener noreferrer nofollow">x</a>'),
        ("<img src='data:text/html;base64,x' alt=y>", '<img alt="y">'),
        ("<img src='https://example.org/x.png' alt=y>", '<img alt="y">'),
        (f"<img src='{PIXEL}' alt=y>", f'<img src="{PIXEL}" alt="y">'),
        ("<p style='position:fixed;color:red'>x</p>", '<p style="color:red">x</p>'),
        ("<p style='margin-top:-9px'>x</p>", "<p>x</p>"),
        ("<p style='margin:calc(0px - 9px)'>x</p>", "<p>x</p>"),
        (r"<p style='color:\75rl(x)'>x</p>", "<p>x</p>"),
        ("<p class='navbar-fixed-top dataframe score'>x</p>", '<p class="dataframe">x</p>'),
        ("<p id=check_predict>x</p><a href='#check_predict'>x</a>", None),
        ("<form><input><button>x</button></form>", "x"),
        ("<svg><use href='#a'></use><script>f()</script><rect fill='url(http://x)' x='1'></rect></svg>", None),
    ],
)
def test_what_is_no_text_and_no_picture_goes(html, left):
    found = clean(html)
    assert left is None or found == left
    assert "script" not in found
    assert "http:" not in found
    assert 'id="check_predict"' not in found
    assert clean(found) == found or "in-notebook" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "html",
    [
        "<p><b i>" * 200_000,
        "".join(f"<p><b id={n}>" for n in range(100_000)),
        "<div>" * 300_000,
        "<a " + " ".join(f"a{n}=1" for n in range(200_000)) + ">",
        "&amp;" * 400_000,
        "<" * 2_000_000,
        "<!--" * 500_000,
        "<table><a>" * 100_000,
        "<svg><![CDATA[" * 100_000,
        "x" * 3_000_000,
    ],
    ids=lambda html: html[:8],
)
def test_no_html_takes_long_or_grows(html):
    started = time.process_time()
    cleaned = clean(html)
    assert time.process_time() - started < 5
    assert len(cleaned) < 9_000_000


def test_markdown_is_rendered_as_before_and_cleaned():
    text = "# A *b*\n\n$a < b$ `c` <b onclick='f()'>d</b> [e](javascript:f())\n\n```python\nx = 1\n```\n"
    text += "\n<script>f()</script>"
    shown = markdown2html({}, text)
    for part in ("<h1", "<em>b</em>", "$a &lt; b$", "<code>c</code>", "<b>d</b>", 'class="highlight"', 'class="mi"'):
        assert part in shown
    assert "f()" not in shown


def test_a_picture_that_is_attached_is_shown_and_a_missing_one_costs_its_cell_alone():
    cell = {"attachments": {"a.png": {"image/png": "iVBORw0KGgo="}}}
    assert PIXEL in markdown2html({"cell": cell}, "![x](attachment:a.png)")
    assert "![x](attachment:gone.png)" in markdown2html({"cell": cell}, "![x](attachment:gone.png)")


def test_the_time_for_the_markdown_of_a_page_has_an_end(monkeypatch):
    page = {"resources": {}}
    assert "<h1" in markdown2html(page, "# a")
    monkeypatch.setattr(markup, "MAX_PAGE_SECONDS", 0.0)
    assert markup.NOT_RENDERED in markdown2html(page, "# a")
    assert "<h1" in markdown2html({"resources": {}}, "# a")


def test_the_course_s_configuration_uses_it_for_every_page(repository):
    from autograder.course import Course

    nb = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("<script>f()</script># hello"),
            nbformat.v4.new_raw_cell("<script>f()</script>"),
        ]
    )
    exporter = HTMLExporter(config=Course.at(repository).config, template_name="classic")
    assert "f()" not in exporter.from_notebook_node(nb)[0]


def test_of_an_output_only_what_a_page_shows_and_does_not_run_is_kept():
    kept = Outputs()
    bundle = {
        "text/plain": "a",
        "text/html": "<b onclick='f()'>a</b>",
        "image/png": "'><script>",
        "image/svg+xml": "<svg/>",
        "text/vnd.mermaid": "</pre><script>",
        "application/vnd.vega.v5+json": "{}",
    }
    kept.keep({"output_type": "display_data", "data": bundle})
    kept.keep({"output_type": "display_data", "data": {"application/javascript": "f()"}})
    (output,) = kept.cell
    assert output["data"] == {"text/plain": "a", "text/html": "<b>a</b>", "image/svg+xml": "<svg/>"}
