"""Loss functions: from scores and labels to the number that training minimises.

>>> import numpy as np
>>> from coursekit.losses import softmax_cross_entropy, svm_loss
>>> scores = np.array([[3.2, 5.1, -1.7]])
>>> round(float(svm_loss(scores, [0])), 2), round(float(softmax_cross_entropy(scores, [0])), 2)
(2.9, 2.04)

Each takes arrays and returns a number, or takes Tensors and returns a Tensor that can be
differentiated.  N is the number of examples, C the number of classes, and ``scores`` is the
output of a network's last layer: one row per example, before any softmax.  ``reduction="mean"`` divides
by N (by the number of entries where every entry is an example of its own); ``"sum"`` does not.
Arguments of the wrong type, shape or range raise a TypeError or a ValueError.

Source: the losses of the lectures, and the papers and books named in each docstring.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from coursekit.autograd import Tensor, log_softmax, stop_gradient
from coursekit.autograd.arraylike import ArrayLike

__all__ = ["binary_cross_entropy", "l2", "mean_squared_error", "softmax_cross_entropy", "svm_loss"]


def svm_loss(scores: Any, y: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """Compute the multiclass hinge loss: every wrong score should be below the right one by `margin`.

    ``L = Σ_n Σ_{j ≠ y_n} max(0, s_nj − s_ny + margin)``, divided by N.  The derivative at the kink is 0.  When all
    scores are about equal, L is about C − 1 times the margin.  (Weston and Watkins, ESANN 1999.)

    Parameters
    ----------
    scores : array or Tensor, shape (N, C)
    y : array of int, shape (N,)
        The right classes, 0 to C − 1.

    Examples
    --------
    >>> svm_loss(np.zeros((2, 10)), [3, 7])
    np.float64(9.0)
    """
    scores = _scores("svm_loss", scores)
    right = _labels("svm_loss", y, *scores.shape)[:, None]
    rows = np.arange(len(right))[:, None]
    # With a margin of 0 the right class itself sits at the kink and adds nothing to loss or gradient.
    margins = (np.arange(scores.shape[1]) != right) * scores.dtype.type(margin)
    return _reduced("svm_loss", np.maximum(0, scores - scores[rows, right] + margins), len(right), reduction)


def softmax_cross_entropy(scores: Any, y: Any, *, reduction: str = "mean") -> Any:
    """Compute the cross entropy between the labels and the softmax of the scores.

    ``L = Σ_n −log p_n,y_n`` with ``p_nj = exp(s_nj) / Σ_k exp(s_nk)``, divided by N; exact for scores of ±1000 too.
    When all scores are about equal, L is about log C.  (Goodfellow et al., Deep Learning, 2016, section 6.2.2.3.)

    Parameters
    ----------
    scores : array or Tensor, shape (N, C)
    y : array of int, shape (N,), or of probabilities, shape (N, C)
        The right classes, 0 to C − 1, or a distribution over the classes in each row
        ("soft labels"; the loss is then ``Σ_n Σ_j −y_nj log p_nj``).

    Examples
    --------
    >>> softmax_cross_entropy(np.zeros((2, 10)), [3, 7])    # log 10
    np.float64(2.302585092994046)
    >>> softmax_cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])   # log 2
    np.float64(0.6931471805599453)
    """
    name = "softmax_cross_entropy"
    log_p = log_softmax(_scores(name, scores), axis=1)
    if np.shape(y) == log_p.shape:
        return _reduced(name, -_distributions(name, y, log_p.dtype) * log_p, len(log_p), reduction)
    labels = _labels(name, y, *log_p.shape)
    return _reduced(name, -log_p[np.arange(len(labels)), labels], len(log_p), reduction)


def binary_cross_entropy(y_hat: Any, y: Any, *, from_logits: bool = False, reduction: str = "mean") -> Any:
    """Compute the cross entropy of binary labels: ``L = Σ −y log ŷ − (1 − y) log(1 − ŷ)`` (Bishop 2006, eq. 4.90).

    Parameters
    ----------
    y_hat : array or Tensor, any shape
        Probabilities of label 1, or with ``from_logits=True`` the logits z, whose
        probability is ``ŷ = 1 / (1 + exp(−z))``.
    y : array of the shape of `y_hat`
        0 or 1; probabilities in between are allowed.
    from_logits : bool
        Prefer True for training: from logits the loss is exact for any z.  A probability
        that was rounded to 0 or 1 has lost its logit, and the logarithm is cut off there
        (at about −708 and −36.7 in float64, −87 and −16.6 in float32).

    Examples
    --------
    >>> round(float(binary_cross_entropy([0.9, 0.2], [1, 0])), 4)
    0.1643
    >>> binary_cross_entropy([-1000.0, 1000.0], [1, 1], from_logits=True, reduction="sum")
    np.float64(1000.0)
    """
    name = "binary_cross_entropy"
    y_hat = _floats(name, "y_hat", y_hat)
    y = _targets(name, y_hat, stop_gradient(y))
    _within_0_and_1(name, "y", y, "labels are 0 and 1 (for labels −1 and 1, pass (y + 1) / 2)")
    if from_logits:  # log(1 + exp z) − y z, with y z moved into the logarithm, so that nothing cancels
        return _reduced(name, np.logaddexp(-y * y_hat, (1 - y) * y_hat), y_hat.size, reduction)
    _within_0_and_1(name, "y_hat", stop_gradient(y_hat), "for scores that are not yet probabilities: from_logits=True")
    precision = np.finfo(y_hat.dtype)
    log_yes = _log_above(y_hat, float(precision.tiny))
    log_no = _log_above(1 - y_hat, float(precision.epsneg))  # 1 − ŷ is 0 where ŷ was rounded to 1
    return _reduced(name, -(y * log_yes + (1 - y) * log_no), y_hat.size, reduction)


def mean_squared_error(y_hat: Any, y: Any, *, reduction: str = "mean") -> Any:
    """Compute ``L = Σ (ŷ − y)²``, divided by the number of entries, without a factor ½.

    `y_hat` and `y` are arrays or Tensors of the same shape: (N, 1) against (N,) would broadcast to all N² pairs.

    >>> mean_squared_error([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)
    """
    name = "mean_squared_error"
    y_hat = _floats(name, "y_hat", y_hat)
    return _reduced(name, np.square(y_hat - _targets(name, y_hat, y)), y_hat.size, reduction)


def l2(weights: Iterable[Any]) -> Any:
    """Compute the regulariser ``Σ ‖W‖²`` over all `weights`, without a factor ½.

    The course regularises weights and never biases: pass ``model.weights()``, not ``model.parameters()``.

    >>> l2([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    np.float64(14.0)
    """
    squares = [np.sum(np.square(W)) for W in weights]
    if not squares:
        raise ValueError("l2: there are no weights. (An iterator that was used before is empty the second time.)")
    return sum(squares[1:], start=squares[0])


# --- What the losses share: the reduction, and checks of their arguments ---------------------------


def _reduced(name: str, losses: Any, count: int, reduction: str) -> Any:
    if reduction == "sum":
        return np.sum(losses)
    if reduction == "mean":
        return np.sum(losses) / count
    raise ValueError(f'{name}: reduction is "mean" or "sum", not {reduction!r}.')


def _log_above(p: Any, floor: float) -> Any:
    """Compute log p, with a finite value and derivative where p lies below `floor`."""
    return np.log(np.where(p < floor, p + floor, p))


def _floats(name: str, what: str, x: Any) -> Any:
    """Return `x`, converted to an array of floats if it is a list or holds integers."""
    x = x if isinstance(x, Tensor) else np.asarray(x)
    if x.dtype.kind in "iu":
        x = x.astype(np.float64)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: {what} should hold real numbers, but its dtype is {x.dtype}.")
    if x.size == 0:
        raise ValueError(f"{name}: {what} has shape {x.shape}, so there is no example to take the loss of.")
    return x


def _scores(name: str, scores: Any) -> Any:
    scores = _floats(name, "scores", scores)
    if scores.ndim != 2:
        raise ValueError(
            f"{name}: scores has shape {scores.shape}, not (N, C): one row an example and one column a class. "
            "For a single example, pass scores[None, :]."
        )
    return scores


def _plain(y: Any) -> Any:
    """Return `y` as an array, or as its stand-in without values while flat code is being recorded."""
    y = stop_gradient(y)
    return y if isinstance(y, ArrayLike) else np.asarray(y)


def _labels(name: str, y: Any, examples: int, classes: int) -> Any:
    y = _plain(y)
    if y.shape != (examples,):
        hint = " Pass y.ravel()." if y.shape == (examples, 1) else ""
        raise ValueError(f"{name}: y has shape {y.shape}, but {examples} rows of scores need ({examples},).{hint}")
    if y.dtype.kind not in "iu":
        raise TypeError(f"{name}: y should hold class numbers, but its dtype is {y.dtype}. Pass y.astype(int).")
    outside = np.flatnonzero((y < 0) | (y >= classes)) if isinstance(y, np.ndarray) else ()
    for i in outside:
        raise ValueError(f"{name}: y[{i}] is {y[i]}, but scores has {classes} columns: labels are 0 to {classes - 1}.")
    return y


def _distributions(name: str, y: Any, dtype: Any) -> Any:
    y = _plain(y).astype(dtype)
    if not isinstance(y, np.ndarray):
        return y
    _within_0_and_1(name, "y", y, "soft labels are probabilities")
    for i in np.flatnonzero(np.abs(y.sum(axis=1) - 1) > 1e-3):
        raise ValueError(f"{name}: soft labels add up to 1 in each row, but y[{i}] to {y[i].sum():.6g}.")
    return y


def _targets(name: str, y_hat: Any, y: Any) -> Any:
    if not isinstance(y, Tensor):
        y = np.asarray(y)
        if y.dtype.kind not in "biuf":
            raise TypeError(f"{name}: y should hold real numbers, but its dtype is {y.dtype}.")
        y = y.astype(y_hat.dtype, copy=False)
    if y.shape != y_hat.shape:
        raise ValueError(
            f"{name}: y_hat has shape {y_hat.shape} and y {y.shape}. They would broadcast to compare "
            "every entry with many: reshape one of them first, for example y_hat[:, 0] or y[:, None]."
        )
    return y


def _within_0_and_1(name: str, what: str, p: Any, hint: str) -> None:
    for outside in np.ravel(p)[np.ravel((p < 0) | (p > 1))]:
        raise ValueError(f"{name}: {what} holds {outside}, which is not within [0, 1]; {hint}.")
