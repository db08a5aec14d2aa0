"""Behind the wall there is no gradient checker, which would answer `numerical_gradient`; a stub says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

import coursekit
from autograder.bundle import Bundle
from autograder.grade import Graded, Submission, grade
from autograder.spec import Assignment
from autograder.wall import stubs
from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup
from coursekit.gradcheck import GradientReport

pytestmark = pytest.mark.slow

LIMITS = Limits(cell_seconds=10, call_seconds=10, notebook_seconds=60)
FORBIDDEN = Assignment("any").forbidden
SLUG = "linear_classifiers"
NUMERICAL = """
def numerical_gradient(f, x, h=1e-5):
    {first}
    return {call}
"""


def test_the_stand_in_has_what_a_report_has() -> None:
    report = coursekit.check_gradient(lambda x: x**2, 3.0, 6.0)
    assert isinstance(report, GradientReport)
    offered = {name for name in {*vars(report), *dir(report)} if not name.startswith("_")}
    assert offered <= set(dir(stubs.NoReport))


def outputs(code: str, setup: Setup | None = None) -> list[dict[str, Any]]:
    with Box(LIMITS, setup or Setup(forbidden=FORBIDDEN)) as box:
        return box.run_cell(0, code)


@pytest.mark.needs("bwrap")
def test_it_says_in_one_sentence_why_there_is_no_report() -> None:
    code = """
from coursekit import check_backward, check_gradient
report = check_gradient(lambda x: x**2, 3.0, 5.0, name="x")
report.raise_if_wrong()
print(report.ok, report.findings, report.text() == report.html() == str(report))
display(report, check_backward(lambda x: x, lambda d, x: d, 3.0))
"""
    printed, *shown = outputs(code)
    assert printed["text"] == "True () True\n"
    assert [output["data"] for output in shown] == 2 * [{"text/plain": stubs.SENTENCE}]


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize(
    "code",
    [
        "import coursekit.gradcheck",
        "from coursekit.gradcheck import numerical_gradient",
        "from coursekit import gradcheck",
        "from coursekit.gradcheck.numeric import measure",
    ],
)
def test_the_checker_itself_is_missing_and_the_message_says_why(code: str) -> None:
    [error] = outputs(code)
    assert error["ename"] == "ModuleNotFoundError"
    assert error["evalue"].endswith(FORBIDDEN["coursekit.gradcheck"])
    assert "test your work, not to do it" in error["evalue"]


@pytest.mark.needs("bwrap")
def test_it_is_gone_even_without_the_hook_that_says_so() -> None:
    code = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != 'Forbidden']
del sys.modules['coursekit'].check_gradient
try:
    from coursekit.gradcheck import check_gradient
except ImportError:
    print('gone')
try:
    from coursekit import check_gradient
except (AttributeError, ImportError):
    print('gone')
"""
    assert [output["text"] for output in outputs(code)] == ["gone\ngone\n"]


@pytest.mark.needs("bwrap")
def test_where_the_engine_is_allowed_the_checker_works() -> None:
    code = "from coursekit import check_gradient\nprint(check_gradient(lambda x: x**2, 3.0, -6.0).findings[0].code)"
    setup = Setup(forbidden=Assignment("any", engine_allowed=True).forbidden)
    assert [output["text"] for output in outputs(code, setup)] == ["sign\n"]


# -- in the notebook ----------------------------------------------------------------------------


def graded(nb: nbformat.NotebookNode, repository: Path) -> Graded:
    checks = Bundle.read(repository / "solutions" / SLUG)
    return grade(Submission("ada", SLUG, SLUG, json.dumps(nb), {}), checks, b"a secret of the course", LIMITS)


def until(nb: nbformat.NotebookNode, last: str) -> dict[str, nbformat.NotebookNode]:
    """Cut the notebook after the cell `last`; its cells by their ids."""
    ids = [cell.id for cell in nb.cells]
    nb.cells = nb.cells[: ids.index(last) + 1]
    return {cell.id: cell for cell in nb.cells}


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize(
    "answer",
    [
        NUMERICAL.format(
            first="from coursekit.gradcheck import numerical_gradient", call="numerical_gradient(f, x, h=h)"
        ),
        NUMERICAL.format(first="import coursekit", call="coursekit.gradcheck.numerical_gradient(f, x)"),
    ],
)
def test_the_checkers_numerical_gradient_is_no_answer_and_the_student_reads_why(
    answer: str, solution: nbformat.NotebookNode, repository: Path
) -> None:
    until(solution, "check_numerical_gradient")["numerical_gradient"].source = answer
    found = graded(solution, repository).record["exercises"]["numerical_gradient"]
    assert found["score"] == 0
    assert FORBIDDEN["coursekit.gradcheck"] in found["findings"][0]["message"]


@pytest.mark.needs("bwrap")
def test_taken_at_the_top_of_a_cell_it_is_no_answer_either(solution: nbformat.NotebookNode, repository: Path) -> None:
    cells = until(solution, "check_numerical_gradient")
    cells["numerical_gradient"].source = "from coursekit.gradcheck import numerical_gradient"
    result = graded(solution, repository)
    assert result.record["exercises"]["numerical_gradient"]["score"] == 0
    assert FORBIDDEN["coursekit.gradcheck"] in result.content


@pytest.mark.needs("bwrap")
def test_the_demonstrations_show_the_stand_in_and_no_error(solution: nbformat.NotebookNode, repository: Path) -> None:
    until(solution, "svm-naive-try")
    executed = nbformat.reads(graded(solution, repository).content, as_version=4)
    shown = {cell.id: cell.get("outputs", []) for cell in executed.cells}
    assert not [cell for cell, outputs in shown.items() if any(one.output_type == "error" for one in outputs)]
    reports = [output.data["text/plain"] for output in shown["checker-try"] if output.output_type == "display_data"]
    assert reports == 3 * [stubs.SENTENCE]
    assert [output.output_type for output in shown["svm-naive-try"]] == ["stream"]
    assert "reg = 0.1: relative error of the gradient" in shown["svm-naive-try"][0].text
