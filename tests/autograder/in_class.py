"""What tests of whole classes share: nbgrader's commands, handing in, and the scores in the gradebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from autograder.course import Course

SLUG = "linear_classifiers"


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
