"""The notebooks that nbgrader's wheel ships get the scores that nbgrader gives, cell by cell.

And where nbgrader is wrong on purpose of nobody, they get what is right.
"""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
import stock_scores
from demo import make_course
from nbgrader.api import Gradebook
from sampled import some
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.run import ClassRun, Course

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

STOCK = json.loads(stock_scores.STORED.read_text(encoding="utf-8"))
SOME = (
    "submitted",
    "guide-problem1",
    "autotest-multi",
    "test_taskcell",
)  # for the command, which starts anew each time
TRIED = sorted({*SOME, *some(STOCK, 6)})
HANDED_IN = [(assignment, student) for assignment in TRIED for student in STOCK[assignment]]

FOLDERS = """
c.CourseDirectory.source_directory = "source"
c.CourseDirectory.release_directory = "release"
c.CourseDirectory.course_id = "same"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Config:
    """This repository's configuration, in a new course whose folders have nbgrader's own names."""
    root = tmp_path_factory.mktemp("same")
    text = (repository / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(text + FOLDERS, encoding="utf-8")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.merge(stock_scores.configuration(root))
    return config


@pytest.fixture(scope="module")
def through_nbgrader(config: Config) -> dict[tuple[str, str], stock_scores.Scores | None]:
    return {(assignment, student): found for assignment, student, found in stock_scores.graded(config, TRIED)}


@pytest.mark.parametrize(("assignment", "student"), HANDED_IN)
def test_nbgrader_autograde_through_the_wall_gives_the_scores_of_stock_nbgrader(
    through_nbgrader, assignment: str, student: str
) -> None:
    scores = STOCK[assignment][student]
    if scores is None:  # nbgrader stops at it, for a cell has become one of another kind
        scores = STOCK[assignment]["released"]
    assert through_nbgrader[assignment, student] == scores


@pytest.mark.parametrize("assignment", SOME)
def test_autograder_grade_gives_the_scores_of_stock_nbgrader(through_nbgrader, config: Config, assignment: str) -> None:
    course = Course.at(Path(config.CourseDirectory.root))
    with Gradebook(course.directory.db_url, "same") as gradebook:
        for submission in gradebook.assignment_submissions(assignment):
            gradebook.remove_submission(assignment, submission.student.id)
    ClassRun(course, assignment, {"cell_seconds": stock_scores.SECONDS}).run()
    for student, scores in STOCK[assignment].items():
        assert stock_scores.scores(config, assignment, student) == scores, student


# -- where nbgrader is wrong ---------------------------------------------------------------------

POINTS = 5
RESULTS = {  # how a test cell ends, and what it is worth
    "False": 0,
    "True": POINTS,
    "np.False_": 0,
    "float('nan')": 0,
    "float('inf')": 0,
    "-1": 0,
    "0": 0,
    "2.5": 2.5,
    "np.float64(2.5)": 2.5,
    "np.int64(3)": 3,
    "np.array(2.0)": 2,
    "7": POINTS,
    "None": POINTS,
    "'well done'": POINTS,
    "[1, 2]": POINTS,
    "2.5;": POINTS,
    "display(1.5)\n3.0": 3,
    "assert False": 0,
    "print('careful', file=sys.stderr)": POINTS,
    "warnings.warn('careful')": POINTS,
    "warnings.warn('careful')\n2.0": 2,
    "warnings.warn('careful')\nassert False": 0,
    "np.log(-np.ones(2)).sum() > 0": 0,
    "assert np.isnan(np.log(-np.ones(2))).all()": POINTS,
    "logging.getLogger('course').warning('careful')": POINTS,
}


def plain_course(root: Path, repository: Path) -> Course:
    """A course with the assignment `plain`: a test cell for each of RESULTS, and no checks."""
    course = make_course(root, [], repository)
    imports = nbformat.v4.new_code_cell("import logging, sys, warnings\n\nimport numpy as np", id="imports")
    about = {"grade": True, "solution": False, "locked": True, "task": False, "points": POINTS, "schema_version": 3}
    tests = [
        nbformat.v4.new_code_cell(source, id=f"t{number}", metadata={"nbgrader": {**about, "grade_id": f"t{number}"}})
        for number, source in enumerate(RESULTS)
    ]
    folder = course.folder("source", ".", "plain")
    folder.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[imports, *tests]), folder / "plain.ipynb")
    assert course.api().generate_assignment("plain", force=True)["success"]
    return course


def in_the_gradebook(course: Course, student: str) -> dict[str, float]:
    directory = course.directory
    with Gradebook(directory.db_url, directory.course_id) as gradebook:
        grades = gradebook.find_submission_notebook("plain", "plain", student).grades
        found = {grade.name: grade.score for grade in grades}
    return {source: found[f"t{number}"] for number, source in enumerate(RESULTS)}


def test_results_that_are_no_scores_and_warnings_are_worth_what_they_mean(tmp_path: Path, repository: Path) -> None:
    course = plain_course(tmp_path / "course", repository)
    for student in ("by_command", "by_nbgrader"):
        folder = course.folder("submitted", student, "plain")
        folder.mkdir(parents=True)
        released = course.folder("release", ".", "plain") / "plain.ipynb"
        (folder / "plain.ipynb").write_text(released.read_text(encoding="utf-8"), encoding="utf-8")

    (record,) = ClassRun(course, "plain", students=["by_command"]).run()
    assert course.api().autograde("plain", "by_nbgrader", force=True)["success"]

    assert in_the_gradebook(course, "by_command") == RESULTS
    assert in_the_gradebook(course, "by_nbgrader") == RESULTS
    assert record["score"] == sum(RESULTS.values())


def test_tests_that_were_not_run_have_not_passed(tmp_path: Path, repository: Path) -> None:
    course = plain_course(tmp_path / "course", repository)
    folder = course.folder("submitted", "broken", "plain")
    folder.mkdir(parents=True)
    (folder / "plain.ipynb").write_text("# my notebook\n", encoding="utf-8")
    (record,) = ClassRun(course, "plain").run()
    assert "not a notebook that can be read" in record["status"]
    assert set(in_the_gradebook(course, "broken").values()) == {0}
