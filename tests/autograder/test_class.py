"""A class from end to end: graded by `autograder grade` and by nbgrader, and what bad input does to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from rich.console import Console

from autograder import cli, demo, samples
from autograder.course import Course
from autograder.feedback import feedback
from autograder.records import read_all
from autograder.run import ClassRun
from autograder.spec import Refused
from autograder.summary import class_summary

# One worker grades the class that most of these look at.
pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

SLUG = "linear_classifiers"
SAMPLES = samples.SAMPLES[SLUG]
LIMITS = samples.LIMITS[SLUG]
QUICK = {"cell_seconds": 10.0, "call_seconds": 2.0}


def nbgrader(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run nbgrader's own command in the course folder, as an instructor would."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course.root, env=environment, capture_output=True, text=True, check=False)


def scores(course: Course) -> dict[tuple[str, str], float]:
    """Every score in the gradebook, by student and cell."""
    directory = course.directory
    with Gradebook(directory.db_url, directory.course_id) as gradebook:
        return {
            (submission.student.id, grade.name): grade.score
            for submission in gradebook.assignment_submissions(SLUG)
            for notebook in submission.notebooks
            for grade in notebook.grades
        }


def hand_in(course: Course, student: str, nb: nbformat.NotebookNode, name: str = SLUG) -> Path:
    folder = course.folder("submitted", student, SLUG)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, folder / f"{name}.ipynb")
    return folder


@pytest.fixture
def short(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The solution without its demonstrations: the exercises, their checks, and what they import."""
    keep = [cell for cell in solution.cells if cell.metadata.get("nbgrader") or cell.id == "setup"]
    return nbformat.v4.new_notebook(cells=keep, metadata=solution.metadata)


# -- the demo class, both ways ------------------------------------------------------------------


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, dict[str, dict]]:
    """The demo's class of twelve, graded by `autograder grade`, and its records by student."""
    course = demo.make_course(tmp_path_factory.mktemp("class") / "course", [SLUG])
    for sample in SAMPLES:
        demo.hand_in(course, SLUG, sample)
    records = ClassRun(course, SLUG, LIMITS).run()
    return course, {record["student"]: record for record in records}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.student)
def test_every_sample_gets_the_scores_and_the_findings_that_it_deserves(graded, sample) -> None:
    course, records = graded
    assert demo.differences(sample, demo.full_marks(course, SLUG), records[sample.student]) == []


def test_a_submission_that_replaces_check_patches_numpy_and_prints_floats_gets_nothing(graded) -> None:
    course, _ = graded
    june = {cell: score for (student, cell), score in scores(course).items() if student == "june"}
    assert len(june) == 13
    assert set(june.values()) == {0}


def test_nbgrader_autograde_gives_the_same_scores(graded, tmp_path: Path) -> None:
    course, _ = graded
    other = Course.at(shutil.copytree(course.root, tmp_path / "other", ignore=shutil.ignore_patterns("autograded")))
    (other.root / "gradebook.db").unlink()
    settings = [f"--WallExecute.{name}={value}" for name, value in LIMITS.items()]
    assert nbgrader(other, "generate_assignment", SLUG, "--force").returncode == 0
    done = nbgrader(other, "autograde", SLUG, *settings)
    # nbgrader ends with an error for the one whose notebook has another name, after grading all the others.
    assert "for student 'ivo'" in done.stderr
    assert "Traceback" not in done.stdout
    assert scores(other) == scores(course)
    assert len(scores(other)) == 13 * len(SAMPLES)


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
    assert sorted(pages) == sorted(sample.student for sample in SAMPLES)
    assert "The sum over the examples is not divided by their number N." in pages["cleo"]
    assert "Is there an endless loop?" in pages["gus"]
    assert "rename the notebook" in pages["ivo"]
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


# -- validate -----------------------------------------------------------------------------------


def test_nbgrader_validate_passes_the_solution_and_fails_the_released_notebook(
    course: Course, short: nbformat.NotebookNode
) -> None:
    folder = course.folder("release", ".", SLUG)
    unfilled = nbgrader(course, "validate", str(folder / f"{SLUG}.ipynb"))
    assert "12 cells" in unfilled.stdout or "12 test" in unfilled.stdout or "FAILED" in unfilled.stdout.upper()
    assert "Traceback" not in unfilled.stdout
    nbformat.write(short, folder / "filled.ipynb")
    filled = nbgrader(course, "validate", str(folder / "filled.ipynb"))
    assert "Success! Your notebook passes all the tests." in filled.stdout, filled.stdout + filled.stderr


