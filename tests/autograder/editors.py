"""A course with one small assignment, and what editors, systems and people make of a right notebook of it."""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from tiny import cell

from autograder import cli
from autograder.course import Course

SLUG = "quirks"
FULL = 9.0  # points that are given automatically
CHECKS = """
from autograder.spec import Assignment, case

assignment = Assignment("quirks")


@assignment.exercise("double", parts={"y": 2}, mistakes=[])
def double_cases(rng):
    x = float(rng.normal())
    yield case("a number", "double", {"x": x}, {"y": 2 * x})


@assignment.exercise("total", parts={"y": 3}, mistakes=[])
def total_cases(rng):
    x = rng.normal(size=4)
    yield case("an array", "total", {"x": x}, {"y": x.sum()})
"""
SOLUTIONS = {
    "double": "def double(x):\n    return 2 * x",
    "total": "def total(x):\n    return np.sum(x)",
    "shout": "def shout(word):\n    return word.upper()",
    "why": "Why?\n\nBecause.",
}


def source() -> nbformat.NotebookNode:
    """The instructor's notebook."""

    def solution(name: str, **nbgrader: object) -> nbformat.NotebookNode:
        head, _, body = SOLUTIONS[name].partition("\n")
        inner = body.lstrip("\n")
        indent = inner[: len(inner) - len(inner.lstrip())]
        text = f"{head}\n{indent}### BEGIN SOLUTION\n{inner}\n{indent}### END SOLUTION"
        return cell(text, name, solution=True, **nbgrader)

    shouting = "assert shout('abc') == 'ABC'\n### BEGIN HIDDEN TESTS\nassert shout('ß') == 'SS'\n### END HIDDEN TESTS"
    why = solution("why", grade=True, points=1)
    cells = [
        nbformat.v4.new_markdown_cell("# Quirks", id="title"),
        cell("import numpy as np\nfrom coursekit import check", "imports", locked=True),
        solution("double"),
        cell('check("double", double)', "check_double", grade=True, locked=True, points=2),
        solution("total"),
        cell('check("total", total)', "check_total", grade=True, locked=True, points=3),
        solution("shout"),
        cell(shouting, "test_shout", grade=True, locked=True, points=4),
        nbformat.v4.new_markdown_cell(why.source, id="why", metadata=why.metadata),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def make(root: Path, repository: Path, config: str = "") -> Course:
    """Make the course in the new folder `root` and release its assignment."""
    folder = root / "solutions" / SLUG
    folder.mkdir(parents=True)
    (root / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text() + config)
    (folder / "checks.py").write_text(CHECKS)
    nbformat.write(source(), folder / f"{SLUG}.ipynb")
    assert cli.main(["release", SLUG, "--course", str(root)]) == 0
    return Course.at(root)


def right(course: Course) -> dict[str, Any]:
    """A right notebook, as Jupyter saves it."""
    path = course.folder("release", ".", SLUG) / f"{SLUG}.ipynb"
    nb: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, text in SOLUTIONS.items():
        of(nb, name)["source"] = text
    return nb


def reading(course: Course) -> dict[str, Any]:
    """A right notebook that reads a file beside it."""
    nb = right(course)
    of(nb, "double")["source"] = 'def double(x):\n    return int(open("in/two.txt").read()) * x'
    return nb


def empty(course: Course) -> bytes:
    """The notebook as it was released."""
    return (course.folder("release", ".", SLUG) / f"{SLUG}.ipynb").read_bytes()


def of(nb: dict[str, Any], name: str) -> dict[str, Any]:
    """The cell that nbgrader calls `name`."""
    return next(one for one in nb["cells"] if named(one) == name)


def named(one: dict[str, Any]) -> str:
    return str(one["metadata"].get("nbgrader", {}).get("grade_id", ""))


def code(nb: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in nb["cells"] if one["cell_type"] == "code"]


def each(change: Callable[[dict[str, Any]], Any], which: Callable[[dict[str, Any]], bool] = bool) -> Any:
    """A quirk that changes every cell, or each of some kind."""

    def quirk(nb: dict[str, Any]) -> None:
        for one in filter(which, nb["cells"]):
            change(one)

    return quirk


def is_code(one: dict[str, Any]) -> bool:
    return bool(one["cell_type"] == "code")


def is_text(one: dict[str, Any]) -> bool:
    return not is_code(one)


def showing(*outputs: dict[str, Any]) -> Any:
    """A quirk: every code cell shows this."""
    return each(lambda one: one.update(outputs=copy.deepcopy(list(outputs))), is_code)


def about(**fields: Any) -> Any:
    """A quirk: the notebook's own fields are these."""
    return lambda nb: nb.update(fields)


def in_metadata(**fields: Any) -> Any:
    return each(lambda one: one["metadata"].update(fields))


def in_cells(**fields: Any) -> Any:
    return each(lambda one: one.update(fields))


def third_format(nb: dict[str, Any]) -> None:
    """Save it as before the fourth format: in worksheets, code as `input`."""
    for one in code(nb):
        one.update(input=one.pop("source"), prompt_number=1, language="python", collapsed=False)
        del one["execution_count"]
    for one in nb["cells"]:
        del one["id"]
    heading = {"cell_type": "heading", "level": 2, "metadata": {}, "source": "Heading"}
    nb["worksheets"] = [{"cells": [heading, *nb.pop("cells")], "metadata": {}}]
    nb.update(nbformat=3, nbformat_minor=0)


WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "a", "version_major": 2, "version_minor": 0}}
DISPLAY = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}

