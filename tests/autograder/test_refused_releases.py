"""A release that is refused says why: the reason, the cell, and what to do; and what was released before stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook
from tiny import SLUG, cell, notebook

from autograder import cli
from autograder.course import Course

pytestmark = pytest.mark.slow

Change = Callable[[nbformat.NotebookNode], Any]


def named(nb: nbformat.NotebookNode, grade_id: str) -> nbformat.NotebookNode:
    return next(one for one in nb.cells if one.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def replaced(grade_id: str, old: str, new: str) -> Change:
    def change(nb: nbformat.NotebookNode) -> None:
        found = named(nb, grade_id)
        assert old in found.source
        found.source = found.source.replace(old, new)

    return change


def set_in(name: str, /, **nbgrader: Any) -> Change:
    return lambda nb: named(nb, name).metadata.nbgrader.update(nbgrader)


def added(source: str, grade_id: str = "", markdown: bool = False, **nbgrader: Any) -> Change:
    def change(nb: nbformat.NotebookNode) -> None:
        one = cell(source, grade_id, **nbgrader)
        one.id = "added"
        nb.cells.append(one)
        if markdown:
            nb.cells[-1] = nbformat.v4.new_markdown_cell(source, id=one.id, metadata=one.metadata)

    return change


TASK = "Explain.\n=== BEGIN MARK SCHEME ===\n![key](attachment:key.png)\n=== END MARK SCHEME ==="
REFUSED: dict[str, tuple[Change, str]] = {
    "no end": (
        replaced("double", "    ### END SOLUTION", ""),
        "tiny.ipynb, cell 'double': no end solution statement found. Write a line `### END SOLUTION` below",
    ),
    "nested": (
        replaced("double", "def", "### BEGIN SOLUTION\ndef"),
        "cell 'double': encountered nested begin solution",
    ),
    "outside": (
        added("### BEGIN SOLUTION\nsecret = 42\n### END SOLUTION"),
        "cell number 6, which begins with '### BEGIN SOLUTION': Solution region detected in a non-solution cell",
    ),
    "hidden tests outside": (
        added("### BEGIN HIDDEN TESTS\nassert True\n### END HIDDEN TESTS"),
        "cell number 6: Hidden test region detected in a non-grade cell",
    ),
    "no end of hidden tests": (
        added("### BEGIN HIDDEN TESTS\nassert True", "t", grade=True, locked=True, points=1),
        "cell 't': No end hidden tests statement found. Write a line",
    ),
    "twice": (
        added("def double(x): ...", "double", solution=True),
        "tiny.ipynb, cell 'double': Duplicate grade id: double. Give one",
    ),
    "picture in a mark scheme": (
        added(TASK, "explain", markdown=True, task=True, locked=True, points=2),
        "cell 'explain': Encountered an attachment in a marking scheme.",
    ),
    "points": (lambda nb: named(nb, "check_double").metadata.nbgrader.pop("points"), "worth 0 points, its parts 2"),
    "question without points": (
        added("Why?", "why", markdown=True, solution=True),
        "Markdown solution cell is not marked as a grade cell: YOUR ANSWER HERE. Make it a manually graded answer",
    ),
    "language": (
        lambda nb: nb.metadata.kernelspec.update(name="ir", display_name="R", language="R"),
        "tiny.ipynb is for R, and only Python is graded",
    ),
    "language without a name": (
        lambda nb: nb.metadata.update(kernelspec={"name": "julia-1.10", "display_name": "Julia"}),
        "tiny.ipynb is for julia-1.10, and only Python is graded",
    ),
    "task that is not locked": (
        added("Explain.", "explain", markdown=True, task=True, points=2),
        "the task 'explain' in tiny.ipynb is not locked",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_is_said_with_the_cell(tiny: Course, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, told = REFUSED[name]
    nb = notebook()
    change(nb)
    path = tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb"
    path.write_text(nbformat.writes(nb))
    assert_refused(tiny, told, capsys)


def assert_refused(course: Course, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = course.folder("release", ".", SLUG)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    assert cli.main(["release", SLUG, "--course", str(course.root)]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert "traceback" not in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not list(course.root.glob(".release-*"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (lambda text: text[:400] + "}}}", "tiny.ipynb"),
        (lambda text: "", "it is no JSON"),
        (lambda text: '{"metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "tiny.ipynb"),
    ],
)
def test_a_broken_file_is_named(tiny: Course, text: Any, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb"
    path.write_text(text(path.read_text()))
    assert_refused(tiny, told, capsys)


def test_cells_that_come_after_submissions_are_named(tiny: Course, capsys: pytest.CaptureFixture[str]) -> None:
    with Gradebook(tiny.db_url) as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission(SLUG, "ada")
    nb = notebook()
    added("assert double(4) == 8", "more", grade=True, locked=True, points=1)(nb)
    nbformat.write(nb, tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb")
    assert_refused(tiny, "new: more (1 points)", capsys)


@pytest.mark.parametrize("command", ["release", "grade", "feedback"])
def test_a_broken_gradebook_is_one_sentence(tiny: Course, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.folder("autograded", "ada", SLUG).mkdir(parents=True)
    nbformat.write(notebook(), tiny.folder("autograded", "ada", SLUG) / f"{SLUG}.ipynb")
    (tiny.root / "gradebook.db").write_bytes(b"no database" * 1000)
    capsys.readouterr()
    assert cli.main([command, SLUG, "--course", str(tiny.root)]) == 1
    said = capsys.readouterr().err.strip()
    assert "gradebook" in said
    assert "file is not a database" in said
    assert len(said.splitlines()) == 1


# -- what is not released ---------------------------------------------------------------------------

LEFT_BEHIND = {
    "checks.py~": "secret",
    "#checks.py#": "secret",
    ".checks.py.swp": "secret",
    "checks.py.orig": "secret",
    "checks_old.py": "from autograder.spec import Assignment",
    "checks (1).py": "import numpy, autograder.mistakes",
    "checks_2024.py": "secret",
    "old-checks.py": "secret",
    "sub/checks.py": "secret",
    "tiny.html": "<p>secret</p>",
    "tiny.ipynb.bak": "secret",
    "notes.md": "### BEGIN SOLUTION\nsecret\n### END SOLUTION",
    "tiny_files/output_1.png": "secret",
    ".ipynb_checkpoints/tiny-checkpoint.ipynb": "secret",
    "__pycache__/checks.cpython-311.pyc": "secret",
    ".DS_Store": "secret",
    "Thumbs.db": "secret",
}
HANDED_OUT = {"data.csv": "1,2", "helper.py": "def help(): ...", "pictures/graph.png": "x", "README.md": "Read this."}


def test_what_editors_leave_behind_is_neither_released_nor_there_while_grading(
    tiny: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tiny.folder("source", ".", SLUG)
    for name, text in {**LEFT_BEHIND, **HANDED_OUT}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    nb = notebook()
    nb.cells[
        0
    ].source += "\nimport os, json\nprint(json.dumps([os.path.join(a, f) for a, _, fs in os.walk('.') for f in fs]))"
    nbformat.write(nb, source / f"{SLUG}.ipynb")
    assert cli.main(["release", SLUG, "--course", str(tiny.root)]) == 0
    printed = capsys.readouterr().out
    folder = tiny.folder("release", ".", SLUG)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted([*HANDED_OUT, "cases.json", "cases.npz", f"{SLUG}.ipynb"])
    released, kept_back = printed.split("Not handed out:\n")
    assert [line.strip() for line in released.splitlines() if line.startswith("  ")] == files
    assert "  notes.md: it holds a solution" in kept_back

    nbformat.write(nb, tiny.folder("submitted", "ada", SLUG) / f"{SLUG}.ipynb")
    assert cli.main(["grade", SLUG, "--student", "ada", "--course", str(tiny.root)]) == 0
    graded = tiny.folder("autograded", "ada", SLUG)
    outputs = json.loads((graded / f"{SLUG}.ipynb").read_text())["cells"][0]["outputs"]
    there = {Path(name).as_posix() for name in json.loads("".join(outputs[0]["text"]).splitlines()[-1])}
    assert there >= set(HANDED_OUT)
    assert not there & set(LEFT_BEHIND)
    assert not {str(path.relative_to(graded)) for path in graded.rglob("*")} & set(LEFT_BEHIND)


def test_what_a_cleared_answer_leaves_in_its_cell_is_not_released(tiny: Course) -> None:
    picture = {"image/png": "iVBORw0KGgo="}
    why = nbformat.v4.new_markdown_cell(
        "![the question](attachment:question%201.png)\n### BEGIN SOLUTION\n"
        "![the answer](attachment:answer.png)\n### END SOLUTION",
        id="why",
    )
    why.metadata["nbgrader"] = {**cell("", "why").metadata.nbgrader, "grade": True, "solution": True, "points": 1}
    why["attachments"] = {"question 1.png": picture, "answer.png": picture, "answer.png.old": picture}
    nb = notebook()
    nb.cells.append(why)
    named(nb, "double").metadata["notes"] = "secret"
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": "secret"}}}
    nbformat.write(nb, tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb")
    assert cli.main(["release", SLUG, "--course", str(tiny.root)]) == 0
    text = (tiny.folder("release", ".", SLUG) / f"{SLUG}.ipynb").read_text()
    assert "secret" not in text
    assert list(nbformat.reads(text, 4).cells[-1].attachments) == ["question 1.png"]