# -- bad input -----------------------------------------------------------------------------------


def test_bad_submissions_cost_only_themselves_and_say_why(course: Course, short: nbformat.NotebookNode) -> None:
    hand_in(course, "good", short)
    course.folder("submitted", "empty", SLUG).mkdir(parents=True)
    without = course.folder("submitted", "without", SLUG)
    without.mkdir(parents=True)
    (without / "data.csv").write_text("1,2\n")
    hand_in(course, "not_json", short)
    (course.folder("submitted", "not_json", SLUG) / f"{SLUG}.ipynb").write_text("# my notebook\n")
    hand_in(course, "half", short)
    path = course.folder("submitted", "half", SLUG) / f"{SLUG}.ipynb"
    path.write_text(path.read_text()[:5000])
    hand_in(course, "other_json", short)
    (course.folder("submitted", "other_json", SLUG) / f"{SLUG}.ipynb").write_text("[1, 2, 3]")
    strange = json.loads(nbformat.writes(short))
    strange["cells"][1]["metadata"]["nbgrader"] = {"solution": True}  # no grade_id: nbgrader itself stumbles
    hand_in(course, "strange", nbformat.from_dict(strange))
    (course.root / "submitted" / "nothing_handed_in").mkdir()

    records = {record["student"]: record for record in ClassRun(course, SLUG, QUICK).run()}

    assert records["good"]["score"] == 82
    reasons = {student: record["status"] for student, record in records.items() if student != "good"}
    assert "is empty" in reasons["empty"]
    assert "there is no linear_classifiers.ipynb" in reasons["without"]
    assert "data.csv" in reasons["without"]
    for student in ("not_json", "half", "other_json"):
        assert "not a notebook that can be read" in reasons[student], reasons[student]
    assert "nbgrader cannot read the notebook" in reasons["strange"]
    assert "nothing_handed_in" not in records
    for student in reasons:
        assert records[student]["score"] == 0
        page = course.folder("autograded", student, SLUG) / f"{SLUG}.ipynb"
        assert "could not be graded" in page.read_text(), "the formgrader shows why"
    assert {student for student, _ in scores(course)} == set(records)
    assert sum(score for (student, _), score in scores(course).items() if student != "good") == 0
    assert "# my notebook" in (course.folder("submitted", "not_json", SLUG) / f"{SLUG}.ipynb").read_text()


def test_missing_and_duplicated_cells_cost_only_themselves(course: Course, short: nbformat.NotebookNode) -> None:
    def without(*grade_ids):
        nb = nbformat.from_dict(json.loads(nbformat.writes(short)))
        nb.cells = [c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") not in grade_ids]
        return nb

    hand_in(course, "no_check", without("check_predict", "check_numerical_gradient"))
    hand_in(course, "no_pair", without("predict", "check_predict", "relative_error"))
    hand_in(course, "only_text", nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("I gave up.")]))
    doubled = without()
    for cell in short.cells:
        if cell.id in ("predict", "check_predict", "check_train"):
            copy = nbformat.from_dict(json.loads(json.dumps(cell)))
            copy.id = cell.id + "-again"
            doubled.cells.insert(2, copy)
    hand_in(course, "doubled", doubled)

    records = {record["student"]: record for record in ClassRun(course, SLUG, QUICK).run()}

    assert records["no_check"]["score"] == 82, "a deleted check cell is put back and graded"
    missing = {name for name, r in records["no_pair"]["exercises"].items() if r["status"] == "not defined"}
    assert missing == {"predict", "relative_error"}
    assert records["no_pair"]["score"] == 82 - 4 - 4
    assert records["only_text"]["score"] == 0
    assert records["doubled"]["score"] == 82
    assert len(scores(course)) == 13 * 4


