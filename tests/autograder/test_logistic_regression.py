"""The grader is right about students: `logistic_regression`, exercise by exercise.

Whoever is right gets every point, however it is written; whoever is wrong loses some, and is told why
only where that is certain.
"""

from __future__ import annotations

import textwrap

import nbformat
import numpy as np
import pytest
from assessed import Assessed

ASSESSED = Assessed("logistic_regression")
ASSIGNMENT, exercise, graded, answers = ASSESSED.assignment, ASSESSED.exercise, ASSESSED.graded, ASSESSED.answers
MANY = [f"student-{i}" for i in range(12)]
FEW = MANY[:4]

# -- who is right ------------------------------------------------------------------------------

WRITTEN: dict[str, dict[str, str]] = {
    "sigmoid": {
        "through tanh": "def sigmoid(x): return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))",
        "with a mask": """
            def sigmoid(x):
                x = np.asarray(x, dtype=float)
                out = np.empty_like(x)
                positive = x >= 0
                out[positive] = 1 / (1 + np.exp(-x[positive]))
                e = np.exp(x[~positive])
                out[~positive] = e / (1 + e)
                return out
        """,
        "entry by entry": """
            import math
            def one(t):
                if t >= 0:
                    return 1 / (1 + math.exp(-t))
                return math.exp(t) / (1 + math.exp(t))
            def sigmoid(x):
                flat = [one(float(t)) for t in np.ravel(x)]
                return np.reshape(flat, np.shape(x))
        """,
        "clipped": "def sigmoid(x): return 1 / (1 + np.exp(-np.clip(x, -500, 500)))",
        "through the logarithm": "def sigmoid(z): return np.exp(-np.logaddexp(0, -z))",
        "as on the slide: its overflow leaves 1/∞ = 0": "def sigmoid(x): return 1 / (1 + np.exp(-x))",
        "with nested lists": "def sigmoid(x): return np.vectorize(lambda t: (1 + np.tanh(t / 2)) / 2)(x).tolist()",
    },
    "bce_loss": {
        "one formula": "def bce_loss(y_hat, y): return np.sum(-y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat))",
        "with a loop": """
            def bce_loss(y_hat, y):
                total = 0.0
                for p, label in zip(y_hat, y):
                    total += -np.log(p) if label == 1 else -np.log(1 - p)
                return float(total)
        """,
        "the probability of the truth": """
            def bce_loss(y_hat, y):
                return np.array(-np.log(np.where(y == 1, y_hat, 1 - y_hat)).sum())
        """,
        "with dot products": "def bce_loss(p, t): return -(np.dot(t, np.log(p)) + np.dot(1 - t, np.log1p(-p)))",
        "kept away from 0, as an array of one": """
            def bce_loss(y_hat, y):
                p = np.clip(y_hat, 1e-12, 1 - 1e-12)
                return np.sum(-y * np.log(p) - (1 - y) * np.log(1 - p), keepdims=True)
        """,
    },
    "logistic_backward": {
        "node by node": """
            def logistic_backward(w, X, y):
                u = X @ w
                y_hat = 1 / (1 + np.exp(-u))
                loss = np.sum(-y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat))
                dL_dyhat = (y_hat - y) / (y_hat * (1 - y_hat))
                dL_du = dL_dyhat * y_hat * (1 - y_hat)
                dL_dw = X.T @ dL_du
                return {"loss": loss, "y_hat": y_hat, "dL_dyhat": dL_dyhat, "dL_du": dL_du, "dL_dw": dL_dw}
        """,
        "with loops and lists": """
            import math
            def logistic_backward(w, X, y):
                out = {"loss": 0.0, "y_hat": [], "dL_dyhat": [], "dL_du": [], "dL_dw": [0.0] * len(w)}
                for x, label in zip(X.tolist(), y.tolist()):
                    p = 1 / (1 + math.exp(-sum(a * b for a, b in zip(w.tolist(), x))))
                    out["loss"] -= math.log(p if label else 1 - p)
                    out["y_hat"].append(p)
                    out["dL_dyhat"].append(-1 / p if label else 1 / (1 - p))
                    out["dL_du"].append(p - label)
                    out["dL_dw"] = [g + (p - label) * a for g, a in zip(out["dL_dw"], x)]
                return out
        """,
        "with einsum and the short gradient": """
            from collections import OrderedDict
            def logistic_backward(w, X, y):
                scores = np.einsum("nd,d->n", X, w)
                p = 0.5 * (1 + np.tanh(scores / 2))
                error = p - y
                grads = OrderedDict(dL_dw=np.einsum("nd,n->d", X, error), dL_du=error)
                grads["dL_dyhat"] = -y / p + (1 - y) / (1 - p)
                return dict(grads, y_hat=p, loss=np.array(np.sum(np.logaddexp(0, scores) - y * scores)), u=scores)
        """,
        "through columns": """
            def logistic_backward(w, X, y):
                u = X @ w.reshape(-1, 1)
                p = 1 / (1 + np.exp(-u))
                t = y.reshape(-1, 1)
                g = (p - t) / p / (1 - p)
                du = g * (p - p ** 2)
                loss = float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).sum())
                return dict(loss=loss, y_hat=p.ravel(), dL_dyhat=g[:, 0], dL_du=du.flatten(), dL_dw=(du.T @ X).ravel())
        """,
    },
    "gradient_descent": {
        "as in the text": """
            def gradient_descent(f, w0, lr, tol, max_iters):
                w, history = w0.copy(), []
                for it in range(max_iters):
                    value, grad = f(w)
                    history.append(value)
                    if np.linalg.norm(grad) < tol:
                        break
                    w = w - lr * grad
                return w, history
        """,
        "as on the slide: step, then stop": """
            def gradient_descent(f, w0, lr, tol, max_iters):
                w, values = np.array(w0), np.zeros(0)
                while len(values) < max_iters:
                    value, v = f(w)
                    values = np.append(values, value)
                    w = w - lr * v
                    if (v ** 2).sum() ** 0.5 < tol:
                        break
                return w, values
        """,
        "with the first and the last value": """
            def gradient_descent(f, w0, lr, tol, max_iters):
                w = w0
                value, grad = f(w)
                history = [value]
                steps = 0
                while steps < max_iters and np.sqrt(grad @ grad) >= tol:
                    w = w - lr * grad
                    value, grad = f(w)
                    history.append(float(value))
                    steps += 1
                return [w, tuple(history)]
        """,
        "values after the steps, with two calls each": """
            def gradient_descent(f, w0, lr, tol, max_iters):
                w, history = w0, []
                for _ in range(max_iters):
                    g = f(w)[1]
                    if np.linalg.norm(g) < tol:
                        return w, history
                    w = w - lr * g
                    history.append(f(w)[0])
                return w, history
        """,
        "in place, entry by entry": """
            import math
            def gradient_descent(f, w0, lr, tol, max_iters):
                history = []
                for _ in range(max_iters):
                    value, g = f(w0)
                    history += [np.array(value)]
                    if math.sqrt(sum(float(x) ** 2 for x in g)) < tol:
                        break
                    for j in range(len(w0)):
                        w0[j] -= lr * g[j]
                return w0.tolist(), history
        """,
    },
    "backtracking_line_search": {
        "as in the text": """
            def backtracking_line_search(f, w, direction, alpha0=1.0, rho=0.5, c=1e-4):
                value, grad = f(w)
                slope = grad @ direction
                alpha = alpha0
                while f(w + alpha * direction)[0] > value + c * alpha * slope:
                    alpha = alpha * rho
                return alpha
        """,
        "for ever, until it holds": """
            def backtracking_line_search(f, w, direction, alpha0=1.0, rho=0.5, c=1e-4):
                f0, g0 = f(w)
                m, a = np.sum(g0 * direction), np.array(alpha0)
                while True:
                    f1, _ = f(w + a * direction)
                    if f0 - f1 >= -c * a * m:
                        return a
                    a = a * rho
        """,
        "powers of rho, and at most 60": """
            def enough(f, w, d, a, c):
                value, gradient = f(w)
                return f(w + a * d)[0] <= value + c * a * float(np.dot(gradient, d))
            def backtracking_line_search(f, w, direction, alpha0=1.0, rho=0.5, c=1e-4):
                return next(alpha0 * rho ** k for k in range(60) if enough(f, w, direction, alpha0 * rho ** k, c))
        """,
        "by recursion, as an array of one": """
            def backtracking_line_search(f, w, direction, alpha0=1.0, rho=0.5, c=1e-4):
                v, g = f(w)
                slope = np.einsum("i,i", g, direction)
                def go(alpha):
                    good = f(w + alpha * direction)[0] < v + c * alpha * slope
                    return alpha if good else go(alpha * rho)
                return np.array([go(alpha0)])
        """,
    },
    "entropy": {
        "with a mask": "def entropy(p): p = p[p > 0]; return -np.sum(p * np.log(p))",
        "with a loop": """
            import math
            def entropy(p):
                total = 0.0
                for x in p:
                    if x > 0:
                        total -= x * math.log(x)
                return total
        """,
        "with a tiny number added": "def entropy(p): return np.array(-(p * np.log(p + 1e-12)).sum())",
        "a one for each zero": "def entropy(p): return -np.dot(p, np.log(np.where(p == 0, 1, p)))",
        "nan to 0, in spite of the warnings": "def entropy(p): return float(-np.nansum(p * np.log(p)))",
    },
    "cross_entropy": {
        "with a mask": "def cross_entropy(p, q): m = p > 0; return -np.sum(p[m] * np.log(q[m]))",
        "with a loop": """
            def cross_entropy(p, q):
                return float(sum(-a * np.log(b) for a, b in zip(p, q) if a != 0))
        """,
        "with np.where": "def cross_entropy(p, q): return np.array(-(p * np.log(np.where(p > 0, q, 1.0))).sum())",
        "with a tiny number added": "def cross_entropy(p, q): return -np.einsum('i,i->', p, np.log(q + 1e-12))",
    },
    "kl_divergence": {
        "with a mask": "def kl_divergence(p, q): m = p > 0; return np.sum(p[m] * np.log(p[m] / q[m]))",
        "with a loop": """
            import math
            def kl_divergence(p, q):
                return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q) if a > 0)
        """,
        "as a difference": """
            def nats(p, q):
                return -sum(p[p > 0] * np.log(q[p > 0]))
            def kl_divergence(p, q):
                return np.array([nats(p, q) - nats(p, p)])
        """,
        "with a tiny number added": """
            def kl_divergence(p, q):
                tiny = 1e-12
                return float(np.sum(p * (np.log(p + tiny) - np.log(q + tiny))))
        """,
    },
    "mlp_backward": {
        "in matrices": """
            def mlp_backward(W1, w2, X, y):
                U = X @ W1
                H = 1 / (1 + np.exp(-U))
                p = 1 / (1 + np.exp(-(H @ w2)))
                loss = np.sum(-y * np.log(p) - (1 - y) * np.log(1 - p))
                g = p - y
                dw2 = H.T @ g
                dH = np.outer(g, w2)
                dU = dH * H * (1 - H)
                dW1 = X.T @ dU
                return loss, dW1, dw2
        """,
        "example by example, node by node": """
            def s(t): return 1 / (1 + np.exp(-t))
            def mlp_backward(W1, w2, X, y):
                loss, dW1, dw2 = 0.0, np.zeros_like(W1), np.zeros_like(w2)
                for x, label in zip(X, y):
                    h = s(W1.T @ x)
                    p = s(w2 @ h)
                    loss += -np.log(p) if label else -np.log(1 - p)
                    dp = (p - label) / (p * (1 - p))
                    du = dp * p * (1 - p)
                    dw2 += du * h
                    dW1 += np.outer(x, du * w2 * h * (1 - h))
                return float(loss), dW1, dw2
        """,
        "with einsum, as matrices": """
            def mlp_backward(W1, w2, X, y):
                H = 0.5 * (1 + np.tanh(np.einsum("nd,dm->nm", X, W1) / 2))
                u = np.einsum("nm,m->n", H, w2)
                g = 0.5 * (1 + np.tanh(u / 2)) - y
                dW1 = np.einsum("nd,n,m,nm->dm", X, g, w2, H - H ** 2)
                return [np.array(np.sum(np.logaddexp(0, u) - y * u)), np.asmatrix(dW1), np.einsum("nm,n->m", H, g)]
        """,
        "through columns": """
            def mlp_backward(W1, w2, X, y):
                column, t = w2[:, None], y[:, None]
                H = 1 / (1 + np.exp(-X @ W1))
                p = 1 / (1 + np.exp(-H @ column))
                loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(keepdims=True)
                back = ((p - t) @ column.T) * (H * (1 - H))
                return loss, (back.T @ X).T, (H.T @ (p - t)).ravel()
        """,
    },
}
WRITTEN = {name: {title: textwrap.dedent(text) for title, text in ways.items()} for name, ways in WRITTEN.items()}

