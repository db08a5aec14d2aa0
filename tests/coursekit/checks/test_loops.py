"""Which functions are reported to loop over the examples: none that does not, and most that do."""

from __future__ import annotations

import itertools
import linecache
import textwrap
import time
from typing import Any

import numpy as np
import pytest

from coursekit.checks.cases import Case, Step
from coursekit.checks.loops import ADDED, CHUNK, experiment, first_loop
from coursekit.checks.run import run_case

# Bodies of `def loss(W, X, y, reg)`.
VECTORISED = {
    "plain NumPy": "scores = X @ W\nreturn np.mean(scores[np.arange(len(y)), y]) + reg * np.sum(W * W)",
    "rows as a list": "N = X.shape[0]\nreturn (X @ W)[list(range(N)), y]",
    "rows as a range": "return (X @ W)[range(X.shape[0]), y]",
    "a loop over classes by shape": "for c in range(W.shape[1]):\n    W[:, c] -= X[y == c].sum(axis=0)",
    "classes from a tuple": "N, C = X.shape[0], W.shape[1]\nreturn [X @ W[:, c] for c in range(C)]",
    "classes from the scores": "scores = X.dot(W)\nfor c in range(scores.shape[1]):\n    scores[:, c] += 1",
    "classes from both shapes": "scores = X.dot(W)\nN, C = scores.shape\nfor c in range(C):\n    scores[:, c] += 1",
    "np.unique": "for c in np.unique(y):\n    W[:, c] += X[y == c].mean(axis=0)",
    "set(y)": "return sum(np.sum(X[y == c] @ W[:, c]) for c in set(y))",
    "sorted(set(y))": "for c in sorted(set(y)):\n    pass",
    "as many as the largest label": "for c in range(max(y) + 1):\n    pass",
    "np.max of the labels": "for c in range(np.max(y) + 1):\n    pass",
    "over the columns of W": "return np.column_stack([X @ w for w in W.T])",
    "over the rows of W": "return sum(x * w for w in W)",
    "over the features": "for d in range(X.shape[1]):\n    W[d] -= X[:, d].sum()",
    "over the features by unpacking": "N, D = X.shape\nfor d in range(D):\n    W[d] -= X[:, d].sum()",
    "over the features, last axis": "for d in range(X.shape[-1]):\n    pass",
    "over the length of one row": "for d in range(len(X[0])):\n    pass",
    "over the transposed data": "for column in X.T:\n    pass",
    "over transposed data under its own name": "X = X.T\nfor column in X:\n    pass",
    "over transposed scores": "scores = (X @ W).T\nfor row in scores:\n    pass",
    "scores as W.T @ X.T": "scores = W.T @ X.T\nfor row in scores:\n    pass",
    "zip(*X)": "for column in zip(*X):\n    pass",
    "a comprehension over columns": "return [np.max(X[:, d]) for d in range(X.shape[1])]",
    "enumerate over classes": "for c, w in enumerate(W.T):\n    pass",
    "one mask for each class": "for c, mask in enumerate(y == np.arange(W.shape[1])[:, None]):\n    W[:, c] += 1",
    "masks under a name": "masks = y == np.arange(W.shape[1])[:, None]\nfor mask in masks:\n    pass",
    "a fixed number": "for step in range(10):\n    pass",
    "a name that meant N before": "n = X.shape[0]\nn = W.shape[1]\nfor c in range(n):\n    pass",
    "a name that held data before": "s = X @ W\ns = s.sum(axis=0)\nfor c in s:\n    pass",
    "sums over examples": "counts = np.sum(X @ W, axis=0)\nreturn [c for c in counts]",
    "the gradient's rows": "dW = X.T @ (X @ W)\nfor row in dW:\n    pass",
    "the gradient by np.dot": "dW = np.dot(X.T, np.dot(X, W))\nreturn [row for row in dW]",
    "in chunks of 256": "N = len(X)\nfor start in range(0, N, 256):\n    X[start : start + 256] @ W",
    "along the columns": "return np.apply_along_axis(np.max, 0, X @ W)",
    "np.vectorize over classes": "f = np.vectorize(lambda c: np.sum(y == c))\nreturn f(np.arange(W.shape[1]))",
    "y as a loop variable": "for y in range(W.shape[1]):\n    for k in range(y):\n        pass",
    "einsum": "return np.einsum('nd,dc->nc', X, W)",
    "np.add.at": "G = np.zeros((X.shape[0], W.shape[1]))\nnp.add.at(G, (np.arange(len(y)), y), -1)\nreturn X.T @ G",
    "a while loop over classes": "c = 0\nwhile c < W.shape[1]:\n    c += 1",
    "an inner helper with a name like data": "def norm(X):\n    return sum(x for x in X)\nreturn norm(W)",
    "a recursive inner function": "def f(k):\n    return 0 if k == 0 else f(k - 1)\nreturn f(3)",
    "in the smallest chunks": "for start in range(0, len(X), 4):\n    X[start : start + 4] @ W",
    "through C over classes": "return list(map(abs, range(W.shape[1]))), np.frompyfunc(abs, 1, 1)(W)",
    "printed": "S = X @ W\nprint(S, y, f'{S}', str(S))",
    "NumPy's own conversions": "return np.array(list(y)), y.tolist(), sum(y), max(y), sorted(y), np.array([*X])",
    "NumPy's statistics": "return np.unique(X, axis=0), np.median(X, axis=1), np.percentile(X, 5, axis=1), np.cov(X)",
    "a scatter": "np.put_along_axis(X, y[:, None], 1, 1)\nreturn np.take_along_axis(X, y[:, None], 1)",
    "SciPy": "from scipy.special import logsumexp, softmax\nreturn logsumexp(X @ W, axis=1), softmax(X @ W, 1)",
    "warnings": "warnings.warn('careful')\nreturn np.log(-np.abs(X))",
    "checks of the input": "assert np.all(y >= 0) and y.shape == X.shape[:1]",
    "a branch for many examples": "if len(X) > 10:\n    return [X @ w for w in W.T]",
    "a walrus": "if (C := W.shape[1]) > 2:\n    return [c for c in range(C)]",
}

