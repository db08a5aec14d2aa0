"""A course folder follows nbgrader's configuration, and is refused if that leaves out the wall."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import Refused
from autograder.plan import Planner
from autograder.settings import CONFIG


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
        ("nbgrader_plugin.DropLeftovers", "GenerateAssignment.preprocessors"),
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


# -- the course's own settings ----------------------------------------------------------------------


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own configuration of Jupyter."""
    folder = tmp_path / "of the user"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "course").mkdir()
    return tmp_path / "course"


def test_the_folders_lie_where_the_directory_structure_says(folder: Path, lines: str) -> None:
    for structure, found in (
        ("{nbgrader_step}/{assignment_id}/{student_id}", "submitted/mlp/ada"),
        ("{nbgrader_step}/all/{student_id}/{assignment_id}", "submitted/all/ada/mlp"),
        ("term/{nbgrader_step}/{assignment_id}/of_{student_id}", "term/submitted/mlp/of_ada"),
    ):
        course = with_config(folder, f"{lines}\nc.CourseDirectory.directory_structure = {structure!r}\n")
        course.folder("source", ".", "mlp").mkdir(parents=True)
        (course.folder("source", ".", "mlp") / "mlp.ipynb").write_text("{}")
        (folder / found).mkdir(parents=True)
        assert course.assignments() == ["mlp"]
        assert course.notebooks("mlp") == ["mlp"]
        assert course.students("mlp") == ["ada"]
        assert [student for student, _, _ in course.folders("submitted")] == ["ada"]
        assert course.overlooked("mlp") == []


def test_with_students_inside_an_assignment_strange_names_are_told_too(folder: Path, lines: str) -> None:
    structure = "{nbgrader_step}/{assignment_id}/{student_id}"
    course = with_config(folder, f"{lines}\nc.CourseDirectory.directory_structure = {structure!r}\n")
    for name in ("ada", "Ada", "<b>"):
        (folder / "submitted" / "mlp" / name).mkdir(parents=True)
    (folder / "submitted" / "mlp" / "mlp.ipynb").write_text("")
    assert course.students("mlp") == ["Ada", "ada"]
    assert [line.split(" ", 1)[0] for line in course.overlooked("mlp")] == ["'<b>'", "'mlp.ipynb'", "'Ada'"]


def test_excluded_students_and_those_who_are_not_chosen_are_not_graded(folder: Path, lines: str) -> None:
    for name in ("ada", "alan", "ben", "teacher"):
        (folder / "submitted" / name / "mlp").mkdir(parents=True)
    course = with_config(folder, f"{lines}\nc.CourseDirectory.student_id_exclude = 'teacher,alan'\n")
    assert course.students("mlp") == ["ada", "ben"]
    assert course.overlooked("mlp") == []
    assert with_config(folder, f"{lines}\nc.CourseDirectory.student_id = 'a*'\n").students("mlp") == ["ada", "alan"]


def test_a_relative_gradebook_lies_in_the_course(folder: Path, lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    for url, found in (
        ("sqlite:///gradebook.db", f"sqlite:///{folder}/gradebook.db"),
        ("sqlite:///db/grades.db?timeout=5", f"sqlite:///{folder}/db/grades.db?timeout=5"),
        ("sqlite:////srv/grades.db", "sqlite:////srv/grades.db"),
        ("postgresql:///grades", "postgresql:///grades"),
    ):
        assert with_config(folder, f"{lines}\nc.CourseDirectory.db_url = {url!r}\n").db_url == url.replace(url, found)
    assert with_config(folder, lines).db_url == f"sqlite:///{folder}/gradebook.db"


def test_the_users_own_configuration_is_read_first(folder: Path, lines: str, users: Path) -> None:
    (users / CONFIG).write_text("c = get_config()\nc.CourseDirectory.db_url = 'sqlite:////srv/mine.db'\n")
    (users / "nbgrader_config.json").write_text('{"CourseDirectory": {"student_id_exclude": "teacher"}}')
    (folder / "submitted" / "teacher" / "mlp").mkdir(parents=True)
    course = with_config(folder, lines)
    assert course.db_url == "sqlite:////srv/mine.db"
    assert course.students("mlp") == []
    own = f"{lines}\nc.CourseDirectory.db_url = 'sqlite:///own.db'\nload_subconfig('more.py')\n"
    (folder / "more.py").write_text("c.CourseDirectory.student_id_exclude = ''\n")
    course = with_config(folder, own)
    assert course.db_url == f"sqlite:///{folder}/own.db"
    assert course.students("mlp") == ["teacher"]
    assert {path.name for path in course.files} == {CONFIG, "nbgrader_config.json", "more.py"}  # a grade depends on all


def test_the_users_own_configuration_may_say_where_the_course_is(folder: Path, lines: str, users: Path) -> None:
    (users / CONFIG).write_text(f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\n")
    with_config(folder, lines)
    assert Course.at(users.parent).root == folder
    other = users.parent / "other"
    other.mkdir()
    assert with_config(other, lines).root == other


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("c.CourseDirectory.ignore = [", "SyntaxError"),
        ("import nonesuch", "No module named 'nonesuch'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(2)", "SystemExit: 2"),
    ],
)
def test_a_broken_configuration_is_one_sentence(folder: Path, lines: str, line: str, told: str) -> None:
    number = len(lines.splitlines()) + 1
    with pytest.raises(Refused) as refused:
        with_config(folder, f"{lines.rstrip()}\n{line}\n")
    assert str(refused.value).startswith(f"{folder / CONFIG}, line {number}: ")
    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_value_that_nbgrader_does_not_take_is_one_sentence(folder: Path, lines: str) -> None:
    with pytest.raises(Refused, match=r"the configuration in .* is wrong: The 'db_url' trait"):
        with_config(folder, f"{lines}\nc.CourseDirectory.db_url = 3\n").api()


@pytest.mark.parametrize("name", ["course [2024]", "what?", "dollar $HOME", "100%", "C# *"])
def test_a_course_may_have_any_name(tmp_path: Path, lines: str, name: str) -> None:
    (tmp_path / name / "solutions" / "mlp").mkdir(parents=True)
    (tmp_path / name / "solutions" / "mlp" / "mlp.ipynb").write_text("{}")
    (tmp_path / name / "submitted" / "ada" / "mlp").mkdir(parents=True)
    course = with_config(tmp_path / name, lines)
    assert course.root == tmp_path / name
    assert (course.assignments(), course.notebooks("mlp"), course.students("mlp")) == (["mlp"], ["mlp"], ["ada"])
    gradebook = Path(course.db_url.removeprefix("sqlite:///"))
    assert gradebook.parent.samefile(tmp_path / name)
    assert not set(str(gradebook)) & set("*?[]#%")


def test_an_assignment_whose_name_nbgrader_cannot_read_is_refused_in_one_sentence(folder: Path, lines: str) -> None:
    for name in ("week [1]", "hw+1"):
        (folder / "solutions" / name).mkdir(parents=True)
        (folder / "solutions" / name / f"{name}.ipynb").write_text("{}")
        with pytest.raises(Refused, match="rename the folder"):
            with_config(folder, lines).require(name)