# -- who is wrong: the first solution above with some words changed, and what is found ------------

EDITS: dict[str, dict[str, tuple[tuple[tuple[str, str], ...], str]]] = {
    "bce_loss": {
        "mean": ((("np.sum", "np.mean"),), "scale"),
        "sign": ((("-y * np.log(y_hat) -", "y * np.log(y_hat) +"),), "sign"),
        "one term": (((" - (1 - y) * np.log(1 - y_hat)", ""),), "term-missing"),
        "a plus between the terms": (((" - (1 - y)", " + (1 - y)"),), "sign"),
        "labels exchanged": ((("-y *", "-(1 - y) *"), ("- (1 - y) * np.log(1", "- y * np.log(1")), "label-flipped"),
        "base 2": ((("np.log(", "np.log2("),), "other-logarithm"),
        "squared error": ((("-y * np.log(y_hat) - (1 - y) * np.log(1 - y_hat)", "(y - y_hat) ** 2"),), "squared-error"),
        "not summed": ((("np.sum", ""),), "wrong-shape"),
        "no return": ((("return", ""),), "returned-none"),
    },
    "logistic_backward": {
        "mean": ((("np.sum(", "np.mean("), ("X.T @ dL_du", "X.T @ dL_du / len(y)")), "scale"),
        "mean in the gradient": ((("X.T @ dL_du", "X.T @ dL_du / len(y)"),), "scale"),
        "sign": ((("(y_hat - y) /", "(y - y_hat) /"),), "sign"),
        "no denominator": (
            ((" / (y_hat * (1 - y_hat))", ""), ("dL_dyhat * y_hat * (1 - y_hat)", "dL_dyhat")),
            "denominator-missing",
        ),
        "no denominator, but the slope": (((" / (y_hat * (1 - y_hat))", ""),), "denominator-missing"),
        "precedence": ((("/ (y_hat * (1 - y_hat))", "/ y_hat * (1 - y_hat)"),), ""),
        "no slope": ((("dL_dyhat * y_hat * (1 - y_hat)", "dL_dyhat"),), "slope-missing"),
        "slope of the input": ((("dL_dyhat * y_hat * (1 - y_hat)", "dL_dyhat * u * (1 - u)"),), "slope-of-input"),
        "sigmoid of the output": (
            (("dL_dyhat * y_hat * (1 - y_hat)", "dL_dyhat * np.exp(-y_hat) / (1 + np.exp(-y_hat)) ** 2"),),
            "slope-applied-twice",
        ),
        "slope twice": (
            (("y_hat * (1 - y_hat)\n    dL_dw", "(y_hat * (1 - y_hat)) ** 2\n    dL_dw"),),
            "slope-applied-twice",
        ),
        "upstream ignored": ((("dL_dyhat * y_hat", "y_hat"),), "upstream-ignored"),
        "w from the wrong node": ((("X.T @ dL_du", "X.T @ dL_dyhat"),), "wrong-node"),
        "only the last example": ((("X.T @ dL_du", "X[-1] * dL_du[-1]"),), "batch-not-summed"),
        "not summed": ((("X.T @ dL_du", "X * dL_du[:, None]"),), "batch-not-summed"),
        "sum of each": ((("X.T @ dL_du", "X.sum(axis=0) * dL_du.sum()"),), "summed-too-early"),
        "gradient zero": ((("X.T @ dL_du", "np.zeros_like(w)"),), "gradient-zero"),
        "the other probability": ((("np.exp(-u)", "np.exp(u)"),), "sign"),
        "not transposed": ((("X.T @ dL_du", "X @ dL_du"),), "error"),
        "an (N, N) by broadcasting": ((("dL_dyhat = (y_hat - y)", "dL_dyhat = (y_hat[:, None] - y)"),), "wrong-shape"),
        "a key is missing": ((('"dL_du": dL_du, ', ""),), "no-key"),
        "a tuple": ((("return {", "return tuple({"), ("dL_dw}", "dL_dw}.values())")), "no-dictionary"),
        "no return": ((("return", "made ="),), "returned-none"),
    },
    "gradient_descent": {
        "uphill": ((("w - lr", "w + lr"),), "sign"),
        "no lr": ((("lr * grad", "grad"),), "lr-ignored"),
        "normalised": ((("lr * grad", "lr * grad / np.linalg.norm(grad)"),), "gradient-normalised"),
        "no update": ((("        w = w - lr * grad\n", ""),), "no-update"),
        "the step alone": ((("w = w - lr", "w = -lr"),), "step-alone"),
        "gradient taken once": ((("value, grad = f(w)", "value, grad = f(w)[0], f(w0)[1]"),), "gradient-taken-once"),
        "squared norm": ((("np.linalg.norm(grad)", "grad @ grad"),), "tol-squared"),
        "largest entry": ((("np.linalg.norm(grad)", "np.abs(grad).max()"),), "other-norm"),
        "sum of entries": ((("np.linalg.norm(grad)", "abs(grad).sum()"),), "other-norm"),
        "length of the step": ((("np.linalg.norm(grad)", "np.linalg.norm(lr * grad)"),), "step-for-gradient"),
        "value": ((("np.linalg.norm(grad) <", "value <"),), "value-for-gradient"),
        "no tol": ((("< tol", "< 0"),), "tol-ignored"),
        "reversed": ((("< tol", "> tol"),), "tol-reversed"),
        "a step more": ((("range(max_iters)", "range(max_iters + 1)"),), "off-by-one"),
        "a step less": ((("range(max_iters)", "range(1, max_iters)"),), "off-by-one"),
        "the w before": (
            (("history.append", "old = w; history.append"), ("return w,", "return old,")),
            "last-update-missing",
        ),
        "reversed history": ((("return w, history", "return w, history[::-1]"),), "history-reversed"),
        "norms": ((("append(value)", "append(np.linalg.norm(grad))"),), "history-of-norms"),
        "last value": ((("return w, history", "return w, history[-1]"),), "history-is-last"),
        "swapped": ((("return w, history", "return history, w"),), "swapped"),
        "only w": ((("return w, history", "return w"),), "wrong-number-of-values"),
    },
    "backtracking_line_search": {
        "any decrease": (((" + c * alpha * slope", ""),), "slope-missing"),
        "sign of the slope": ((("+ c * alpha * slope", "- c * alpha * slope"),), "slope-sign"),
        "norm of the gradient": ((("slope = grad @ direction", "slope = -grad @ grad"),), "norm-for-slope"),
        "slope at the new point": (
            (("c * alpha * slope", "c * alpha * (f(w + alpha * direction)[1] @ direction)"),),
            "slope-at-the-new-point",
        ),
        "no alpha": ((("c * alpha * slope", "c * slope"),), "alpha-missing"),
        "rho fixed": ((("alpha * rho", "alpha / 2"),), "rho-ignored"),
        "one minus rho": ((("alpha * rho", "alpha * (1 - rho)"),), "rho-ignored"),
        "starts at 1": ((("alpha = alpha0", "alpha = 1.0"),), "alpha0-ignored"),
        "never shorter": ((("return alpha", "return alpha0"),), "no-search"),
        "if for while": ((("while", "if"),), "if-for-while"),
        "once too often": ((("return alpha", "return alpha * rho"),), "shortened-once-more"),
        "along minus the gradient": (
            (("slope = grad @ direction", "direction = -grad; slope = grad @ direction"),),
            "direction-ignored",
        ),
        "the new point": ((("return alpha", "return w + alpha * direction"),), "point-for-length"),
        "the step": ((("return alpha", "return alpha * direction"),), "point-for-length"),
        "the value": ((("return alpha", "return f(w + alpha * direction)[0]"),), "value-for-length"),
        "no return": ((("return alpha", ""),), "returned-none"),
    },
    "entropy": {
        "no mask": ((("p = p[p > 0]; ", ""),), "log-of-zero"),
        "sign": ((("-np.sum", "np.sum"),), "sign"),
        "bits": ((("np.log", "np.log2"),), "other-logarithm"),
        "base 10": ((("np.log", "np.log10"),), "other-logarithm"),
        "mean": ((("np.sum", "np.mean"), ("p = p[p > 0]; ", "")), "scale"),
        "unweighted": ((("p * np.log", "np.log"),), "weights-missing"),
        "Gini": ((("-np.sum(p * np.log(p))", "1 - np.sum(p * p)"),), "other-impurity"),
    },
    "cross_entropy": {
        "no mask": ((("m = p > 0; ", "m = slice(None); "),), "log-of-zero"),
        "sign": ((("-np.sum", "np.sum"),), "sign"),
        "bits": ((("np.log", "np.log2"),), "other-logarithm"),
        "exchanged": ((("(p, q)", "(q, p)"),), "arguments-swapped"),
        "entropy": ((("np.log(q[m])", "np.log(p[m])"),), "entropy-for-cross-entropy"),
        "divergence": ((("np.log(q[m])", "np.log(q[m] / p[m])"),), "kl-for-cross-entropy"),
        "no logarithm": ((("np.log(q[m])", "q[m]"),), "logarithm-missing"),
    },
    "kl_divergence": {
        "no mask": ((("m = p > 0; ", "m = slice(None); "),), "log-of-zero"),
        "sign": ((("np.log(p[m] / q[m])", "np.log(q[m] / p[m])"),), "sign"),
        "bits": ((("np.log", "np.log2"),), "other-logarithm"),
        "exchanged": ((("(p, q)", "(q, p)"),), "arguments-swapped"),
        "as on the slide": ((("np.log(p[m] / q[m])", "(np.log(p[m]) - q[m])"),), "logarithm-missing"),
        "cross entropy": (
            (("np.sum(p[m] * np.log(p[m] / q[m]))", "-np.sum(p[m] * np.log(q[m]))"),),
            "cross-entropy-for-kl",
        ),
        "unweighted": ((("p[m] * np", "np"),), "weights-missing"),
    },
    "mlp_backward": {
        "mean": ((("np.sum(", "np.mean("), ("g = p - y", "g = (p - y) / len(y)")), "scale"),
        "sign": ((("g = p - y", "g = y - p"),), "sign"),
        "slope of the output once more": ((("g = p - y", "g = (p - y) * p * (1 - p)"),), "slope-applied-twice"),
        "slope of the output missing": ((("g = p - y", "g = (p - y) / (p * (1 - p))"),), "slope-missing"),
        "labels ignored": ((("g = p - y", "g = p"),), "target-ignored"),
        "slope missing": (((" * H * (1 - H)", ""),), "slope-missing"),
        "slope of the input": (((" * H * (1 - H)", " * U * (1 - U)"),), "slope-of-input"),
        "sigmoid of H": (((" * H * (1 - H)", " * np.exp(-H) / (1 + np.exp(-H)) ** 2"),), "slope-applied-twice"),
        "slope of tanh": (((" * H * (1 - H)", " * (1 - H ** 2)"),), "slope-of-tanh"),
        "upstream ignored": ((("dH * H", "H"),), "upstream-ignored"),
        "w2 ignored": ((("np.outer(g, w2)", "g[:, None]"),), "weights-ignored"),
        "dw2 from the scores": ((("H.T @ g", "U.T @ g"),), "wrong-input"),
        "only the last example": (
            (("H.T @ g", "H[-1] * g[-1]"), ("X.T @ dU", "np.outer(X[-1], dU[-1])")),
            "batch-not-summed",
        ),
        "dW1 zero": ((("X.T @ dU", "np.zeros_like(W1)"),), "gradient-zero"),
        "dW1 transposed": ((("X.T @ dU", "dU.T @ X"),), "transposed"),
        "linear": ((("H = 1 / (1 + np.exp(-U))", "H = U"), (" * H * (1 - H)", "")), "sigmoid-missing"),
        "tanh": ((("H = 1 / (1 + np.exp(-U))", "H = np.tanh(U)"), ("H * (1 - H)", "(1 - H ** 2)")), "tanh-for-sigmoid"),
        "an (N, N) by broadcasting": ((("g = p - y", "g = (p[:, None] - y).sum(axis=1)"),), ""),
        "no loss": ((("return loss, ", "return "),), "wrong-number-of-values"),
    },
}