# What editors save: each is done to a right notebook.
EDITORS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "jupyter": lambda nb: None,
    "no-count": each(lambda one: one.pop("execution_count"), is_code),
    "no-outputs": each(lambda one: one.pop("outputs"), is_code),
    "outputs-null": each(lambda one: one.update(outputs=None), is_code),
    "outputs-text": each(lambda one: one.update(outputs="x"), is_code),
    "outputs-of-text": each(lambda one: one.update(outputs=[], execution_count=None), is_text),
    "count-text": each(lambda one: one.update(execution_count="3"), is_code),
    "ids-in-4.4": about(nbformat_minor=4),
    "no-ids": each(lambda one: one.pop("id")),
    "4.0": lambda nb: (nb.update(nbformat_minor=0), each(lambda one: one.pop("id"))(nb)),
    "no-minor": lambda nb: nb.pop("nbformat_minor"),
    "minor-99": about(nbformat_minor=99),
    "format-text": about(nbformat="4", nbformat_minor="5"),
    "format-5": about(nbformat=5),
    "no-format": lambda nb: (nb.pop("nbformat"), nb.pop("nbformat_minor")),
    "third-format": third_format,
    "id-null": in_cells(id=None),
    "id-number": in_cells(id=7),
    "id-same": in_cells(id="same"),
    "id-empty": in_cells(id=""),
    "id-long": each(lambda one: one.update(id=one["id"] * 30)),
    "id-vs-code": each(lambda one: one.update(id=f"#VSC-{one['id']}")),
    "id-slash": each(lambda one: one.update(id=f"/a b/{one['id']}é")),
    "id-in-metadata": each(lambda one: one["metadata"].update(id=one.pop("id"))),
    "metadata-list": about(metadata=[]),
    "metadata-null": about(metadata=None),
    "metadata-missing": lambda nb: nb.pop("metadata"),
    "cell-metadata-list": each(lambda one: one.update(metadata=[]), lambda one: not named(one)),
    "cell-metadata-null": each(lambda one: one.update(metadata=None), lambda one: not named(one)),
    "cell-metadata-missing": each(lambda one: one.pop("metadata"), lambda one: not named(one)),
    "tags-text": in_metadata(tags="a b"),
    "tags-twice": in_metadata(tags=["a", "a", None, 1]),
    "collapsed-null": in_metadata(collapsed=None, scrolled=3, name="", format=1, jupyter=[], editable="no"),
    "source-lines": each(
        lambda one: one.update(source=one["source"].splitlines(True)), lambda one: "\n" in one["source"]
    ),
    "source-in-windows": each(lambda one: one.update(source="\r\n".join("".join(one["source"]).splitlines()))),
    "kernelspec-empty": about(metadata={"kernelspec": {}}),
    "kernelspec-name": about(metadata={"kernelspec": {"name": "python3"}}),
    "kernelspec-null": about(metadata={"kernelspec": None, "language_info": None}),
    "kernelspec-conda": about(metadata={"kernelspec": {"display_name": "x", "name": "conda-env-x-py"}}),
    "no-language": about(metadata={"language_info": {"version": "3.12"}, "kernelspec": "python3"}),
    "orig-nbformat": about(metadata={"orig_nbformat": 4, "title": 1, "authors": "me"}),
    "widgets": about(metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"a": {"model_module": "x"}}}}),
    "widgets-state": about(metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": None}}}),
    "widgets-list": about(metadata={"widgets": []}),
    "more-fields": about(comments=[], deepnote={}, signature="x", cells_extra=1),
    "deepnote": lambda nb: (
        in_metadata(cell_id="a", deepnote_cell_type="code", deepnote_to_be_reexecuted=False, tags=[])(nb),
        in_cells(outputs_reference=None, content_dependencies=None, block_group="1")(nb),
        nb["metadata"].update(deepnote={}, deepnote_notebook_id="b", deepnote_execution_queue=[]),
    ),
    "colab": lambda nb: (
        each(lambda one: one["metadata"].update(id=one.pop("id"), colab={"base_uri": "https://localhost:8080/"}))(nb),
        nb.update(nbformat_minor=0, metadata={"colab": {"provenance": [], "name": "x.ipynb"}, "accelerator": "GPU"}),
    ),
    "colab-form": in_metadata(cellView="form", outputId="a", executionInfo={"status": "ok", "elapsed": 3}),
    "vs-code": in_metadata(vscode={"languageId": "python"}, language="python", azdata_cell_guid="a"),
    "kaggle": in_metadata(_uuid="a", _cell_guid="b", execution={"iopub.status.busy": "x"}, trusted=True, jupyter=None),
    "databricks": in_metadata(**{"application/vnd.databricks.v1+cell": {"title": "", "showTitle": False}}),
    "jetbrains": in_metadata(pycharm={"name": "#%%\n"}, ExecuteTime={"end_time": 1}, is_executing=True),
    "nteract": in_metadata(inputHidden=None, outputHidden=False, nteract={"transient": {"deleting": False}}),
    "jupytext": about(metadata={"jupytext": {"formats": "ipynb,py:percent"}, "kernelspec": {"name": "python3"}}),
    "papermill": in_metadata(papermill={"duration": 1.0, "status": "completed"}, tags=["parameters"]),
    "fields-of-cells": in_cells(collapsed=True, level=1, language="python", outputIds=[], prompt_number=1),
    "transient": showing({**DISPLAY, "transient": {"display_id": "a"}}),
    "stream-nameless": showing({"output_type": "stream", "text": "x"}),
    "stream-kind": showing({"output_type": "stream", "name": "stdlog", "text": None}),
    "error-bare": showing({"output_type": "error", "ename": "E", "evalue": None}),
    "pyout": showing({"output_type": "pyout", "text": "x", "prompt_number": 1}),
    "output-null": each(lambda one: one.update(outputs=[None, 1, "x", {}]), is_code),
    "display-bare": showing({"output_type": "display_data", "data": {"image/png": None}}),
    "result-bare": showing({"output_type": "execute_result", "data": {}}),
    "widget-view": showing({**DISPLAY, "data": WIDGET}),
    "attachments-of-code": in_cells(attachments={}),
    "attachments-null": each(lambda one: one.update(attachments=None), is_text),
    "attachments-list": each(lambda one: one.update(attachments={"a.png": ["x"], "b": None, "c": {"d": 1}}), is_text),
    "cells-null": lambda nb: nb["cells"].extend([None, 3, "x", [], {}]),
    "cell-kinds": lambda nb: nb["cells"].extend(
        {"cell_type": kind, "metadata": {}, "source": ["x"]} for kind in ("html", "sql", "raw", None, 3)
    ),
    "sourceless": lambda nb: nb["cells"].extend(
        {"cell_type": "code", "metadata": {}, "source": text} for text in (None, {}, 3, [1, None])
    ),
    "raw-cell": lambda nb: nb["cells"].append(
        {"cell_type": "raw", "metadata": {"format": ""}, "source": "", "id": "r"}
    ),
    "infinite": about(metadata={"x": float("nan"), "y": float("inf"), "z": 10**300}),
    "surrogate": lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "\ud83d"}),
}

