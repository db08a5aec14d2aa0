"""The grader is right about students: `worked_example`, exercise by exercise.

As for `linear_classifiers`: whoever is right gets every point, however it is written; whoever is wrong loses
some, and is told why only where that is certain.
"""

from __future__ import annotations

import functools
import re
import textwrap
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from assessed import Assessed

ASSESSED = Assessed("worked_example")
ASSIGNMENT, FOLDER = ASSESSED.assignment, ASSESSED.folder
exercise, graded, answers = ASSESSED.exercise, ASSESSED.graded, ASSESSED.answers
MANY = [f"student-{i}" for i in range(12)]
FEW = MANY[:4]
POINTS = {"forward": 10, "loss": 4, "backward": 30, "update": 8, "train": 14}


@functools.cache
def cells(folder: Path) -> dict[str, Any]:
    nb = nbformat.read(folder / "worked_example.ipynb", as_version=4)
    return {cell.id: cell for cell in nb.cells}


# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "forward": {
        "with @": """
            def forward(W0, W1, x0):
                x1 = W0 @ x0
                x2 = np.tanh(x1)
                x3 = W1 @ x2
                return x1, x2, x3
        """,
        "with loops and lists": """
            import math
            def forward(W0, W1, x0):
                x1 = [sum(w * x for w, x in zip(row, x0)) for row in W0]
                x2 = [math.tanh(x) for x in x1]
                return [x1, x2, float(sum(W1[0][i] * x2[i] for i in range(len(x2))))]
        """,
        "with einsum and a helper": """
            def layer(W, x):
                return np.einsum("ij,j->i", W, x)
            def forward(W0, W1, x0):
                hidden = layer(W0, x0)
                active = (np.exp(2 * hidden) - 1) / (np.exp(2 * hidden) + 1)
                return hidden, active, layer(W1, active)[0]
        """,
        "through columns, and a 0-d array": """
            def forward(W0, W1, x0):
                column = x0.reshape(-1, 1)
                x1 = np.dot(W0, column)
                x2 = np.tanh(x1)
                return x1.ravel(), x2.flatten(), np.array(np.dot(W1, x2).item())
        """,
    },
    "loss": {
        "half the square": "def loss(x3, y): return 0.5 * (x3 - y) ** 2",
        "as a float": "def loss(x3, y): return float(np.sum(np.square(y - x3)) / 2)",
        "as a 0-d array": "def loss(x3, y): return np.array(np.dot(np.ravel(x3 - y), np.ravel(x3 - y)) / 2)",
        "expanded": "def loss(x3, y): return (x3 * x3 - 2 * x3 * y + y * y) / 2",
    },
    "backward": {
        "rows of one axis": """
            def backward(W0, W1, x0, y):
                x1 = W0 @ x0
                x2 = np.tanh(x1)
                x3 = W1 @ x2
                g3 = x3 - y
                g2 = g3 @ W1
                g1 = g2 * (1 - x2 ** 2)
                dW0 = np.outer(x0, g1)
                dW1 = np.outer(x2, g3)
                return {"dL_dx3": g3, "dL_dx2": g2, "dL_dx1": g1, "dL_dW0": dW0, "dL_dW1": dW1}
        """,
        "rows of two axes, with the diagonal matrix": """
            def backward(W0, W1, x0, y):
                x0 = x0[:, None]
                x1 = W0 @ x0
                x2 = np.tanh(x1)
                dL_dx3 = W1 @ x2 - y
                dL_dx2 = dL_dx3 @ W1
                dL_dx1 = dL_dx2 @ np.diag(1 - np.tanh(x1.ravel()) ** 2)
                return dict(dL_dx3=dL_dx3, dL_dx2=dL_dx2, dL_dx1=dL_dx1, dL_dW0=x0 @ dL_dx1, dL_dW1=x2 @ dL_dx3)
        """,
        "with loops and lists": """
            def backward(W0, W1, x0, y):
                n1, n0 = W0.shape
                x2 = [np.tanh(sum(W0[i, j] * x0[j] for j in range(n0))) for i in range(n1)]
                g3 = float(sum(W1[0, i] * x2[i] for i in range(n1)) - y)
                g2 = [g3 * W1[0, i] for i in range(n1)]
                g1 = [g2[i] / np.cosh(np.arctanh(x2[i])) ** 2 for i in range(n1)]
                return {
                    "dL_dW0": [[x0[j] * g1[i] for i in range(n1)] for j in range(n0)],
                    "dL_dW1": [[x2[i] * g3] for i in range(n1)],
                    "dL_dx1": tuple(g1), "dL_dx2": g2, "dL_dx3": g3, "loss": 0.5 * g3 ** 2,
                }
        """,
        "in the other layout, turned at the end, as matrices": """
            from collections import OrderedDict
            def backward(W0, W1, x0, y):
                hidden = np.tanh(np.einsum("ij,j->i", W0, x0))
                bar3 = np.array([[np.vdot(W1, hidden) - y]])
                bar2 = W1.T @ bar3
                bar1 = (1 - hidden[:, None] ** 2) * bar2
                grads = OrderedDict(dL_dx3=bar3.item(), dL_dx2=np.asmatrix(bar2).T, dL_dx1=np.asmatrix(bar1).T)
                grads["dL_dW0"] = np.asmatrix(np.einsum("ik,j->ij", bar1, x0)).T
                grads["dL_dW1"] = (bar3 * hidden[None]).T
                return grads
        """,
    },
    "update": {
        "in one line": "def update(W, dL_dW, eta): return W + eta * dL_dW.T",
        "on a copy": """
            def update(W, dL_dW, eta):
                new = W.copy()
                new += eta * np.transpose(dL_dW)
                return new
        """,
        "entry by entry": """
            def update(W, dL_dW, eta):
                rows, columns = W.shape
                return [[W[i, j] + eta * dL_dW[j, i] for j in range(columns)] for i in range(rows)]
        """,
        "with einsum, as a matrix": """
            def update(W, dL_dW, eta):
                return np.asmatrix(np.subtract(W, np.einsum("ji->ij", -eta * dL_dW)))
        """,
    },
    "train": {
        "flat": """
            def train(W0, W1, x0, y, eta, num_iters):
                losses = []
                for it in range(num_iters):
                    x2 = np.tanh(W0 @ x0)
                    x3 = W1 @ x2
                    losses.append(0.5 * (x3 - y) ** 2)
                    g3 = x3 - y
                    g1 = (g3 @ W1) * (1 - x2 ** 2)
                    dW0 = np.outer(x0, g1)
                    dW1 = np.outer(x2, g3)
                    W0 = W0 + eta * dW0.T
                    W1 = W1 + eta * dW1.T
                losses = np.ravel(losses)
                return W0, W1, losses
        """,
        "in place, in the other layout": """
            def train(W0, W1, x0, y, eta, num_iters):
                history = np.zeros(num_iters)
                for k in range(num_iters):
                    h = np.tanh(np.dot(W0, x0))
                    e = (np.dot(W1, h) - y).item()
                    history[k] = e * e / 2
                    step0, step1 = np.einsum("i,j->ij", e * W1[0] * (1 - h * h), x0), e * h
                    W0 += eta * step0
                    W1 += eta * step1
                return [W0, W1, history]
        """,
        "with helpers, and a list of floats": """
            def gradients(W0, W1, x0, y):
                h = np.tanh(W0 @ x0)
                e = float((W1 @ h)[0]) - y
                return e ** 2 / 2, e * np.outer(W1[0] / np.cosh(W0 @ x0) ** 2, x0), e * h[None]
            def train(W0, W1, x0, y, eta, num_iters):
                losses = ()
                while len(losses) < num_iters:
                    value, d0, d1 = gradients(W0, W1, x0, y)
                    losses = losses + (value,)
                    W0, W1 = W0 - (-eta) * d0, W1 - (-eta) * d1
                return W0.tolist(), W1.tolist(), losses
        """,
    },
}
RIGHT = {name: {title: textwrap.dedent(source) for title, source in ways.items()} for name, ways in WRITTEN.items()}


