"""Courses to test with: each in a folder of its own, made from the repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from tiny import make

from autograder import demo
from autograder.course import Course

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A new course in which `linear_classifiers` is released and nothing is handed in."""
    return demo.make_course(tmp_path / "course", ["linear_classifiers"])


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
