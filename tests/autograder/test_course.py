"""A course folder follows nbgrader's configuration, and is refused if that leaves out the wall."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import CONFIG, Course
from autograder.errors import Refused
from autograder.plan import Planner


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


OVERLOOKED = {
    "..a": "begins with a dot",
    ".ben": "begins with a dot",
    "line\nbreak": "cannot be printed",
    "turned\u202ename": "cannot be printed",
    " carol": "spaces around it",
    "dora\t": "spaces around it",
    "e" * 200: "more than 128 characters",
    "<img src=x onerror=alert(1)>": "take for HTML",
}


def test_a_name_that_nbgrader_cannot_keep_is_told_and_not_graded(tmp_path: Path, lines: str) -> None:
    course = with_config(tmp_path, lines)
    for name in [*OVERLOOKED, "anna", "zoë"]:
        (tmp_path / "submitted" / name / "mlp").mkdir(parents=True)
    told = course.overlooked("mlp")
    assert course.students("mlp") == ["anna", "zoë"]
    assert len(told) == len(OVERLOOKED)
    for name, why in OVERLOOKED.items():
        (line,) = [line for line in told if line.startswith(f"{name!r} ")]
        assert why in line
        assert line.endswith("rename the folder")
        assert line.isprintable()


def test_whatever_lies_among_the_submissions_is_graded_or_told(tmp_path: Path, lines: str) -> None:
    course = with_config(tmp_path, lines)
    submitted = tmp_path / "submitted"
    for folder in (
        "anna/mlp",
        "Anna/mlp",
        "zoe\u0308/mlp",
        "zo\u00eb/mlp",
        "ben/MLP",
        "carol/svm",
        "dora",
        ".git/objects",
    ):
        (submitted / folder).mkdir(parents=True)
    (submitted / "dora" / "mlp").write_text("x")
    (submitted / "mlp.ipynb").write_text("x")
    (submitted / "carol" / "MLP (1).ipynb").write_text("x")
    (submitted / ".DS_Store").write_text("x")
    assert course.students("mlp") == ["Anna", "anna", "zoe\u0308", "zo\u00eb"]
    assert sorted(course.overlooked("mlp")) == [
        "'Anna' and 'anna' are written alike: if they are one student, keep one folder",
        "'ben' has a folder 'MLP': was 'mlp' meant? Rename it",
        "'carol' has 'MLP (1).ipynb' in no folder of an assignment: it belongs into submitted/carol/mlp/",
        "'dora' has a file in place of the folder mlp",
        "'mlp.ipynb' is a file: it belongs into submitted/<student>/mlp/",
        "'zoe\u0308' and 'zo\u00eb' are written alike: if they are one student, keep one folder",
    ]


def test_who_asks_for_a_student_that_cannot_be_graded_is_told_why(tmp_path: Path, lines: str) -> None:
    course = with_config(tmp_path, lines)
    for folder in ("solutions/mlp", "assignments/mlp", "submitted/..a/mlp"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(Refused, match="begins with a dot"):
        Planner(course, "mlp", {}).plan(["..a"])
    with pytest.raises(Refused, match="begins with a dot"):
        Planner(course, "mlp", {}).plan()