# What happens to cells and to what nbgrader notes in them.


def noting(*names: str, **fields: Any) -> Any:
    """A quirk: nbgrader's metadata of cells has these fields; None removes one."""

    def quirk(nb: dict[str, Any]) -> None:
        for one in nb["cells"]:
            if named(one) and (not names or named(one) in names):
                about = one["metadata"]["nbgrader"]
                about.update(fields)
                for gone in [name for name, value in fields.items() if value == "gone"]:
                    del about[gone]

    return quirk


def forgetting(*names: str, ids: bool = True) -> Any:
    """A quirk: cells have lost their metadata, and their ids."""

    def quirk(nb: dict[str, Any]) -> None:
        for number, one in enumerate(nb["cells"]):
            if not names or named(one) in names:
                one["metadata"] = {}
                if not ids:
                    one["id"] = f"new-{number}"

    return quirk


def without(*names: str) -> Any:
    return lambda nb: nb.update(cells=[one for one in nb["cells"] if named(one) not in names])


def pasting(text: str, place: int = 0, **nbgrader: Any) -> Any:
    """A quirk: a cell of another assignment, or of an earlier release, is there too."""
    role = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3, "points": 2}
    metadata = {"nbgrader": {**role, "grade_id": "other", **nbgrader}}
    made = {"cell_type": "code", "id": "p", "source": text, "outputs": [], "execution_count": 1, "metadata": metadata}
    return lambda nb: nb["cells"].insert(place, copy.deepcopy(made))


