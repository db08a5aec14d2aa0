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
    return read_notebook(folder, "x", "anna")


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (lambda: "[" + "[]," * 10_000_000 + "[]]", "more than 5000000 values"),
        (
            lambda: notebook([CODE | {"metadata": {"tags": [*([n, str(n)] for n in range(90_000)), "x", {}]}}]),
            "took longer",
        ),
        (lambda: notebook([CODE | {"id": f"c{n}"} for n in range(6000)]), "more than 5000 cells"),
        (lambda: notebook([CODE], x=[[0]] * 500_000), "too large even without its outputs"),
        (lambda: notebook([CODE | {"source": "x" * (21 << 20)}]), "too large even without its outputs"),
        (lambda: notebook([CODE], x=0).replace(": 0}", ": " + "9" * 5000 + "}"), "ValueError: Exceeds the limit"),
        (lambda: "[" * 200_000 + "]" * 200_000, "RecursionError"),
        (lambda: notebook([CODE | {"outputs": "x"}]), "not a notebook"),
    ],
    ids=["lists", "tags", "cells", "metadata", "source", "digits", "depth", "outputs"],
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
