"""What lies beside a notebook is there when it runs, and on its page; links of students are not followed."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from tiny import SLUG, hand_in, make, notebook, scores

from autograder import cli, nbgrader_plugin
from autograder.course import Course

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

EVERYBODY = ("ada", "ben", "cleo", "dora")
USES = """
factor, triple_of = int(open("data/factor.txt").read()), 0
%run helper.ipynb
"""


def picture() -> bytes:
    file = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(file, format="png")
    return file.getvalue()


def embedded(data: bytes) -> str:
    return f'src="data:image/png;base64,{base64.b64encode(data).decode()}"'


def work(answer: str) -> nbformat.NotebookNode:
    """Return a right notebook that needs what lies beside it, with an answer that is graded by hand."""
    nb = notebook(triple="triple_of + 3 * x if factor == 2 else None")
    nb.cells.insert(1, nbformat.v4.new_code_cell(USES, id="uses"))
    nb.cells[0].source += "\nimport os; print(sorted(os.listdir()))"
    about = {"grade": True, "solution": True, "locked": False, "task": False, "schema_version": 3}
    nb.cells.append(nbformat.v4.new_markdown_cell(answer, id="why"))
    nb.cells[-1].metadata["nbgrader"] = {**about, "grade_id": "why", "points": 1}
    return nb


ANSWER = """
Mine: ![page 1](my%20Scan.PNG) <img src="pages/2.png" width="40"> ![theirs](figure.png)
![a link](link.png) ![outside](../../../ben/tiny/secret.png) ![text](notes.txt) ![gone](gone.png) ![web](https://x.org/a.png)
"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Course:
    root = tmp_path_factory.mktemp("beside") / "course"
    limit = pytest.MonkeyPatch()
    limit.setattr(nbgrader_plugin, "MAX_FILES", 100_000)
    here = make(root, repository, ())
    source = here.folder("source", ".", SLUG)
    (root / "factor.txt").write_text("2")
    (source / "data").mkdir()
    (source / "data" / "factor.txt").symlink_to(root / "factor.txt")
    (source / "a_video.bin").write_bytes(bytes(90_000))
    (source / "figure.png").write_bytes(picture())
    nbformat.write(work("Why?"), source / f"{SLUG}.ipynb")
    helper = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("triple_of = 0", id="helps")])
    nbformat.write(helper, source / "helper.ipynb")
    assert cli.main(["release", SLUG, "--course", str(root)]) == 0
    for student in EVERYBODY:
        hand_in(here, student, work(ANSWER))
        folder = here.folder("submitted", student, SLUG)
        if student != "dora":  # who has not handed in the other notebook: the released one is there
            shutil.copy(source / "helper.ipynb", folder)
        (folder / "my scan.png").write_bytes(picture())
        (folder / "pages").mkdir()
        (folder / "pages" / "2.png").write_bytes(picture())
        (folder / "notes.txt").write_text("no picture")
        (folder / "link.png").symlink_to(source / "figure.png")
    ben = here.folder("submitted", "ben", SLUG)
    (ben / "data").mkdir()
    (ben / "data" / "factor.txt").write_text("3")  # the instructor's takes its place
    (ben / "secret.png").write_bytes(picture())
    cleo = here.folder("submitted", "cleo", SLUG)
    (cleo / "a_large_file.csv").write_bytes(bytes(200_000))
    assert cli.main(["grade", SLUG, "--course", str(root)]) == 0
    assert cli.main(["feedback", SLUG, "--course", str(root)]) == 0
    limit.undo()
    return here


def page(here: Course, student: str) -> str:
    return (here.folder("feedback", student, SLUG) / f"{SLUG}.html").read_text()


@pytest.mark.parametrize("student", EVERYBODY)
def test_right_work_finds_what_it_needs_and_earns_all(graded: Course, student: str) -> None:
    mine = {name: score for (who, name), (score, _) in scores(graded).items() if who == student}
    assert (mine["check_double"], mine["check_triple"]) == (2.0, 3.0)


def test_a_file_that_is_too_large_is_the_only_one_that_is_not_there(graded: Course) -> None:
    for student in EVERYBODY:
        nb = nbformat.read(graded.folder("autograded", student, SLUG) / f"{SLUG}.ipynb", as_version=4)
        there = next(cell for cell in nb.cells if cell.cell_type == "code").outputs[0].text
        assert "a_video.bin" in there
        assert "my scan.png" in there
        assert "notes.txt" in there
        assert "a_large_file.csv" not in there
        assert ("a_large_file.csv was too large" in nb.cells[0].source) == (student == "cleo")


def test_the_largest_files_are_those_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nbgrader_plugin, "MAX_FILES", 100)
    sizes = {"a": 60, "b": 30, "c": 50, "d": 0, "e": 101}
    names = [str(tmp_path / name) for name in sizes]
    for name, size in zip(names, sizes.values(), strict=True):
        Path(name).write_bytes(bytes(size))
    assert [Path(name).name for name in nbgrader_plugin.too_large(names)] == ["a", "e"]
    assert nbgrader_plugin.too_large(names[:2]) == []


def test_pictures_beside_the_notebook_are_parts_of_the_page(graded: Course) -> None:
    shown = page(graded, "ada")
    assert shown.count(embedded(picture())) == 3
    assert 'width="40"' in shown


@pytest.mark.parametrize(
    ("name", "reason"),
    {
        "link.png": "No such file",
        "gone.png": "No such file",
        "notes.txt": "no picture of a kind",
        "../../../ben/tiny/secret.png": "does not lie beside the notebook",
    }.items(),
)
def test_a_picture_that_is_not_shown_says_why(graded: Course, name: str, reason: str) -> None:
    drawings = [base64.b64decode(part.partition('"')[0]) for part in page(graded, "ada").split("svg+xml;base64,")[1:]]
    (told,) = [drawing.decode() for drawing in drawings if name.encode() in drawing]
    assert reason in told


def test_nothing_is_fetched_from_elsewhere(graded: Course) -> None:
    assert "x.org" not in page(graded, "ada")


def test_one_page_that_cannot_be_made_is_named_and_the_others_are_made(
    graded: Course, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Course.at(shutil.copytree(graded.root, tmp_path / "course", symlinks=True))
    (here.folder("autograded", "cleo", SLUG) / f"{SLUG}.ipynb").write_text("{")
    shutil.rmtree(here.root / "feedback")
    assert cli.main(["feedback", SLUG, "--course", str(here.root)]) == 1
    told = capsys.readouterr().err
    assert "cleo" in told
    assert not any(name in told for name in ("ada", "ben", "dora"))
    assert all(page(here, name) for name in ("ada", "ben", "dora"))


@pytest.mark.parametrize(
    "setting", [{"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_the_grader_s_locale_need_not_be_utf8(graded: Course, tmp_path: Path, setting: dict[str, str]) -> None:
    here = Course.at(shutil.copytree(graded.root, tmp_path / "course", symlinks=True))
    hand_in(here, "Zoë", work("Größe: ≤ 1"))
    words = [sys.executable, "-m", "autograder.cli", "grade", SLUG, "--jobs", "1"]
    done = subprocess.run(words, cwd=here.root, env=os.environ | setting, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert scores(here)["Zoë", "check_double"] == (2.0, 2.0)