def instructors(name: str) -> str:
    """The instructor's cell, after those that it may call."""
    names = list(POINTS)
    return "\n".join(cells(FOLDER)[one].source for one in names[: names.index(name) + 1])


@pytest.mark.parametrize("name", POINTS)
def test_the_instructors_solution_gets_every_point(name: str) -> None:
    for student in MANY:
        report = graded(name, instructors(name), student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points == POINTS[name]


@pytest.mark.parametrize(("name", "title"), [(name, title) for name in RIGHT for title in RIGHT[name]])
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str, title: str) -> None:
    for student in FEW:
        report = graded(name, RIGHT[name][title], student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points
        assert not report.findings


def test_every_exercise_is_written_in_at_least_three_ways() -> None:
    assert set(RIGHT) == set(ASSIGNMENT.described) == set(POINTS)
    assert min(len(ways) for ways in RIGHT.values()) >= 3


def test_a_wrong_forward_costs_nothing_in_what_does_not_call_it() -> None:
    broken = "def forward(W0, W1, x0): raise ValueError('wrong')\ndef loss(x3, y): return None\n"
    for name in ("backward", "update", "train"):
        source = broken + next(iter(RIGHT[name].values()))
        assert graded(name, source, FEW[0]).passed


# -- who is wrong ------------------------------------------------------------------------------

Edits = tuple[tuple[str, str], ...]

# By exercise: by story, how the first solution above is changed, and the codes of all that is found.
WRONG: dict[str, dict[str, tuple[Edits, tuple[str, ...]]]] = {
    "forward": {
        "no tanh": ((("np.tanh(x1)", "x1"),), ("tanh-missing",)),
        "sigmoid": ((("np.tanh(x1)", "1 / (1 + np.exp(-x1))"),), ("sigmoid-for-tanh",)),
        "relu": ((("np.tanh(x1)", "np.maximum(x1, 0)"),), ("relu-for-tanh",)),
        "tan": ((("np.tanh", "np.tan"),), ("tan-for-tanh",)),
        "tanh twice": ((("np.tanh(x1)", "np.tanh(np.tanh(x1))"),), ("tanh-twice",)),
        "x1 for x2": ((("W1 @ x2", "W1 @ x1"),), ("tanh-skipped",)),
        "tanh at the end": ((("W1 @ x2", "np.tanh(W1 @ x2)"),), ("tanh-at-the-end",)),
        "reversed": ((("x1, x2, x3\n", "x3, x2, x1\n"),), ("swapped",)),
        "two exchanged": ((("x1, x2, x3\n", "x2, x1, x3\n"),), ("swapped",)),
        "W0 transposed": ((("W0 @ x0", "W0.T @ x0"),), ("error",)),
        "entry by entry": ((("W0 @ x0", "W0 * x0"), ("W1 @ x2", "W1 @ np.tanh(W0 @ x0)")), ("entrywise-product",)),
        "columns": ((("return x1, x2", "return x1[:, None], x2[:, None]"),), ("wrong-shape",)),
        "only the output": ((("return x1, x2, x3", "return x3"),), ("wrong-number-of-values",)),
        "no return": ((("return x1, x2, x3", ""),), ("returned-none",)),
        "the lecture's numbers": (
            (("return", "x1, x2, x3 = np.array([0.7, 0.3]), np.array([0.604, 0.291]), 0.313\n    return"),),
            ("wrong-shape",),
        ),
    },
    "loss": {
        "no half": ((("0.5 * ", ""),), ("half-missing",)),
        "half inside": ((("0.5 * (x3 - y) ** 2", "(0.5 * (x3 - y)) ** 2"),), ("half-inside",)),
        "no square": (((" ** 2", ""),), ("square-missing",)),
        "absolute": ((("(x3 - y) ** 2", "abs(x3 - y)"),), ("absolute",)),
        "gradient": ((("0.5 * (x3 - y) ** 2", "x3 - y"),), ("gradient-for-loss",)),
        "sign": ((("0.5", "-0.5"),), ("sign",)),
        "plus": ((("x3 - y", "x3 + y"),), ("sum-for-difference",)),
        "squares apart": ((("(x3 - y) ** 2", "(x3 ** 2 - y ** 2)"),), ("difference-of-squares",)),
        "rounded": ((("0.5 * (x3 - y) ** 2", "np.round(0.5 * (x3 - y) ** 2, 3)"),), ("rounded",)),
        "the slide's": ((("0.5 * (x3 - y) ** 2", "0.017"),), ()),
        "no return": ((("return", ""),), ("returned-none",)),
    },
    "backward": {
        "sign": ((("g3 = x3 - y", "g3 = y - x3"),), ("sign",)),
        "no half": ((("g3 = x3 - y", "g3 = 2 * (x3 - y)"),), ("scale",)),
        "loss for gradient": ((("g3 = x3 - y", "g3 = 0.5 * (x3 - y) ** 2"),), ("loss-for-gradient",)),
        "no target": ((("g3 = x3 - y", "g3 = x3"),), ("target-ignored",)),
        "starts from one": ((("g3 = x3 - y", "g3 = np.ones(1)"),), ("upstream-ones",)),
        "slope of the input": ((("1 - x2 ** 2", "1 - x1 ** 2"),), ("slope-of-input",)),
        "tanh twice": ((("1 - x2 ** 2", "1 - np.tanh(x2) ** 2"),), ("slope-applied-twice",)),
        "no square": ((("1 - x2 ** 2", "1 - x2"),), ("slope-square-missing",)),
        "sigmoid": ((("(1 - x2 ** 2)", "x2 * (1 - x2)"),), ("slope-of-sigmoid",)),
        "plus": ((("1 - x2 ** 2", "1 + x2 ** 2"),), ("slope-sign",)),
        "tanh skipped": (((" * (1 - x2 ** 2)", ""),), ("slope-missing",)),
        "W1 alone": ((("g2 = g3 @ W1", "g2 = W1[0]"),), ("upstream-ignored",)),
        "slope alone": ((("g1 = g2 * ", "g1 = "),), ("upstream-ignored",)),
        "x2 alone": ((("np.outer(x2, g3)", "x2[:, None]"),), ("upstream-ignored",)),
        "the other factor": ((("g2 = g3 @ W1", "g2 = g3 * x2"),), ("wrong-factor",)),
        "W0 from dL_dx2": ((("np.outer(x0, g1)", "np.outer(x0, g2)"),), ("wrong-node",)),
        "W1 from x1": ((("np.outer(x2, g3)", "np.outer(x1, g3)"),), ("wrong-input",)),
        "both laid out as W": (
            (("np.outer(x0, g1)", "np.outer(g1, x0)"), ("np.outer(x2, g3)", "np.outer(g3, x2)")),
            ("transposed",),
        ),
        "W0 laid out as W0": ((("np.outer(x0, g1)", "np.outer(g1, x0)"),), ("transposed",)),
        "W1 laid out as W1": ((("np.outer(x2, g3)", "np.outer(g3, x2)"),), ("transposed",)),
        "sign of the slope and layout": (
            (("1 - x2 ** 2", "1 + x2 ** 2"), ("np.outer(x2, g3)", "np.outer(g3, x2)")),
            ("slope-sign", "transposed"),
        ),
        "eta in the gradients": ((("g3 = x3 - y", "g3 = 0.2 * (x3 - y)"),), ()),
        "a key is missing": (((', "dL_dW1": dW1', ""),), ("no-key",)),
        "a key is misspelt": ((('"dL_dW0"', '"dL_dw0"'),), ("no-key",)),
        "a row's key is misspelt": ((('"dL_dx1"', '"dL_dx_1"'),), ("no-key",)),
        "no return": ((("return {", "{"),), ("returned-none",)),
        "a tuple": (
            (('return {"dL_dx3": g3,', 'return (g3, g2, g1, dW0, dW1)\n    {"dL_dx3": g3,'),),
            ("no-dictionary",),
        ),
        "raises": ((("g3 @ W1", "g3 @ W2"),), ("error",)),
    },
    "update": {
        "not transposed": ((("dL_dW.T", "dL_dW"),), ("error",)),
        "not transposed where that works": (
            (("dL_dW.T", "(dL_dW.T if len({*W.shape, 1}) == 3 else dL_dW)"),),
            ("transpose-missing",),
        ),
        "subtracts": ((("W + ", "W - "),), ("sign",)),
        "subtracts the size": ((("+ eta", "- abs(eta)"),), ("sign",)),
        "no eta": ((("eta * ", ""),), ("eta-ignored",)),
        "always 0.2": ((("eta * ", "-0.2 * "),), ("eta-fixed",)),
        "the step alone": ((("W + ", ""),), ("step-alone",)),
        "nothing": (((" + eta * dL_dW.T", ""),), ("no-update",)),
        "both times eta": ((("W + eta * dL_dW.T", "eta * (W + dL_dW.T)"),), ("eta-times-both",)),
        "W transposed": ((("W + eta * dL_dW.T", "W.T + eta * dL_dW"),), ("wrong-layout",)),
        "in place": ((("return W + eta * dL_dW.T", "\n    W += eta * dL_dW.T\n    return W"),), ("input-modified",)),
        "no return": ((("return", ""),), ("returned-none",)),
    },
    "train": {
        "climbs": ((("W0 + eta", "W0 - eta"), ("W1 + eta", "W1 - eta")), ("sign",)),
        "always 0.2": ((("+ eta", "- 0.2"),), ("eta-fixed",)),
        "W1 first, on the way back": (
            (("g1 =", "W1 = W1 + eta * np.outer(x2, g3).T; g1 ="), ("W1 = W1 + eta * dW1.T", "pass")),
            ("updated-too-early",),
        ),
        "W0 first": (
            (
                (
                    "dW1 = np.outer(x2, g3)",
                    "W0 = W0 + eta * dW0.T; h = np.tanh(W0 @ x0); dW1 = np.outer(h, W1 @ h - y)",
                ),
                ("\n        W0 = W0 + eta * dW0.T\n", "\n"),
            ),
            ("updated-too-early",),
        ),
        "only W0": ((("W1 + eta * dW1.T", "W1"),), ("only-one-layer",)),
        "only W1": ((("W0 + eta * dW0.T", "W0"),), ("only-one-layer",)),
        "nothing": ((("W1 + eta * dW1.T", "W1"), ("W0 + eta * dW0.T", "W0")), ("no-update",)),
        "gradient taken once": (
            (
                ("dW0 = np", "dW0 = dW0 if it else np"),
                ("dW1 = np", "dW1 = dW1 if it else np"),
            ),
            ("gradient-taken-once",),
        ),
        "one more": ((("range(num_iters)", "range(num_iters + 1)"),), ("off-by-one",)),
        "one fewer": ((("range(num_iters)", "range(num_iters - 1)"),), ("off-by-one",)),
        "losses after": (
            (
                ("        losses.append(0.5 * (x3 - y) ** 2)\n", ""),
                ("dW1.T\n", "dW1.T\n        losses.append(0.5 * (W1 @ np.tanh(W0 @ x0) - y) ** 2)\n"),
            ),
            ("losses-after",),
        ),
        "one loss too many": (
            (("np.ravel(losses)", "np.ravel(losses + [0.5 * (W1 @ np.tanh(W0 @ x0) - y) ** 2])"),),
            ("losses-with-the-last",),
        ),
        "no half": ((("append(0.5 * ", "append("),), ("half-missing",)),
        "losses reversed": ((("np.ravel(losses)", "np.ravel(losses)[::-1]"),), ("losses-reversed",)),
        "weights before the last update": (
            (("losses.append", "old = W0, W1; losses.append"), ("return W0, W1,", "return *old,")),
            ("last-update-missing",),
        ),
        "the last loss alone": ((("np.ravel(losses)", "losses[-1]"),), ("wrong-shape",)),
        "returns in the loop": ((("    losses = np.ravel(losses)", "        break"),), ("wrong-shape",)),
        "no losses": ((("return W0, W1, losses", "return W0, W1"),), ("wrong-number-of-values",)),
        "no return": ((("return W0, W1, losses", ""),), ("returned-none",)),
    },
}


@pytest.mark.parametrize(("name", "story"), [(name, story) for name in WRONG for story in WRONG[name]])
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(name: str, story: str) -> None:
    edits, expected = WRONG[name][story]
    source = next(iter(RIGHT[name].values()))
    for old, new in edits:
        assert old in source, f"{name}, {story}: {old!r} is not in the solution any more"
        source = source.replace(old, new)
    for student in FEW:
        report = graded(name, source, student)
        assert report.score < report.points, f"{student}: this earned every point"
        assert tuple(finding.code for finding in report.findings) == expected, f"{student}\n{report.text()}"


@pytest.mark.parametrize("layout", ["g2", "g2[None]"])
def test_what_is_expected_is_shown_in_the_layout_that_came_back(layout: str) -> None:
    source = RIGHT["backward"]["rows of one axis"].replace('"dL_dx2": g2', f'"dL_dx2": 2 * {layout}')
    shown = re.findall(r"(?:expected|came back): (.*)", graded("backward", source, FEW[0]).text())[:2]
    assert ["(shape (1, 2))" in line for line in shown] == 2 * [layout == "g2[None]"]


def test_a_missing_key_is_told_with_the_keys_that_are_there() -> None:
    report = graded("backward", RIGHT["backward"]["rows of one axis"].replace('"dL_dW0"', '"dL_dw0"'), FEW[0])
    assert report.findings[0].message.startswith("dL_dW0 is missing: the dictionary has no key 'dL_dW0'; its keys are")
    assert "dL_dw0" in report.findings[0].message


@pytest.mark.parametrize("layout", ["g2, g1 = g2[None], g1[None]", "g2, g1 = np.asmatrix(g2), np.asmatrix(g1)"])
def test_a_mistake_is_named_for_rows_of_two_axes_too(layout: str) -> None:
    right = RIGHT["backward"]["rows of one axis"]
    for edits, found in WRONG["backward"].values():
        source = functools.reduce(lambda text, edit: text.replace(*edit), edits, right)
        source = source.replace("    return {", f"    {layout}\n    return {{")
        if layout in source and found != ("error",):
            report = graded("backward", source, FEW[0])
            assert tuple(finding.code for finding in report.findings) == found, f"{edits}\n{report.text()}"


def test_who_has_some_gradients_right_gets_their_points() -> None:
    right = RIGHT["backward"]["rows of one axis"]
    for old, new, score in (
        ("(1 - x2 ** 2)", "(1 - x1 ** 2)", 30 - 7 - 7),
        ("np.outer(x2, g3)", "np.outer(g3, x2)", 30 - 7),
        ('"dL_dW0"', '"dW0"', 30 - 7),
    ):
        assert graded("backward", right.replace(old, new), FEW[0]).score == score
    in_place = "def update(W, dL_dW, eta):\n    W += eta * dL_dW.T\n    return W"
    assert graded("update", in_place, FEW[0]).score == 6


# -- what is known of mistakes -------------------------------------------------------------------

BANK = [
    (name, code)
    for name in POINTS
    for code in dict.fromkeys(
        code
        for made in exercise(name, FEW[0]).cases
        for step in made.steps
        for item in step.expected
        for code in item.mistakes
    )
]


@pytest.mark.parametrize(("name", "code"), BANK)
def test_every_known_mistake_is_rejected_and_named(name: str, code: str) -> None:
    for student in FEW:
        report = answers(name, student, lambda item: item.mistakes.get(code, item.value))
        assert report.score < report.points, f"{student}: this earned every point"
        assert [finding.code for finding in report.findings] == [code.partition("/")[0]], student


def test_every_listed_mistake_shows_in_some_case() -> None:
    for name, described in ASSIGNMENT.described.items():
        listed = {mistake.code for mistake in described.mistakes}
        assert {code for one, code in BANK if one == name} == listed


@pytest.mark.parametrize("name", POINTS)
def test_what_the_mistakes_are_made_from_is_right(name: str) -> None:
    """The bank has the network by hand, the references have their gradients from the engine."""
    known = ASSESSED.module("mistakes")
    by_hand = {"forward": known.PASS, "loss": known.HALF_SQUARE, "backward": known.BACK}
    by_hand |= {"update": known.UPDATED, "train": known.TRAINING}
    for made in exercise(name, FEW[0]).cases:
        (step,) = made.steps
        results = by_hand[name](**dict(zip(step.names, step.args, strict=True)))
        for item in step.expected:
            if item.where == "returned":
                np.testing.assert_allclose(results[item.name], item.value)


@pytest.mark.parametrize("name", POINTS)
def test_what_is_slightly_wrong_is_rejected_and_nothing_is_said_of_why(name: str) -> None:
    for student in FEW:
        report = answers(name, student, lambda item: 1.0005 * np.asarray(item.value))
        assert report.score < report.points, student
        assert report.findings == (), f"{student}\n{report.text()}"


@pytest.mark.parametrize("name", POINTS)
def test_what_is_right_but_for_rounding_is_right(name: str) -> None:
    for student in FEW:
        assert answers(name, student, lambda item: np.asarray(item.value) * (1 + 1e-7)).passed, student
