"""The worked example's network by hand, and what goes wrong with it: every step can be exchanged for a wrong one.

x1 = W0 x0, x2 = tanh x1, x3 = W1 x2, L = ½(x3 − y)²; gradients are row vectors, so that dL_dW is laid out as Wᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..spec import Mistake, Results

Array = Any


class FromCase(np.ndarray):
    """A right value that knows the arguments it comes from: a step that looks into a dict has only the key."""

    args: Results

    @classmethod
    def of(cls, value: Any, args: Results) -> FromCase:
        made = np.array(value, dtype=float).view(cls)
        made.args = args
        return made


def passes(
    W0: Array,
    W1: Array,
    x0: Array,
    y: float,
    *,
    error: Callable[[Array, float], Array] = lambda x3, y: x3 - y,
    to_x2: Callable[[Array, Array, Array], Array] = lambda g3, W1, x2: g3 * W1[0],
    slope: Callable[[Array, Array], Array] = lambda x1, x2: 1 - x2**2,
    to_x1: Callable[[Array, Array], Array] = lambda g2, slope: g2 * slope,
    to_W0: Callable[[Array, Array, Array, Array], Array] = lambda x0, g1, g2, x1: np.outer(x0, g1),
    to_W1: Callable[[Array, Array, Array], Array] = lambda x1, x2, g3: np.outer(x2, g3),
) -> Results:
    """All five gradients by hand, with each step open to be done otherwise."""
    x1 = W0 @ x0
    x2 = np.tanh(x1)
    x3 = (W1 @ x2).item()
    g3 = error(x3, y)
    g2 = to_x2(g3, W1, x2)
    g1 = to_x1(g2, slope(x1, x2))
    return {
        "dL_dx3": g3,
        "dL_dx2": g2,
        "dL_dx1": g1,
        "dL_dW0": to_W0(x0, g1, g2, x1),
        "dL_dW1": to_W1(x1, x2, g3),
    }


def wrong_step(code: str, message: str, **steps: Callable[..., Any]) -> Mistake:
    """The gradients with `steps` of :func:`passes` done otherwise, and what follows from them on the way back."""

    def gives(right: Results, args: Results) -> Results:
        return {name: _like(passes(**{**value.args, **steps})[name], value) for name, value in right.items()}

    return Mistake(code, message, gives)


def _like(value: Any, right: Any) -> Any:
    """`value` in the shape of `right`, if it has as many entries: a row may have one axis or two."""
    return np.reshape(value, np.shape(right)) if np.size(value) == np.size(right) else value


def other_layout(form: str, *names: str) -> Mistake:
    """The gradients `names` laid out as W is."""
    message = (
        "This gradient is laid out as W; here gradients are row vectors, so dL_dW = (input as a column) · (row), "
        "with the shape of Wᵀ."
    )
    return Mistake(
        f"transposed/{form}", message, lambda right, args: {name: right[name].T for name in names if name in right}
    )


# Those that change least come first: where one gradient alone is wrong, the mistake that is made there is named.
BACKWARD = (
    wrong_step(
        "upstream-ignored/W0",
        "dL_dx1 does not come in: dL_dW0 is x0 as a column times dL_dx1.",
        to_W0=lambda x0, g1, g2, x1: np.outer(x0, np.ones_like(g1)),
    ),
    wrong_step(
        "upstream-ignored/W1",
        "dL_dx3 does not come in: dL_dW1 is x2 as a column times dL_dx3.",
        to_W1=lambda x1, x2, g3: x2[:, None],
    ),
    wrong_step(
        "wrong-node/W0",
        "dL_dW0 is made from dL_dx2; W0 makes x1, so its gradient needs dL_dx1.",
        to_W0=lambda x0, g1, g2, x1: np.outer(x0, g2),
    ),
    wrong_step(
        "wrong-input/W1",
        "dL_dW1 is made from x1; what W1 is multiplied by is x2, after the tanh.",
        to_W1=lambda x1, x2, g3: np.outer(x1, g3),
    ),
    other_layout("W0", "dL_dW0"),
    other_layout("W1", "dL_dW1"),
    other_layout("both", "dL_dW0", "dL_dW1"),
    wrong_step(
        "slope-of-input",
        "tanh′ = 1 − tanh² is taken of the input x1; it is 1 − x2², of the output.",
        slope=lambda x1, x2: 1 - x1**2,
    ),
    wrong_step(
        "slope-applied-twice",
        "tanh is applied twice: x2 is tanh(x1) already, so the slope is 1 − x2².",
        slope=lambda x1, x2: 1 - np.tanh(x2) ** 2,
    ),
    wrong_step("slope-square-missing", "The square is missing: tanh′ = 1 − x2².", slope=lambda x1, x2: 1 - x2),
    wrong_step(
        "slope-of-sigmoid",
        "x2(1 − x2) is the slope of the sigmoid; that of tanh is 1 − x2².",
        slope=lambda x1, x2: x2 * (1 - x2),
    ),
    wrong_step("slope-sign", "The slope of tanh is 1 − x2², not 1 + x2².", slope=lambda x1, x2: 1 + x2**2),
    wrong_step(
        "slope-missing",
        "The tanh is skipped: dL_dx1 is dL_dx2 times its slope, entry by entry.",
        slope=lambda x1, x2: 1.0 + 0 * x1,
    ),
    wrong_step(
        "upstream-ignored/x1",
        "dL_dx2 does not come in: dL_dx1 is dL_dx2 times the slope of tanh.",
        to_x1=lambda g2, slope: slope,
    ),
    wrong_step(
        "upstream-ignored/x2",
        "dL_dx3 does not come in: dL_dx2 is dL_dx3 times W1, not W1 alone.",
        to_x2=lambda g3, W1, x2: W1[0],
    ),
    wrong_step(
        "wrong-factor",
        "The other factor is taken: of x3 = W1 x2, the derivative by x2 is W1.",
        to_x2=lambda g3, W1, x2: g3 * x2,
    ),
    wrong_step("sign", "The sign is flipped: of ½(x3 − y)² the derivative is x3 − y.", error=lambda x3, y: y - x3),
    wrong_step(
        "scale/double",
        "All is twice too large: the ½ of the loss cancels the 2 of the square.",
        error=lambda x3, y: 2 * (x3 - y),
    ),
    wrong_step(
        "scale/half",
        "All is half of what it should be: the square's 2 and the ½ of the loss cancel.",
        error=lambda x3, y: (x3 - y) / 2,
    ),
    wrong_step(
        "loss-for-gradient",
        "The backward pass starts from the loss itself; it starts from its derivative, x3 − y.",
        error=lambda x3, y: 0.5 * (x3 - y) ** 2,
    ),
    wrong_step("target-ignored", "The target y does not come in: dL_dx3 is x3 − y.", error=lambda x3, y: x3),
    wrong_step(
        "upstream-ones",
        "The backward pass starts from 1; the gradient that reaches x3 is x3 − y.",
        error=lambda x3, y: 1.0,
    ),
)