def edited(name: str, story: str) -> tuple[str, str]:
    """The first solution with the words of the story, and the code that is expected, if any."""
    edits, code = EDITS[name][story]
    source = next(iter(WRITTEN[name].values()))
    for old, new in edits:
        assert old in source, f"{name}, {story}: {old!r} is not in the solution any more"
        source = source.replace(old, new)
    return source, code


WRONG: dict[str, dict[str, tuple[str, str]]] = {
    "sigmoid": {
        "e^x in both places": ("def sigmoid(x): return np.exp(x) / (1 + np.exp(x))", "unstable"),
        "np.where, the wrong way round": (
            "def sigmoid(x): return np.where(x < 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))",
            "unstable",
        ),
        "math.exp": ("import math\nsigmoid = np.vectorize(lambda t: 1 / (1 + math.exp(-t)))", "error"),
        "sign": ("def sigmoid(x): return 0.5 * (1 - np.tanh(x / 2))", "sign"),
        "tanh": ("def sigmoid(x): return np.tanh(x)", "tanh-for-sigmoid"),
        "absolute": ("def sigmoid(x): return 1 / (1 + np.exp(-np.abs(x)))", "absolute"),
        "slope": ("def sigmoid(x): s = 0.5 * (1 + np.tanh(x / 2)); return s * (1 - s)", "slope-for-value"),
        "twice": ("def sigmoid(x):\n  s = lambda t: 0.5 * (1 + np.tanh(t / 2))\n  return s(s(x))", "sigmoid-twice"),
        "relu": ("def sigmoid(x): return np.maximum(0, x)", "relu-for-sigmoid"),
        "step": ("def sigmoid(x): return (x >= 0).astype(float)", "step-for-sigmoid"),
        "softmax": ("def sigmoid(x): e = np.exp(x - x.max()); return e / e.sum()", "softmax-for-sigmoid"),
        "whole numbers": (
            "def sigmoid(x):\n  out = np.zeros_like(x)\n  out[...] = 0.5 * (1 + np.tanh(x / 2))\n  return out",
            "integer-input",
        ),
        "flat": ("def sigmoid(x): return 0.5 * (1 + np.tanh(np.ravel(x) / 2))", "wrong-shape"),
        "no return": ("def sigmoid(x): 0.5 * (1 + np.tanh(x / 2))", "returned-none"),
        "text": ("def sigmoid(x): return 'one half'", "not-a-number"),
    },
    **{name: {story: edited(name, story) for story in stories} for name, stories in EDITS.items()},
}


