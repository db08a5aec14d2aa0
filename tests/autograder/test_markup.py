"""In HTML of students, what the course shows is kept, the rest is harmless, and nothing takes long."""

import base64
import io
import re
import time

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from nbconvert.exporters import HTMLExporter
from PIL import Image

from autograder.course import Course
from autograder.wall import apart, outputs, pages
from autograder.wall.markup import HELPER, MAX_SECONDS, NOT_RENDERED, clean, cleaned
from autograder.wall.outputs import Outputs
from autograder.wall.pages import markdown2html
from autograder.wall.pictures import is_shown
from coursekit import plots
from coursekit.diagrams import show_circuit
from coursekit.gradcheck import check_gradient
from coursekit.widgets import LossCurve

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


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
        lambda: show_circuit("q = x + y\nf = q * z", x=-2, y=5, z=-4)._repr_mimebundle_()["text/html"],
        lambda: "<details open=''><summary>more</summary><p style='color: rgb(1, 2, 3)'>x</p></details>",
        lambda: (
            "<svg viewBox='0 0 9 9' role='img' aria-label='x'><g transform='translate(1 2)'>"
            "<path d='M0 0L9 9' stroke='#888'></path><text x='1' text-anchor='middle'>a</text></g></svg>"
        ),
        lambda: (
            "<table border='1'><thead><tr><th scope='col'>a</th></tr></thead><tr><td colspan='2'>1</td></tr></table>"
        ),
    ],
    ids=["gradient report", "picture", "figure", "loss curve", "circuit", "details", "svg", "table"],
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
    cell = {"attachments": {"a.png": {"image/png": PIXEL.partition(",")[2]}}}
    assert PIXEL in markdown2html({"cell": cell}, "![x](attachment:a.png)")
    assert "![x](attachment:gone.png)" in markdown2html({"cell": cell}, "![x](attachment:gone.png)")


def test_the_time_for_a_page_has_an_end(monkeypatch):
    page = {"resources": {}}
    assert "<h1" in markdown2html(page, "# a")
    monkeypatch.setattr(pages, "MAX_PAGE_SECONDS", 0.0)
    assert NOT_RENDERED in markdown2html(page, "# a")
    monkeypatch.undo()
    assert "<h1" in markdown2html({"resources": {}}, "# a")


def test_the_tags_of_a_page_have_an_end():
    page = {"resources": {}}
    made = [pages.clean_html(page, "<p>x</p>" * 9000) for _ in range(40)]
    assert made[0].count("<p>") == 9000
    assert NOT_RENDERED in made[-1]
    assert sum(one.count("<") for one in made) < 1.1 * pages.MAX_PAGE_TAGS


def test_the_course_s_configuration_uses_it_for_every_page(repository):
    nb = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("<script>f()</script># hello"),
            nbformat.v4.new_raw_cell("<script>f()</script>"),
        ]
    )
    exporter = HTMLExporter(config=Course.at(repository).config, template_name="classic")
    assert "f()" not in exporter.from_notebook_node(nb)[0]


# -- what is slow all the same -------------------------------------------------------------

SLOW = "<div>" * 17_000 + ("<hr>" + "</h1>" * 16) * 2400  # minutes, for the parser


@pytest.mark.slow
def test_what_is_slow_is_ended_and_shown_as_text_and_the_next_one_is_cleaned():
    started = time.monotonic()
    assert cleaned(SLOW).startswith(f"<p>{NOT_RENDERED}")
    assert time.monotonic() - started < MAX_SECONDS + 3
    assert cleaned("<b onclick='f()'>x</b>") == "<b>x</b>"


@pytest.mark.slow
def test_all_that_is_slow_in_a_notebook_costs_a_bounded_time(monkeypatch):
    monkeypatch.setattr(outputs, "MAX_CLEANING", 1.0)
    kept, started = Outputs(), time.monotonic()
    for _ in range(20):
        kept.keep({"output_type": "display_data", "data": {"text/html": SLOW}})
    assert time.monotonic() - started < 5


def test_a_process_that_has_ended_is_replaced():
    cleaned("x")
    HELPER.process.kill()
    assert NOT_RENDERED in cleaned("<b>x</b>")
    assert cleaned("<b>x</b>") == "<b>x</b>"


def test_what_a_helper_cannot_do_is_told():
    with pytest.raises(apart.Unanswered, match="AttributeError"):
        HELPER.call(5.0, "nothing")
    with pytest.raises(apart.Unanswered, match="longer than"):
        HELPER.call(0.01, "clean", "<b>x</b>" * 19_000)


# -- pictures -----------------------------------------------------------------------------


def data_uri(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(kind, size):
    written = io.BytesIO()
    Image.new("P" if kind == "gif" else "RGB", size).save(written, kind)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["png", "gif", "jpeg", "webp"])
def test_pictures_are_shown_up_to_a_size_whatever_they_are_called(kind):
    small = picture(kind, (30, 20))
    large = picture(kind, (9000, 9000))
    for called in ("png", "gif", "jpeg", "webp"):
        assert is_shown(data_uri(called, small))
        assert not is_shown(data_uri(called, large))
    assert not is_shown(data_uri(kind, small[:9]))


def svg(inside):
    names = "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"
    return data_uri("svg+xml", f"<svg {names}>{inside}</svg>".encode())


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("<defs><path id='a' d='M0 0'/></defs><use xlink:href='#a'/><style>*{stroke-linejoin:round}</style>", True),
        ("<pattern id='a'><path d='M0 0'/></pattern><rect fill='url(#a)'/>", True),
        ("<g id='a'><use href='#a'/></g>", False),
        (
            "<rect id='u0'/>"
            + "".join(f"<g id='u{n}'>" + f"<use href='#u{n - 1}'/>" * 2 + "</g>" for n in range(1, 30)),
            False,
        ),
        ("<g>" * 200 + "</g>" * 200, False),
        ("<filter id='a'/>", False),
        ("<rect style='filter:blur(9px)'/>", False),
        (r"<rect style='f\69lter:blur(9px)'/>", False),
        ("<style>*{fill:url(#a)}</style>", False),
        ("<foreignObject/>", False),
        ("<marker id='a'><path d='M0 0'/></marker><path d='M0 0L1 1' marker-end='url(#a)'/>", True),
        ("<marker id='a'><path d='M0 0'/></marker><path d='M0 0L1 1' marker-mid='url(#a)'/>", False),
        ("<marker id='a'><path d='M0 0'/></marker><path d='M0 0L1 1' style='marker:url(#a)'/>", False),
        ("<script/>", False),
        ("<animate/>", False),
        ("<image href='http://x.org/x.png'/>", False),
        (f"<image href='{PIXEL}'/>", True),
        ("<b", False),
    ],
)
def test_a_drawing_is_shown_if_it_has_shapes_alone(inside, shown):
    assert is_shown(svg(inside)) == shown


def test_what_matplotlib_draws_as_svg_is_shown():
    figure = Figure()
    axes = figure.subplots(1, 2)
    axes[0].plot(np.arange(300), marker="o", label="$x^2$")
    axes[0].legend()
    axes[1].imshow(np.eye(30))
    axes[1].bar([1, 2], [3, 4], hatch="/")
    written = io.BytesIO()
    figure.savefig(written, format="svg")
    assert is_shown(data_uri("svg+xml", written.getvalue()))


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
