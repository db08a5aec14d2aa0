"""Logistic regression and least squares with one output, and the known mistakes in their gradients."""

import numpy as np

from autograder.mistakes import instead, misshapen, permuted, scaled, sign, whole_numbers

from .layers import sigmoid
from .losses import AVERAGED, LAST_EXAMPLE, regularised
from .subject import SIZES, Subject


def bce_loss(w, X, y):
    """The binary cross entropy of σ(Xw), summed over the examples; y is 0 or 1."""
    z = X @ w
    return np.sum(np.logaddexp(0, z) - y * z)


def bce_gradient(w, X, y):
    """The gradient of `bce_loss`."""
    return {"dw": X.T @ (sigmoid(X @ w) - y)}


def bce_arguments(rng, size):
    """`w, X, y`: y is 0 and 1."""
    N, D, *_ = SIZES[size].values()
    return {"w": rng.normal(size=D), "X": rng.normal(size=(N, D)), "y": rng.permutation(np.arange(N) % 2)}


def large_bce_arguments(rng):
    """`w, X, y` with the logits 1000, 3, −3 and −1000."""
    X = np.linalg.qr(rng.normal(size=(5, 5)))[0][:4]
    return {"w": X.T @ np.array([1000.0, 3.0, -3.0, -1000.0]), "X": X, "y": np.array([1, 0, 1, 0])}


def least_squares(w, X, y, reg):
    """The mean of (Xw − y)² over the examples, plus reg·Σw²."""
    e = X @ w - y
    return np.mean(e * e) + reg * np.sum(w * w)


def least_squares_gradient(w, X, y, reg):
    """The gradient of `least_squares`."""
    return {"dw": 2 / len(y) * X.T @ (X @ w - y) + 2 * reg * w}


def least_squares_arguments(rng, size):
    """`w, X, y, reg`."""
    N, D, *_ = SIZES[size].values()
    X, w = rng.normal(size=(N, D)), rng.normal(size=D)
    return {"w": w, "X": X, "y": rng.normal(size=N), "reg": float(rng.uniform(0.1, 0.5))}


VECTOR = (
    sign("dw"),
    scaled("half", 0.5, "dw"),
    permuted("rows", "dw"),
    permuted("rolled", "dw"),
    misshapen("row", "dw"),
    misshapen("column", "dw"),
    misshapen("number", "dw"),
    whole_numbers("dw"),
)
"""Mistakes in the gradient of weights (D,)."""

SUBJECTS = (
    Subject(
        "bce_loss",
        bce_loss,
        bce_arguments,
        ("w",),
        bce_gradient,
        (
            *VECTOR,
            scaled("averaged", lambda args: 1 / len(args["X"]), "dw"),
            scaled("twice", 2.0, "dw"),
            instead(
                "upstream-ignored",
                "The slope of the loss by the score, ŷ − y, does not come in.",
                lambda w, X, y: X.sum(axis=0),
                "dw",
            ),
            instead(
                "batch-not-summed/each",
                "There is a gradient for each example; sum them.",
                lambda w, X, y: X * (sigmoid(X @ w) - y)[:, None],
                "dw",
            ),
            instead("batch-not-summed/last", LAST_EXAMPLE, lambda w, X, y: X[-1] * (sigmoid(X[-1] @ w) - y[-1]), "dw"),
            instead(
                "",
                "The slope of σ counts twice: with the cross entropy ŷ(1 − ŷ) cancels, and ŷ − y remains.",
                lambda w, X, y: X.T @ ((s := sigmoid(X @ w)) * (1 - s) * (s - y)),
                "dw",
            ),
            instead(
                "unstable/divided",
                "ŷ(1 − ŷ) is rounded to 0, and then divided by; in ŷ − y it cancels.",
                lambda w, X, y: X.T @ ((s := sigmoid(X @ w)) * (1 - s) * ((s - y) / (s * (1 - s)))),
                "dw",
            ),
            instead(
                "unstable/overflow",
                "The exponential of a large score overflows: e^z / (1 + e^z) becomes ∞/∞.",
                lambda w, X, y: X.T @ (np.exp(X @ w) / (1 + np.exp(X @ w)) - y),
                "dw",
            ),
        ),
        large_bce_arguments,
    ),
    Subject(
        "least_squares",
        least_squares,
        least_squares_arguments,
        ("w",),
        least_squares_gradient,
        (
            *VECTOR,
            *AVERAGED,
            regularised(
                "sign/data", "The error is y − Xw instead of Xw − y.", lambda whole, part, n: 2 * part - whole, "dw"
            ),
            regularised(
                "scale/two-missing",
                "The 2 of the square's derivative is missing.",
                lambda whole, part, n: (whole + part) / 2,
                "dw",
            ),
            instead(
                "upstream-ignored",
                "The slope of the square, 2(Xw − y), does not come in.",
                lambda w, X, y, reg: X.sum(axis=0) + 2 * reg * w,
                "dw",
            ),
            instead(
                "batch-not-summed/last",
                LAST_EXAMPLE,
                lambda w, X, y, reg: 2 / len(y) * X[-1] * (X[-1] @ w - y[-1]) + 2 * reg * w,
                "dw",
            ),
        ),
    ),
)
