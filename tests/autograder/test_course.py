"""A course folder follows nbgrader's configuration, and is refused if that leaves out the wall."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import CONFIG, Course
from autograder.errors import Refused


@pytest.fixture
def lines(repository: Path) -> str:
    return (repository / CONFIG).read_text(encoding="utf-8")


def with_config(folder: Path, text: str) -> Course:
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return Course.at(folder)


@pytest.mark.parametrize(
    ("name", "trait"),
    [
        ("nbgrader_plugin.PublicCases", "GenerateAssignment.preprocessors"),
        ("nbgrader_plugin.WallExecute", "Autograde.autograde_preprocessors"),
        ("nbgrader_plugin.KeepFields", "Autograde.sanitize_preprocessors"),
        ("nbgrader_plugin.OnlyPages", "GenerateFeedback.preprocessors"),
        ("wall.pages.OnePage", "HTMLExporter.preprocessors"),
    ],
)
def test_a_configuration_that_leaves_out_the_wall_is_refused(tmp_path: Path, lines: str, name: str, trait: str) -> None:
    with_config(tmp_path, lines)
    with pytest.raises(Refused, match=rf"c\.{trait} must name autograder\.{name}\. Take all lines"):
        with_config(tmp_path, lines.replace(f'"autograder.{name}"', '"nbgrader.preprocessors.Execute"'))


def test_an_empty_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="leaves out what autograder needs"):
        with_config(tmp_path, "c = get_config()\n")


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a course folder"):
        Course.at(tmp_path)
