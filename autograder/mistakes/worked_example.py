"""The worked example's network by hand, and what goes wrong with it: every step can be exchanged for a wrong one.

x1 = W0 x0, x2 = tanh x1, x3 = W1 x2, L = ½(x3 − y)²; gradients are row vectors, so that dL_dW is laid out as Wᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..spec import Mistake, Results
from .general import instead_of

Array = Any

# -- forwards -----------------------------------------------------------------------------


def forward(
    W0: Array,
    W1: Array,
    x0: Array,
    *,
    product: Callable[[Array, Array], Array] = np.matmul,
    f: Callable[[Array], Array] = np.tanh,
    seen: Callable[[Array, Array], Array] = lambda x1, x2: x2,
    last: Callable[[Array], Array] = lambda x3: x3,
) -> tuple[Array, Array, Array]:
    """The nodes x1, x2, x3, with the hidden layer's product and `f`, what W1 has `seen`, and the `last` step."""
    x1 = product(W0, x0)
    x2 = f(x1)
    return x1, x2, last((W1 @ seen(x1, x2)).item())


_nodes = instead_of("x1", "x2", "x3")


def _forward(code: str, message: str, **steps: Callable[..., Array]) -> Mistake:
    return _nodes(code, message, lambda *args: forward(*args, **steps))


def _from_transposed(W0: Array, x0: Array) -> Array:
    """W0ᵀ x0, where that is possible."""
    return (W0.T if W0.shape[0] == W0.shape[1] else W0) @ x0


FORWARD = (
    _forward("tanh-skipped", "x3 is made from x1; it is W1 times x2, after the tanh.", seen=lambda x1, x2: x1),
    _forward("tanh-at-the-end", "There is no tanh after the last layer: x3 = W1 x2.", last=np.tanh),
    _forward("tanh-missing", "The tanh is missing: x2 = tanh(x1).", f=lambda x: x),
    _forward("sigmoid-for-tanh", "This is the sigmoid; the hidden units are tanh.", f=lambda x: 1 / (1 + np.exp(-x))),
    _forward("relu-for-tanh", "This is the ReLU; the hidden units are tanh.", f=lambda x: np.maximum(0, x)),
    _forward("tan-for-tanh", "This is np.tan, of angles; the hidden units are np.tanh.", f=np.tan),
    _forward("tanh-twice", "The tanh is applied twice.", f=lambda x: np.tanh(np.tanh(x))),
    _forward(
        "transposed",
        "W0 is transposed: unit i of the hidden layer uses row i of W0, so x1 = W0 @ x0.",
        product=_from_transposed,
    ),
    _nodes("swapped/x1-x2", "x1 and x2 are exchanged.", lambda *args: [forward(*args)[i] for i in (1, 0, 2)]),
    _nodes(
        "entrywise-product",
        "`*` multiplies entry by entry; a matrix times a vector is `@`.",
        lambda W0, W1, x0: (W0 * x0, np.tanh(W0 * x0), forward(W0, W1, x0)[2]),
    ),
    _nodes(
        "swapped/reversed",
        "The order is (x1, x2, x3), from the input to the output.",
        lambda *args: forward(*args)[::-1],
    ),
)


def loss(x3: Array, y: Array) -> Array:
    """Half the squared error."""
    return 0.5 * np.sum((x3 - y) ** 2)


_loss = instead_of("L")

LOSS = (
    _loss("half-missing", "The ½ is missing.", lambda x3, y: 2 * loss(x3, y)),
    _loss("half-inside", "The ½ is squared too: it stands before the square.", lambda x3, y: loss(x3, y) / 2),
    _loss("square-missing", "The square is missing.", lambda x3, y: 0.5 * np.sum(x3 - y)),
    _loss("absolute", "This is ½|x3 − y|; square it.", lambda x3, y: 0.5 * np.sum(np.abs(x3 - y))),
    _loss("gradient-for-loss", "x3 − y is the derivative of the loss, not the loss.", lambda x3, y: np.sum(x3 - y)),
    _loss("sign", "The sign is flipped: a square is not negative.", lambda x3, y: -loss(x3, y)),
    _loss("sum-for-difference", "Subtract y from x3; here it is added.", lambda x3, y: loss(x3, -y)),
    _loss(
        "difference-of-squares",
        "This is ½(x3² − y²): subtract first, then square.",
        lambda x3, y: 0.5 * np.sum(x3**2 - y**2),
    ),
    _loss("rounded", "Do not round: return the number as it is.", lambda x3, y: round(float(loss(x3, y)), 3)),
)

