"""Which functions are said to loop over the examples: never one that does not, and most that do."""

from __future__ import annotations

import textwrap

import pytest

from coursekit.checks.loops import first_loop_over

# Bodies of `def loss(W, X, y, reg)`, and what else stands in the notebook.
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
    "an array of N zeros": "losses = np.zeros(len(y))\nfor i in range(len(losses)):\n    pass",
}


def notebook(body: str, others: str = "") -> str:
    return others + "\ndef loss(W, X, y, reg):\n" + textwrap.indent(body, "    ") + "\n"


@pytest.mark.parametrize("body", VECTORISED.values(), ids=VECTORISED)
def test_a_function_without_a_loop_over_examples_is_left_in_peace(body: str) -> None:
    assert first_loop_over(notebook(body), "loss", ["X", "y"]) is None


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_a_loop_over_examples_is_found_and_its_line_is_shown(body: str) -> None:
    line = first_loop_over(notebook(body), "loss", ["X", "y"])
    assert line in [one.strip() for one in body.splitlines()]


def test_the_functions_that_it_calls_are_followed() -> None:
    others = "def naive(W, A, t):\n    for i in range(len(t)):\n        pass\n"
    assert first_loop_over(notebook("return naive(W, X, y)", others), "loss", ["X", "y"]) == "for i in range(len(t)):"
    by_name = notebook("return naive(W, t=y, A=X)", others)
    assert first_loop_over(by_name, "loss", ["X", "y"]) == "for i in range(len(t)):"


def test_a_called_function_may_loop_over_what_has_no_examples() -> None:
    others = "def norms(A):\n    return [np.sum(a * a) for a in A]\n"
    assert first_loop_over(notebook("return norms(W)", others), "loss", ["X", "y"]) is None
    both = notebook("return norms(W) + norms(X)", others)
    assert first_loop_over(both, "loss", ["X", "y"]) == "return [np.sum(a * a) for a in A]"


def test_the_last_definition_counts() -> None:
    looped, vectorised = notebook(LOOPS["range(N)"]), notebook(VECTORISED["plain NumPy"])
    assert first_loop_over(looped + vectorised, "loss", ["X", "y"]) is None
    assert first_loop_over(vectorised + looped, "loss", ["X", "y"]) is not None


def test_a_function_under_another_name_is_found() -> None:
    code = notebook(LOOPS["range(N)"]).replace("def loss", "def mine") + "loss = mine\n"
    assert first_loop_over(code, "loss", ["X", "y"]) == "for i in range(N):"


@pytest.mark.parametrize(
    "trouble",
    ["%matplotlib inline", "%%time", "!pip list", "np.dot?", "def broken(:\n    pass", "x = (1,\n", "print 'hello'"],
)
def test_a_cell_that_is_not_python_hides_no_loop_elsewhere(trouble: str) -> None:
    code = trouble + "\n\n" + notebook(LOOPS["range(N)"]) + "\n\n" + trouble
    assert first_loop_over(code, "loss", ["X", "y"]) == "for i in range(N):"


def test_where_the_function_is_not_defined_nothing_is_found() -> None:
    assert first_loop_over("", "loss", ["X"]) is None
    assert first_loop_over("def loss(W, X):\n  for i in range(len(X)) pass", "loss", ["X"]) is None
    assert first_loop_over("class loss:\n    def loss(self, X):\n        return [x for x in X]", "loss", ["X"]) is None


def test_code_made_to_trouble_the_reader_is_passed_over() -> None:
    nested = notebook("return " + " + ".join(["1"] * 5000))
    assert first_loop_over(nested, "loss", ["X"]) is None
    assert first_loop_over(notebook("return " + "(" * 500 + ")" * 500), "loss", ["X"]) is None
    assert first_loop_over("\0", "loss", ["X"]) is None
    # Each function calls the next one twice: followed one by one that would take for ever.
    calls = [f"def f{i}(X):\n    return f{i + 1}(X) + f{i + 1}(X[:, {i}])\n" for i in range(60)]
    assert first_loop_over(notebook("return f0(X)", "".join(calls)), "loss", ["X"]) is None