LOOPS = {
    "range(N)": "N = X.shape[0]\nfor i in range(N):\n    pass",
    "range(X.shape[0])": "for i in range(X.shape[0]):\n    pass",
    "range(len(X))": "for i in range(len(X)):\n    pass",
    "range(len(y))": "for i in range(0, len(y)):\n    pass",
    "range(y.size)": "for i in range(y.size):\n    pass",
    "range(y.shape[0])": "n = y.shape[0]\nfor i in range(n):\n    pass",
    "np.shape(X)[0]": "for i in range(np.shape(X)[0]):\n    pass",
    "np.size(y)": "for i in range(np.size(y)):\n    pass",
    "unpacked": "N, D = X.shape\nfor i in range(N):\n    pass",
    "unpacked with others": "(N, D), C = X.shape, W.shape[1]\nfor i in range(N):\n    pass",
    "a shape under a name": "shape = X.shape\nfor i in range(shape[0]):\n    pass",
    "N by another name": "N = len(X)\nm = N\nfor i in range(m):\n    pass",
    "int(N)": "N = int(X.shape[0])\nfor i in range(N):\n    pass",
    "np.arange(N)": "N = len(y)\nfor i in np.arange(N):\n    pass",
    "a named range": "rows = np.arange(X.shape[0])\nfor i in rows:\n    pass",
    "the length of a named range": "rows = np.arange(X.shape[0])\nfor i in range(len(rows)):\n    pass",
    "a named list of numbers": "rows = list(range(len(X)))\nfor i in rows:\n    pass",
    "the rows of X": "for x in X:\n    pass",
    "enumerate(X)": "for i, x in enumerate(X):\n    pass",
    "zip(X, y)": "for x, t in zip(X, y):\n    pass",
    "zip of scores": "for s, t in zip(X @ W, y):\n    pass",
    "the labels": "for t in y:\n    pass",
    "the labels as a list": "for i, t in enumerate(y.tolist()):\n    pass",
    "the rows of the scores": "scores = X.dot(W)\nfor row in scores:\n    pass",
    "the rows of np.dot": "for row in np.dot(X, W):\n    pass",
    "the rows of margins": (
        "scores = X @ W\ncorrect = scores[np.arange(len(y)), y][:, None]\n"
        "margins = np.maximum(0, scores - correct + 1)\nfor row in margins:\n    pass"
    ),
    "the rows of exponentials": "E = np.exp(X @ W)\nreturn [row / row.sum() for row in E]",
    "a comprehension": "N = X.shape[0]\nreturn np.array([X[i] @ W for i in range(N)])",
    "a comprehension that only counts": "rows = np.array([i for i in range(len(y))])\nreturn rows",
    "a generator": "return sum(x @ W for x in X)",
    "the second loop of a comprehension": "return [X[i] @ W[:, c] for c in range(W.shape[1]) for i in range(len(X))]",
    "a dictionary": "return {i: X[i] for i in range(len(X))}",
    "loops in a loop over classes": "for c in range(W.shape[1]):\n    for i in range(len(y)):\n        pass",
    "while i < N": "i, N = 0, X.shape[0]\nwhile i < N:\n    i += 1",
    "while i <= N - 1": "i = 0\nwhile True and i <= len(X) - 1:\n    i += 1",
    "backwards": "for i in range(len(X) - 1, -1, -1):\n    pass",
    "reversed": "for i in reversed(range(len(X))):\n    pass",
    "map": "return list(map(lambda x: x @ W, X))",
    "map over numbers": "return list(map(lambda i: X[i] @ W, range(len(X))))",
    "np.vectorize": "return np.vectorize(lambda s: max(0, s))(X @ W)",
    "np.vectorize under a name": "hinge = np.vectorize(lambda s: max(0, s))\nscores = X @ W\nreturn hinge(scores + 1)",
    "np.frompyfunc": "f = np.frompyfunc(abs, 1, 1)\nreturn f(X)",
    "along each row": "return np.apply_along_axis(np.max, 1, X @ W)",
    "np.ndindex": "S = X @ W\nfor i, j in np.ndindex(S.shape):\n    pass",
    "np.ndindex(N, C)": "N, C = X.shape[0], W.shape[1]\nfor i, j in np.ndindex(N, C):\n    pass",
    "np.ndenumerate": "for (i, j), s in np.ndenumerate(X @ W):\n    pass",
    "itertools.product": "for i, j in itertools.product(range(len(X)), range(3)):\n    pass",
    "an inner function": "def row(i):\n    return X[i]\nreturn [row(i) for i in range(len(X))]",
    "in an inner function": "def all_rows():\n    return [x @ W for x in X]\nreturn all_rows()",
    "converted data": "X = np.asarray(X, dtype=float)\nfor x in X:\n    pass",
    "reshaped data": "X = X.reshape(X.shape[0], -1)\nfor i in range(X.shape[0]):\n    pass",
    "the rows of np.matmul": "S = np.matmul(X, W)\nfor i in range(S.shape[0]):\n    pass",
    "the rows of np.einsum": "S = np.einsum('nd,dc->nc', X, W)\nfor i in range(S.shape[0]):\n    pass",
    "the rows of np.inner": "S = np.inner(X, W.T)\nfor i in range(S.shape[0]):\n    pass",
    "the rows of np.tensordot": "S = np.tensordot(X, W, axes=1)\nfor i in range(S.shape[0]):\n    pass",
    "the rows of (W.T @ X.T).T": "S = (W.T @ X.T).T\nfor i in range(S.shape[0]):\n    pass",
    "the rows of a matrix": "S = np.asmatrix(X) * W\nfor i in range(S.shape[0]):\n    pass",
    "recursion": "def rest(i):\n    return 0 if i == len(X) else X[i] @ W + rest(i + 1)\nreturn rest(0)",
    "an endless while": "i = iter(X)\nwhile True:\n    if next(i, None) is None:\n        break",
    "while on one line": "i = 0\nwhile i < len(y): i += 1",
    "for on one line": "for i in range(len(y)): pass",
    "the violations": "for i, j in zip(*np.nonzero(X @ W > -9)):\n    pass",
    "the examples of each class": "for c in set(y):\n    for i in np.flatnonzero(y == c):\n        pass",
    "any": "return any(t > 99 for t in y)",
    "a set": "return {int(t) for t in y}",
    "a class": "class Rows:\n    def total(self):\n        return sum(x for x in X)\nreturn Rows().total()",
    "a lambda": "return (lambda: [t for t in y])()",
    "exec": "exec('for i in range(len(y)): pass')",
    "map of a C function": "return list(map(abs, y))",
    "map of a NumPy function": "return list(map(np.max, X))",
    "np.fromiter": "return np.fromiter(map(abs, y), float)",
    "np.fromiter of a generator": "return np.fromiter((t for t in y), float)",
    "np.vectorize of a C function": "return np.vectorize(math.exp)(X @ W)",
    "np.vectorize with a signature": "return np.vectorize(np.max, signature='(n)->()')(X)",
    "functools.reduce": "return functools.reduce(np.add, X)",
    "itertools.starmap": "return list(itertools.starmap(np.dot, zip(X, X)))",
    "np.split": "return [part.sum() for part in np.split(X, len(X))]",
    "threads": "with ThreadPoolExecutor(2) as pool:\n    return list(pool.map(np.max, X))",
    "an array of N zeros": "losses = np.zeros(len(y))\nfor i in range(len(losses)):\n    pass",
}


