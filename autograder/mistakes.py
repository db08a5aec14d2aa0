"""Known mistakes that many exercises share, as data: what each would give, from the right results and arguments.

A loss here follows CS231n's calling convention: arguments `W, X, y, reg`, results `loss` and `dW`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .spec import Mistake, Results

# -- gradients of anything ----------------------------------------------------------------


def sign(*names: str) -> Mistake:
    """The results `names` with their sign flipped."""
    return Mistake(
        "sign",
        "The sign is flipped: this is the negative of the gradient.",
        lambda right, args: {name: -right[name] for name in names},
    )


def zero(*names: str) -> Mistake:
    """The results `names` left at zero."""
    return Mistake(
        "gradient-zero",
        "The gradient is all zeros: it is made, but nothing is ever added to it.",
        lambda right, args: {name: np.zeros_like(right[name]) for name in names},
    )


def instead(code: str, message: str, formula: Callable[..., Any], *names: str) -> Mistake:
    """`formula(*args)` in place of the results `names`: a number for one, a tuple for several."""

    def gives(right: Results, args: Results) -> Results:
        values = formula(*args.values())
        return dict(zip(names, values if len(names) > 1 else (values,), strict=True))

    return Mistake(code, message, gives)


# -- losses that are averaged over examples and regularised ---------------------------------


def not_averaged() -> Mistake:
    """The data loss summed over the examples instead of averaged."""

    def gives(right: Results, args: Results) -> Results:
        penalty, slope = _regularizer(args)
        n = len(args["X"])
        return {"loss": (right["loss"] - penalty) * n + penalty, "dW": (right["dW"] - slope) * n + slope}

    return Mistake("scale", "The sum over the examples is not divided by their number N.", gives)


def averaged_twice() -> Mistake:
    """The data loss divided by N twice."""

    def gives(right: Results, args: Results) -> Results:
        penalty, slope = _regularizer(args)
        n = len(args["X"])
        return {"loss": (right["loss"] - penalty) / n + penalty, "dW": (right["dW"] - slope) / n + slope}

    return Mistake("averaged-twice", "The sum over the examples is divided by their number N twice.", gives)


def data_sign() -> Mistake:
    """The gradient of the data loss with its sign flipped, that of the regulariser right."""

    def gives(right: Results, args: Results) -> Results:
        _, slope = _regularizer(args)
        return {"dW": 2 * slope - right["dW"]}

    message = "The sign of the data loss's gradient is flipped: it points uphill where it should point downhill."
    return Mistake("sign/data", message, gives)


def loss_sign() -> Mistake:
    """The data loss with its sign flipped, the regulariser right."""

    def gives(right: Results, args: Results) -> Results:
        penalty, _ = _regularizer(args)
        return {"loss": 2 * penalty - right["loss"]}

    return Mistake("sign/loss", "The sign of the data loss is flipped.", gives)


def data_gradient_zero() -> Mistake:
    """The gradient of the regulariser alone."""

    def gives(right: Results, args: Results) -> Results:
        return {"dW": _regularizer(args)[1]}

    message = "The gradient is that of the regulariser alone: nothing of the data is added to it."
    return Mistake("gradient-zero/data", message, gives)


def averaged_with_regularizer() -> Mistake:
    """``loss /= N + reg * np.sum(W * W)``: everything on the right divides."""

    def gives(right: Results, args: Results) -> Results:
        penalty, slope = _regularizer(args)
        n = len(args["X"])
        with np.errstate(all="ignore"):
            return {
                "loss": (right["loss"] - penalty) * n / (n + penalty),
                "dW": (right["dW"] - slope) * n / (n + slope),
            }

    message = "`a /= N + b` divides by N + b: divide by N first and add the regulariser in a line of its own."
    return Mistake("precedence", message, gives)


def averaged_inside(evaluate: Callable[..., Any]) -> Mistake:
    """The sums divided by N inside the loop over examples; `evaluate` is the right loss with its gradient."""

    def gives(right: Results, args: Results) -> Results:
        W, X, y = args["W"], args["X"], args["y"]
        penalty, slope = _regularizer(args)
        loss, dW = 0.0, np.zeros_like(W)
        for i in range(len(X)):
            one, gradient = evaluate(W, X[i : i + 1], y[i : i + 1], 0.0)
            loss, dW = (loss + one) / len(X), (dW + gradient) / len(X)
        return {"loss": loss + penalty, "dW": dW + slope}

    message = "The sum is divided by N inside the loop, so again for each example: divide once, after the loop."
    return Mistake("averaged-in-loop", message, gives)


def label_shift(evaluate: Callable[..., Any]) -> Mistake:
    """The class before the label in place of the label's own, as if labels counted from 1."""

    def gives(right: Results, args: Results) -> Results:
        W, X, y, reg = args.values()
        return dict(zip(("loss", "dW"), evaluate(W, X, (y - 1) % W.shape[1], reg), strict=True))

    message = "The labels are off by one: they count from 0, so y[i] is the column of the correct class."
    return Mistake("label-shift", message, gives)


def regularizer_unweighted() -> Mistake:
    """ΣW² in place of reg·ΣW²."""

    def gives(right: Results, args: Results) -> Results:
        squares, twice = _regularizer({**args, "reg": 1 - args["reg"]})
        return {"loss": right["loss"] + squares, "dW": right["dW"] + twice}

    return Mistake("reg-ignored", "The regulariser is added without its strength `reg`.", gives)


def regularizer_scaled(code: str, message: str, factor: Callable[[Results], float]) -> Mistake:
    """The regulariser multiplied by `factor(args)`."""

    def gives(right: Results, args: Results) -> Results:
        penalty, slope = _regularizer(args)
        change = factor(args) - 1
        return {"loss": right["loss"] + change * penalty, "dW": right["dW"] + change * slope}

    return Mistake(code, message, gives)


def absolute_regularizer() -> Mistake:
    """The gradient of the regulariser with |W| for W."""

    def gives(right: Results, args: Results) -> Results:
        return {"dW": right["dW"] + 2 * args["reg"] * (np.abs(args["W"]) - args["W"])}

    return Mistake("regularizer-absolute", "The gradient of reg·ΣW² is 2·reg·W, with the signs of W.", gives)


REGULARIZED = (
    not_averaged(),
    averaged_twice(),
    regularizer_scaled(
        "regularizer-missing", "The regulariser reg·ΣW² is missing (its gradient is 2·reg·W).", lambda a: 0
    ),
    regularizer_scaled(
        "regularizer-half",
        "The regulariser counts half. In this course it is reg·ΣW², without a ½, and its gradient is 2·reg·W.",
        lambda a: 0.5,
    ),
    regularizer_scaled(
        "regularizer-double", "The regulariser counts double: it is reg·ΣW², with gradient 2·reg·W.", lambda a: 2
    ),
    regularizer_unweighted(),
    regularizer_scaled(
        "regularizer-averaged",
        "The regulariser is divided by N too: average the examples first, then add it.",
        lambda a: 1 / len(a["X"]),
    ),
    regularizer_scaled(
        "regularizer-in-loop",
        "The regulariser is added once for every example: add it once, after the loop.",
        lambda a: len(a["X"]),
    ),
    averaged_with_regularizer(),
    absolute_regularizer(),
    sign("dW"),
    data_sign(),
    loss_sign(),
    zero("dW"),
    data_gradient_zero(),
)


def _regularizer(args: Results) -> tuple[float, np.ndarray]:
    W, reg = args["W"], args["reg"]
    return float(reg * np.sum(W * W)), 2 * reg * W
