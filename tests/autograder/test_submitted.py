"""What is handed in is read in a bounded time, or refused with what to do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from autograder import submitted
from autograder.submitted import Unreadable, read_notebook

CODE = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}


def handed_in(folder: Path, text: str) -> Any:
    (folder / "x.ipynb").write_text(text, encoding="utf-8")
    return read_notebook(folder, "x", "anna").notebook


def notebook(cells: list[Any], **metadata: Any) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_outputs_are_not_read_for_they_are_made_anew(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["x", "y"]}
    nb = handed_in(tmp_path, notebook([CODE | {"outputs": [output] * 9}]))
    assert nb.cells[0].outputs == []
    assert nb.cells[0].source == "1"


def test_a_notebook_of_before_the_fourth_format_is_read(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": "1", "language": "python", "metadata": {}, "outputs": [], "collapsed": False}
    old = {"worksheets": [{"cells": [cell], "metadata": {}}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}
    assert handed_in(tmp_path, json.dumps(old)).cells[0].source == "1"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html>", "a web page"),
        (b'{"cells": [\n<<<<<<< HEAD\n', "marks of a merge"),
        (notebook([CODE])[:60].encode(), "cut off in the middle"),
        (b"print(1)", "not written as notebooks are"),
        (b"[1, 2, 3]", "no list of cells"),
        (b'{"cells": {}, "nbformat": 4}', "no list of cells"),
        (b"null", "no list of cells"),
    ],
)
def test_what_is_no_notebook_is_refused_in_words_of_a_student(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.ipynb").write_bytes(content)
    with pytest.raises(Unreadable, match=why):
        read_notebook(tmp_path, "x", "anna")


def test_bytes_that_are_no_utf8_leave_the_others_as_they_are(tmp_path: Path) -> None:
    content = notebook([CODE]).replace('"1"', '"é?"').encode().replace(b"?", b"\xe9")
    (tmp_path / "x.ipynb").write_bytes(content)
    assert read_notebook(tmp_path, "x", "anna").notebook.cells[0].source == "éé"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (lambda: "[" + "[]," * 10_000_000 + "[]]", "more than 5000000 values"),
        (lambda: notebook([CODE | {"id": f"c{n}"} for n in range(6000)]), "more than 5000 cells"),
        (lambda: notebook([CODE | {"metadata": {"x": [[0]] * 500_000}}]), "too large even without its outputs"),
        (lambda: notebook([CODE | {"source": "x" * (21 << 20)}]), "too large even without its outputs"),
        (lambda: "[" * 200_000 + "]" * 200_000, "nested too deep"),
    ],
    ids=["lists", "cells", "metadata", "source", "depth"],
)
def test_what_is_larger_than_honest_notebooks_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Any, why: str
) -> None:
    written = text()
    monkeypatch.setattr(submitted, "MAX_SECONDS", 8.0)
    started = time.process_time()
    with pytest.raises(Unreadable, match=why):
        handed_in(tmp_path, written)
    assert time.process_time() - started < 3  # of the process that goes on


@pytest.mark.slow
def test_the_largest_that_is_read_takes_seconds(tmp_path: Path) -> None:
    many = [
        CODE | {"id": f"c{n}", "metadata": {"tags": [f"t{k}" for k in range(50)]}} for n in range(submitted.MAX_CELLS)
    ]
    written = notebook(many, x=[0] * 150_000)
    started = time.process_time()
    assert len(handed_in(tmp_path, written).cells) == submitted.MAX_CELLS
    assert time.process_time() - started < 5