def test_the_report_has_one_record_per_submission(course: Course, short: nbformat.NotebookNode, capsys) -> None:
    hand_in(course, "ada", short)
    course.folder("submitted", "empty", SLUG).mkdir(parents=True)
    report = course.root / "report.jsonl"
    command = ["grade", SLUG, "--course", str(course.root), "--report", str(report), "--jobs", "1"]
    assert cli.main(command) == 0
    assert "82/82" in capsys.readouterr().out
    ada, empty = (json.loads(line) for line in report.read_text().splitlines())
    assert (ada["student"], ada["notebook"], ada["status"]) == ("ada", SLUG, "graded")
    softmax = ada["exercises"]["softmax_loss_naive"]
    assert (softmax["score"], softmax["max"], softmax["findings"]) == (12, 12, [])
    assert all(case["ok"] for case in softmax["cases"])
    assert softmax["seconds"] >= 0
    assert empty["status"].startswith("refused")
    assert ada["exercises"]["written_initial_loss"]["score"] is None


def test_grading_one_student_again_prints_the_mistakes_of_the_whole_class(
    course: Course, short: nbformat.NotebookNode, capsys
) -> None:
    hand_in(course, "ada", short)
    hand_in(course, "all [2] *", short)
    command = ["grade", SLUG, "--course", str(course.root)]
    assert cli.main(command) == 0
    capsys.readouterr()
    assert cli.main([*command, "--student", "ada"]) == 0
    printed = capsys.readouterr().out
    assert f"{SLUG}: 1 submission" in printed, "the table is of those who were graded now"
    assert "No mistakes were found." in printed
    assert "Nothing to check: 1 of 2 students" in printed, "even one whom nbgrader could not record is remembered"


def test_a_student_with_a_strange_name_stops_nobody(course: Course, short: nbformat.NotebookNode) -> None:
    for student in ("o'neill", "ångström", "a b", "all [2] *"):
        hand_in(course, student, short)
    records = {record["student"]: record for record in ClassRun(course, SLUG, QUICK).run()}
    assert "rename the folder" in records["all [2] *"]["status"]
    assert [record["score"] for record in records.values()] == [82, 0, 82, 82]


# -- what is refused before anything runs ---------------------------------------------------------


def test_grading_what_does_not_exist_is_refused_in_one_line(course: Course, capsys, tmp_path: Path) -> None:
    at = ["--course", str(course.root)]
    for command, complaint in (
        (["grade", "nonsense", *at], "no assignment 'nonsense'"),
        (["grade", SLUG, *at], "nothing has been handed in"),
        (["feedback", SLUG, *at], "nothing has been graded"),
        (["release", SLUG, "--course", str(tmp_path)], "is not a course folder"),
        (["grade", SLUG, *at, "--report", str(tmp_path / "no" / "r.jsonl")], "does not exist"),
    ):
        assert cli.main(command) == 1, command
        printed = capsys.readouterr()
        assert complaint in printed.err.replace("\n", " "), printed.err
        assert "Traceback" not in printed.err


def test_without_bubblewrap_nothing_runs_and_one_line_says_why(
    course: Course, short: nbformat.NotebookNode, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    hand_in(course, "ada", short)
    monkeypatch.setattr("autograder.wall.sandbox.why_no_wall", lambda: "bubblewrap is not installed.")
    assert cli.main(["grade", SLUG, "--course", str(course.root)]) == 1
    assert capsys.readouterr().err == "autograder: Grading needs its wall: bubblewrap is not installed.\n"
    assert cli.main(["grade", SLUG, "--course", str(course.root), "--sandbox", "none"]) == 0
    printed = capsys.readouterr()
    assert "82/82" in printed.out
    assert "WARNING: without a sandbox" in printed.err


def test_grading_before_releasing_is_refused(course: Course, short: nbformat.NotebookNode) -> None:
    (course.root / "gradebook.db").unlink()
    hand_in(course, "ada", short)
    with pytest.raises(Refused, match="has not been released here: run `autograder release"):
        ClassRun(course, SLUG).run()


def test_a_broken_checks_file_is_told_once_and_grades_nobody(course: Course, short: nbformat.NotebookNode) -> None:
    hand_in(course, "ada", short)
    checks = course.folder("source", ".", SLUG) / "checks.py"
    checks.write_text("import nonsense\n")
    with pytest.raises(Refused, match=r"checks.py cannot be run: ModuleNotFoundError: No module named 'nonsense'"):
        ClassRun(course, SLUG).run()
    assert not scores(course)
