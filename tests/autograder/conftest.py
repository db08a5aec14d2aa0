"""Fixtures: courses made from the repository, each in a folder of its own."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import nbformat
import nbgrader.api
import pytest
from demo import make_course
from tiny import make

from autograder.course import Course

REPOSITORY = Path(__file__).resolve().parents[2]

# nbgrader starts the program `alembic` for every new gradebook, a second each time, to learn what never changes.
nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run that says nothing else have one process: tests run side by side already."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return make_course(tmp_path_factory.mktemp("released") / "course", ["linear_classifiers"])


@pytest.fixture
def course(tmp_path: Path, released: Course) -> Course:
    """A course in which `linear_classifiers` is released and nothing is handed in."""
    return Course.at(shutil.copytree(released.root, tmp_path / "course"))


@pytest.fixture
def solution(repository: Path) -> nbformat.NotebookNode:
    """The instructor's notebook of `linear_classifiers`."""
    path = repository / "solutions" / "linear_classifiers" / "linear_classifiers.ipynb"
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Course:
    return make(tmp_path_factory.mktemp("made") / "course", repository)


@pytest.fixture
def tiny(tmp_path: Path, made: Course) -> Course:
    """A released course with a class of three, in which nobody has been graded."""
    return Course.at(shutil.copytree(made.root, tmp_path / "course"))


@pytest.fixture
def short(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The solution without its demonstrations: only exercises, checks and imports."""
    keep = [cell for cell in solution.cells if cell.metadata.get("nbgrader") or cell.id == "setup"]
    return nbformat.v4.new_notebook(cells=keep, metadata=solution.metadata)