# -- backwards ----------------------------------------------------------------------------


def backward(
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
    x1, x2, x3 = forward(W0, W1, x0)
    g3 = error(x3, y)
    g2 = to_x2(g3, W1, x2)
    g1 = to_x1(g2, slope(x1, x2))
    return {
        "dL_dx3": g3,
        "dL_dx2": g2[None],
        "dL_dx1": g1[None],
        "dL_dW0": to_W0(x0, g1, g2, x1),
        "dL_dW1": to_W1(x1, x2, g3),
    }


def _backward(code: str, message: str, **steps: Any) -> Mistake:
    """The gradients with `steps` of :func:`backward` done otherwise, and what follows from them on the way back."""
    return Mistake(code, message, lambda right, args: backward(**args, **steps))


def _laid_out_as_W(form: str, *names: str) -> Mistake:
    message = (
        "This gradient is laid out as W; here gradients are row vectors, so dL_dW = (input as a column) · (row), "
        "with the shape of Wᵀ."
    )
    return Mistake(f"transposed/{form}", message, lambda right, args: {name: right[name].T for name in names})


# Those that change least come first: where one gradient alone is wrong, the mistake that is made there is named.
BACKWARD = (
    _backward(
        "upstream-ignored/W0",
        "dL_dx1 does not come in: dL_dW0 is x0 as a column times dL_dx1.",
        to_W0=lambda x0, g1, g2, x1: np.outer(x0, np.ones_like(g1)),
    ),
    _backward(
        "upstream-ignored/W1",
        "dL_dx3 does not come in: dL_dW1 is x2 as a column times dL_dx3.",
        to_W1=lambda x1, x2, g3: x2[:, None],
    ),
    _backward(
        "wrong-node/W0",
        "dL_dW0 is made from dL_dx2; W0 makes x1, so its gradient needs dL_dx1.",
        to_W0=lambda x0, g1, g2, x1: np.outer(x0, g2),
    ),
    _backward(
        "wrong-input/W1",
        "dL_dW1 is made from x1; what W1 is multiplied by is x2, after the tanh.",
        to_W1=lambda x1, x2, g3: np.outer(x1, g3),
    ),
    _laid_out_as_W("W0", "dL_dW0"),
    _laid_out_as_W("W1", "dL_dW1"),
    _laid_out_as_W("both", "dL_dW0", "dL_dW1"),
    _backward(
        "slope-of-input",
        "tanh′ = 1 − tanh² is taken of the input x1; it is 1 − x2², of the output.",
        slope=lambda x1, x2: 1 - x1**2,
    ),
    _backward(
        "slope-applied-twice",
        "tanh is applied twice: x2 is tanh(x1) already, so the slope is 1 − x2².",
        slope=lambda x1, x2: 1 - np.tanh(x2) ** 2,
    ),
    _backward("slope-square-missing", "The square is missing: tanh′ = 1 − x2².", slope=lambda x1, x2: 1 - x2),
    _backward(
        "slope-of-sigmoid",
        "x2(1 − x2) is the slope of the sigmoid; that of tanh is 1 − x2².",
        slope=lambda x1, x2: x2 * (1 - x2),
    ),
    _backward("slope-sign", "The slope of tanh is 1 − x2², not 1 + x2².", slope=lambda x1, x2: 1 + x2**2),
    _backward(
        "slope-missing",
        "The tanh is skipped: dL_dx1 is dL_dx2 times its slope, entry by entry.",
        slope=lambda x1, x2: 1.0 + 0 * x1,
    ),
    _backward(
        "upstream-ignored/x1",
        "dL_dx2 does not come in: dL_dx1 is dL_dx2 times the slope of tanh.",
        to_x1=lambda g2, slope: slope,
    ),
    _backward(
        "upstream-ignored/x2",
        "dL_dx3 does not come in: dL_dx2 is dL_dx3 times W1, not W1 alone.",
        to_x2=lambda g3, W1, x2: W1[0],
    ),
    _backward(
        "wrong-factor",
        "The other factor is taken: of x3 = W1 x2, the derivative by x2 is W1.",
        to_x2=lambda g3, W1, x2: g3 * x2,
    ),
    _backward("sign", "The sign is flipped: of ½(x3 − y)² the derivative is x3 − y.", error=lambda x3, y: y - x3),
    _backward(
        "scale/double",
        "All is twice too large: the ½ of the loss cancels the 2 of the square.",
        error=lambda x3, y: 2 * (x3 - y),
    ),
    _backward(
        "scale/half",
        "All is half of what it should be: the square's 2 and the ½ of the loss cancel.",
        error=lambda x3, y: (x3 - y) / 2,
    ),
    _backward(
        "loss-for-gradient",
        "The backward pass starts from the loss itself; it starts from its derivative, x3 − y.",
        error=lambda x3, y: 0.5 * (x3 - y) ** 2,
    ),
    _backward("target-ignored", "The target y does not come in: dL_dx3 is x3 − y.", error=lambda x3, y: x3),
    _backward(
        "upstream-ones",
        "The backward pass starts from 1; the gradient that reaches x3 is x3 − y.",
        error=lambda x3, y: 1.0,
    ),
)

# -- an update, and one after the other -----------------------------------------------------


def update(W: Array, dL_dW: Array, eta: float) -> Array:
    """W + η (dL_dW)ᵀ."""
    return W + eta * dL_dW.T


def _without_transposing(W: Array, dL_dW: Array, eta: float) -> Array:
    """W + η dL_dW where that is possible: for a square W, and for one row, which is broadcast."""
    return W + eta * dL_dW if W.shape[0] == W.shape[1] or 1 in W.shape else update(W, dL_dW, eta)


ETA_FIXED = "η is always −0.2 here: use the one that is given."
_update = instead_of("new W")

UPDATE = (
    _update(
        "transpose-missing",
        "The gradient is added as it is; it has the layout of Wᵀ, so transpose it first.",
        _without_transposing,
    ),
    _update(
        "sign",
        "The step is subtracted; here η is negative already, so it is added.",
        lambda W, dL_dW, eta: update(W, dL_dW, -eta),
    ),
    _update(
        "sign/forced",
        "The sign of η is thrown away: use η as it comes.",
        lambda W, dL_dW, eta: update(W, dL_dW, -abs(eta)),
    ),
    _update("eta-ignored", "η does not come in.", lambda W, dL_dW, eta: update(W, dL_dW, 1)),
    _update("eta-ignored/minus", "η does not come in.", lambda W, dL_dW, eta: update(W, dL_dW, -1)),
    _update("eta-fixed", ETA_FIXED, lambda W, dL_dW, eta: update(W, dL_dW, -0.2)),
    _update("step-alone", "This is the step alone: add it to W.", lambda W, dL_dW, eta: eta * dL_dW.T),
    _update("no-update", "W comes back as it was.", lambda W, dL_dW, eta: W),
    _update("eta-times-both", "η multiplies the gradient alone, not W.", lambda W, dL_dW, eta: eta * (W + dL_dW.T)),
    _update(
        "wrong-layout",
        "W is transposed where the gradient should be: the result has the shape of W.",
        lambda W, dL_dW, eta: W.T + eta * dL_dW,
    ),
)


def both(W0: Array, W1: Array, x0: Array, y: float, eta: float) -> tuple[Array, Array]:
    """Both weights after one step, from gradients that were taken before either changed."""
    at = backward(W0, W1, x0, y)
    return update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)


