"""The grader is right about students: `linear_classifiers`, exercise by exercise.

Whoever is right gets every point, however it is written.  Whoever is wrong loses some, and
is told why only where that is certain: the codes in `WRONG` are all that is found.

Cases are drawn for the students named in each message, so that a failure can be repeated.
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

from coursekit import check_gradient
from coursekit.checks.cases import Case, Expected

ASSESSED = Assessed("linear_classifiers")
ASSIGNMENT, FOLDER = ASSESSED.assignment, ASSESSED.folder
exercise, graded, answers = ASSESSED.exercise, ASSESSED.graded, ASSESSED.answers
MANY = [f"student-{i}" for i in range(20)]
FEW = MANY[:5]


# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "numerical_gradient": {
        "with nditer, in place": """
            def numerical_gradient(f, x, h=1e-5):
                grad = np.zeros_like(x)
                it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
                while not it.finished:
                    ix = it.multi_index
                    oldval = x[ix]
                    x[ix] = oldval + h
                    fxph = f(x)
                    x[ix] = oldval - h
                    fxmh = f(x)
                    x[ix] = oldval
                    grad[ix] = (fxph - fxmh) / (2 * h)
                    it.iternext()
                return grad
        """,
        "flat, with unit vectors": """
            def numerical_gradient(f, x, h=1e-5):
                directions = np.eye(x.size).reshape((x.size,) + x.shape)
                slopes = [(f(x + h * e) - f(x - h * e)) / h / 2 for e in directions]
                return np.array(slopes).reshape(x.shape)
        """,
        "up, down and up again": """
            def numerical_gradient(f, x, h=1e-5):
                grad = np.empty(x.shape)
                for i in range(x.size):
                    x.flat[i] += h
                    up = f(x)
                    x.flat[i] -= 2 * h
                    down = f(x)
                    x.flat[i] += h
                    grad.flat[i] = 0.5 * (up - down) / h
                return grad
        """,
        "with a list of lists": """
            def numerical_gradient(f, x, h=1e-5):
                def slope(index):
                    above, below = np.copy(x), np.copy(x)
                    above[index] += h
                    below[index] -= h
                    return (f(above) - f(below)) / (2.0 * h)
                if x.ndim == 0:
                    return slope(())
                if x.ndim == 2:
                    return [[slope((i, j)) for j in range(x.shape[1])] for i in range(x.shape[0])]
                return np.reshape([slope(i) for i in np.ndindex(*x.shape)], x.shape)
        """,
    },
    "relative_error": {
        "in one line": """
            def relative_error(a, b):
                return np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))
        """,
        "with a loop": """
            def relative_error(a, b):
                worst = 0
                for p, q in zip(np.ravel(a), np.ravel(b)):
                    worst = max(worst, abs(p - q) / max(1e-8, abs(p) + abs(q)))
                return worst
        """,
        "with where, as a one-element array": """
            def relative_error(a, b):
                size = abs(a) + abs(b)
                size = np.where(size < 1e-8, 1e-8, size)
                return np.array([np.amax(abs(b - a) / size)])
        """,
    },
    "svm_loss_naive": {
        "as in CS231n": """
            def svm_loss_naive(W, X, y, reg):
                dW = np.zeros(W.shape)
                num_classes = W.shape[1]
                num_train = X.shape[0]
                loss = 0.0
                for i in range(num_train):
                    scores = X[i].dot(W)
                    correct_class_score = scores[y[i]]
                    for j in range(num_classes):
                        if j == y[i]:
                            continue
                        margin = scores[j] - correct_class_score + 1
                        if margin > 0:
                            loss += margin
                            dW[:, j] += X[i]
                            dW[:, y[i]] -= X[i]
                loss /= num_train
                dW /= num_train
                loss += reg * np.sum(W * W)
                dW += 2 * reg * W
                return loss, dW
        """,
        "four loops and nothing of NumPy's": """
            def svm_loss_naive(W, X, y, reg):
                N, D, C = len(X), len(W), len(W[0])
                loss, dW = 0, [[0] * C for _ in range(D)]
                for x, t in zip(X, y):
                    s = [sum(x[d] * W[d][c] for d in range(D)) for c in range(C)]
                    for c in range(C):
                        if c != t and s[c] - s[t] + 1 >= 0:
                            loss += (s[c] - s[t] + 1) / N
                            for d in range(D):
                                dW[d][c] += x[d] / N
                                dW[d][t] -= x[d] / N
                for d in range(D):
                    for c in range(C):
                        loss += reg * W[d][c] ** 2
                        dW[d][c] += 2 * reg * W[d][c]
                return [loss, dW]
        """,
        "the correct class counted and taken off again": """
            def svm_loss_naive(W, X, y, reg):
                total, dW = np.zeros(1), np.matrix(np.zeros_like(W))
                for i, x in enumerate(X):
                    margins = x @ W - (x @ W)[y[i]] + 1.0
                    active = (margins > 0).astype(int)
                    total += np.maximum(margins, 0).sum() - 1
                    active[y[i]] -= active.sum()
                    dW += np.outer(x, active) / len(X)
                return total / len(X) + reg * np.linalg.norm(W) ** 2, dW + reg * W + reg * W
        """,
        "with the regulariser inside the average": """
            def svm_loss_naive(W, X, y, reg):
                loss, grads = 0.0, []
                for x, label in zip(X, y):
                    s = W.T.dot(x)
                    h = np.where(np.arange(len(s)) == label, 0, np.clip(s - s[label] + 1, 0, None))
                    g = np.sign(h)
                    g[label] = -g.sum()
                    loss += h.sum() + reg * np.sum(np.square(W))
                    grads.append(np.outer(x, g) + reg * 2 * W)
                return np.array(loss / len(X)), np.mean(grads, axis=0)
        """,
    },
    "svm_loss_vectorized": {
        "with a mask": """
            def svm_loss_vectorized(W, X, y, reg):
                N = X.shape[0]
                scores = X.dot(W)
                correct = scores[np.arange(N), y].reshape(N, 1)
                margins = np.maximum(0, scores - correct + 1)
                margins[np.arange(N), y] = 0
                loss = np.sum(margins) / N + reg * np.sum(W * W)
                mask = (margins > 0).astype(float)
                mask[np.arange(N), y] = -np.sum(mask, axis=1)
                dW = X.T.dot(mask) / N + 2 * reg * W
                return loss, dW
        """,
        "with einsum and one-hot rows": """
            def svm_loss_vectorized(W, X, y, reg):
                onehot = np.eye(W.shape[1])[y]
                s = np.einsum("nd,dc->nc", X, W)
                m = s - np.einsum("nc,nc->n", s, onehot)[:, None] + 1 - onehot
                g = (m > 0) * (1 - onehot)
                g -= onehot * g.sum(1, keepdims=True)
                data = np.maximum(m, 0).mean() * m.shape[1]
                return data + reg * (W**2).sum(), np.einsum("nd,nc->dc", X, g) / len(y) + 2 * reg * W
        """,
        "class by class": """
            def svm_loss_vectorized(W, X, y, reg):
                N, C = len(X), W.shape[1]
                S = np.dot(X, W)
                right = np.choose(y, S.T)
                loss, dS = reg * np.sum(W * W), np.zeros(S.shape)
                for c in range(C):
                    margin = np.where(y != c, np.maximum(S[:, c] - right + 1, 0), 0)
                    loss += margin.sum() / N
                    dS[:, c] += margin > 0
                    dS[range(N), y] -= margin > 0
                return loss, 2 * reg * W + X.T @ dS / N
        """,
        "with helpers": """
            def hinges(S, y):
                H = np.maximum(S - np.take_along_axis(S, y[:, None], axis=1) + 1, 0)
                np.put_along_axis(H, y[:, None], 0, axis=1)
                return H

            def penalty(W, reg):
                return reg * np.vdot(W, W), 2 * reg * W

            def svm_loss_vectorized(W, X, y, reg):
                H = hinges(X @ W, y)
                dS = np.asarray(H > 0, dtype=float)
                np.add.at(dS, (np.arange(len(y)), y), -dS.sum(axis=1))
                loss, dW = penalty(W, reg)
                return np.float64(H.sum() / len(y) + loss), np.asmatrix(X).T @ dS / len(y) + dW
        """,
    },
    "softmax_loss_naive": {
        "with probabilities": """
            def softmax_loss_naive(W, X, y, reg):
                loss = 0.0
                dW = np.zeros_like(W)
                N, C = X.shape[0], W.shape[1]
                for i in range(N):
                    scores = X[i].dot(W)
                    scores -= np.max(scores)
                    p = np.exp(scores) / np.sum(np.exp(scores))
                    loss += -np.log(p[y[i]])
                    for j in range(C):
                        dW[:, j] += (p[j] - (j == y[i])) * X[i]
                loss = loss / N + reg * np.sum(W * W)
                dW = dW / N + 2 * reg * W
                return loss, dW
        """,
        "with logaddexp": """
            def softmax_loss_naive(W, X, y, reg):
                N = len(y)
                loss, dW = reg * np.sum(W ** 2), 2 * reg * W
                for x, label in zip(X, y):
                    s = x @ W
                    total = np.logaddexp.reduce(s)
                    loss += (total - s[label]) / N
                    dW += np.outer(x, np.exp(s - total)) / N
                    dW[:, label] -= x / N
                return loss, dW
        """,
        "with lists and the shift by another constant": """
            def softmax_loss_naive(W, X, y, reg):
                losses, dW = [], np.zeros(W.shape)
                for i in range(X.shape[0]):
                    logits = [float(X[i] @ W[:, c]) for c in range(W.shape[1])]
                    top = max(logits) - 1
                    weights = [np.exp(s - top) for s in logits]
                    losses.append(np.log(sum(weights)) - (logits[y[i]] - top))
                    for c, w in enumerate(weights):
                        dW[:, c] += X[i] * (w / sum(weights) - (1 if c == y[i] else 0))
                return np.array([[np.mean(losses)]]) + reg * np.sum(W * W), dW / len(losses) + 2 * reg * W
        """,
    },
    "softmax_loss_vectorized": {
        "with log-sum-exp": """
            def softmax_loss_vectorized(W, X, y, reg):
                N = X.shape[0]
                S = X @ W
                S -= S.max(axis=1, keepdims=True)
                logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
                loss = -logp[np.arange(N), y].mean() + reg * np.sum(W * W)
                dS = np.exp(logp)
                dS[np.arange(N), y] -= 1
                return loss, X.T @ dS / N + 2 * reg * W
        """,
        "with probabilities and column-wise": """
            def softmax_loss_vectorized(W, X, y, reg):
                scores = np.dot(W.T, X.T)
                scores = scores - np.max(scores, axis=0)
                e = np.exp(scores)
                p = e / np.sum(e, axis=0)
                N = p.shape[1]
                loss = np.sum(-np.log(p[y, np.arange(N)])) / N
                p[y, np.arange(N)] -= 1
                dW = np.dot(p, X).T / N
                loss += reg * np.sum(W * W)
                dW += 2 * reg * W
                return (loss, dW)
        """,
        "with one-hot rows by comparison": """
            def softmax(S):
                E = np.exp(S - S.max(1).reshape(-1, 1))
                return E / E.sum(1).reshape(-1, 1)

            def softmax_loss_vectorized(W, X, y, reg):
                onehot = (y[:, None] == np.arange(W.shape[1])).astype(float)
                P = softmax(X.dot(W))
                data = -np.log((P * onehot).sum(axis=1)).sum() / y.size
                return data + reg * np.sum(W * W), np.tensordot(X, P - onehot, (0, 0)) / y.size + 2 * reg * W
        """,
    },
    "step_decay": {
        "with bisect": """
            import bisect
            def step_decay(t, lr0, milestones, factor=0.1):
                return lr0 * factor ** bisect.bisect_right(sorted(milestones), t)
        """,
        "with a loop": """
            def step_decay(t, lr0, milestones, factor=0.1):
                lr = lr0
                for m in milestones:
                    if t >= m:
                        lr *= factor
                return lr
        """,
        "with arrays": """
            def step_decay(t, lr0, milestones, factor=0.1):
                return np.prod(np.where(t >= np.array(milestones), factor, 1.0), initial=lr0)
        """,
    },
    "cosine_decay": {
        "with math": """
            import math
            def cosine_decay(t, T, lr0):
                return lr0 / 2 + lr0 / 2 * math.cos(t * math.pi / T)
        """,
        "half the angle": """
            def cosine_decay(t, T, lr0):
                return lr0 * np.cos(np.pi * t / (2 * T)) ** 2
        """,
        "as an array": """
            def cosine_decay(t, T, lr0):
                return np.array([0.5 * lr0 * (1 + np.cos(np.linspace(0, np.pi, T + 1)[t]))])
        """,
    },
    "linear_decay": {
        "what is left": "def linear_decay(t, T, lr0): return lr0 * (T - t) / T",
        "what is gone": "def linear_decay(t, T, lr0): return lr0 - lr0 / T * t",
        "interpolated": "def linear_decay(t, T, lr0): return np.interp(t, [0, T], [lr0, 0])",
    },
    "inverse_sqrt_decay": {
        "a power": "def inverse_sqrt_decay(t, lr0): return lr0 * t ** -0.5",
        "math": "import math\ndef inverse_sqrt_decay(t, lr0): return lr0 / math.sqrt(t)",
        "an array": "def inverse_sqrt_decay(t, lr0): return np.divide(lr0, np.sqrt([t]))",
    },
    "train": {
        "in place": """
            def train(X, y, num_classes, loss_function, lr, reg, batch_size, num_iters, rng):
                num_train, dim = X.shape
                W = 0.001 * rng.normal(size=(dim, num_classes))
                loss_history = []
                for it in range(num_iters):
                    idx = rng.choice(num_train, batch_size, replace=True)
                    X_batch = X[idx]
                    y_batch = y[idx]
                    loss, grad = loss_function(W, X_batch, y_batch, reg)
                    loss_history.append(loss)
                    W -= lr * grad
                return W, loss_history
        """,
        "without replacement where that can be": """
            def train(X, y, num_classes, loss_function, lr, reg, batch_size, num_iters, rng):
                W = rng.standard_normal((X.shape[1], num_classes)) * 1e-3
                history = np.zeros(num_iters)
                for i in range(num_iters):
                    rows = rng.choice(len(X), size=batch_size, replace=batch_size > len(X))
                    history[i], dW = loss_function(W, X_batch := X.take(rows, axis=0), y.take(rows), reg=reg)
                    W = W + (-lr) * dW
                return (W, history)
        """,
        "keywords, and a call for each result": """
            def train(X, y, num_classes, loss_function, lr, reg, batch_size, num_iters, rng):
                W = np.asmatrix(rng.normal(0, 0.001, (X.shape[1], num_classes)))
                history = []
                while len(history) < num_iters:
                    rows = (rng.random(batch_size) * len(X)).astype(int)
                    batch = {"X": X[rows, :], "y": y[rows], "reg": reg}
                    history += [loss_function(W=W, **batch)[0]]
                    W = W - lr * loss_function(W=W, **batch)[1]
                return [W, tuple(history)]
        """,
        "shuffled, and starting over": """
            def train(X, y, num_classes, loss_function, lr, reg, batch_size, num_iters, rng):
                N, D = X.shape
                W = 0.001 * rng.standard_normal(size=(D, num_classes))
                waiting, history = [], []
                for _ in range(num_iters):
                    while len(waiting) < batch_size:
                        waiting = waiting + list(rng.permutation(N))
                    batch, waiting = waiting[:batch_size], waiting[batch_size:]
                    loss, dW = loss_function(W, X[batch], y[batch], reg)
                    history.append([float(loss)])
                    W = np.subtract(W, np.multiply(lr, dW))
                return W, history
        """,
    },
    "predict": {
        "argmax": "def predict(W, X): return (X @ W).argmax(1)",
        "a loop": "def predict(W, X): return [int(np.argmax(x @ W)) for x in X]",
        "the transpose": "def predict(W, X): return np.argmax(W.T.dot(X.T), axis=0)",
        "sorted": "def predict(W, X): return np.argsort(np.dot(X, W), axis=1)[:, -1].astype(float)",
        "filled in": """
            def predict(W, X):
                labels = np.zeros(X.shape[0])
                for i, scores in enumerate(np.einsum("nd,dc->nc", X, W)):
                    labels[i] = list(scores).index(max(scores))
                return labels
        """,
    },
}
RIGHT = {name: {title: textwrap.dedent(source) for title, source in ways.items()} for name, ways in WRITTEN.items()}


def instructors_cells() -> dict[str, str]:
    nb = nbformat.read(FOLDER / "linear_classifiers.ipynb", as_version=4)
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

Edits = tuple[tuple[str, str], ...]

# By exercise: which of the solutions above is changed, and by story how, and the codes of all that is found.
# "error" is the student's own exception, with the line; nothing at all is found where nothing is certain.
WRONG: dict[str, tuple[str, dict[str, tuple[Edits, tuple[str, ...]]]]] = {
    "numerical_gradient": (
        "with nditer, in place",
        {
            "one-sided": ((("= oldval - h", "= oldval"), ("/ (2 * h)", "/ h")), ("one-sided",)),
            "one-sided, backward": ((("= oldval + h", "= oldval"), ("/ (2 * h)", "/ h")), ("one-sided",)),
            "divided by h": ((("/ (2 * h)", "/ h"),), ("scale",)),
            "/ 2 * h": ((("/ (2 * h)", "/ 2 * h"),), ("precedence",)),
            "a step of its own": ((("np.zeros_like(x)", "np.zeros_like(x); h = 1e-5"),), ("h-ignored",)),
            "sign": ((("fxph - fxmh", "fxmh - fxph"),), ("sign",)),
            "x not put back": ((("x[ix] = oldval\n", "pass\n"),), ("input-modified",)),
            "all entries at once": (
                (("x[ix]", "x[...]"), ("oldval = x[...]", "oldval = x.copy()")),
                ("all-at-once",),
            ),
            "no return": ((("return grad", "grad"),), ("returned-none",)),
            "whole numbers": ((("np.zeros_like(x)", "np.zeros(x.shape, dtype=int)"),), ()),
            "only the first entry": ((("it.iternext()", "return grad"),), ()),
            "flattened": ((("return grad", "return grad.ravel()"),), ("wrong-shape",)),
        },
    ),
    "relative_error": (
        "in one line",
        {
            "mean": ((("np.max(", "np.mean("),), ("mean-for-max",)),
            "sum": ((("np.max(", "np.sum("),), ("sum-for-max",)),
            "absolute": ((("/ np.maximum(1e-8, np.abs(a) + np.abs(b))", ""),), ("not-relative",)),
            "the larger one in the denominator": (
                (("np.abs(a) + np.abs(b)", "np.maximum(np.abs(a), np.abs(b))"),),
                ("max-in-denominator",),
            ),
            "no absolute values below": ((("np.abs(a) + np.abs(b)", "np.abs(a + b)"),), ("sign-in-denominator",)),
            "no absolute value above": ((("np.abs(a - b)", "(a - b)"),), ()),
            "1e-8 added": (
                (("np.maximum(1e-8, np.abs(a) + np.abs(b))", "(1e-8 + np.abs(a) + np.abs(b))"),),
                ("floor-added",),
            ),
            "norms": (
                (
                    (
                        "np.max(np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b)))",
                        "np.linalg.norm(a - b) / max(1e-8, np.linalg.norm(a) + np.linalg.norm(b))",
                    ),
                ),
                ("ratio-of-norms",),
            ),
            "no floor": ((("np.maximum(1e-8, np.abs(a) + np.abs(b))", "(np.abs(a) + np.abs(b))"),), ("not-finite",)),
            "entry by entry": ((("np.max(", "("),), ("wrong-shape",)),
            "minimum for maximum": ((("np.maximum", "np.minimum"),), ("not-finite",)),
        },
    ),
    "svm_loss_naive": (
        "as in CS231n",
        {
            "gradient not averaged": ((("dW /= num_train", ""),), ("scale",)),
            "nothing averaged": ((("loss /= num_train", ""), ("dW /= num_train", "")), ("scale",)),
            "averaged twice": ((("dW /= num_train", "dW /= num_train**2"),), ("averaged-twice",)),
            "averaged in the loop": (
                (("    loss /= num_train\n    dW /=", "        loss /= num_train\n        dW /="),),
                ("averaged-in-loop",),
            ),
            "averaged over classes too": ((("loss /= num_train", "loss /= num_train * num_classes"),), ()),
            "half the regulariser": (
                (("reg * np.sum", "0.5 * reg * np.sum"), ("2 * reg * W", "reg * W")),
                ("regularizer-half",),
            ),
            "reg * W in the gradient": ((("2 * reg * W", "reg * W"),), ("regularizer-half",)),
            "no regulariser in the gradient": ((("dW += 2 * reg * W", ""),), ("regularizer-missing",)),
            "no regulariser in the loss": ((("loss += reg * np.sum(W * W)", ""),), ("regularizer-missing",)),
            "no regulariser": (
                (("loss += reg * np.sum(W * W)", ""), ("dW += 2 * reg * W", "")),
                ("regularizer-missing",),
            ),
            "reg forgotten": ((("reg * np.sum", "np.sum"), ("2 * reg * W", "2 * W")), ("reg-ignored",)),
            "reg forgotten in the gradient": ((("2 * reg * W", "2 * W"),), ("reg-ignored",)),
            "|W|": ((("2 * reg * W", "2 * reg * np.abs(W)"),), ("regularizer-absolute",)),
            "double regulariser": ((("2 * reg * W", "4 * reg * W"),), ("regularizer-double",)),
            "regulariser averaged": (
                (
                    ("loss /= num_train", "loss += reg * np.sum(W * W); loss /= num_train"),
                    ("loss += reg * np.sum(W * W)\n", "\n"),
                ),
                ("regularizer-averaged",),
            ),
            "regulariser for each example": ((("reg * np.sum", "num_train * reg * np.sum"),), ("regularizer-in-loop",)),
            "/= N + reg": (
                (
                    ("loss /= num_train", "loss /= num_train + reg * np.sum(W * W)"),
                    ("loss += reg * np.sum(W * W)", ""),
                    ("dW /= num_train", "dW /= num_train + 2 * reg * W"),
                    ("dW += 2 * reg * W", ""),
                ),
                ("precedence",),
            ),
            "a sum of W": ((("np.sum(W * W)", "np.sum(W)"),), ()),
            "gradient left zero": (
                (("dW[:, j] += X[i]", "pass"), ("dW[:, y[i]] -= X[i]", ""), ("dW += 2 * reg * W", "")),
                ("gradient-zero",),
            ),
            "gradient of the regulariser alone": (
                (("dW[:, j] += X[i]", "pass"), ("dW[:, y[i]] -= X[i]", "")),
                ("gradient-zero",),
            ),
            "correct class counted": ((("continue", "pass"),), ("correct-class-counted",)),
            "correct class not in the gradient": ((("dW[:, y[i]] -= X[i]", ""),), ("correct-class-missing",)),
            "correct class once": (
                (("dW[:, y[i]] -= X[i]", ""), ("scores = X[i].dot(W)", "scores = X[i].dot(W); dW[:, y[i]] -= X[i]")),
                ("correct-class-once",),
            ),
            "only the correct class in the gradient": ((("dW[:, j] += X[i]", ""),), ()),
            "no margin": ((("correct_class_score + 1", "correct_class_score"),), ("margin-missing",)),
            "a margin of 10": ((("correct_class_score + 1", "correct_class_score + 10"),), ()),
            "no maximum": ((("if margin > 0:", "if True:"),), ("hinge-missing",)),
            "margin > 1": ((("if margin > 0:", "if margin > 1:"),), ("margin-missing",)),
            "plus the correct score": ((("- correct_class_score", "+ correct_class_score"),), ("margin-sum",)),
            "margin reversed": (
                (
                    ("scores[j] - correct_class_score + 1", "correct_class_score - scores[j] + 1"),
                    ("+= X[i]", "-=  X[i]"),
                    ("-= X[i]", "+= X[i]"),
                ),
                ("margin-reversed",),
            ),
            "margin reversed in the loss only": (
                (("scores[j] - correct_class_score + 1", "correct_class_score - scores[j] + 1"),),
                ("margin-reversed",),
            ),
            "squared hinge": (
                (
                    ("loss += margin", "loss += margin**2"),
                    ("+= X[i]", "+= 2 * margin * X[i]"),
                    ("-= X[i]", "-= 2 * margin * X[i]"),
                ),
                ("hinge-squared",),
            ),
            "margin in the gradient": (
                (("+= X[i]", "+= margin * X[i]"), ("-= X[i]", "-= margin * X[i]")),
                ("margin-in-gradient",),
            ),
            "sign": ((("return loss, dW", "return loss, -dW"),), ("sign",)),
            "sign of the data's gradient": ((("+= X[i]", "-=  X[i]"), ("-= X[i]", "+= X[i]")), ("sign",)),
            "sign of the loss": ((("loss += margin", "loss -= margin"),), ("sign",)),
            "labels off by one": (
                (("for i in range", "y = y - 1\n    y[y < 0] += num_classes\n    for i in range"),),
                ("label-shift",),
            ),
            "y[j] for y[i]": (
                (
                    ("scores[y[i]]", "scores[y[j]]"),
                    ("for j in", "j = 1\n        for j in"),
                    ("correct_class_score = scores[y[j]]", "j = 1; correct_class_score = scores[y[j]]"),
                ),
                ("error",),
            ),
            "the last example left out": ((("range(num_train)", "range(num_train - 1)"),), ()),
            "returns after the first example": (
                (("dW[:, y[i]] -= X[i]\n", "dW[:, y[i]] -= X[i]\n        return loss, dW\n"),),
                (),
            ),
            "weights transposed": ((("X[i].dot(W)", "X[i].dot(W.T)"),), ("error",)),
            "gradient transposed": ((("return loss, dW", "return loss, dW.T"),), ("transposed",)),
            "gradient of whole numbers": ((("np.zeros(W.shape)", "np.zeros(W.shape, dtype=int)"),), ("error",)),
            "no return": ((("return loss, dW", "loss, dW"),), ("returned-none",)),
            "only the loss": ((("return loss, dW", "return loss"),), ("wrong-number-of-values",)),
            "an unknown name": ((("loss /= num_train", "loss /= N"),), ("error",)),
        },
    ),
    "svm_loss_vectorized": (
        "with a mask",
        {
            "mask not cleared": ((("margins[np.arange(N), y] = 0", ""),), ("correct-class-counted",)),
            "count off by one": ((("-np.sum(mask, axis=1)", "-np.sum(mask, axis=1) - 1"),), ("correct-class-counted",)),
            "no mask": ((("(margins > 0).astype(float)", "margins.copy()"),), ("margin-in-gradient",)),
            "no count": ((("-np.sum(mask, axis=1)", "-1"),), ("correct-class-once",)),
            "correct class not in the gradient": (
                (("mask[np.arange(N), y] = -np.sum(mask, axis=1)", ""),),
                ("correct-class-missing",),
            ),
            "count on the wrong side": ((("-np.sum(mask, axis=1)", "np.sum(mask, axis=1)"),), ()),
            "gradient not averaged": ((("X.T.dot(mask) / N", "X.T.dot(mask)"),), ("scale",)),
            "averaged over classes too": ((("np.sum(margins) / N", "np.mean(margins)"),), ()),
            "no maximum in the loss": (
                (("np.maximum(0, scores - correct + 1)", "scores - correct + 1"),),
                ("hinge-missing",),
            ),
            "no margin": ((("- correct + 1", "- correct"),), ("margin-missing",)),
            "plus the correct score": ((("scores - correct", "scores + correct"),), ("margin-sum",)),
            "(N,) against (N, C)": (((".reshape(N, 1)", ""),), ("error",)),
            "gradient transposed": (
                (("X.T.dot(mask)", "mask.T.dot(X)"), ("2 * reg * W", "2 * reg * W.T")),
                ("transposed",),
            ),
            "reg * W and no average": (
                (("X.T.dot(mask) / N + 2 * reg * W", "X.T.dot(mask) + reg * W"),),
                ("scale", "regularizer-half"),
            ),
            "different mistakes in the loss and in the gradient": (
                (("np.sum(margins) / N", "np.sum(margins)"), ("2 * reg * W", "reg * W")),
                ("scale", "regularizer-half"),
            ),
            "a loop over examples": (
                (
                    (
                        "mask[np.arange(N), y] = -np.sum(mask, axis=1)",
                        "\n    for i in range(N):\n        mask[i, y[i]] = -np.sum(mask[i])",
                    ),
                ),
                ("loops-over-examples",),
            ),
            "a loop over examples, and half the regulariser": (
                (
                    ("reg * np.sum(W * W)", "reg / 2 * sum(np.sum(w * w) for w in W)"),
                    ("N = X.shape[0]", "N = len([1 for x in X])"),
                ),
                ("regularizer-half", "loops-over-examples"),
            ),
        },
    ),
    "softmax_loss_naive": (
        "with probabilities",
        {
            "no shift": ((("scores -= np.max(scores)", ""),), ("unstable",)),
            "the maximum added": ((("scores -= np.max(scores)", "scores += np.max(scores)"),), ("unstable",)),
            "the mean for the maximum": ((("np.max(scores)", "np.mean(scores)"),), ("not-finite",)),
            "the minimum for the maximum": ((("np.max(scores)", "np.min(scores)"),), ("not-finite",)),
            "0 · log 0": ((("-np.log(p[y[i]])", "-np.sum(np.eye(C)[y[i]] * np.log(p))"),), ("log-of-zero",)),
            "half the regulariser": (
                (("reg * np.sum", "0.5 * reg * np.sum"), ("2 * reg * W", "reg * W")),
                ("regularizer-half",),
            ),
            "half the regulariser, and no shift": (
                (("reg * np.sum", "0.5 * reg * np.sum"), ("2 * reg * W", "reg * W"), ("scores -= np.max(scores)", "")),
                ("regularizer-half", "unstable"),
            ),
            "reg * W in the gradient": ((("2 * reg * W", "reg * W"),), ("regularizer-half",)),
            "no regulariser in the gradient": ((("+ 2 * reg * W", ""),), ("regularizer-missing",)),
            "reg forgotten": ((("reg * np.sum", "np.sum"), ("2 * reg * W", "2 * W")), ("reg-ignored",)),
            "gradient left zero": ((("dW / N + 2 * reg * W", "np.zeros_like(W)"),), ("gradient-zero",)),
            "gradient not averaged": ((("dW / N", "dW"),), ("scale",)),
            "nothing averaged": ((("dW / N", "dW"), ("loss / N", "loss")), ("scale",)),
            "averaged in the loop": (
                (
                    (
                        "dW[:, j] += (p[j] - (j == y[i])) * X[i]\n",
                        "dW[:, j] += (p[j] - (j == y[i])) * X[i]\n        loss /= N\n",
                    ),
                    ("loss / N", "loss"),
                ),
                ("averaged-in-loop",),
            ),
            "N + reg": ((("loss / N + reg * np.sum(W * W)", "loss / (N + reg * np.sum(W * W))"),), ("precedence",)),
            "one-hot not subtracted": (((" - (j == y[i])", ""),), ("correct-class-missing",)),
            "one-hot added": (((" - (j == y[i])", " + (j == y[i])"),), ()),
            "only the correct class in the gradient": ((("(p[j] - (j == y[i]))", "(p[j] - 1) * (j == y[i])"),), ()),
            "p of the correct class for all": ((("(p[j] -", "(p[y[i]] -"),), ("one-probability-for-all",)),
            "correct class not in the denominator": (
                (("/ np.sum(np.exp(scores))", "/ (np.sum(np.exp(scores)) - np.exp(scores[y[i]]))"),),
                ("correct-class-not-in-denominator", "correct-class-not-in-denominator"),
            ),
            "not normalised in the gradient": ((("(p[j] -", "(np.exp(scores[j]) -"),), ("not-normalised",)),
            "correct class not in the loss": (
                (("-np.log(p[y[i]])", "np.log(np.sum(np.exp(scores)))"),),
                ("correct-class-missing",),
            ),
            "no shift, and correct class not in the loss": (
                (("-np.log(p[y[i]])", "np.log(np.sum(np.exp(scores)))"), ("scores -= np.max(scores)", "")),
                ("correct-class-missing", "unstable"),
            ),
            "no logarithm": ((("-np.log(p[y[i]])", "-p[y[i]]"),), ()),
            "logarithm to base 10": ((("np.log(", "np.log10("),), ()),
            "sign of the loss": ((("loss += -np.log", "loss += np.log"),), ("sign",)),
            "sign of the gradient": ((("return loss, dW", "return loss, -dW"),), ("sign",)),
            "labels off by one": ((("p[y[i]]", "p[y[i] - 1]"), ("j == y[i]", "j == (y[i] - 1) % C")), ("label-shift",)),
            "y[j] for y[i]": ((("j == y[i]", "j == y[j]"),), ("error",)),
            "a little added in the log": ((("np.log(p[y[i]])", "np.log(p[y[i]] + 1e-3)"),), ()),
        },
    ),
    "softmax_loss_vectorized": (
        "with log-sum-exp",
        {
            "one maximum for all": ((("S.max(axis=1, keepdims=True)", "S.max()"),), ("one-maximum-for-all",)),
            "no shift": ((("S -= S.max(axis=1, keepdims=True)", ""),), ("unstable",)),
            "keepdims forgotten": ((("S.max(axis=1, keepdims=True)", "S.max(axis=1)"),), ("error",)),
            "one sum for all": ((("np.exp(S).sum(axis=1, keepdims=True)", "np.exp(S).sum()"),), ()),
            "0 · log 0": (
                (
                    (
                        "-logp[np.arange(N), y].mean()",
                        "-np.sum(np.eye(W.shape[1])[y] * np.log(np.exp(S) / np.exp(S).sum(axis=1, keepdims=True))) / N",
                    ),
                ),
                ("log-of-zero",),
            ),
            "one-hot as wide as the labels": (
                (("dS[np.arange(N), y] -= 1", "dS -= np.eye(len(set(y)))[y]"),),
                ("error",),
            ),
            "one-hot not subtracted": ((("dS[np.arange(N), y] -= 1", ""),), ("correct-class-missing",)),
            "one-hot from every row": ((("dS[np.arange(N), y] -= 1", "dS[:, y] -= 1"),), ()),
            "all losses of all rows": ((("logp[np.arange(N), y].mean()", "logp[:, y].mean()"),), ()),
            "gradient not averaged": ((("X.T @ dS / N", "X.T @ dS"),), ("scale",)),
            "regulariser averaged": (
                (("X.T @ dS / N + 2 * reg * W", "(X.T @ dS + 2 * reg * W) / N"),),
                ("regularizer-averaged",),
            ),
            "sign of the data's gradient": ((("X.T @ dS", "-X.T @ dS"),), ("sign",)),
            "the loss for each example": (
                (("-logp[np.arange(N), y].mean()", "-logp[np.arange(N), y]"),),
                ("wrong-shape",),
            ),
            "swapped": (
                (("return loss, X.T @ dS / N + 2 * reg * W", "return X.T @ dS / N + 2 * reg * W, loss"),),
                ("wrong-shape",),
            ),
            "a loop over examples": (
                (("dS[np.arange(N), y] -= 1", "\n    for row, label in zip(dS, y):\n        row[label] -= 1"),),
                ("loops-over-examples",),
            ),
        },
    ),
    "step_decay": (
        "with a loop",
        {
            "off by one": ((("t >= m", "t > m"),), ("off-by-one",)),
            "one drop only": ((("lr *= factor", "return lr0 * factor"),), ("one-drop-only",)),
            "factor ignored": ((("lr *= factor", "lr *= 0.1"),), ("factor-ignored",)),
            "rising": ((("lr *= factor", "lr /= factor"),), ("rising",)),
            "factor subtracted": ((("lr *= factor", "lr -= factor"),), ()),
            "the number of milestones": (
                (("lr = lr0", "lr, k = lr0, 0"), ("lr *= factor", "k += 1; lr = lr0 * factor * k")),
                ("factors-added",),
            ),
            "never": ((("t >= m", "t >= 1000"),), ()),
        },
    ),
    "cosine_decay": (
        "with math",
        {
            "no half": ((("lr0 / 2 + lr0 / 2", "lr0 + lr0"),), ("scale",)),
            "no pi": ((("t * math.pi / T", "t / T"),), ("pi-missing",)),
            "a whole period": ((("t * math.pi", "2 * t * math.pi"),), ("pi-doubled",)),
            "rising": ((("lr0 / 2 + lr0 / 2 * ", "lr0 / 2 - lr0 / 2 * "),), ("reversed",)),
            "T - 1": (((" / T)", " / (T - 1))"),), ("off-by-one",)),
            "t + 1": ((("t * math.pi", "(t + 1) * math.pi"),), ("off-by-one",)),
            "sine": ((("math.cos", "math.sin"),), ()),
            "degrees": ((("t * math.pi / T", "180 * t / T"),), ()),
        },
    ),
    "linear_decay": (
        "what is left",
        {
            "rising": ((("(T - t) / T", "t / T"),), ("reversed",)),
            "whole numbers": ((("lr0 * (T - t) / T", "lr0 * (1 - t // T)"),), ("integer-division",)),
            "T - 1": ((("lr0 * (T - t) / T", "lr0 * (1 - t / (T - 1))"),), ("off-by-one",)),
            "t + 1": ((("T - t", "T - t - 1"),), ("off-by-one",)),
            "lr0 left out": ((("lr0 * ", ""),), ()),
            "no return": ((("return ", ""),), ("returned-none",)),
        },
    ),
    "inverse_sqrt_decay": (
        "a power",
        {
            "no root": ((("** -0.5", "** -1"),), ("root-missing",)),
            "t + 1": ((("t **", "(t + 1) **"),), ("off-by-one",)),
            "rising": ((("-0.5", "0.5"),), ("rising",)),
            "the root of lr0 too": ((("lr0 * t ** -0.5", "(lr0 / t) ** 0.5"),), ()),
        },
    ),
    "train": (
        "in place",
        {
            "sampled once": (
                (
                    (
                        "for it in range(num_iters):\n        idx = rng.choice(num_train, batch_size, replace=True)\n",
                        "idx = rng.choice(num_train, batch_size, replace=True)\n    for it in range(num_iters):\n",
                    ),
                ),
                ("sampled-once",),
            ),
            "labels of other examples": ((("y[idx]", "y[rng.choice(num_train, batch_size)]"),), ("label-shift",)),
            "the first labels": ((("y[idx]", "np.resize(y, batch_size)"),), ("label-shift",)),
            "all of the data": (
                (("X_batch = X[idx]", "X_batch = X"), ("y_batch = y[idx]", "y_batch = y")),
                ("wrong-batch-size", "rng-ignored"),
            ),
            "never more than N": (
                (("(num_train, batch_size", "(num_train, min(batch_size, num_train)"),),
                ("wrong-batch-size",),
            ),
            "without replacement": ((("replace=True", "replace=False"),), ("error",)),
            "reg not handed on": ((("y_batch, reg)", "y_batch, 0.0)"),), ("reg-not-handed-on",)),
            "adds": ((("W -= lr", "W += lr"),), ("sign",)),
            "lr not used": ((("lr * grad", "grad"),), ("lr-ignored",)),
            "lr halved": ((("lr * grad", "lr / 2 * grad"),), ()),
            "no update": ((("W -= lr * grad", "pass"),), ("no-update",)),
            "an update that is thrown away": ((("W -= lr * grad", "W - lr * grad"),), ("no-update",)),
            "returns the weights before": (
                (("W -= lr * grad", "before = W.copy(); W -= lr * grad"), ("return W,", "return before,")),
                ("last-update-missing",),
            ),
            "weights from np.random": ((("rng.normal(size=(dim", "np.random.normal(size=(dim"),), ("rng-ignored",)),
            "minibatches from np.random": ((("rng.choice", "np.random.choice"),), ("rng-ignored",)),
            "weights from a seed of its own": (
                (("rng.normal(size=(dim", "np.random.default_rng(0).normal(size=(dim"),),
                ("rng-ignored",),
            ),
            "a seed of its own": (
                (("num_train, dim =", "rng = np.random.default_rng(0); num_train, dim ="),),
                ("rng-ignored",),
            ),
            "every other loss": (
                (("loss_history.append(loss)", "loss_history += [loss] * (it % 2)"),),
                ("history-length",),
            ),
            "one loss too many": ((("return W, loss_history", "return W, [0.0] + loss_history"),), ("history-length",)),
            "losses the wrong way round": ((("return W, loss_history", "return W, loss_history[::-1]"),), ()),
            "an iteration too many": ((("range(num_iters)", "range(num_iters + 1)"),), ("wrong-length",)),
            "loss function never called": (
                (("loss_function(W, X_batch, y_batch, reg)", "0.0, X.T @ (X @ W)"),),
                ("loss-function-not-called",),
            ),
            "weights of zero": ((("0.001 * rng", "0 * rng"),), ("wrong-initialisation",)),
            "weights too large": ((("0.001 * rng", "0.01 * rng"),), ("wrong-initialisation",)),
            "weights transposed": ((("(dim, num_classes)", "(num_classes, dim)"),), ("error",)),
            "swapped": ((("return W, loss_history", "return loss_history, W"),), ("swapped",)),
            "only the weights": ((("return W, loss_history", "return W"),), ("wrong-number-of-values",)),
            "no return": ((("return W, loss_history", ""),), ("returned-none",)),
            "returns after one iteration": (
                (("W -= lr * grad", "W -= lr * grad\n        return W, loss_history"),),
                ("wrong-length",),
            ),
        },
    ),
    "predict": (
        "argmax",
        {
            "scores": ((("argmax", "max"),), ("scores-not-labels",)),
            "over the examples": ((("argmax(1)", "argmax(0)"),), ("wrong-axis",)),
            "over everything": ((("argmax(1)", "argmax()"),), ("wrong-shape",)),
            "smallest": ((("argmax", "argmin"),), ("smallest",)),
            "from 1": ((("argmax(1)", "argmax(1) + 1"),), ("off-by-one",)),
            "all scores": (((".argmax(1)", ""),), ("wrong-shape",)),
            "a column": ((("argmax(1)", "argmax(1)[:, None]"),), ("wrong-shape",)),
            "always the first class": ((("argmax(1)", "argmax(1) * 0"),), ()),
            "no return": ((("return", ""),), ("returned-none",)),
            "text": ((("return (X @ W).argmax(1)", "return 'cat'"),), ("not-a-number",)),
        },
    ),
}
VARIANTS = [(name, story) for name, (_, stories) in WRONG.items() for story in stories]


def changed(name: str, story: str) -> str:
    base, stories = WRONG[name]
    source = RIGHT[name][base]
    for old, new in stories[story][0]:
        assert old in source, f"{name}, {story}: {old!r} is not in the solution any more"
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize(("name", "story"), VARIANTS)
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(name: str, story: str) -> None:
    for student in FEW:
        report = graded(name, changed(name, story), student)
        assert report.score < report.points, f"{student}: this earned every point"
        assert not report.passed
        codes = tuple(finding.code for finding in report.findings)
        assert codes == WRONG[name][1][story][1], f"{student}\n{report.text()}"


# -- what is known of mistakes -------------------------------------------------------------------


def codes_in(made: Case) -> Iterable[str]:
    return [code for step in made.steps for item in step.expected for code in item.mistakes]


BANK = [
    (name, code)
    for name in ASSIGNMENT.described
    for code in {c: None for made in exercise(name, FEW[0]).cases for c in codes_in(made)}
]


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
        value = np.asarray(item.mistakes.get(code, item.value))
        finite = np.abs(value[np.isfinite(value)])
        return value + 5e-4 * max(float(np.max(finite, initial=0)), float(np.max(np.abs(item.value))))

    for student in FEW:
        report = answers(name, student, nearly)
        assert report.score < report.points
        found = {finding.code for finding in report.findings}
        assert found <= {"not-finite", "unstable", "one-maximum-for-all", "wrong-shape"}, student


@pytest.mark.parametrize("name", [name for name in ASSIGNMENT.described if name != "train"])
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
        if name in ("train", "predict"):
            continue
        assert answers(name, student, lambda item: np.asarray(item.value) * (1 + 1e-7)).passed, (name, student)
        assert answers(name, student, lambda item: np.asarray(item.value) + 0.0).passed, (name, student)


def test_either_slope_is_right_at_a_kink_because_no_case_is_near_one() -> None:
    for student in MANY:
        for made in exercise("svm_loss_naive", student).cases:
            W, X, y, _ = made.steps[0].args
            scores = X @ W
            margins = scores - scores[np.arange(len(y)), y][:, None] + 1
            assert np.min(np.abs(margins)) > 1e-9, f"{student}: {made.title}"


def test_the_cases_are_what_the_curriculum_asks_for() -> None:
    titles = {made.title for made in exercise("softmax_loss_vectorized", FEW[0]).cases}
    assert {
        "one example",
        "a class that no example has",
        "more features than examples",
        "all scores negative",
    } <= titles
    for student in MANY:
        made = {one.title: one.steps[0].args for one in exercise("softmax_loss_naive", student).cases}
        W, X, y, _ = made["a class that no example has"]
        assert set(range(W.shape[1])) - set(y)
        W, X, y, _ = made["more features than examples"]
        assert X.shape[1] > X.shape[0]
        W, X, y, _ = made["all scores negative"]
        assert np.all(X @ W < 0)
        for title, (W, X, y, _) in made.items():
            scores = X @ W
            log_p = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
            assert np.min(log_p[np.arange(len(y)), y]) > -700, f"{student}: {title}"


# -- the notebook's own gradient checker -----------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        ((), []),
        ((("dW / N + 2 * reg * W", "dW / N + reg * W"),), ["regularizer-half"]),
        ((("dW / N + 2 * reg * W", "dW + 2 * reg * W"),), ["scale"]),
        ((("dW / N + 2 * reg * W", "dW / N"),), ["regularizer-missing"]),
    ],
)
def test_who_compares_gradients_reads_what_is_wrong_before_asking_check(
    edits: Iterable[tuple[str, str]], found: list[str], solution: nbformat.NotebookNode, capsys: Any
) -> None:
    displayed: list[Any] = []
    namespace: dict[str, Any] = {"np": np, "check_gradient": check_gradient, "display": displayed.append}
    source = {cell.id: cell.source for cell in solution.cells}
    for old, new in edits:
        assert old in source["svm_loss_naive"]
        source["svm_loss_naive"] = source["svm_loss_naive"].replace(old, new)
    for cell in ("numerical_gradient", "relative_error", "gradient-check-helper", "svm_loss_naive"):
        exec(source[cell], namespace)
    namespace["compare_gradients"](namespace["svm_loss_naive"], reg=0.1)
    assert [finding.code for report in displayed for finding in report.findings] == found
    assert capsys.readouterr().out.startswith("reg = 0.1: relative error of the gradient ")
