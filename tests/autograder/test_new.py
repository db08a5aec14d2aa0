"""`autograder new` makes an assignment that can be released, solved and graded as it is."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from autograder.bundle import Bundle
from autograder.cli import main
from autograder.course import Course
from autograder.grade import Graded, Submission, grade
from autograder.new import new
from autograder.spec import Refused, load
from autograder.wall.box import Limits

pytestmark = pytest.mark.slow

SLUG = "my_first"


@pytest.fixture
def empty(tmp_path: Path, repository: Path) -> Course:
    """A course folder with nothing but nbgrader's configuration."""
    (tmp_path / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text())
    return Course.at(tmp_path)


@pytest.fixture
def made(empty: Course) -> Path:
    return new(empty, SLUG)


def graded(folder: Path, notebook: nbformat.NotebookNode) -> Graded:
    submission = Submission("ada", SLUG, SLUG, nbformat.writes(notebook), {})
    return grade(submission, Bundle.read(folder), b"a secret of the course", Limits())


def test_notebook_and_checks_are_there_under_their_names(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == ["checks.py", f"{SLUG}.ipynb"]
    everything = "".join(path.read_text() for path in made.iterdir())
    assert "SLUG" not in everything
    assert load(Bundle.read(made)).name == SLUG


def test_the_walkthrough_shows_the_same_checks(made: Path, repository: Path) -> None:
    text = (repository / "docs" / "new-assignment.md").read_text()
    assert (made / "checks.py").read_text().replace(SLUG, "my_first") in text


def test_it_can_be_released(made: Path, empty: Course, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", SLUG, "--course", str(empty.root)]) == 0
    released = empty.folder("release", ".", SLUG)
    assert {"cases.json", "cases.npz", f"{SLUG}.ipynb"} <= {path.name for path in released.iterdir()}
    assert "BEGIN SOLUTION" not in (released / f"{SLUG}.ipynb").read_text()


@pytest.mark.needs("bwrap")
def test_its_own_solution_earns_every_point_and_a_mistake_is_named(made: Path) -> None:
    notebook = nbformat.read(made / f"{SLUG}.ipynb", as_version=4)
    assert graded(made, notebook).record["exercises"]["sum_of_squares"]["score"] == 5
    [cell] = [cell for cell in notebook.cells if cell.id == "sum_of_squares"]
    cell.source = cell.source.replace("dx = 2 * x", "dx = x")
    found = graded(made, notebook).record["exercises"]["sum_of_squares"]
    assert found["score"] == 2
    assert [finding["code"] for finding in found["findings"]] == ["scale"]


def test_an_assignment_is_never_overwritten(made: Path, empty: Course) -> None:
    (made / "checks.py").write_text("mine")
    with pytest.raises(Refused, match="already"):
        new(empty, SLUG)
    assert (made / "checks.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["Two words", "../out", "1st", "", "UPPER", "a/b", "ümlaut"])
def test_other_names_are_refused(empty: Course, name: str) -> None:
    with pytest.raises(Refused, match="no name for an assignment"):
        new(empty, name)
    assert not (empty.root / "solutions").exists()


def test_the_command_says_what_comes_next(empty: Course, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", SLUG, "--course", str(empty.root)]) == 0
    assert f"autograder release {SLUG}" in capsys.readouterr().out
    assert main(["new", SLUG, "--course", str(empty.root)]) == 1
