"""Test cells that do not come back as they were handed out are marked, whatever was done to them; answers are not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.handout import Handout
from autograder.marks import MAX_MARKS, MAX_REASON, MAX_WHERE, TEST_CELLS

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASED = sorted((REPOSITORY / "assignments").glob("*/*.ipynb"))
Notebook = nbformat.NotebookNode


def read(path: Path) -> Notebook:
    return nbformat.read(path, as_version=4)


RELEASE = read(REPOSITORY / "assignments" / "worked_example" / "worked_example.ipynb")
NAMES = [cell.id for cell in RELEASE.cells if "nbgrader" in cell.metadata]
TESTS = [name for name in NAMES if name.startswith("check_")]


def marked(nb: Notebook, release: Notebook = RELEASE) -> list[tuple[str, str]]:
    """Where there is a mark, and the reason."""
    marks = Handout(release.cells).marks(nb.cells)
    assert all(mark["kind"] == TEST_CELLS for mark in marks)
    return [(mark["where"], mark["reason"]) for mark in marks]


def fresh() -> Notebook:
    return copy.deepcopy(RELEASE)


def cell(nb: Notebook, name: str) -> Notebook:
    return next(one for one in nb.cells if one.id == name)


# -- what is marked: every way to change a test cell ----------------------------------------------


def without_it(nb: Notebook, name: str) -> None:
    nb.cells.remove(cell(nb, name))


def without_it_and_its_answers_name(nb: Notebook, name: str) -> None:
    without_it(nb, name)
    answer = cell(nb, name.removeprefix("check_"))
    del answer.metadata["nbgrader"]
    answer.source += "\n# solved"


def without_it_and_its_answer_elsewhere(nb: Notebook, name: str) -> None:
    without_it_and_its_answers_name(nb, name)
    answer = cell(nb, name.removeprefix("check_"))
    nb.cells.remove(answer)
    nb.cells.insert(0, nbformat.v4.new_code_cell("import math\n\n" + answer.source))


def twice(nb: Notebook, name: str) -> None:
    nb.cells.append(nbformat.from_dict({**copy.deepcopy(cell(nb, name)), "id": "copy"}))


def first_of_all(nb: Notebook, name: str) -> None:
    one = cell(nb, name)
    nb.cells.remove(one)
    nb.cells.insert(0, one)


def above_its_exercise(nb: Notebook, name: str) -> None:
    one, exercise = cell(nb, name), cell(nb, name.removeprefix("check_"))
    nb.cells.remove(one)
    nb.cells.insert(nb.cells.index(exercise), one)


def below_another_with_its_text(nb: Notebook, name: str) -> None:
    one = cell(nb, name)
    one.source = cell(nb, next(other for other in TESTS if other != name)).source


def of_type(kind: str) -> Callable[[Notebook, str], None]:
    def change(nb: Notebook, name: str) -> None:
        cell(nb, name).cell_type = kind

    return change


def with_text(text: str) -> Callable[[Notebook, str], None]:
    def change(nb: Notebook, name: str) -> None:
        cell(nb, name).source = text + cell(nb, name).source

    return change


def with_metadata(**metadata: object) -> Callable[[Notebook, str], None]:
    def change(nb: Notebook, name: str) -> None:
        cell(nb, name).metadata.update(copy.deepcopy(metadata))

    return change


def with_nbgraders(key: str, value: object) -> Callable[[Notebook, str], None]:
    def change(nb: Notebook, name: str) -> None:
        cell(nb, name).metadata.nbgrader[key] = value

    return change


CHANGES = {
    "missing": without_it,
    "missing, as its answer's name is": without_it_and_its_answers_name,
    "missing, and its answer is elsewhere": without_it_and_its_answer_elsewhere,
    "copied": twice,
    "first of all": first_of_all,
    "above its exercise": above_its_exercise,
    "the text of another": below_another_with_its_text,
    "markdown": of_type("markdown"),
    "raw": of_type("raw"),
    "a line before": with_text("x = 1\n"),
    "commented out": with_text("# "),
    "indented": with_text("if False:\n    "),
    **{f"nbgrader's {key}": with_nbgraders(key, value) for key, value in {
        "grade": False, "locked": False, "solution": True, "task": True, "points": 1000, "grade_id": "another",
    }.items()},
    **{f"hidden by {key}": with_metadata(**{key: value}) for key, value in {
        "hide_input": True, "hide_cell": True, "hideCode": True, "hidden": True, "jupyter": {"source_hidden": True},
        "cellView": "form", "code_folding": [0], "collapse_input": True, "heading_collapsed": True,
        "remove_cell": True, "deepnote": {"is_code_hidden": True}, "colab": {"view": {"hidden": 1}},
    }.items()},
    **{f"the tag {tag}": with_metadata(tags=[tag]) for tag in (
        "hidden", "hide-cell", "remove_input", "x hidden", "x navbar-fixed-top", "d-none", "sr-only", "collapse",
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", [TESTS[0], TESTS[-1]])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_test_cell_is_marked(change: Callable[[Notebook, str], None], name: str) -> None:
    nb = fresh()
    change(nb, name)
    assert name in dict(marked(nb))


def test_a_cell_that_is_graded_and_was_not_released_is_marked() -> None:
    nb = fresh()
    made_up = copy.deepcopy(cell(nb, TESTS[0]))
    made_up.id = made_up.metadata.nbgrader.grade_id = "check_bonus"
    nb.cells.append(made_up)
    assert marked(nb) == [("check_bonus", "is a graded cell that was not released")]


def test_points_of_an_answer_that_a_person_grades_are_marked() -> None:
    nb = read(REPOSITORY / "assignments" / "circuits" / "circuits.ipynb")
    release = copy.deepcopy(nb)
    nb.cells[-1].metadata["nbgrader"] = {"grade_id": "essay", "grade": True, "solution": True, "points": 5}
    release.cells[-1].metadata["nbgrader"] = {"grade_id": "essay", "grade": True, "solution": True, "points": 1}
    assert marked(nb, release) == [("essay", "has points = 5 in nbgrader's metadata, and was released with 1")]


def test_every_move_of_a_test_above_what_stood_above_it_is_marked() -> None:
    for old, one in enumerate(RELEASE.cells):
        if one.id not in TESTS:
            continue
        for new in range(old):
            nb = fresh()
            nb.cells.insert(new, nb.cells.pop(old))
            passed = {other.id for other in RELEASE.cells[new:old]} & set(NAMES)
            where = [name for name, reason in marked(nb) if reason.startswith("stands above")]
            assert where == ([one.id] if passed else [])


def test_a_question_with_another_text_is_marked() -> None:
    nb = fresh()
    question = next(one for one in nb.cells if one.cell_type == "markdown" and one.id in NAMES)
    assert question.metadata.nbgrader.locked
    question.source += "\n\nMy answer."
    assert marked(nb) == [(question.id, "has another text than was released")]


# -- what is not ------------------------------------------------------------------------------------


def answered(nb: Notebook) -> None:
    for one in nb.cells:
        if one.metadata.get("nbgrader", {}).get("solution"):
            one.source = "# mine\n" + one.source


def run(nb: Notebook) -> None:
    for number, one in enumerate(nb.cells):
        if one.cell_type == "code":
            one.execution_count = number
            one.outputs = [nbformat.v4.new_output("stream", text="…")]


def with_notes_everywhere(nb: Notebook) -> None:
    noted = [nbformat.v4.new_markdown_cell("hide me", metadata={"tags": ["hidden"]}) for _ in nb.cells]
    nb.cells = [one for both in zip(noted, nb.cells, strict=True) for one in both]


def without_an_exercise(nb: Notebook) -> None:
    nb.cells = [one for one in nb.cells if one.id not in (TESTS[1], TESTS[1].removeprefix("check_"))]


def without_anything(nb: Notebook) -> None:
    nb.cells = []


def without_metadata(nb: Notebook) -> None:
    for one in nb.cells:
        one.metadata = nbformat.from_dict({})


def answered_and_without_metadata(nb: Notebook) -> None:
    answered(nb)
    without_metadata(nb)


def without_an_exercise_and_all_metadata(nb: Notebook) -> None:
    without_an_exercise(nb)
    answered_and_without_metadata(nb)


def an_answer_kept_twice(nb: Notebook) -> None:
    one = cell(nb, TESTS[0].removeprefix("check_"))
    nb.cells.insert(nb.cells.index(one), nbformat.from_dict({**copy.deepcopy(one), "id": "copy", "source": "# before"}))


def an_answer_written_early(nb: Notebook) -> None:
    nb.cells.insert(0, nb.cells.pop(nb.cells.index(cell(nb, TESTS[-1].removeprefix("check_")))))


def saved_by_an_editor(nb: Notebook) -> None:
    for one in nb.cells:
        one.source = "\r\n".join([*(line + "  " for line in one.source.splitlines()), ""])
        one.metadata.update(
            collapsed=True, scrolled=True, trusted=True, execution={"iopub.status.busy": "2026-01-01"}, tags=[],
            jupyter={"outputs_hidden": True, "source_hidden": False}, ExecuteTime={"end_time": "…"},
            vscode={"languageId": "python"}, colab={"base_uri": "https://localhost/"}, outputId="a", slideshow={},
            pycharm={"name": "#%%\n"}, editable=True,
        )  # fmt: skip


HONEST = (
    *(answered, run, with_notes_everywhere, without_an_exercise, without_anything, without_metadata),
    *(answered_and_without_metadata, without_an_exercise_and_all_metadata),
    *(an_answer_kept_twice, an_answer_written_early, saved_by_an_editor),
)


@pytest.mark.parametrize("change", HONEST, ids=lambda change: change.__name__)
def test_what_honest_people_do_is_not_marked(change: Callable[[Notebook], None]) -> None:
    nb = fresh()
    change(nb)
    assert marked(nb) == []


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_neither_a_release_nor_its_solution_is_marked(path: Path) -> None:
    solution = read(REPOSITORY / "solutions" / path.stem / path.name)
    assert marked(read(path), read(path)) == marked(solution, read(path)) == []


# -- what a mark can hold ---------------------------------------------------------------------------


def hostile_names() -> Iterator[Notebook]:
    for number in range(2000):
        about = {"grade": True, "grade_id": f"\x1b[2J[red]{number}" * 100, "solution": False, "locked": True}
        yield nbformat.v4.new_code_cell(metadata={"nbgrader": {**about, "points": "9" * 10_000}})


def test_marks_are_few_and_short_and_nothing_in_them_commands_a_terminal() -> None:
    nb = fresh()
    cell(nb, TESTS[0]).metadata.update({"hide\x1b[2J" * 1000: True, "tags": ["\x07" * 1000]})
    cell(nb, TESTS[0]).metadata.nbgrader["points"] = "\x1b[2J" * 1000
    nb.cells += hostile_names()
    marks = Handout(RELEASE.cells).marks(nb.cells)
    assert len(marks) == MAX_MARKS
    for mark in marks:
        assert len(mark["reason"]) <= MAX_REASON
        assert len(mark["where"]) <= MAX_WHERE
        assert (mark["reason"] + mark["where"]).isprintable()
