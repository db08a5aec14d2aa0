"""The whole way, from the release to the pages, in a course that is set up and named otherwise."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from tiny import CHECKS, SLUG, hand_in, notebook, scores

from autograder import cli
from autograder.course import Course

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]

CONFIG = """
c.CourseDirectory.directory_structure = "{nbgrader_step}/{assignment_id}/{student_id}"
c.CourseDirectory.student_id_exclude = "teacher"
c.CourseDirectory.db_url = "sqlite:///grades.db"
c.CourseDirectory.source_directory = "source"
"""


def test_an_unusual_course_is_released_graded_and_answered(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "course [2024] $HOME, what?"
    (root / "source" / SLUG).mkdir(parents=True)
    (root / "nbgrader_config.py").write_text((repository / "nbgrader_config.py").read_text() + CONFIG)
    # As some editors write it.
    (root / "source" / SLUG / "checks.py").write_text("\ufeff" + CHECKS, encoding="utf-8")
    nbformat.write(notebook(), root / "source" / SLUG / f"{SLUG}.ipynb")
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> str:
        assert cli.main([command, SLUG, "--course", str(root)]) == 0
        return capsys.readouterr().out

    assert "cases.json" in run("release")
    assert sorted(path.name for path in (root / "assignments" / SLUG).iterdir()) == [
        *("cases.json", "cases.npz", f"{SLUG}.ipynb")
    ]
    here = Course.at(root)
    for student in ("ada", "ben", "teacher"):
        hand_in(here, student, notebook("4 * x" if student == "ben" else "3 * x"))
    printed = run("grade")
    assert {
        line.split()[0]: line.split()[3] for line in printed.splitlines() if line.split()[:1] in (["ada"], ["ben"])
    } == {
        "ada": "5/5",
        "ben": "2/5",
    }
    assert "teacher" not in printed
    assert {student for student, _ in scores(here)} == {"ada", "ben"}
    assert (root / "grades.db").is_file()
    assert not (tmp_path / "grades.db").exists()
    assert "Wrote 2 feedback pages" in run("feedback")
    assert (root / "feedback" / SLUG / "ada" / f"{SLUG}.html").is_file()
    assert "2 of 2 had been graded before" in run("grade")
    assert "1 of 2 students" in run("summary")