def train(
    W0: Array,
    W1: Array,
    x0: Array,
    y: float,
    eta: float,
    num_iters: int,
    step: Callable[..., tuple[Array, Array]] = both,
) -> tuple[Array, Array, Array]:
    """The weights after `num_iters` steps, and the loss before each."""
    losses = []
    for _ in range(num_iters):
        losses.append(loss(forward(W0, W1, x0)[2], y))
        W0, W1 = step(W0, W1, x0, y, eta)
    return W0, W1, np.array(losses)


def _output_first(W0: Array, W1: Array, x0: Array, y: float, eta: float) -> tuple[Array, Array]:
    W1 = both(W0, W1, x0, y, eta)[1]
    return both(W0, W1, x0, y, eta)[0], W1


def _input_first(W0: Array, W1: Array, x0: Array, y: float, eta: float) -> tuple[Array, Array]:
    W0 = both(W0, W1, x0, y, eta)[0]
    return W0, both(W0, W1, x0, y, eta)[1]


def _new_W1_on_the_way_back(W0: Array, W1: Array, x0: Array, y: float, eta: float) -> tuple[Array, Array]:
    """W1 is updated as soon as its gradient is there, and the gradient of W0 then goes through the new one."""
    new = both(W0, W1, x0, y, eta)[1]
    late = backward(W0, W1, x0, y, to_x2=lambda g3, W1, x2: g3 * new[0])
    return update(W0, late["dL_dW0"], eta), new