@pytest.mark.parametrize("name", WRITTEN)
def test_whoever_is_right_gets_every_point_however_it_is_written(name: str) -> None:
    assert len(WRITTEN[name]) >= 3
    for title, source in WRITTEN[name].items():
        for student in FEW:
            report = graded(name, source, student)
            assert report.passed, f"{title}, {student}\n{report.text()}"


@pytest.mark.parametrize("name", WRONG)
def test_whoever_is_wrong_loses_points_and_hears_why_only_where_it_is_certain(name: str) -> None:
    for story, (source, code) in WRONG[name].items():
        for student in FEW:
            report = graded(name, source, student)
            assert report.score < report.points, f"{story}, {student}: this earned every point"
            found = [finding.code for finding in report.findings]
            assert found == [code] * bool(code), f"{story}, {student}\n{report.text()}"


def test_the_instructors_solutions_get_every_point() -> None:
    nb = nbformat.read(ASSESSED.folder / "logistic_regression.ipynb", as_version=4)
    cells = {cell.id: cell.source for cell in nb.cells}
    source = "\n".join(cells[name] for name in ASSIGNMENT.described)
    for name in ASSIGNMENT.described:
        for student in MANY:
            report = graded(name, source, student)
            assert report.passed, f"{name}, {student}\n{report.text()}"


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_slightly_wrong_is_rejected_and_nothing_is_said_of_why(name: str) -> None:
    for student in FEW:
        report = answers(name, student, lambda item: 1.0005 * np.asarray(item.value))
        assert report.score < report.points, student
        assert report.findings == (), f"{student}\n{report.text()}"


