"""A course folder is what nbgrader makes of its configuration, and is refused if that leaves out the wall."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import CONFIG, FILTERS, Course
from autograder.errors import Refused


@pytest.fixture
def lines(repository: Path) -> str:
    return (repository / CONFIG).read_text(encoding="utf-8")


def with_config(folder: Path, text: str) -> Course:
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return Course.at(folder)


@pytest.mark.parametrize(
    ("step", "trait"),
    [("PublicCases", "GenerateAssignment.preprocessors"), ("WallExecute", "Autograde.autograde_preprocessors")],
)
def test_a_configuration_without_our_steps_is_refused(tmp_path: Path, lines: str, step: str, trait: str) -> None:
    with pytest.raises(Refused, match=rf"c\.{trait} must name autograder\.nbgrader_plugin\.{step}"):
        with_config(tmp_path, lines.replace(f"autograder.nbgrader_plugin.{step}", "nbgrader.preprocessors.Execute"))
    with pytest.raises(Refused, match="Take all lines"):
        with_config(tmp_path, "c = get_config()\n")


def test_students_text_is_cleaned_also_where_the_configuration_does_not_say_so(tmp_path: Path, lines: str) -> None:
    named = with_config(tmp_path, lines).config.HTMLExporter.filters
    assert named == FILTERS
    silent = lines.replace("c.HTMLExporter.filters", "c.Something.filters")
    assert with_config(tmp_path, silent).config.HTMLExporter.filters == FILTERS


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a course folder"):
        Course.at(tmp_path)