rng = np.random.default_rng(0)
ARGUMENTS = (rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), np.array([0, 1, 2, 1, 0]), 0.1)
CASE = Case("five examples", (Step("loss", ARGUMENTS, names=("W", "X", "y", "reg")),))


def loop_in(code: str) -> str | None:
    """Find the line of the loop over the examples in the function `loss` of `code`."""
    names: dict[str, Any] = {"np": np, "x": 1.0}
    for module in ("functools", "itertools", "math", "warnings"):
        names[module] = __import__(module)
    names["ThreadPoolExecutor"] = __import__("concurrent.futures").futures.ThreadPoolExecutor
    place = f"<cell {next(CELLS)}>"
    linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
    exec(compile(code, place, "exec"), names)
    return found(names)


CELLS = itertools.count()


def found(functions: dict[str, Any]) -> str | None:
    tried = experiment(CASE, ["X", "y"])
    assert tried is not None
    few, many = run_case(tried.few, functions)[-1], run_case(tried.many, functions)[-1]
    assert few.failure is None
    assert many.failure is None
    assert few.lines is not None
    assert many.lines is not None
    return first_loop(few.lines, many.lines, tried.added)


def notebook(body: str, others: str = "") -> str:
    return others + "\ndef loss(W, X, y, reg):\n" + textwrap.indent(body, "    ") + "\n"