@pytest.mark.parametrize("name", WRITTEN)
def test_every_known_mistake_is_rejected_and_named(name: str) -> None:
    listed = {mistake.code for mistake in ASSIGNMENT.described[name].mistakes} - {"unstable"}  # seen, not computed
    for student in FEW:
        items = [item for made in exercise(name, student).cases for step in made.steps for item in step.expected]
        codes = {code for item in items for code in item.mistakes}
        assert codes == listed
        for code in codes:
            report = answers(name, student, lambda item, code=code: item.mistakes.get(code, item.value))
            assert report.score < report.points, f"{student}, {code}: this earned every point"
            named = [finding.code for finding in report.findings]
            assert named == [code.partition("/")[0]], f"{student}, {code}\n{report.text()}"


def test_an_overflow_that_leaves_no_trace_costs_nothing_and_is_told() -> None:
    for source in (
        "def sigmoid(x): return 1 / (1 + np.exp(-x))",
        "def sigmoid(x): return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))",
    ):
        report = graded("sigmoid", source, FEW[0])
        assert report.passed
        assert "RuntimeWarning: overflow encountered in exp" in report.notes


def test_who_has_some_of_it_right_gets_those_points() -> None:
    for name, story, score in (
        ("sigmoid", "e^x in both places", 4),
        ("sigmoid", "flat", 5),
        ("logistic_backward", "w from the wrong node", 10),
        ("logistic_backward", "no slope", 7),
        ("gradient_descent", "norms", 5),
        ("gradient_descent", "squared norm", 7),
        ("backtracking_line_search", "starts at 1", 6),
        ("entropy", "no mask", 3),
        ("mlp_backward", "slope missing", 9),
    ):
        for student in FEW:
            report = graded(name, WRONG[name][story][0], student)
            assert report.score == score, f"{name}, {story}, {student}\n{report.text()}"


def test_histories_that_the_text_does_not_allow_are_rejected() -> None:
    template = """
        def gradient_descent(f, w0, lr, tol, max_iters):
            w, history = w0, []
            for _ in range(max_iters):
                value, g = f(w)
                history.append(value)
                if np.linalg.norm(g) < tol:
                    break
                w = w - lr * g
            return w, {}
    """
    for wrong in ("history[2:]", "history[::2]", "[]", "history + [0.0]", "[v + 1e-3 for v in history]"):
        report = graded("gradient_descent", textwrap.dedent(template).replace("{}", wrong), FEW[0])
        assert report.score < report.points, wrong


def test_the_stopping_rules_are_put_to_the_test() -> None:
    """In the cases that end at tol, gradient descent neither stops at once nor runs out of iterations."""
    for student in MANY:
        lengths = {}
        for made in exercise("gradient_descent", student).cases:
            (step,) = made.steps
            lengths[made.title] = len(ASSESSED.module("descent").descend(*step.args)[1]), step.args[4]
        for title, (length, limit) in lengths.items():
            if title.startswith("stops"):
                assert 4 < length < limit, f"{student}, {title}: {length} of {limit}"