def turned(name: str, kind: str, **fields: Any) -> Any:
    """A quirk: a cell was made one of another kind."""

    def quirk(nb: dict[str, Any]) -> None:
        one = of(nb, name)
        for field in ("outputs", "execution_count"):
            one.pop(field, None)
        one.update(cell_type=kind, **fields)

    return quirk


def both(*quirks: Any) -> Any:
    def quirk(nb: dict[str, Any]) -> None:
        for one in quirks:
            one(nb)

    return quirk


def doubled(nb: dict[str, Any]) -> None:
    nb["cells"] += copy.deepcopy(nb["cells"])


def reversed_cells(nb: dict[str, Any]) -> None:
    """Tests stand at the end, where a student has moved them."""
    tests = [one for one in nb["cells"] if named(one).startswith(("check_", "test_"))]
    nb["cells"] = [one for one in nb["cells"] if one not in tests] + tests[::-1]


def own_notebook(nb: dict[str, Any]) -> None:
    """The solutions are in a new notebook, in one cell."""
    texts = [SOLUTIONS[name] for name in ("double", "total", "shout")]
    nb["cells"] = [
        {"cell_type": "code", "source": "import numpy as np", "metadata": {}},
        {"cell_type": "code", "source": "\n\n".join(texts), "metadata": {}},
        {"cell_type": "markdown", "source": "Because.", "metadata": {}},
    ]


