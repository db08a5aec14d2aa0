"""A new assignment: a notebook with one exercise and a checks.py that grades it, both there to be changed."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from .course import Course
from .spec import Refused

SKELETON = {"notebook.ipynb": "{slug}.ipynb", "checks.py": "checks.py"}
PLACEHOLDER = "SLUG"


def new(course: Course, slug: str) -> Path:
    """Write ``solutions/<slug>/`` with a notebook and a `checks.py` that work; gives the folder.

    Raises
    ------
    autograder.spec.Refused
        If the name is none for a folder of Python code, or there is such an assignment already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        raise Refused(f"{slug!r} is no name for an assignment: small letters, digits and _, such as linear_classifiers")
    folder = course.folder("source", ".", slug)
    if folder.exists():
        raise Refused(f"there is an assignment {slug!r} already, in {folder}: choose another name")
    folder.mkdir(parents=True)
    for name, target in SKELETON.items():
        text = (files("autograder") / "skeleton" / name).read_text(encoding="utf-8")
        (folder / target.format(slug=slug)).write_text(text.replace(PLACEHOLDER, slug), encoding="utf-8")
    return folder
