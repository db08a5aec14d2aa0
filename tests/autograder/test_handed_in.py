"""Whatever lies in a folder that was handed in is looked at for a second, and the notebook in it is graded."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import RIGHT, SLUG, scores

from autograder import fingerprint, handed_in
from autograder.course import Course
from autograder.handed_in import MAX_ENTRIES, MAX_READ, found_in
from autograder.nbgrader_plugin import files_in, inert_files
from autograder.run import ClassRun

MANY = 600  # in place of MAX_ENTRIES, for it takes a while to make those


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "handed in"
    made.mkdir()
    (made / "ps.ipynb").write_text("{}")
    yield made
    with contextlib.suppress(FileNotFoundError):
        flattened(made)


def flattened(folder: Path) -> None:
    """Remove folders that are nested too deep for `shutil.rmtree`, which is what pytest uses."""
    while (inner := folder / "d").is_dir():
        if (deeper := inner / "d").is_dir():
            deeper.rename(folder / "next")
            inner.rmdir()
            (folder / "next").rename(inner)
        else:
            inner.rmdir()


def many_files(folder: Path) -> None:
    for number in range(MANY + 1):
        (folder / f"{number}.txt").touch()


def many_folders(folder: Path) -> None:
    for number in range(MANY // 2 + 1):
        os.makedirs(folder / "data" / f"{number}" / "inner")


def large_files(folder: Path) -> None:
    """Files each of which may be handed in: half a petabyte of holes, if there were as many as there may be."""
    (folder / "data").mkdir()
    for number in range(500):
        holes(folder / "data" / f"{number}.txt", MAX_READ)


def deep_folders(folder: Path) -> None:
    here = os.open(folder, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_DIRECTORY, dir_fd=here), here
        os.close(above)
    os.close(here)


def strange_things(folder: Path) -> None:
    """What is no file, or has no name that can be written."""
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(folder):
        bound.bind("socket.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "again").symlink_to(".")
    (folder / "root").symlink_to("/")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "two\nlines.txt").write_text("x")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt")).write_text("y")
    (folder / "\x1b[31m\u202e.txt").write_text("z")
    holes(folder / "holes.txt", 2**40)


def holes(path: Path, size: int) -> None:
    with path.open("w") as file:
        file.truncate(size)


TOO_MUCH: dict[Callable[[Path], None], tuple[str, str]] = {
    many_files: ("more than 600 files and folders", "beside the notebook"),
    many_folders: ("more than 600 files and folders", "in the folder 'data'"),
    large_files: ("more than 500 MB", "in the folder 'data'"),
    deep_folders: ("folders more than 40 deep in each other", "in the folder 'd'"),
}


@pytest.mark.parametrize("make", TOO_MUCH, ids=lambda make: make.__name__)
def test_of_too_much_the_notebook_alone_counts_and_it_is_said_what_lies_where(
    folder: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handed_in, "MAX_ENTRIES", MANY)
    make(folder)
    started = time.process_time()
    found = found_in(folder)
    assert found.paths == [folder / "ps.ipynb"]
    what, where = TOO_MUCH[make]
    assert found.too_much.startswith(f"{what} were handed in, most of it {where}: ")
    assert "Hand in the notebook and the files that it needs" in found.too_much
    assert files_in(folder, []) == {}
    assert inert_files(str(folder)) == [str(folder / "ps.ipynb")]
    first = fingerprint.of_submission(folder)
    assert time.process_time() - started < 5  # it takes half a second
    (folder / "ps.ipynb").write_text("[]")
    assert fingerprint.of_submission(folder) != first


def test_what_is_no_file_is_neither_opened_nor_followed(folder: Path) -> None:
    strange_things(folder)
    assert not found_in(folder).too_much
    assert sorted(files_in(folder, [])) == ["\x1b[31m\u202e.txt", "two\nlines.txt", "\udcff\udcfe.txt"]
    first = fingerprint.of_submission(folder)
    (folder / "pipe.txt").rename(folder / "another.txt")
    assert fingerprint.of_submission(folder) != first


def test_as_much_as_may_be_is_listed_in_time_whatever_is_ignored(folder: Path) -> None:
    """nbgrader lists a folder once for each file in it."""
    for number in range(MAX_ENTRIES - 1):
        (folder / f"{number}.txt").touch()
    started = time.process_time()
    assert len(inert_files(str(folder), [".ipynb_checkpoints", "*.pyc", "__pycache__", "*9.txt"])) == 9001
    assert time.process_time() - started < 5  # it takes half a second


def test_ignored_is_what_nbgrader_ignores(folder: Path) -> None:
    (folder / "__pycache__" / "inner").mkdir(parents=True)
    for name in ("a.pyc", ".b.pyc", "c.txt", "__pycache__/d.txt", "__pycache__/inner/e.txt"):
        (folder / name).touch()
    patterns = ["*.pyc", "__pycache__", "*.ipynb"]
    found = {str(path.relative_to(folder)) for path in found_in(folder).paths}
    kept = {name for name in found if not handed_in.is_ignored(Path(name), patterns)}
    assert kept == {".b.pyc", "c.txt"}


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_a_class_in_which_they_hand_in_such_things_is_graded(tiny: Course) -> None:
    for student, make in (("ada", strange_things), ("ben", deep_folders), ("cleo", large_files)):
        make(tiny.folder("submitted", student, SLUG))
    ClassRun(tiny, SLUG).run()
    assert scores(tiny) == RIGHT
    flattened(tiny.folder("submitted", "ben", SLUG))