TESTS = ("check_double", "check_total", "test_shout")
CELLS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "points-null": noting(*TESTS, points=None),
    "points-text": noting(*TESTS, points="two"),
    "points-list": noting(*TESTS, points=[]),
    "points-many": noting(*TESTS, points=1e9),
    "points-gone": noting(*TESTS, points="gone"),
    "grade-false": noting(*TESTS, grade=False),
    "grade-text": noting(*TESTS, grade="yes"),
    "all-false": noting(grade=False, solution=False, locked=False, task=False),
    "all-true": noting(grade=True, solution=True, locked=True, task=True),
    "schema-0": noting(schema_version="gone"),
    "schema-1": noting(schema_version=1, task="gone", cell_type="gone"),
    "schema-2": noting(schema_version=2, task="gone"),
    "schema-99": noting(schema_version=99),
    "schema-null": noting(schema_version=None),
    "name-alone": each(lambda one: one["metadata"].update(nbgrader={"grade_id": named(one)}), named),
    "checksum-null": noting(checksum=None, cell_type=3, extra=[1]),
    "nbgrader-list": each(lambda one: one["metadata"].update(nbgrader=[]), named),
    "nbgrader-nameless": each(lambda one: one["metadata"]["nbgrader"].update(grade_id=None), named),
    "forgotten": forgetting(),
    "forgotten-ids": forgetting(ids=False),
    "forgotten-pair": forgetting("double", "check_double", ids=False),
    "forgotten-test": forgetting("test_shout", ids=False),
    "forgotten-imports": forgetting("imports", ids=False),
    "forgotten-and-gone": both(without(*TESTS, "imports"), forgetting(ids=False)),
    "forgotten-doubled": both(forgetting(ids=False), doubled),
    "solutions-forgotten": both(forgetting("double", "total", "shout", ids=False), without("check_total")),
    "own-notebook": own_notebook,
    "foreign-test": pasting("assert False"),
    "foreign-check": pasting('check("other", other)', 4, grade_id="check_other"),
    "foreign-solution": pasting("def other(x):\n    return x", 3, grade=False, solution=True, locked=False),
    "foreign-nameless": pasting("1 / 0", 3, grade_id=""),
    "foreign-task": pasting("text", 3, task=True, grade=False),
    "to-markdown": turned("total", "markdown"),
    "to-markdown-attached": turned("total", "markdown", attachments={}),
    "to-markdown-picture": turned("total", "markdown", attachments={"a.png": {"image/png": "iVBORw0KGgo="}}),
    "to-raw": turned("double", "raw"),
    "check-to-markdown": turned("check_double", "markdown"),
    "answer-to-code": turned("why", "code"),
    "answer-to-raw": turned("why", "raw", attachments={"a.png": {"image/png": "iVBORw0KGgo="}}),
    "imports-gone": without("imports"),
    "tests-gone": without(*TESTS),
    "only-solutions": lambda nb: nb.update(cells=[one for one in nb["cells"] if named(one) in SOLUTIONS]),
    "doubled": doubled,
    "doubled-damaged": both(noting(grade=False, locked=False, solution=False), doubled),
    "tests-last": reversed_cells,
    "tests-changed": each(lambda one: one.update(source="pass"), lambda one: named(one) in TESTS),
}

# How a file is written.
WRITERS: dict[str, Callable[[str], bytes]] = {
    "bom": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.replace("# Quirks", "# Qu\xeerks \x80").encode("latin-1"),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "spaces": lambda text: f"\n\n {text}\n\n\0\0".encode(),
    "tabs-in-text": lambda text: text.replace("# Quirks", "# Quirks\t\n\x01").encode(),
    "digits": lambda text: text.replace('"nbformat": 4', '"nbformat": 4, "x": ' + "9" * 5000).encode(),
}


def zipped(contents: dict[str, bytes]) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as package:
        for path, content in contents.items():
            package.writestr(path, content)
    return found.getvalue()