def _always_the_first_gradient(W0: Array, W1: Array, x0: Array, y: float, eta: float, num_iters: int) -> Any:
    at = backward(W0, W1, x0, y)

    def step(W0: Array, W1: Array, *rest: Any) -> tuple[Array, Array]:
        return update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)

    return train(W0, W1, x0, y, eta, num_iters, step)


_train = instead_of("W0", "W1", "losses")


def _step(code: str, message: str, step: Callable[..., Any]) -> Mistake:
    return _train(code, message, partial(train, step=step))


def _longer(code: str, message: str, more: int, pick: Callable[[Any, Any], Any]) -> Mistake:
    """From the run that was asked for and one of `more` iterations, what `pick` takes."""

    def gives(right: Results, args: Results) -> Results:
        longer = {**args, "num_iters": args["num_iters"] + more}
        return dict(zip(("W0", "W1", "losses"), pick(train(**args), train(**longer)), strict=True))

    return Mistake(code, message, gives)


TRAIN = (
    _train(
        "half-missing",
        "The losses are twice too large: the ½ is missing.",
        lambda *args: (*train(*args)[:2], 2 * train(*args)[2]),
    ),
    _longer(
        "losses-after",
        "Each loss is taken after the update; append the one from before it.",
        1,
        lambda run, longer: (*run[:2], longer[2][1:]),
    ),
    _longer(
        "losses-with-the-last",
        "The loss after the last step is in the list too; it holds one loss for each iteration.",
        1,
        lambda run, longer: (*run[:2], longer[2]),
    ),
    _train(
        "losses-reversed",
        "The losses are in the wrong order: the first iteration comes first.",
        lambda *args: (*train(*args)[:2], train(*args)[2][::-1]),
    ),
    _longer(
        "last-update-missing",
        "The returned weights are those from before the last update.",
        -1,
        lambda run, shorter: (*shorter[:2], run[2]),
    ),
    _step(
        "sign",
        "The weights climb the loss: add η times the gradient, η being negative.",
        lambda W0, W1, x0, y, eta: both(W0, W1, x0, y, -eta),
    ),
    _step("eta-fixed", ETA_FIXED, lambda W0, W1, x0, y, eta: both(W0, W1, x0, y, -0.2)),
    _step(
        "updated-too-early/way-back",
        "W1 is updated before dL_dx2 is computed: take all gradients first, with the old weights, then update.",
        _new_W1_on_the_way_back,
    ),
    _step(
        "updated-too-early/W1",
        "The gradient of W0 is computed with the new W1: take all gradients first, then update.",
        _output_first,
    ),
    _step(
        "updated-too-early/W0",
        "The gradient of W1 is computed with the new W0: take all gradients first, then update.",
        _input_first,
    ),
    _step(
        "only-one-layer/W0",
        "Only W0 is updated; both layers learn.",
        lambda W0, W1, *rest: (both(W0, W1, *rest)[0], W1),
    ),
    _step(
        "only-one-layer/W1",
        "Only W1 is updated; both layers learn.",
        lambda W0, W1, *rest: (W0, both(W0, W1, *rest)[1]),
    ),
    _step("no-update", "The weights stay as they were.", lambda W0, W1, *rest: (W0, W1)),
    _train(
        "gradient-taken-once",
        "The gradient is computed once; take it anew in every iteration, with the new weights.",
        _always_the_first_gradient,
    ),
    _longer("off-by-one/more", "There is one iteration too many.", 1, lambda run, longer: longer),
    _longer("off-by-one/fewer", "One iteration is missing.", -1, lambda run, shorter: shorter),
)
