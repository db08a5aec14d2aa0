"""What bad input does to a class, and what is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from in_class import SLUG, hand_in, nbgrader, scores

from autograder import cli
from autograder.course import Course
from autograder.run import ClassRun
from autograder.spec import Refused

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

QUICK = {"cell_seconds": 10.0, "call_seconds": 2.0}


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
    strange["cells"] = {str(number): cell for number, cell in enumerate(strange["cells"])}
    (hand_in(course, "strange", short) / f"{SLUG}.ipynb").write_text(json.dumps(strange))
    (course.root / "submitted" / "nothing_handed_in").mkdir()

    records = {record["student"]: record for record in ClassRun(course, SLUG, QUICK).run()}

    assert records["good"]["score"] == 82
    reasons = {student: record["status"] for student, record in records.items() if student != "good"}
    assert "is empty" in reasons["empty"]
    assert "there is no linear_classifiers.ipynb" in reasons["without"]
    assert "data.csv" in reasons["without"]
    for student in ("not_json", "half", "other_json", "strange"):
        assert "not a notebook that can be read" in reasons[student], reasons[student]
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
    assert "82/88" in capsys.readouterr().out
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
    assert "82/88" in printed.out
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