# What systems and people make of the file's name and place: by student, the files in the folder that is handed in.
# RIGHT and EMPTY stand for notebooks, dictionaries for packages.
# READING needs the file `in/two.txt` beside it.
RIGHT, EMPTY, READING = "<right>", "<empty>", "<reading>"
JUNK = {"__MACOSX/quirks/._quirks.ipynb": b"\0\5\x16\7", ".DS_Store": b"x"}
PLACES: dict[str, dict[str, Any]] = {
    "again": {"quirks (1).ipynb": RIGHT},
    "again-jupyter": {"quirks-Copy1.ipynb": RIGHT},
    "canvas": {"doejane_12345_6789_quirks-1.ipynb": RIGHT},
    "canvas-late": {"doejane_LATE_12345_6789_quirks-2.ipynb": RIGHT, "doejane_12345_6789_quirks-1.ipynb": EMPTY},
    "moodle": {"Jane Doe_123_assignsubmission_file_quirks.ipynb": RIGHT},
    "moodle-folder": {"Jane Doe_123_assignsubmission_file_/quirks.ipynb": RIGHT},
    "blackboard": {"HW1_jdoe_attempt_2024-03-01-10-00-00_quirks.ipynb": RIGHT, "HW1_jdoe_attempt_2024.txt": b"x"},
    "brightspace": {"123-456 - Jane Doe - Mar 1, 2024 1000 AM - quirks.ipynb": RIGHT},
    "gradescope": {"submission_1234/quirks.ipynb": RIGHT, "submission_metadata.yml": b"x"},
    "colab-copy": {"Copy of quirks.ipynb": RIGHT},
    "windows-copy": {"quirks - Copy (2).ipynb": RIGHT, "quirks - Copy.ipynb": EMPTY},
    "case": {"Quirks.ipynb": RIGHT},
    "capitals": {"QUIRKS.IPYNB": RIGHT},
    "spaces-around": {" quirks .ipynb": RIGHT},
    "unicode": {"u\u0308bung quirks.ipynb": RIGHT},
    "txt": {"quirks.ipynb.txt": RIGHT},
    "json": {"quirks.ipynb.json": RIGHT},
    "final": {"quirks_final_v2.ipynb": RIGHT},
    "untitled": {"Untitled.ipynb": RIGHT},
    "my-name": {"jane.ipynb": RIGHT, "notes.ipynb": b'{"cells": []}'},
    "deeper": {"quirks/quirks.ipynb": RIGHT},
    "much-deeper": {"a/b/c/quirks.ipynb": RIGHT},
    "checkpoint-too": {"quirks/quirks.ipynb": RIGHT, ".ipynb_checkpoints/quirks-checkpoint.ipynb": EMPTY},
    "broken-too": {"quirks.ipynb": b"", "quirks (1).ipynb": RIGHT},
    "zip": {"quirks.zip": {"quirks.ipynb": RIGHT}},
    "zip-folder": {"quirks.zip": {"quirks/quirks.ipynb": RIGHT, **JUNK}},
    "zip-as-notebook": {"quirks.ipynb": {"quirks.ipynb": RIGHT}},
    "zip-in-zip": {"all.zip": {"b/quirks.zip": {"quirks.ipynb": RIGHT}}},
    "zip-of-several": {"all.zip": {"quirks-1.ipynb": EMPTY, "quirks-2.ipynb": RIGHT, "other.ipynb": b"{}"}},
    "zip-windows": {"all.zip": {"hw\\quirks.ipynb": RIGHT}},
    "tar": {"quirks.tar.gz": {"quirks/quirks.ipynb": RIGHT}},
    "tgz": {"quirks.tgz": {"./quirks.ipynb": RIGHT}},
    "gz": {"quirks.ipynb.gz": RIGHT},
    "zip-data": {"quirks.zip": {"hw/quirks.ipynb": READING, "hw/in/two.txt": b"2", "in/two.txt": b"3"}},
    "deeper-data": {"hw/quirks.ipynb": READING, "hw/in/two.txt": b"2"},
    "name-data": {"quirks (1).ipynb": READING, "in/two.txt": b"2"},
    "macosx": {"__MACOSX/._quirks.ipynb": b"\0", "quirks 2.ipynb": RIGHT, "._quirks.ipynb": b"\0"},
}
LOCKED = zipped({"quirks.ipynb": b"x"}).replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1")
LOCKED = LOCKED.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
# What cannot be graded, and a part of the reason.
HOPELESS: dict[str, tuple[dict[str, Any], str]] = {
    "no-file": ({}, "the folder that was handed in is empty"),
    "only-text": ({"answer.docx": b"x"}, "there is no quirks.ipynb in what was handed in, only answer.docx"),
    "other-assignment": ({"ps2.ipynb": b'{"cells": [{"cell_type": "code", "source": "1"}]}'}, "of this assignment"),
    "rar": ({"quirks.rar": b"Rar!"}, "quirks.rar is packed in a way that cannot be opened here"),
    "broken-zip": ({"quirks.zip": b"PK\3\4xx"}, "quirks.zip cannot be unpacked"),
    "locked-zip": ({"quirks.zip": LOCKED}, "quirks.zip is locked with a password; hand in the notebook itself"),
    "bomb": ({"quirks.zip": {"quirks.ipynb": b"\0" * (51 << 20)}}, "quirks.zip/quirks.ipynb is too large"),
    "slip": ({"a.zip": {"../../quirks.ipynb": RIGHT, "/quirks.ipynb": RIGHT}}, "there is no quirks.ipynb"),
    "macosx-only": ({"__MACOSX/._quirks.ipynb": b"\0"}, "is empty; expected quirks.ipynb in it"),
}
# What stands in timestamp.txt, and whether it is a date.
TIMES: dict[str, tuple[bytes, bool]] = {
    "time-nbgrader": (b"2024-03-01 10:00:00.123456 UTC", True),
    "time-zone": (b"2024-03-01 11:00:00 Europe/Berlin\n", True),
    "time-iso": (b"2024-03-01T12:00:00+02:00", True),
    "time-bom": (b"\xef\xbb\xbf2024-03-01 10:00:00 UTC", False),
    "time-garbage": (b"But I want", False),
    "time-epoch": (b"1709287200", False),
    "time-epoch-that-reads-as-a-day": (b"1209280900", False),
    "time-two-lines": (b"2024-03-01 10:00:00 UTC\n2024-03-02 10:00:00 UTC", False),
    "time-part": (b"10", False),
    "time-month": (b"March", False),
    "time-empty": (b"", False),
    "time-utf-16": ("2024-03-01 10:00:00 UTC".encode("utf-16"), False),
    "time-year-0": (b"0000-00-00 00:00:00", False),
    "time-long": (b"1" * 100_000, False),
}


def packed(name: str, inside: dict[str, Any], notebooks: dict[str, bytes]) -> bytes:
    """A package, of the kind that its name tells."""
    contents = {path: content_of(path, what, notebooks) for path, what in inside.items()}
    if ".t" not in name:
        return zipped(contents)
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w:gz") as tar:
        for path, content in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return found.getvalue()


def content_of(name: str, what: Any, notebooks: dict[str, bytes]) -> bytes:
    if isinstance(what, dict):
        return packed(name, what, notebooks)
    content: bytes = notebooks[what] if isinstance(what, str) else what
    return gzip.compress(content) if name.endswith(".ipynb.gz") else content


def written(nb: dict[str, Any]) -> str:
    return json.dumps(nb, ensure_ascii=True, indent=1)


def hand_in(course: Course, student: str, content: bytes, name: str = f"{SLUG}.ipynb") -> Path:
    path = course.folder("submitted", student, SLUG) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