@pytest.mark.parametrize("body", VECTORISED.values(), ids=VECTORISED)
def test_a_function_without_a_loop_over_examples_is_left_in_peace(body: str) -> None:
    assert loop_in(notebook(body)) is None


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_a_loop_over_examples_is_found_and_its_line_is_shown(body: str) -> None:
    lines = [one.strip() for one in body.splitlines()]
    assert loop_in(notebook(body)) in (lines if "exec(" not in body else ["line 1"])


def test_the_functions_that_it_calls_are_followed() -> None:
    others = "def naive(W, A, t):\n    for i in range(len(t)):\n        pass\n"
    assert loop_in(notebook("return naive(W, X, y)", others)) == "for i in range(len(t)):"
    assert loop_in(notebook("return naive(W, t=y, A=X)", others)) == "for i in range(len(t)):"


def test_a_called_function_may_loop_over_what_has_no_examples() -> None:
    others = "def norms(A):\n    return [np.sum(a * a) for a in A]\n"
    assert loop_in(notebook("return norms(W)", others)) is None
    assert loop_in(notebook("return norms(W) + norms(X)", others)) == "return [np.sum(a * a) for a in A]"


def test_the_last_definition_counts() -> None:
    looped, vectorised = notebook(LOOPS["range(N)"]), notebook(VECTORISED["plain NumPy"])
    assert loop_in(looped + vectorised) is None
    assert loop_in(vectorised + looped) is not None


