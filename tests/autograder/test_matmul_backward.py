"""The grader is right about students: `matmul_backward`, exercise by exercise.

Whoever is right gets every point, however it is written.  Whoever is wrong loses some, and
is told why only where that is certain: the codes in `WRONG` are all that is found.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable
from typing import Any

import nbformat
import numpy as np
import pytest
from assessed import Assessed

from coursekit.checks.cases import Case, Expected

SLUG = "matmul_backward"
ASSESSED = Assessed("matmul_backward")
ASSIGNMENT, FOLDER = ASSESSED.assignment, ASSESSED.folder
exercise, graded, answers = ASSESSED.exercise, ASSESSED.graded, ASSESSED.answers
MANY = [f"student-{i}" for i in range(20)]
FEW = MANY[:5]
COUNTS = ("jacobian_bytes", "chain_flops")  # whole numbers, that must be exact


# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "relu_jacobian": {
        "with diag": "def relu_jacobian(x): return np.diag(1.0 * (x > 0))",
        "with loops, of lists": """
            def relu_jacobian(x):
                D = len(x)
                return [[1 if i == j and x[i] > 0 else 0 for j in range(D)] for i in range(D)]
        """,
        "whole numbers": "def relu_jacobian(x): return np.eye(x.size, dtype=int) * (x > 0)",
        "as a matrix of booleans": "def relu_jacobian(x): return np.matrix(np.diag(x >= 0))",
    },
    "relu_backward": {
        "with a mask": "def relu_backward(dz, x): return dz * (x > 0)",
        "with where": "def relu_backward(dz, x): return np.where(x >= 0, dz, 0)",
        "on a copy": """
            def relu_backward(dz, x):
                dx = dz.copy()
                dx[x <= 0] = 0
                return dx
        """,
        "in place": """
            def relu_backward(dz, x):
                dz[x < 0] *= 0
                return dz
        """,
        "number by number": """
            def relu_backward(dz, x):
                numbers = [g if v > 0 else 0.0 for g, v in zip(dz.ravel(), x.ravel())]
                return np.array(numbers).reshape(x.shape).tolist()
        """,
    },
    "jacobian_bytes": {
        "product": "def jacobian_bytes(N, D, M, itemsize=4): return N * M * N * D * itemsize",
        "by shape": """
            import math
            def jacobian_bytes(N, D, M, itemsize=4):
                return math.prod((N, M, N, D)) * itemsize
        """,
        "as a float": "def jacobian_bytes(N, D, M, itemsize=4): return float(N**2) * D * M * itemsize",
        "a 0-d array": "def jacobian_bytes(N, D, M, itemsize=4): return np.array(itemsize * N * N * M * D)",
    },
    "matmul_jacobian_x": {
        "four loops": """
            def matmul_jacobian_x(X, W):
                (N, D), M = X.shape, W.shape[1]
                J = np.zeros((N, M, N, D))
                for n in range(N):
                    for m in range(M):
                        for i in range(N):
                            for d in range(D):
                                J[n, m, i, d] = W[d, m] if i == n else 0
                return J
        """,
        "einsum": "def matmul_jacobian_x(X, W): return np.einsum('ni,dm->nmid', np.eye(len(X)), W)",
        "broadcast": """
            def matmul_jacobian_x(X, W):
                return np.eye(len(X))[:, None, :, None] * W.T[None, :, None, :]
        """,
        "kron": """
            def matmul_jacobian_x(X, W):
                N, M = X.shape[0], W.shape[1]
                return np.kron(np.eye(N), W.T).reshape(N, M, N, -1)
        """,
        "one unit at a time": """
            def matmul_jacobian_x(X, W):
                J = np.empty((len(X), W.shape[1]) + X.shape)
                for index in np.ndindex(X.shape):
                    unit = np.zeros(X.shape)
                    unit[index] = 1
                    J[(..., *index)] = unit @ W
                return J
        """,
    },
    "matmul_forward": {
        "dot": "def matmul_forward(X, W): return X.dot(W)",
        "einsum": "def matmul_forward(X, W): return np.einsum('nd,dm->nm', X, W)",
        "loops": """
            def matmul_forward(X, W):
                return [[sum(x * w for x, w in zip(row, column)) for column in W.T] for row in X]
        """,
        "a matrix": "def matmul_forward(X, W): return np.matrix(X) * np.matrix(W)",
    },
    "matmul_backward": {
        "in two products": "def matmul_backward(dY, X, W): return dY @ W.T, X.T @ dY",
        "einsum, in a list": """
            def matmul_backward(dY, X, W):
                return [np.einsum("nm,dm->nd", dY, W), np.einsum("nd,nm->dm", X, dY)]
        """,
        "example by example": """
            def matmul_backward(dY, X, W):
                dX, dW = np.zeros(X.shape), np.zeros(W.shape)
                for n in range(len(X)):
                    dX[n] = W @ dY[n]
                    dW += np.outer(X[n], dY[n])
                return dX, dW
        """,
        "four loops and nothing of NumPy's": """
            def matmul_backward(dY, X, W):
                N, D, M = len(X), len(W), len(W[0])
                dX = [[sum(dY[n][m] * W[d][m] for m in range(M)) for d in range(D)] for n in range(N)]
                dW = [[sum(X[n][d] * dY[n][m] for n in range(N)) for m in range(M)] for d in range(D)]
                return dX, dW
        """,
        "transposed twice, matrices": """
            def matmul_backward(dY, X, W):
                return np.matrix((W @ dY.T).T), np.matrix(dY.T @ X).T
        """,
    },
    "affine_forward": {
        "reshape": """
            def affine_forward(x, w, b):
                return x.reshape(len(x), -1) @ w + b, (x, w, b)
        """,
        "example by example": """
            def affine_forward(x, w, b):
                out = np.array([row.ravel().dot(w) + b for row in x])
                cache = (x, w, b)
                return out, cache
        """,
        "tensordot, in a list": """
            def affine_forward(x, w, b):
                axes = list(range(1, x.ndim))
                out = np.tensordot(x, w.reshape(*x.shape[1:], -1), (axes, [k - 1 for k in axes]))
                return [out + b.reshape(1, -1), (x, w, b)]
        """,
        "with ones, and another cache": """
            def affine_forward(x, w, b):
                rows = np.column_stack([np.reshape(x, (x.shape[0], w.shape[0])), np.ones(len(x))])
                return rows @ np.vstack([w, b]), {"x": x, "w": w, "b": b}
        """,
    },
    "affine_backward": {
        "as in CS231n": """
            def affine_backward(dout, cache):
                x, w, b = cache
                dx = dout.dot(w.T).reshape(x.shape)
                dw = x.reshape(x.shape[0], -1).T.dot(dout)
                db = np.sum(dout, axis=0)
                return dx, dw, db
        """,
        "einsum, in a list": """
            def affine_backward(dout, cache):
                x, w, _ = cache
                rows = x.reshape(len(x), -1)
                dx = np.einsum("nm,dm->nd", dout, w).reshape(x.shape)
                return [dx, np.einsum("nd,nm->dm", rows, dout), np.einsum("nm->m", dout)]
        """,
        "example by example": """
            def affine_backward(dout, cache):
                x, w, b = cache
                dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(b.shape)
                for n, g in enumerate(dout):
                    dx[n] = (w @ g).reshape(x[n].shape)
                    dw += np.outer(x[n], g)
                    db += g
                return dx, dw, db
        """,
        "with helpers": """
            def product_backward(g, a, b):
                return g @ b.T, a.T @ g

            def affine_backward(dout, cache):
                (x, w, b) = cache
                drows, dw = product_backward(dout, np.reshape(x, (-1, w.shape[0])), w)
                return drows.reshape(*x.shape), dw, np.ones(len(dout)) @ dout
        """,
    },
    "linear_backward_row": {
        "outer": "def linear_backward_row(g_out, x_in, W): return g_out @ W, np.outer(x_in, g_out)",
        "columns and rows": """
            def linear_backward_row(g_out, x_in, W):
                row, column = g_out.reshape(1, -1), x_in.reshape(-1, 1)
                return (row @ W).ravel(), column @ row
        """,
        "transposed, in a list": """
            def linear_backward_row(g_out, x_in, W):
                return [W.T.dot(g_out), (g_out[:, None] * x_in).T]
        """,
        "loops": """
            def linear_backward_row(g_out, x_in, W):
                n_out, n_in = W.shape
                g_in = [sum(g_out[i] * W[i, j] for i in range(n_out)) for j in range(n_in)]
                return g_in, [[x_in[j] * g_out[i] for i in range(n_out)] for j in range(n_in)]
        """,
    },
    "unbroadcast": {
        "axis by axis": """
            def unbroadcast(grad, shape):
                while grad.ndim > len(shape):
                    grad = grad.sum(axis=0)
                for axis, n in enumerate(shape):
                    if n == 1:
                        grad = grad.sum(axis=axis, keepdims=True)
                return grad
        """,
        "all axes, then reshape": """
            def unbroadcast(grad, shape):
                full = (1,) * (grad.ndim - len(shape)) + tuple(shape)
                axes = tuple(k for k, n in enumerate(full) if n != grad.shape[k])
                return np.sum(grad, axis=axes).reshape(shape)
        """,
        "entry by entry": """
            def unbroadcast(grad, shape):
                where = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), grad.shape)
                return np.bincount(where.ravel(), weights=grad.ravel()).reshape(shape)
        """,
        "a float for a single number": """
            def unbroadcast(grad, shape):
                if shape == ():
                    return float(np.sum(grad))
                extra = grad.ndim - len(shape)
                out = np.zeros(shape)
                for index in np.ndindex(*grad.shape):
                    out[tuple(i if n > 1 else 0 for i, n in zip(index[extra:], shape))] += grad[index]
                return out
        """,
    },
    "chain_flops": {
        "by formula": """
            def chain_flops(dims, mode):
                pairs = list(zip(dims[:-1], dims[1:]))
                if mode == "reverse":
                    return sum(a * b for a, b in pairs)
                return dims[0] * (sum(a * b for a, b in pairs[1:]) + dims[-1])
        """,
        "by doing it": """
            def chain_flops(dims, mode):
                shapes = list(zip(dims, dims[1:])) + [(dims[-1], 1)]
                count = 0
                while len(shapes) > 1:
                    k = 0 if mode == "forward" else len(shapes) - 2
                    (p, q), (_, r) = shapes[k:k + 2]
                    count += p * q * r
                    shapes[k:k + 2] = [(p, r)]
                return count
        """,
        "with arrays": """
            def chain_flops(dims, mode):
                d = np.array([*dims, 1], dtype=np.int64)
                if mode == "forward":
                    return d[0] * np.sum(d[1:-1] * d[2:])
                return np.dot(d[:-2], d[1:-1])
        """,
    },
}
RIGHT = {name: {title: textwrap.dedent(source) for title, source in ways.items()} for name, ways in WRITTEN.items()}


def instructors_cells() -> dict[str, str]:
    nb = nbformat.read(FOLDER / f"{SLUG}.ipynb", as_version=4)
    sources = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in nb.cells}
    return {name: sources[name] for name in ASSIGNMENT.described}


@pytest.mark.parametrize("name", ASSIGNMENT.described)
def test_the_instructors_solution_gets_every_point(name: str) -> None:
    source = instructors_cells()[name]
    for student in MANY:
        report = graded(name, source, student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points


@pytest.mark.parametrize(("name", "title"), [(name, title) for name in RIGHT for title in RIGHT[name]])
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str, title: str) -> None:
    for student in FEW:
        report = graded(name, RIGHT[name][title], student)
        assert report.passed, f"{student}\n{report.text()}"
        assert report.score == report.points
        assert not report.findings


def test_every_exercise_is_written_in_at_least_three_ways() -> None:
    assert set(RIGHT) == set(ASSIGNMENT.described)
    assert min(len(written) for written in RIGHT.values()) >= 3


# -- who is wrong ------------------------------------------------------------------------------

# By exercise: which of the solutions above is changed, and by story how, the codes of all that is found, and the score.
WRONG: dict[str, tuple[str, dict[str, tuple[str, str, tuple[str, ...], float]]]] = {
    "relu_jacobian": (
        "with diag",
        {
            "only the diagonal": ("np.diag(1.0 * (x > 0))", "1.0 * (x > 0)", ("diagonal-only",), 0),
            "inverted": ("x > 0", "x < 0", ("relu-mask",), 0),
            "the output": ("1.0 * (x > 0)", "x * (x > 0)", ("output-for-slope",), 0),
            "the identity": ("(x > 0)", "(x == x)", ("relu-mask",), 0),
            "the sign": ("1.0 * (x > 0)", "np.sign(x)", ("absolute",), 0),
            "no return": ("return", "", ("returned-none",), 0),
            "a loose threshold": ("x > 0", "x > 1.05", (), 0),
        },
    ),
    "relu_backward": (
        "with a mask",
        {
            "mask of dz": ("x > 0", "dz > 0", ("relu-mask",), 0),
            "no mask": ("* (x > 0)", "", ("relu-mask",), 0),
            "inverted": ("x > 0", "x < 0", ("relu-mask",), 0),
            "upstream ignored": ("dz * (x > 0)", "1.0 * (x > 0)", ("upstream-ignored",), 0),
            "the output": ("(x > 0)", "np.maximum(0, x)", ("output-for-slope",), 0),
            "an array like x": (
                "return dz * (x > 0)",
                "dx = np.zeros_like(x); dx[x > 0] = dz[x > 0]; return dx",
                ("integer-input",),
                5,
            ),
            "sign": ("dz *", "-dz *", ("sign",), 0),
            "of vectors alone": ("dz * (x > 0)", "(dz * (x > 0)).ravel()", ("wrong-shape",), 3),
        },
    ),
    "jacobian_bytes": (
        "product",
        {
            "entries": (" * itemsize", "", ("entries-not-bytes",), 0),
            "one N": ("N * M * N", "N * M", ("one-example",), 0),
            "4 always": ("* itemsize", "* 4", ("itemsize-ignored",), 0),
            "dY/dW": ("N * M * N * D", "N * M * D * M", ("with-respect-to-W",), 0),
            "in GiB": ("itemsize\n", "itemsize / 2**30\n", ("not-bytes",), 0),
            "one byte more": ("return ", "return 1 + ", (), 0),
        },
    ),
    "matmul_jacobian_x": (
        "einsum",
        {
            "other examples": ("np.eye(len(X))", "np.ones((len(X), len(X)))", ("other-rows",), 4),
            "axes": ("nmid", "idnm", ("axes",), 0),
            "X in it": (
                "np.einsum('ni,dm->nmid', np.eye(len(X)), W)",
                "np.einsum('ni,id,dm->nmid', np.eye(len(X)), X, W)",
                ("term-for-slope",),
                0,
            ),
            "flat": ("np.einsum('ni,dm->nmid', np.eye(len(X)), W)", "np.kron(np.eye(len(X)), W.T)", ("flattened",), 0),
            "ones": ("np.eye(len(X)), W)", "np.eye(len(X)), W**0)", ("ones",), 0),
            "sign": ("np.eye(", "-np.eye(", ("sign",), 0),
        },
    ),
    "matmul_forward": (
        "dot",
        {
            "transposed": ("X.dot(W)", "X.dot(W).T", ("transposed",), 0),
            "averaged": ("X.dot(W)", "X.dot(W) / len(W)", ("averaged",), 0),
            "last term missing": ("X.dot(W)", "X[:, :-1].dot(W[:-1])", ("term-missing",), 0),
            "overwritten": ("X.dot(W)", "np.outer(X[:, -1], W[-1])", ("overwritten",), 0),
            "relu": ("X.dot(W)", "np.maximum(0, X.dot(W))", ("rectified",), 0),
            "not a number": ("X.dot(W)", "'cat'", ("not-a-number",), 0),
        },
    ),
    "matmul_backward": (
        "in two products",
        {
            "swapped": ("dY @ W.T, X.T @ dY", "X.T @ dY, dY @ W.T", ("swapped",), 0),
            "dW transposed": ("X.T @ dY", "dY.T @ X", ("transposed",), 7),
            "averaged": ("X.T @ dY", "X.T @ dY / len(X)", ("scale",), 7),
            "upstream ignored": ("X.T @ dY", "X.T @ np.ones_like(dY)", ("upstream-ignored",), 7),
            "output for upstream": ("return ", "dY = X @ W; return ", ("output-for-upstream",), 0),
            "sign": ("dY @ W.T", "-dY @ W.T", ("sign",), 7),
            "overwritten": ("X.T @ dY", "np.outer(X[-1], dY[-1])", ("batch-not-summed",), 7),
            "only one": (", X.T @ dY", "", ("wrong-number-of-values",), 0),
            "W not transposed": ("W.T", "W", ("error",), 0),
        },
    ),
    "affine_forward": (
        "reshape",
        {
            "no cache": (", (x, w, b)\n", "\n", ("wrong-number-of-values",), 0),
            "no return": ("return", "", ("returned-none",), 0),
            "no bias": (" + b,", ",", ("bias-missing",), 0),
            "bias twice": ("+ b,", "+ b + b,", ("bias-twice",), 0),
            "bias subtracted": ("+ b,", "- b,", ("bias-sign",), 0),
            "all of the bias": ("+ b,", "+ b.sum(),", ("bias-number",), 0),
            "transposed": ("x.reshape(len(x), -1) @ w + b", "(x.reshape(len(x), -1) @ w + b).T", ("transposed",), 0),
            "no rows": ("x.reshape(len(x), -1)", "x", ("error",), 4),
            "another order": ("x.reshape(len(x), -1)", "x.T.reshape(-1, len(x)).T", ("reshape-order",), 4),
        },
    ),
    "affine_backward": (
        "as in CS231n",
        {
            "dx in rows": (".reshape(x.shape)\n", "\n", ("wrong-shape",), 9),
            "db over the outputs": ("axis=0", "axis=1", ("wrong-shape",), 10),
            "db averaged": ("np.sum(dout", "np.mean(dout", ("scale",), 10),
            "db as a row": ("axis=0", "axis=0, keepdims=True", ("wrong-shape",), 10),
            "db not summed": ("np.sum(dout, axis=0)", "dout", ("batch-not-summed",), 10),
            "dw transposed": (".T.dot(dout)", ".T.dot(dout).T", ("transposed",), 9),
            "dw averaged": (".T.dot(dout)", ".T.dot(dout) / len(x)", ("scale",), 9),
            "b for db": ("np.sum(dout, axis=0)", "b", ("bias-for-gradient",), 10),
            "upstream ignored": (
                "x, w, b = cache",
                "x, w, b = cache; dout = 0 * dout + 1",
                ("upstream-ignored",) * 3,
                0,
            ),
            "no return": ("return dx, dw, db", "", ("returned-none",), 0),
        },
    ),
    "linear_backward_row": (
        "outer",
        {
            "transposed": ("np.outer(x_in, g_out)", "np.outer(g_out, x_in)", ("transposed",), 5),
            "upstream ignored": ("g_out @ W", "W.sum(0)", ("upstream-ignored",), 5),
            "swapped": ("g_out @ W, np.outer(x_in, g_out)", "np.outer(x_in, g_out), g_out @ W", ("swapped",), 0),
            "a row": ("g_out @ W", "g_out[None] @ W", ("wrong-shape",), 5),
            "g_in for x_in": ("np.outer(x_in", "np.outer(g_out @ W", ("gradient-for-input",), 5),
            "the output": ("return ", "g_out = W @ x_in; return ", ("output-for-upstream",), 0),
        },
    ),
    "unbroadcast": (
        "axis by axis",
        {
            "mean": (".sum(", ".mean(", ("mean-for-sum",), 0),
            "front only": ("n == 1", "False", ("front-only",), 4),
            "stretched only": ("grad.ndim > len(shape)", "False", ("wrong-shape",), 4),
            "no keepdims": (", keepdims=True", "", ("error",), 4),
            "largest": (".sum(", ".max(", ("maximum",), 0),
            "unchanged": ("    while", "    return grad\n    while", ("not-summed",), 0),
        },
    ),
    "chain_flops": (
        "by formula",
        {
            "exchanged": ('"reverse"', '"forward"', ("modes-exchanged",), 0),
            "last product missing": (" + dims[-1]", "", ("last-product-missing",), 4),
            "vector for matrix": ("dims[0] * (", "(", ("vector-for-matrix",), 4),
            "mode ignored": ('mode == "reverse"', "True", ("mode-ignored",), 4),
            "always forward": ('mode == "reverse"', "False", ("matrix-for-vector",), 4),
            "one too many": ("return dims[0]", "return 1 + dims[0]", (), 4),
        },
    ),
}
VARIANTS = [(name, story) for name, (_, stories) in WRONG.items() for story in stories]


@pytest.mark.parametrize(("name", "story"), VARIANTS)
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(name: str, story: str) -> None:
    base, stories = WRONG[name]
    old, new, expected, score = stories[story]
    source = RIGHT[name][base] + "\n"
    assert old in source, f"{name}, {story}: {old!r} is not in the solution any more"
    for student in FEW:
        report = graded(name, source.replace(old, new), student)
        assert report.score < report.points, f"{student}: this earned every point"
        assert not report.passed
        codes = tuple(finding.code for finding in report.findings)
        assert codes == expected, f"{student}\n{report.text()}"
        assert report.score == score, f"{student}\n{report.text()}"


# -- what is known of mistakes -------------------------------------------------------------------


def codes_in(made: Case) -> Iterable[str]:
    return [code for step in made.steps for item in step.expected for code in item.mistakes]


BANK = [
    (name, code)
    for name in ASSIGNMENT.described
    for code in {c: None for made in exercise(name, FEW[0]).cases for c in codes_in(made)}
]


def test_each_exercise_knows_mistakes_and_each_of_them_shows() -> None:
    known = {name: {code for one, code in BANK if one == name} for name in ASSIGNMENT.described}
    assert min(len(codes) for codes in known.values()) >= 8
    for name, described in ASSIGNMENT.described.items():
        assert known[name] == {mistake.code for mistake in described.mistakes}, name


@pytest.mark.parametrize(("name", "code"), BANK)
def test_every_known_mistake_is_rejected_and_named(name: str, code: str) -> None:
    for student in FEW:
        report = answers(name, student, lambda item: item.mistakes.get(code, item.value))
        assert report.score < report.points, f"{student}: this earned every point"
        assert [finding.code for finding in report.findings] == [code.partition("/")[0]], student


@pytest.mark.parametrize(("name", "code"), BANK)
def test_what_is_only_nearly_a_known_mistake_is_not_called_by_its_name(name: str, code: str) -> None:
    """A twentieth of a percent off: rejected all the same, and nobody is told what they did not do."""

    def nearly(item: Expected) -> Any:
        value = np.asarray(item.mistakes.get(code, item.value), dtype=float)
        return value + 5e-4 * max(float(np.max(np.abs(value))), float(np.max(np.abs(item.value))))

    for student in FEW:
        report = answers(name, student, nearly)
        assert report.score < report.points
        found = {finding.code for finding in report.findings}
        assert found <= {"wrong-shape", "transposed"}, student


@pytest.mark.parametrize("name", ASSIGNMENT.described)
def test_what_is_slightly_wrong_is_rejected_and_nothing_is_said_of_why(name: str) -> None:
    for student, seed in itertools.product(FEW, range(3)):
        rng = np.random.default_rng(seed)

        def off_in_one_entry(item: Expected, rng: np.random.Generator = rng) -> Any:
            value = np.array(item.value, dtype=float)
            value.flat[rng.integers(value.size)] += 0.01 * max(1e-3, float(np.max(np.abs(value))))
            return value

        for change in (off_in_one_entry, lambda item: 1.0005 * np.asarray(item.value)):
            report = answers(name, student, change)
            assert report.score < report.points, f"{student}, seed {seed}"
            assert report.findings == (), f"{student}, seed {seed}\n{report.text()}"


def test_what_is_right_but_for_rounding_is_right() -> None:
    for name, student in itertools.product(ASSIGNMENT.described, FEW):
        by = 1e-16 if name in COUNTS else 1e-7
        assert answers(name, student, lambda item, by=by: np.asarray(item.value) * (1 + by)).passed, (name, student)


# -- what the curriculum asks for ----------------------------------------------------------------


def test_either_slope_is_right_at_a_kink_because_no_case_is_near_one() -> None:
    for student, (name, where) in itertools.product(MANY, (("relu_jacobian", 0), ("relu_backward", 1))):
        for made in exercise(name, student).cases:
            assert np.min(np.abs(made.steps[0].args[where])) > 0.01, f"{student}: {made.title}"


def test_the_lectures_numbers_are_what_is_expected_of_them() -> None:
    def expected(name: str) -> list[Any]:
        return [item.value for item in exercise(name, FEW[0]).cases[0].steps[0].expected]

    np.testing.assert_allclose(expected("relu_backward")[0], [4, 0, 5, 0])
    assert expected("jacobian_bytes") == [256 * 2**30]
    np.testing.assert_allclose(expected("matmul_forward")[0], [[-1, -1, 2, 6], [5, 2, 11, 7]])
    dX, dW = expected("matmul_backward")
    np.testing.assert_allclose(dX, [[0, 16, -9], [-24, 9, -30]])
    np.testing.assert_allclose(dW, [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]])


# -- the notebooks -------------------------------------------------------------------------------
