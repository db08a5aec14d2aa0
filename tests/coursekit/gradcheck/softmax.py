"""Functions for these tests: softmax regression with its gradient, right or with a mistake, and an affine layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from coursekit.gradcheck import GradientReport, check_gradient

N, D, C, REG = 10, 6, 4, 0.1
_rng = np.random.default_rng(11)
W = _rng.normal(size=(D, C))
X = _rng.normal(size=(N, D))
y = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1, 2])


def codes(report: GradientReport) -> list[str]:
    return [finding.code for finding in report.findings]


def softmax_loss(W: Any, X: Any, y: Any, reg: Any) -> Any:
    scores = X @ W
    scores = scores - np.max(scores, axis=1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(len(y)), y]) + reg * np.sum(W * W)


def softmax_gradient(
    W: Any, X: Any, y: Any, reg: Any, *, divide: float = N, twice: float = 2, correct: float = 1, shift: int = 0
) -> Any:
    scores = X @ W
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), (y - shift) % C] -= correct
    return X.T @ p / divide + twice * reg * W


def checked(**fault: Any) -> GradientReport:
    return check_gradient(softmax_loss, W, lambda *args: softmax_gradient(*args, **fault), args=(X, y, REG), name="W")


def affine(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, (x, w)
