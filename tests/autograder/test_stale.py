"""What the gradebook says is true now: a grade depends on everything that it was made from, and on nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Grade, Gradebook
from tiny import CHECKS, RIGHT, SLUG, STUDENTS, cell, grade_here, hand_in, make, notebook, scores

from autograder import cli, fingerprint, records
from autograder.course import Course
from autograder.errors import Refused
from autograder.release import release
from autograder.run import ClassRun
from coursekit.checks import cases

pytestmark = pytest.mark.slow

LATE = """
c.AssignLatePenalties.plugin_class = "lateness.Half"
"""
PLUGIN = """
from helper import SHARE
from nbgrader.plugins import BasePlugin


class Half(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return SHARE * score
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    grade_here(monkeypatch)


def graded(course: Course, again: bool = False) -> list[str]:
    """Grade the class; return who was graded, and not left as before."""
    run = ClassRun(Course.at(course.root), SLUG, {"sandbox": "none"}, again=again)
    found = run.run()
    return [record["student"] for record in found if record["student"] not in run.unchanged]


def drawn(course: Course, student: str, exercise: str) -> float:
    """Return the number that a student was graded on."""
    _, stored = cases.load(records.folder(course.root, SLUG, student, SLUG))
    return float(stored[exercise].cases[0].steps[0].args[0])


def test_a_reference_that_differs_on_one_students_numbers_is_noticed_and_so_is_its_end(tiny: Course) -> None:
    graded(tiny)
    assert scores(tiny) == RIGHT
    checks = tiny.folder("source", ".", SLUG) / "checks.py"
    public = cases.load(tiny.folder("release", ".", SLUG))
    number = drawn(tiny, "ben", "triple")
    checks.write_text(CHECKS.replace('"y": 3 * x', f'"y": 3 * x + (x == {number!r})'))
    assert "ben" in graded(tiny)
    assert scores(tiny) == RIGHT | {("ben", "check_triple"): (0.0, 0.0)}
    checks.write_text(CHECKS)
    graded(tiny)
    assert scores(tiny) == RIGHT
    assert cases.load(tiny.folder("release", ".", SLUG))[1].keys() == public[1].keys()
    checks.write_text("# a comment\n" + CHECKS.replace("* x})", "* x})  # another"))
    assert graded(tiny) == []


def test_everything_that_a_grade_is_made_from_is_in_its_key_and_nothing_else(
    tiny: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, source = tiny.root / "nbgrader_config.py", tiny.folder("source", ".", SLUG)
    kit = tmp_path / "judge.py"
    kit.touch()
    monkeypatch.setattr(fingerprint, "_own_sources", lambda: (kit,))

    def key(**settings: float) -> str:
        return fingerprint.of_assignment(Course.at(tiny.root), SLUG, settings, b"secret")

    def differs(path: Path, text: str) -> bool:
        before = key()
        path.write_text((path.read_text() if path.exists() else "") + text)
        return key() != before

    assert key() != key(cell_seconds=1.0)
    for path, text in (
        (kit, "more"),
        (config, "\nc.WallExecute.memory = 2**30\n"),
        (config, "\nc.Autograde.pre_convert_hook = lambda *of: 1\n"),
        (config, "\nc.Autograde.exclude_overwriting.update({'tiny': ['data.csv']})\n"),
        (source / "data.csv", "1"),
        (source.parent / "shared.csv", "1"),
        (source / "checks.py", "\n\nLATER = 1\n"),
    ):
        assert differs(path, text), text
    config.write_text(config.read_text().replace("c.Autograde.pre_convert_hook", "c.Exchange.root; _"))
    for path, text in (
        (config, "# a remark\n"),
        (config, "c.CourseDirectory.student_id_exclude = 'eve'\n"),
        (source / "checks.py", "# a remark\n"),
        (source.parent / "README.md", "a remark"),
        (tiny.root / "notes.py", "1"),
    ):
        assert not differs(path, text), text


def test_a_gradebook_from_a_backup_is_brought_up_to_date(tiny: Course) -> None:
    hand_in(tiny, "ada", notebook("x"))
    graded(tiny)
    backup = shutil.copy(tiny.root / "gradebook.db", tiny.root / "backup.db")
    hand_in(tiny, "ada", notebook())
    assert graded(tiny) == ["ada"]
    shutil.copy(backup, tiny.root / "gradebook.db")
    assert scores(tiny) != RIGHT
    assert graded(tiny) == ["ada"]
    assert scores(tiny) == RIGHT
    assert graded(tiny) == []


@pytest.fixture(scope="module")
def with_words(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Course:
    """A course in which a hidden test and an answer in words are graded too, with a due date."""
    here = make(tmp_path_factory.mktemp("words") / "course", repository)
    for place in (here.folder("source", ".", SLUG), *(here.folder("submitted", one, SLUG) for one in STUDENTS)):
        nb = nbformat.read(place / f"{SLUG}.ipynb", as_version=4)
        words = cell("It is so because of that.", "why", grade=True, solution=True, points=4)
        test = "assert double(1) == 2\n### BEGIN HIDDEN TESTS\nassert double(3) == 6\n### END HIDDEN TESTS"
        hidden = cell(test, "hidden", grade=True, locked=True, points=1)
        markdown = nbformat.v4.new_markdown_cell(words.source, id="why", metadata=words.metadata)
        nb.cells += [hidden, markdown]
        nbformat.write(nb, place / f"{SLUG}.ipynb")
    release(here, SLUG, trial=False)
    for student in STUDENTS:
        (here.folder("submitted", student, SLUG) / "timestamp.txt").write_text("2026-11-02 10:00:00 UTC")
    return here


@pytest.fixture
def words(with_words: Course, tmp_path: Path) -> Course:
    return Course.at(shutil.copytree(with_words.root, tmp_path / "course"))


def by_hand(course: Course, student: str, name: str, points: float | None, extra: float | None = None) -> None:
    """Give points as formgrader does."""
    with Gradebook(course.db_url) as gradebook:
        grade = gradebook.find_grade(name, SLUG, SLUG, student)
        grade.manual_score, grade.extra_credit = points, extra
        grade.needs_manual_grade = points is None and grade.auto_score is None
        gradebook.db.commit()


def waiting(course: Course) -> set[tuple[str, str]]:
    with Gradebook(course.db_url) as gradebook:
        return {(grade.student.id, grade.name) for grade in gradebook.db.query(Grade) if grade.needs_manual_grade}


def test_a_hidden_test_is_part_of_the_grade(words: Course) -> None:
    graded(words)
    assert scores(words)["ada", "hidden"] == (1.0, 1.0)
    path = words.folder("source", ".", SLUG) / f"{SLUG}.ipynb"
    path.write_text(path.read_text().replace("double(3) == 6", "double(3) == 7"))
    assert graded(words) == []  # it is not released
    release(words, SLUG, trial=False)
    graded(words)
    assert scores(words)["ada", "hidden"] == (0.0, 0.0)


def test_only_what_has_changed_waits_for_a_person_again_and_what_was_given_stays(words: Course) -> None:
    graded(words)
    assert waiting(words) == {(student, "why") for student in STUDENTS}
    for student in STUDENTS:
        by_hand(words, student, "why", 2.5)
    by_hand(words, "cleo", "check_triple", 1.0, extra=0.5)
    by_hand(words, "cleo", "check_double", 1.5)
    with Gradebook(words.db_url) as gradebook:
        gradebook.find_comment("why", SLUG, SLUG, "ada").manual_comment = "good"
        gradebook.db.commit()
    given = scores(words)
    assert graded(words, again=True) == list(STUDENTS)
    assert waiting(words) == set()
    checks = words.folder("source", ".", SLUG) / "checks.py"
    checks.write_text(CHECKS.replace('"y": 3 * x', '"y": 4 * x'))
    assert graded(words) == list(STUDENTS)
    assert waiting(words) == {("cleo", "check_triple")}
    assert {key: score for key, (_, score) in scores(words).items() if key[1] == "why"} == {
        (student, "why"): 2.5 for student in STUDENTS
    }
    assert scores(words)["cleo", "check_triple"] == (3.0, 1.5)
    by_hand(words, "cleo", "check_triple", 1.0, extra=0.5)
    nb = nbformat.read(words.folder("submitted", "cleo", SLUG) / f"{SLUG}.ipynb", as_version=4)
    nb.cells[-1].source = "I know now."
    hand_in(words, "cleo", nb)
    assert graded(words) == ["cleo"]
    # A score that was changed by hand was given for what the code did, and all of the code counts for that.
    assert waiting(words) == {("cleo", "why"), ("cleo", "check_triple"), ("cleo", "check_double")}
    assert scores(words)["cleo", "why"] == (None, 2.5)
    with Gradebook(words.db_url) as gradebook:
        assert gradebook.find_comment("why", SLUG, SLUG, "ada").manual_comment == "good"
    assert given["ada", "why"] == scores(words)["ada", "why"]


# -- late submissions ---------------------------------------------------------------------------


def penalties(course: Course) -> dict[str, float | None]:
    with Gradebook(course.db_url) as gradebook:
        found = gradebook.assignment_submissions(SLUG)
        return {one.student.id: one.notebooks[0].late_submission_penalty for one in found}


def due(course: Course, day: int | None) -> None:
    with Gradebook(course.db_url) as gradebook:
        gradebook.find_assignment(SLUG).duedate = datetime(2026, 11, day) if day else None
        gradebook.db.commit()


def test_a_penalty_follows_due_date_extension_points_plugin_and_configuration(words: Course) -> None:
    (words.root / "lateness.py").write_text(PLUGIN)
    (words.root / "helper.py").write_text("SHARE = 0.5")
    config = words.root / "nbgrader_config.py"
    config.write_text(config.read_text() + LATE)
    graded(words)
    assert set(penalties(words).values()) == {None}

    due(words, 1)
    assert graded(words) == []
    assert penalties(words) == {"ada": 3.0, "ben": 3.0, "cleo": 1.5}

    by_hand(words, "ada", "why", 4.0)
    with Gradebook(words.db_url) as gradebook:
        gradebook.grant_extension(SLUG, "ben", days=7)
    assert graded(words) == []
    assert penalties(words) == {"ada": 5.0, "ben": None, "cleo": 1.5}

    config.write_text(config.read_text().replace("lateness.Half", "nbgrader.plugins.LateSubmissionPlugin"))
    assert graded(words) == []
    assert set(penalties(words).values()) == {None}
    config.write_text(config.read_text() + '\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    assert graded(words) == []
    assert penalties(words) == {"ada": 10.0, "ben": None, "cleo": 3.0}

    due(words, None)  # nbgrader cannot add the extension to it
    assert graded(words) == []
    assert set(penalties(words).values()) == {None}


def in_a_shell(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an instructor does, from another folder: in a process that has imported nothing yet."""
    command = [sys.executable, "-m", "autograder.cli", *arguments, "--course", str(course.root)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def test_a_plugin_in_the_course_folder_is_found_and_a_change_in_it_is_noticed(words: Course) -> None:
    due(words, 1)
    (words.root / "lateness.py").write_text(PLUGIN)
    (words.root / "helper.py").write_text("SHARE = 0.5")
    (words.root / "nbgrader_config.py").write_text((words.root / "nbgrader_config.py").read_text() + LATE)
    command = ("grade", SLUG, "--sandbox", "none")
    assert in_a_shell(words, *command).returncode == 0
    assert penalties(words) == {"ada": 3.0, "ben": 3.0, "cleo": 1.5}
    (words.root / "helper.py").write_text("SHARE = 1.0  # none of it")
    done = in_a_shell(words, *command)
    assert "3 of 3 had been graded before" in done.stdout
    assert penalties(words) == {"ada": 6.0, "ben": 6.0, "cleo": 3.0}
    (words.root / "helper.py").write_text("SHARE = None  # by mistake")
    done = in_a_shell(words, *command)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "autograder: the penalty for handing in late cannot be made: lateness.Half fails for 'ada' with a score of 6"
    )
    (words.root / "lateness.py").unlink()
    done = in_a_shell(words, *command)
    assert done.returncode == 1
    assert "lateness.Half" in done.stderr
    assert "Traceback" not in done.stderr


def test_whom_the_configuration_excludes_is_neither_graded_nor_shown(words: Course, capsys) -> None:
    graded(words)
    config = words.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.CourseDirectory.student_id_exclude = "ben,nobody"\n')
    assert cli.main(["grade", SLUG, "--sandbox", "none", "--course", str(words.root)]) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 had been graded before and have not changed since" in printed
    assert "ben" not in printed
    with pytest.raises(Refused, match="'ben' is excluded from grading by the configuration"):
        ClassRun(Course.at(words.root), SLUG, {"sandbox": "none"}, ["ben"]).run()


OWN_STEP = """
from nbgrader.preprocessors import NbGraderPreprocessor


class Stamp(NbGraderPreprocessor):
    def preprocess(self, nb, resources):
        nb.cells[0].source += "# FIRST"
        return nb, resources
"""


def test_an_own_preprocessor_in_the_course_folder_is_part_of_the_grade(words: Course) -> None:
    (words.root / "steps").mkdir()
    (words.root / "steps" / "stamp.py").write_text(OWN_STEP)
    config = words.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.Autograde.autograde_preprocessors.append("steps.stamp.Stamp")\n')
    command = ("grade", SLUG, "--sandbox", "none", "--student", "ada")
    path = words.folder("autograded", "ada", SLUG) / f"{SLUG}.ipynb"
    for text in ("FIRST", "SECOND"):
        (words.root / "steps" / "stamp.py").write_text(OWN_STEP.replace("FIRST", text))
        done = in_a_shell(words, *command)
        assert done.returncode == 0, done.stderr
        assert text in path.read_text()
    assert "1 of 1 had been graded before" in in_a_shell(words, *command).stdout


# -- the table ------------------------------------------------------------------------------------


def test_the_table_shows_what_the_gradebook_says(words: Course, capsys) -> None:
    config = words.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
    graded(words)
    by_hand(words, "ada", "why", 3.5, extra=1.0)
    by_hand(words, "ben", "check_triple", 2.0)
    hand_in(words, "ben", notebook("0"))
    due(words, 1)
    with Gradebook(words.db_url) as gradebook:
        gradebook.update_or_create_submission(SLUG, "cleo", timestamp="2026-10-31 10:00:00 UTC")
        gradebook.grant_extension(SLUG, "ada", days=1)
    assert cli.main(["grade", SLUG, "--sandbox", "none", "--course", str(words.root)]) == 0
    printed = capsys.readouterr().out
    table = printed.partition("Points are those")[0]
    rows = {line.split()[0]: line.split("  ") for line in table.splitlines() if line.split()}
    cells = {student: [one.strip() for one in rows[student] if one.strip()] for student in STUDENTS}
    assert cells["ada"][1:7] == ["2", "3", "1", "4.5", "10 h 0 min −10.5", "0/10"]
    assert cells["ben"][1:7] == ["2", "2?", "1", "-", "1 d 10 h −5", "0/10"]
    assert cells["cleo"][1:6] == ["2", "0", "1", "-", "3/10"]
    assert "Points with a ? were given by hand" in printed
