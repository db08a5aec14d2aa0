"""A test cell runs with IPython's own hooks, and the notebook's are restored after it."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest

from autograder.grade import Submission, grade

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

HOOKS = """
%matplotlib inline
import ast
import builtins
import matplotlib.pyplot as plt


class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


shell, seen = get_ipython(), []
shell.ast_transformers.append(Drop())
shell.input_transformers_post.append(lambda lines: ["# changed\\n", *lines])
shell.events.register("pre_run_cell", lambda info: seen.append(info.raw_cell))
shell.display_formatter.formatters["text/plain"].for_type(int, lambda value, printer, cycle: printer.text("2.0"))
shell.run_ast_nodes = None
builtins.sorted = lambda values: [3]
"""


def run(*cells: str | tuple[str, float]) -> tuple[list[list[dict[str, Any]]], dict[str, float]]:
    """Run cells; return the outputs of each, and the scores of those that are given with points."""
    nb = nbformat.v4.new_notebook()
    for number, cell in enumerate(cells):
        source, points = cell if isinstance(cell, tuple) else (cell, 0.0)
        nb.cells.append(nbformat.v4.new_code_cell(source))
        if points:
            about = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3}
            nb.cells[-1].metadata["nbgrader"] = {**about, "points": points, "grade_id": f"test{number}"}
    graded = grade(Submission("ada", "any", "any", json.dumps(nb)), None, b"secret" * 6)
    outputs = [cell["outputs"] for cell in json.loads(graded.content)["cells"]]
    return outputs, {name: one["score"] for name, one in graded.record["exercises"].items()}


def test_no_hook_of_the_notebook_is_asked_in_a_test_cell() -> None:
    hooks = HOOKS.replace("shell.run_ast_nodes = None\n", "")
    _, scores = run(hooks, ("assert False", 2.0), ("1", 2.0), ("assert sorted([2, 1]) == [1, 2]", 2.0))
    assert scores == {"test1": 0.0, "test2": 1.0, "test3": 2.0}


def test_a_shell_that_was_tampered_with_runs_the_test_cell_all_the_same() -> None:
    _, scores = run(HOOKS, ("assert True", 2.0), ("assert False", 2.0))
    assert scores == {"test1": 2.0, "test2": 0.0}


def test_the_hooks_of_the_notebook_come_back() -> None:
    hooks = HOOKS.replace("shell.run_ast_nodes = None\n", "")
    outputs, _ = run(hooks, ("plain = 'a test'", 2.0), "assert False; print(seen)", "1")
    assert outputs[2][0]["text"] == "['assert False; print(seen)']\n"
    assert outputs[3][0]["data"] == {"text/plain": "2.0"}


def test_figures_are_shown_where_they_are_drawn() -> None:
    hooks = "%matplotlib inline\nimport matplotlib.pyplot as plt"
    outputs, scores = run(hooks, ("plt.plot([0]); assert True", 2.0), "plt.plot([1]);")
    assert [["image/png" in one.get("data", {}) for one in cell] for cell in outputs] == [[], [True], [True]]
    assert scores == {"test1": 2.0}


SETTINGS = {
    "every result": "InteractiveShell.ast_node_interactivity = 'all'",
    "every result, here": "get_ipython().ast_node_interactivity = 'all'",
    "by a magic": "%config InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'",
    "no result": "get_ipython().ast_node_interactivity = 'none'",
    "digits": "%precision 0",
    "nothing as text": "get_ipython().display_formatter.formatters['text/plain'].enabled = False",
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_notebook_change_no_score(setting: str) -> None:
    hooks = "from IPython.core.interactiveshell import InteractiveShell\n" + setting
    cells = (("5.0\nassert True", 2.0), ("5.0\nassert False", 2.0), ("5.0\n1.25", 2.0))
    outputs, scores = run(hooks, *cells, "1\n2")
    assert scores == {"test1": 2.0, "test2": 0.0, "test3": 1.25}
    assert len(outputs[4]) == {"'all'": 2, "'none'": 0}.get(setting.split()[-1], 1)  # they come back


def test_a_result_before_an_error_is_no_score() -> None:
    """nbgrader, which reads the outputs once more, must find the same."""
    shows = "from IPython import get_ipython\nget_ipython().displayhook(2.0)\nassert False"
    outputs, scores = run(("1", 2.0), (shows, 2.0))
    assert scores == {"test0": 1.0, "test1": 0.0}
    assert [output["output_type"] for output in outputs[1]] == ["display_data", "error"]
