"""`autograder check`, and each release: the model solution earns everything, the empty notebook nothing, and so on."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
from tiny import CHECKS, SLUG, cell, notebook

from autograder import cli
from autograder.course import Course
from autograder.fit import wrong_headings

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]


@pytest.fixture
def said(tiny: Course, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Check the tiny course with other checks or another notebook; return what is said."""
    source = tiny.folder("source", ".", SLUG)

    def run(checks: str = CHECKS, *more: nbformat.NotebookNode, triple: str = "3 * x") -> str:
        (source / "checks.py").write_text(checks)
        nb = notebook(triple)
        nb.cells += more
        nbformat.write(nb, source / f"{SLUG}.ipynb")
        before = {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()}
        capsys.readouterr()
        status = cli.main(["check", SLUG, "--course", str(tiny.root)])
        printed = capsys.readouterr()
        assert {path: path.read_bytes() for path in tiny.root.rglob("*") if path.is_file()} == before
        assert (status == 0) == (not printed.err)
        return printed.out + printed.err

    return run


def test_what_can_be_released_is_said(said: Callable[..., str]) -> None:
    assert "tiny can be released" in said()


def test_a_model_solution_has_to_be_right_on_every_set_of_cases(said: Callable[..., str]) -> None:
    assert "the model solution earns 0 of 3 points in triple: in the case 'a number', y is not right" in said(
        triple="2*x"
    )
    # Wrong only for large numbers, which are drawn in few sets.
    assert "the model solution earns 0 of 3 points in triple" in said(triple="3 * min(x, 1.5)")


RESULTS = """{"t": "a" * 1000, "s": {1, "b"}, "w": ["ada", "ben"], "n": None, "b": True}, parts="y")"""
SAME_LENGTH = """
def same_length(got, right):
    return len(got) == len(right) or f"has {len(got)} letters"

"""


def test_text_truth_none_sets_and_words_cross_the_wall(said: Callable[..., str]) -> None:
    checks = CHECKS.replace('{"y": 3 * x})', RESULTS)
    right = '("a" * 1000, {1, "b"}, ("ada", "ben"), None, True)'
    assert "can be released" in said(checks, triple=right)
    assert "s misses 1 element" in said(checks, triple=right.replace('{1, "b"}', "{1}"))
    own = SAME_LENGTH + CHECKS.replace('{"y": 3 * x})', '{"y": "abc"}, compare=same_length)')
    assert "can be released" in said(own, triple='"xyz"')
    assert "y has 4 letters" in said(own, triple='"xxyz"')


def test_a_plain_test_has_to_accept_the_model_solution_and_to_reject_nothing(said: Callable[..., str]) -> None:
    wrong = cell("assert double(1) == 3", "test_wrong", grade=True, locked=True, points=1)
    free = cell("assert callable(double)", "test_free", grade=True, locked=True, points=4)
    told = said(CHECKS, wrong, free)
    assert "the model solution earns 0 of 1 points in test_wrong: AssertionError" in told
    assert "test_free gives 4 of 4 points to who has written nothing" in told


def test_every_known_mistake_has_to_be_noticed(said: Callable[..., str]) -> None:
    mistake = 'mistakes=[Mistake("same", "It is the same.", lambda right, args: {"y": right["y"] * (1 + 1e-9)})]'
    told = said(CHECKS.replace("mistakes=[]", mistake, 1))
    assert "double: in some sets of cases, who makes the known mistake 'same' passes the check" in told
    raises = 'mistakes=[Mistake("raises", "It raises.", runs={"double": lambda x: 1 / 0})]'
    assert "can be released" in said(CHECKS.replace("mistakes=[]", raises, 1))


def test_a_comparison_that_is_not_there_is_refused(said: Callable[..., str]) -> None:
    assert "'clos', which is none of" in said(CHECKS.replace('{"y": 2 * x})', '{"y": 2 * x}, compare="clos")'))


@pytest.mark.parametrize(
    ("heading", "right"),
    [
        ("## Double · 2 points", True),
        ("## Double (3 points)", False),
        ("### Double [2 pts]", True),
        ("# All of it: 5 points", False),
        ("# A line through 3 points", True),
        ("# Both · 2 points each", False),
        ("# Four, 2 points each", True),
        ("```\n# no heading: 9 points\n```", True),
    ],
)
def test_points_in_headings_are_those_of_the_cells_below(heading: str, right: bool) -> None:
    cells = [
        nbformat.v4.new_markdown_cell(heading),
        cell("", "a", grade=True, points=2),
        *([nbformat.v4.new_markdown_cell("# Next")] if "Both" not in heading else []),
        cell("", "b", grade=True, points=4),
    ]
    assert (not list(wrong_headings(cells))) == right


def test_a_model_solution_is_what_a_student_fills_in(tiny: Course, capsys: pytest.CaptureFixture[str]) -> None:
    """Imports from a header, which nbgrader adds, are there too."""
    nb = notebook()
    header = nbformat.v4.new_notebook(cells=[nb.cells.pop(0)])
    nbformat.write(header, tiny.root / "header.ipynb")
    nbformat.write(nb, tiny.folder("source", ".", SLUG) / f"{SLUG}.ipynb")
    with (tiny.root / "nbgrader_config.py").open("a") as config:
        config.write("\nc.IncludeHeaderFooter.header = 'header.ipynb'\n")
    assert cli.main(["check", SLUG, "--course", str(tiny.root)]) == 0


def test_grading_without_checks_is_refused(tiny: Course, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny.folder("source", ".", SLUG) / "checks.py").unlink()
    assert cli.main(["grade", SLUG, "--course", str(tiny.root)]) == 1
    assert "'check_double' asks for a check, but there is no tiny/checks.py" in capsys.readouterr().err
