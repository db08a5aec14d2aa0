"""What Jupyter runs is graded: what editors write into a notebook's fields costs nothing, in both ways of grading."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from editors import (
    CELLS,
    EDITORS,
    EMPTY,
    FULL,
    HOPELESS,
    PLACES,
    READING,
    RIGHT,
    SLUG,
    TIMES,
    WRITERS,
    content_of,
    empty,
    hand_in,
    make,
    reading,
    right,
    written,
)
from generated import hand_in_generated
from in_class import nbgrader
from nbgrader.api import Gradebook
from rich.console import Console
from sampled import SEED, some

from autograder import cli, fingerprint, records, submitted
from autograder.course import Course
from autograder.nbgrader_plugin import plain_files
from autograder.repair import NoNotebook
from autograder.run import ClassRun
from autograder.table import show_notes

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

NOTEBOOKS = int(os.environ.get("COURSEKIT_NOTEBOOKS", "30"))
COMPARED = NOTEBOOKS + 10  # of the whole class, in both ways of grading


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Course, dict[str, Any]]:
    """A class in which each student has a right notebook that another editor has saved, and its records."""
    tables = (EDITORS, CELLS, WRITERS, PLACES, HOPELESS, TIMES)
    assert sum(map(len, tables)) == len({student for table in tables for student in table})
    course = make(tmp_path_factory.mktemp("editors") / "course", repository)
    for name, quirk in (EDITORS | CELLS).items():
        nb = copy.deepcopy(right(course))
        quirk(nb)
        hand_in(course, name, written(nb).encode())
    notebooks = {EMPTY: empty(course)}
    notebooks |= {name: written(nb(course)).encode() for name, nb in ((RIGHT, right), (READING, reading))}
    for name, files in (PLACES | {name: files for name, (files, _) in HOPELESS.items()}).items():
        course.folder("submitted", name, SLUG).mkdir(parents=True)
        for path, what in files.items():
            hand_in(course, name, content_of(path, what, notebooks), path)
    for name, (content, _) in TIMES.items():
        hand_in(course, name, notebooks[RIGHT])
        hand_in(course, name, content, "timestamp.txt")
    for name in ("only-text", "broken-zip", "latin-1", "untitled"):
        hand_in(course, name, b"2024-03-01 10:00:00 UTC", "timestamp.txt")
        hand_in(course, name, b"secret", "submission_secret.txt")
    set_due(course)
    for name, write in WRITERS.items():
        hand_in(course, name, write(written(right(course))))
    hand_in_generated(course, NOTEBOOKS, int(SEED))
    return course, {record["student"]: record for record in ClassRun(course, SLUG).run()}


def test_what_editors_write_costs_nothing(graded: tuple[Course, dict[str, Any]]) -> None:
    _, found = graded
    drawn = {student for student in found if student.startswith("drawn-")}
    assert len(drawn) == NOTEBOOKS
    assert found.keys() == {*EDITORS, *CELLS, *WRITERS, *PLACES, *HOPELESS, *TIMES, *drawn}
    short = {student: (one["score"], one["status"]) for student, one in found.items() if one["score"] != FULL}
    assert short.keys() == HOPELESS.keys(), short
    hiding = {"colab-form", "papermill", "tags-text", "tags-twice"}  # or may: pages make classes of tags
    assert {student for student, one in found.items() if one["marks"] and student in EDITORS} == hiding


def test_what_was_mended_is_said_and_nothing_else(graded: tuple[Course, dict[str, Any]]) -> None:
    course, found = graded
    for student in ("jupyter", "colab", "kaggle", "vs-code", "widgets", "source-lines", "windows"):
        assert found[student]["notes"] == []
    assert "UTF-16" in found["utf-16"]["notes"][0]
    assert "ids of cells" in found["id-vs-code"]["notes"][0]
    page = course.folder("autograded", "id-vs-code", SLUG) / f"{SLUG}.ipynb"
    assert "About the file that you handed in" in page.read_text()


def test_what_was_done_to_cells_is_said(graded: tuple[Course, dict[str, Any]]) -> None:
    _, found = graded
    said = {student: " ".join(one["notes"]) for student, one in found.items()}
    assert "were missing and were put back: `imports`" in said["imports-gone"]
    assert "recognised: `imports`, `double`, `check_double`, `total`" in said["forgotten-ids"]
    assert "`why`" in said["forgotten-ids"]
    assert "not of this assignment" in said["foreign-test"]
    assert "another kind" in said["to-markdown"]
    assert said["points-null"] == said["tests-changed"] == said["tests-last"] == ""


@pytest.mark.parametrize("student", HOPELESS)
def test_what_cannot_be_graded_is_refused_with_the_reason(graded: tuple[Course, dict[str, Any]], student: str) -> None:
    _, found = graded
    assert HOPELESS[student][1] in found[student]["status"]


def test_which_file_was_taken_is_said(graded: tuple[Course, dict[str, Any]]) -> None:
    course, found = graded
    for student in PLACES:
        assert "was graded, as" in found[student]["notes"][0], student
        page = course.folder("autograded", student, SLUG) / f"{SLUG}.ipynb"
        assert "was graded, as" in page.read_text(), student
    why = "as there is no quirks.ipynb in what was handed in"
    assert found["again"]["notes"] == [f"`quirks (1).ipynb` was graded, {why}."]
    assert found["zip-in-zip"]["notes"] == [f"`all.zip/b/quirks.zip/quirks.ipynb` was graded, {why}."]
    assert "These were not graded: `all.zip/quirks-1.ipynb`" in found["zip-of-several"]["notes"][0]
    assert "as quirks.ipynb is not a notebook" in found["broken-too"]["notes"][0]


def set_due(course: Course) -> None:
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_assignment(SLUG, duedate="2024-03-01 09:00:00 UTC")


def late(course: Course) -> dict[str, float]:
    """How many seconds late the gradebook says that each student was whose time it knows."""
    with Gradebook(course.db_url) as gradebook:
        submissions = gradebook.assignment_submissions(SLUG)
        return {one.student.id: one.total_seconds_late for one in submissions if one.timestamp}


def test_a_time_that_is_none_costs_nothing_and_is_said(graded: tuple[Course, dict[str, Any]]) -> None:
    course, found = graded
    seconds = late(course)
    for student, (_, is_date) in TIMES.items():
        assert (student in seconds) == is_date, student
        assert bool(found[student]["notes"]) != is_date, student
        assert is_date or "it is not known when this was handed in" in found[student]["notes"][0]
    assert {round(seconds[student]) for student, (_, is_date) in TIMES.items() if is_date} == {3600}


def test_what_is_refused_was_handed_in_when_it_was(graded: tuple[Course, dict[str, Any]]) -> None:
    course, _ = graded
    seconds = late(course)
    for student in ("only-text", "broken-zip", "latin-1", "untitled"):
        assert seconds[student] == 3600
        for name in ("timestamp.txt", "submission_secret.txt"):
            assert (course.folder("autograded", student, SLUG) / name).is_file(), student
        result = course.api().generate_feedback(SLUG, student_id=student, force=True)
        assert result["success"], result
        feedback = course.folder("feedback", student, SLUG)
        expected = {f"{SLUG}.html", "timestamp.txt", "submission_secret.txt"}
        assert {path.name for path in feedback.iterdir()} == expected


@pytest.mark.parametrize("student", ["widgets", "widgets-state", "widget-view"])
def test_a_page_is_made_whatever_widgets_were_saved(graded: tuple[Course, dict[str, Any]], student: str) -> None:
    course, _ = graded
    result = course.api().generate_feedback(SLUG, student_id=student, force=True)
    assert result["success"], result


def test_the_table_says_how_notebooks_were_read(
    graded: tuple[Course, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = graded
    show_notes(found.values(), Console(width=200))
    printed = capsys.readouterr().out
    assert "`quirks (1).ipynb` was graded" in printed
    assert "UTF-16" in printed


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root cannot become another user")
def test_a_file_that_may_not_be_read_stops_nobody(graded: tuple[Course, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "x.ipynb").write_text("{}")
    for path in tmp_path.iterdir():
        path.chmod(0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        assert plain_files(str(tmp_path)) == []
        assert fingerprint.of_submission(tmp_path)
        with pytest.raises(NoNotebook, match="Permission denied"):
            submitted._content(tmp_path / "x.ipynb")
    finally:
        os.seteuid(0)


def test_nbgrader_gives_the_same(graded: tuple[Course, dict[str, Any]], tmp_path: Path) -> None:
    course, found = graded
    compared = some(sorted(found), COMPARED)
    left_out = found.keys() - set(compared)
    ignored = shutil.ignore_patterns("autograded", "feedback", "records", *left_out)
    other = Course.at(shutil.copytree(course.root, tmp_path / "other", ignore=ignored))
    (other.root / "gradebook.db").unlink()
    assert cli.main(["release", SLUG, "--course", str(other.root)]) == 0
    set_due(other)
    done = nbgrader(other, "autograde", SLUG)
    assert done.returncode == 0, done.stderr[-3000:]
    scores, times = ([what(one) for one in (course, other)] for what in (cell_scores, late))
    differ = []
    for student in compared:
        before, after = (records.load(one.root, SLUG, student, SLUG) for one in (course, other))
        assert before is not None
        assert after is not None
        same = all(before[what] == after[what] for what in ("status", "score", "max", "notes", "marks", "lost_cells"))
        same = same and scores[0][student] == scores[1][student] and times[0].get(student) == times[1].get(student)
        differ += [] if same else [student]
    assert not differ
    print(f"{len(compared)} notebooks have the same scores both ways")


def cell_scores(course: Course) -> dict[str, dict[str, float | None]]:
    """The automatic scores in the gradebook, by student and cell."""
    with Gradebook(course.db_url) as gradebook:
        return {
            submission.student.id: {grade.name: grade.auto_score for nb in submission.notebooks for grade in nb.grades}
            for submission in gradebook.assignment_submissions(SLUG)
        }
