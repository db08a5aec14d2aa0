"""A class graded from end to end by `autograder grade` and by nbgrader, and the effect of bad input."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import demo
import pytest
from in_class import SLUG, nbgrader, scores
from nbgrader.api import Gradebook
from programs import demo_class
from rich.console import Console
from sampled import some

from autograder.course import Course
from autograder.feedback import feedback
from autograder.records import read_all
from autograder.run import ClassRun
from autograder.summary import class_summary

# One worker grades the class that most of these look at.
pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

CLASS = demo_class(SLUG)
LIMITS = demo.LIMITS[SLUG]


# -- the demo class, both ways ------------------------------------------------------------------


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, dict[str, dict]]:
    """The demo's class of twelve, graded by `autograder grade`, and its records by student."""
    course = demo.make_course(tmp_path_factory.mktemp("class") / "course", [SLUG])
    for student in CLASS:
        demo.hand_in(course, SLUG, student)
    records = ClassRun(course, SLUG, LIMITS).run()
    return course, {record["student"]: record for record in records}


@pytest.mark.parametrize("student", CLASS, ids=lambda student: student.name)
def test_every_student_gets_the_scores_and_the_findings_that_are_deserved(graded, student) -> None:
    course, records = graded
    assert demo.differences(student, demo.full_marks(course, SLUG), records[student.name]) == []


def test_a_submission_that_replaces_check_patches_numpy_and_prints_floats_gets_nothing(graded) -> None:
    course, _ = graded
    june = {cell: score for (student, cell), score in scores(course).items() if student == "june"}
    assert len(june) == 13
    assert set(june.values()) == {0}


# Right, empty, wrong, endless, misnamed, hostile, and with an error of syntax: nbgrader takes its time for each.
BOTH_WAYS = some(("ada", "ben", "cleo", "gus", "ivo", "june", "kai"), 3)


def test_nbgrader_autograde_gives_the_same_scores(graded, tmp_path: Path) -> None:
    course, _ = graded
    others = [student.name for student in CLASS if student.name not in BOTH_WAYS]
    left_out = shutil.ignore_patterns("autograded", *others)
    other = Course.at(shutil.copytree(course.root, tmp_path / "other", ignore=left_out))
    (other.root / "gradebook.db").unlink()
    (other.root / "submitted" / "..a" / SLUG).mkdir(parents=True)
    settings = [f"--WallExecute.{name}={value}" for name, value in LIMITS.items()]
    assert nbgrader(other, "generate_assignment", SLUG, "--force").returncode == 0
    done = nbgrader(other, "autograde", SLUG, *settings)
    assert done.returncode == 0
    assert done.stderr.count("'..a' begins with a dot") == 1
    assert "Traceback" not in done.stdout
    assert scores(other) == {key: score for key, score in scores(course).items() if key[0] in BOTH_WAYS}
    assert len(scores(other)) == 13 * len(BOTH_WAYS)


def test_the_readme_shows_what_is_printed_of_the_class(graded, repository: Path) -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(class_summary(read_all(graded[0], SLUG)))
    printed = [line.rstrip() for line in capture.get().splitlines()]
    block = re.search(r"```\n(Mistakes: .*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert block
    shown = [line for line in block[1].splitlines() if line != "[…]"]
    assert [line for line in shown if line not in printed] == []


def test_feedback_says_what_was_found(graded) -> None:
    course, _ = graded
    pages = {page.parent.parent.name: page.read_text() for page in feedback(course, SLUG)}
    assert sorted(pages) == sorted(student.name for student in CLASS)
    assert "The sum over the examples is not divided by their number N." in pages["cleo"]
    assert "Is there an endless loop?" in pages["gus"]
    assert "linear_classifiers_final_v2.ipynb" in pages["ivo"], "a student hears which file was taken"
    assert "is not written yet" in pages["ben"] or "not written yet" in pages["ben"]
    assert "SyntaxError" in pages["kai"]
    assert 'alt="' in pages["ada"], "the pictures of a graded notebook have text alternatives"


def test_nbgrader_writes_the_feedback_too(graded, tmp_path: Path) -> None:
    course, _ = graded
    other = Course.at(shutil.copytree(course.root, tmp_path / "other"))
    assert nbgrader(other, "generate_feedback", SLUG, "--force").returncode == 0
    assert (other.folder("feedback", "cleo", SLUG) / f"{SLUG}.html").is_file()


def test_manual_scores_survive_grading_again(graded) -> None:
    course, _ = graded
    directory = course.directory
    with Gradebook(directory.db_url, directory.course_id) as gradebook:
        gradebook.find_grade("written_initial_loss", SLUG, SLUG, "ada").manual_score = 5
        gradebook.db.commit()
    ClassRun(course, SLUG, LIMITS, ["ada"]).run()
    assert scores(course)["ada", "written_initial_loss"] == 5
