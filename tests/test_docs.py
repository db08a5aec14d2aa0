"""What the documents name exists: a file that is moved or renamed takes its sentences along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/wall.md",
    "docs/new-assignment.md",
    "docs/mid-term.md",
)
CODE = re.compile(r"`([^`\s]+)`")
# Made by a run, written by an instructor, or a pattern.
NOT_HERE = re.compile(r"^(submitted|feedback|autograded|demo-course|build|\.|/|\w+/my_first)|[*{(]")
LINK = re.compile(r"\]\(([^)#]+)\)")


def named_paths(text: str) -> set[str]:
    """What stands in code marks and looks like a file of Python or Markdown, or like a folder."""
    found = {name.replace("<assignment>", "circuits").replace("<group>", "points") for name in CODE.findall(text)}
    return {name for name in found if name.endswith((".py", ".md", "/")) and not NOT_HERE.search(name)}


def exists(name: str) -> bool:
    """Whether a file or folder of the repository has this path, or one that ends with it."""
    places = [REPOSITORY / folder for folder in ("coursekit", "autograder", "solutions", "tests", "docs")]
    return (REPOSITORY / name).exists() or any(any(place.rglob(name)) for place in places)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    assert {name for name in named_paths(text) if not exists(name)} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_into_the_repository_leads_somewhere(document: str) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    links = {link for link in LINK.findall(text) if "://" not in link}
    folder = (REPOSITORY / document).parent
    assert {link for link in links if not (folder / link).exists()} == set()


def test_every_promise_of_the_wall_names_what_keeps_it_and_the_tests_that_try_it() -> None:
    text = (REPOSITORY / "docs" / "wall.md").read_text(encoding="utf-8")
    table = text.partition("## What is promised")[2].partition("\n\n")[2].partition("\n\n")[0]
    promises = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    assert len(promises) > 20
    for promise, kept, tried in promises:
        assert any(exists(name) for name in CODE.findall(kept) if name.endswith(".py")), promise
        tests = [name for name in CODE.findall(tried) if name.startswith("test")]
        assert tests, promise
        assert [name for name in tests if not exists(name)] == [], promise


def test_a_file_that_is_not_there_is_noticed() -> None:
    text = "`coursekit/autograd/tensors.py` and `tests/studets/<assignment>/`, `autograder/cli.py`"
    assert {name for name in named_paths(text) if not exists(name)} == {
        "coursekit/autograd/tensors.py",
        "tests/studets/circuits/",
    }