def test_a_function_under_another_name_is_found() -> None:
    code = notebook(LOOPS["range(N)"]).replace("def loss", "def mine") + "loss = mine\n"
    assert loop_in(code) == "for i in range(N):"


def test_a_loop_in_a_class_that_is_callable_is_found() -> None:
    code = "class Loss:\n    def __call__(self, W, X, y, reg):\n        return [x for x in X]\nloss = Loss()"
    assert loop_in(code) == "return [x for x in X]"


def test_a_ufunc_made_beforehand_is_seen_through() -> None:
    code = notebook("return hinge(X @ W)", "hinge = np.vectorize(abs)\n")
    assert loop_in(code) == "return hinge(X @ W)"


def test_without_source_the_number_of_the_line_is_shown() -> None:
    names: dict[str, Any] = {}
    exec("def loss(W, X, y, reg):\n    return [x for x in X]", names)
    assert found(names) == "line 2"


def test_the_first_lines_that_run_only_once_count_for_nothing() -> None:
    others = "table = []\ndef prepare(n):\n    while len(table) < 500:\n        table.append(n)\n"
    assert loop_in(notebook("prepare(len(X))", others)) is None


def test_rows_are_added_to_the_named_arguments_alone_and_bring_nothing_new() -> None:
    tried = experiment(CASE, ["X", "y"])
    assert tried is not None
    (few,), (many,) = tried.few.steps, tried.many.steps
    assert few.args == ARGUMENTS
    assert tried.rows == 5
    assert tried.added >= ADDED > 10 * CHUNK
    assert many.args[0] is ARGUMENTS[0]
    assert many.args[1].shape == (5 + tried.added, 4)
    np.testing.assert_array_equal(np.unique(many.args[1], axis=0), np.unique(ARGUMENTS[1], axis=0))
    np.testing.assert_array_equal(np.bincount(many.args[2]) / np.bincount(ARGUMENTS[2]), len(many.args[2]) / 5)


def test_a_list_of_examples_is_repeated_too_and_so_is_one_by_name() -> None:
    step = Step("f", ([1.0, 2.0],), {"t": np.arange(2)}, names=("x",))
    tried = experiment(Case("two", (Step("f", ()), step)), ["x", "t"])
    assert tried is not None
    assert len(tried.many.steps) == 2
    assert tried.many.steps[1].args[0] == [1.0, 2.0] * (1 + tried.added // 2)
    assert len(tried.many.steps[1].kwargs["t"]) == 2 + tried.added


def test_a_case_without_examples_is_not_tried() -> None:
    assert experiment(CASE, ["Z"]) is None
    assert experiment(CASE, ["reg"]) is None
    assert experiment(Case("none", (Step("f", (np.zeros((0, 3)),), names=("X",)),)), ["X"]) is None


def test_the_answer_does_not_depend_on_time() -> None:
    def loss(W: Any, X: Any, y: Any, reg: float) -> None:
        time.sleep(0.0001 * len(X))

    assert found({"loss": loss}) is None
