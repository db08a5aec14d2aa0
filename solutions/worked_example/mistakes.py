"""Known mistakes in `worked_example`: a network of two layers by hand, its update, and its training.

x1 = W0 x0, x2 = tanh x1, x3 = W1 x2, L = ½(x3 − y)². Gradients are row vectors, so dL_dW has the shape of Wᵀ.
"""

import numpy as np

from autograder.mistakes import Stepwise, changed, exchanged

from ..iterations import longer_run, other_losses

# -- forward pass -------------------------------------------------------------------------

NODES = {"x1": lambda W0, x0: W0 @ x0, "x2": lambda x1: np.tanh(x1), "x3": lambda W1, x2: (W1 @ x2).item()}
PASS = Stepwise(NODES, "x1", "x2", "x3")

FORWARD = (
    PASS.mistake(
        "tanh-skipped", "x3 is made from x1; it is W1 times x2, after the tanh.", x3=lambda W1, x1: (W1 @ x1).item()
    ),
    PASS.mistake(
        "tanh-at-the-end",
        "There is no tanh after the last layer: x3 = W1 x2.",
        x3=lambda W1, x2: np.tanh((W1 @ x2).item()),
    ),
    PASS.mistake("tanh-missing", "The tanh is missing: x2 = tanh(x1).", x2=lambda x1: x1),
    PASS.mistake(
        "sigmoid-for-tanh", "This is the sigmoid; the hidden units are tanh.", x2=lambda x1: 1 / (1 + np.exp(-x1))
    ),
    PASS.mistake("relu-for-tanh", "This is the ReLU; the hidden units are tanh.", x2=lambda x1: np.maximum(0, x1)),
    PASS.mistake("tan-for-tanh", "This is np.tan, of angles; the hidden units are np.tanh.", x2=lambda x1: np.tan(x1)),
    PASS.mistake("tanh-twice", "The tanh is applied twice.", x2=lambda x1: np.tanh(np.tanh(x1))),
    PASS.mistake(
        "transposed",
        "W0 is transposed: unit i of the hidden layer uses row i of W0, so x1 = W0 @ x0.",
        x1=lambda W0, x0: (W0.T if W0.shape[0] == W0.shape[1] else W0) @ x0,
    ),
    exchanged("swapped/x1-x2", "x1 and x2 are exchanged.", "x1", "x2"),
    PASS.mistake(
        "entrywise-product",
        "`*` multiplies entry by entry; a matrix times a vector is `@`.",
        x1=lambda W0, x0: W0 * x0,
        x3=lambda W0, W1, x0: (W1 @ np.tanh(W0 @ x0)).item(),
    ),
    exchanged("swapped/reversed", "The order is (x1, x2, x3), from the input to the output.", "x1", "x3"),
)


def loss(x3, y):
    """Half the squared error."""
    return 0.5 * np.sum((x3 - y) ** 2)


HALF_SQUARE = Stepwise(loss, "L")
_loss = HALF_SQUARE.instead

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

# -- backward pass ------------------------------------------------------------------------

GRADIENTS = {
    "dL_dx3": lambda x3, y: x3 - y,
    "dL_dx2": lambda dL_dx3, W1: dL_dx3 * W1,
    "slope": lambda x2: 1 - x2**2,
    "dL_dx1": lambda dL_dx2, slope: dL_dx2 * slope,
    "dL_dW0": lambda x0, dL_dx1: np.outer(x0, dL_dx1),
    "dL_dW1": lambda x2, dL_dx3: np.outer(x2, dL_dx3),
}
BACK = Stepwise({**NODES, **GRADIENTS}, "dL_dx3", "dL_dx2", "dL_dx1", "dL_dW0", "dL_dW1")


def _laid_out_as_W(form, *names):
    message = (
        "This gradient is laid out as W; here gradients are row vectors, so dL_dW = (input as a column) · (row), "
        "with the shape of Wᵀ."
    )
    return changed(f"transposed/{form}", message, np.transpose, *names)


# Mistakes that change least come first, so that one wrong gradient alone gets its own mistake named.
BACKWARD = (
    BACK.mistake(
        "upstream-ignored/W0",
        "dL_dx1 does not come in: dL_dW0 is x0 as a column times dL_dx1.",
        dL_dW0=lambda x0, dL_dx1: np.outer(x0, np.ones_like(dL_dx1)),
    ),
    BACK.mistake(
        "upstream-ignored/W1",
        "dL_dx3 does not come in: dL_dW1 is x2 as a column times dL_dx3.",
        dL_dW1=lambda x2: x2[:, None],
    ),
    BACK.mistake(
        "wrong-node/W0",
        "dL_dW0 is made from dL_dx2; W0 makes x1, so its gradient needs dL_dx1.",
        dL_dW0=lambda x0, dL_dx2: np.outer(x0, dL_dx2),
    ),
    BACK.mistake(
        "wrong-input/W1",
        "dL_dW1 is made from x1; what W1 is multiplied by is x2, after the tanh.",
        dL_dW1=lambda x1, dL_dx3: np.outer(x1, dL_dx3),
    ),
    _laid_out_as_W("W0", "dL_dW0"),
    _laid_out_as_W("W1", "dL_dW1"),
    _laid_out_as_W("both", "dL_dW0", "dL_dW1"),
    BACK.mistake(
        "slope-of-input",
        "tanh′ = 1 − tanh² is taken of the input x1; it is 1 − x2², of the output.",
        slope=lambda x1: 1 - x1**2,
    ),
    BACK.mistake(
        "slope-applied-twice",
        "tanh is applied twice: x2 is tanh(x1) already, so the slope is 1 − x2².",
        slope=lambda x2: 1 - np.tanh(x2) ** 2,
    ),
    BACK.mistake("slope-square-missing", "The square is missing: tanh′ = 1 − x2².", slope=lambda x2: 1 - x2),
    BACK.mistake(
        "slope-of-sigmoid",
        "x2(1 − x2) is the slope of the sigmoid; that of tanh is 1 − x2².",
        slope=lambda x2: x2 * (1 - x2),
    ),
    BACK.mistake("slope-sign", "The slope of tanh is 1 − x2², not 1 + x2².", slope=lambda x2: 1 + x2**2),
    BACK.mistake(
        "slope-missing", "The tanh is skipped: dL_dx1 is dL_dx2 times its slope, entry by entry.", slope=lambda: 1.0
    ),
    BACK.mistake(
        "upstream-ignored/x1",
        "dL_dx2 does not come in: dL_dx1 is dL_dx2 times the slope of tanh.",
        dL_dx1=lambda slope: slope[None],
    ),
    BACK.mistake(
        "upstream-ignored/x2", "dL_dx3 does not come in: dL_dx2 is dL_dx3 times W1, not W1 alone.", dL_dx2=lambda W1: W1
    ),
    BACK.mistake(
        "wrong-factor",
        "The other factor is taken: of x3 = W1 x2, the derivative by x2 is W1.",
        dL_dx2=lambda dL_dx3, x2: dL_dx3 * x2[None],
    ),
    BACK.mistake("sign", "The sign is flipped: of ½(x3 − y)² the derivative is x3 − y.", dL_dx3=lambda x3, y: y - x3),
    BACK.mistake(
        "scale/double",
        "All is twice too large: the ½ of the loss cancels the 2 of the square.",
        dL_dx3=lambda x3, y: 2 * (x3 - y),
    ),
    BACK.mistake(
        "scale/half",
        "All is half of what it should be: the square's 2 and the ½ of the loss cancel.",
        dL_dx3=lambda x3, y: (x3 - y) / 2,
    ),
    BACK.mistake(
        "loss-for-gradient",
        "The backward pass starts from the loss itself; it starts from its derivative, x3 − y.",
        dL_dx3=lambda x3, y: 0.5 * (x3 - y) ** 2,
    ),
    BACK.mistake("target-ignored", "The target y does not come in: dL_dx3 is x3 − y.", dL_dx3=lambda x3: x3),
    BACK.mistake(
        "upstream-ones", "The backward pass starts from 1; the gradient that reaches x3 is x3 − y.", dL_dx3=lambda: 1.0
    ),
)

# -- update, and training -----------------------------------------------------------------


def update(W, dL_dW, eta):
    """W + η (dL_dW)ᵀ."""
    return W + eta * dL_dW.T


def _without_transposing(W, dL_dW, eta):
    """W + η dL_dW where that is possible: for a square W, and for one row, which is broadcast."""
    return W + eta * dL_dW if W.shape[0] == W.shape[1] or 1 in W.shape else update(W, dL_dW, eta)


ETA_FIXED = "η is always −0.2 here: use the one that is given."
UPDATED = Stepwise(update, "new W")
_update = UPDATED.instead

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


def both(W0, W1, x0, y, eta):
    """Both weights after one step, with the gradients at the old weights."""
    at = BACK(W0=W0, W1=W1, x0=x0, y=y)
    return update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)


def train(W0, W1, x0, y, eta, num_iters, step=both):
    """The weights after `num_iters` steps, and the loss before each."""
    losses = []
    for _ in range(num_iters):
        losses.append(loss(PASS(W0=W0, W1=W1, x0=x0)["x3"], y))
        W0, W1 = step(W0, W1, x0, y, eta)
    return W0, W1, np.array(losses)


def _output_first(W0, W1, x0, y, eta):
    W1 = both(W0, W1, x0, y, eta)[1]
    return both(W0, W1, x0, y, eta)[0], W1


def _input_first(W0, W1, x0, y, eta):
    W0 = both(W0, W1, x0, y, eta)[0]
    return W0, both(W0, W1, x0, y, eta)[1]


def _new_W1_in_backward(W0, W1, x0, y, eta):
    """Update W1 as soon as its gradient is there, so that the gradient of W0 goes through the new W1."""
    new = both(W0, W1, x0, y, eta)[1]
    late = Stepwise(BACK.changed(dL_dx2=lambda dL_dx3: dL_dx3 * new), "dL_dW0")
    return update(W0, late(W0=W0, W1=W1, x0=x0, y=y)["dL_dW0"], eta), new


def _always_the_first_gradient(W0, W1, x0, y, eta, num_iters):
    at = BACK(W0=W0, W1=W1, x0=x0, y=y)

    def step(W0, W1, *rest):
        return update(W0, at["dL_dW0"], eta), update(W1, at["dL_dW1"], eta)

    return train(W0, W1, x0, y, eta, num_iters, step)


TRAINING = Stepwise(train, "W0", "W1", "losses")


TRAIN = (
    other_losses(
        TRAINING, "half-missing", "The losses are twice too large: the ½ is missing.", lambda losses: 2 * losses
    ),
    other_losses(
        TRAINING,
        "losses-after",
        "Each loss is taken after the update; append the one from before it.",
        lambda losses: losses[1:],
        more=1,
    ),
    longer_run(
        TRAINING,
        "losses-with-the-last",
        "The loss after the last step is in the list too; it holds one loss for each iteration.",
        1,
        "losses",
    ),
    other_losses(
        TRAINING,
        "losses-reversed",
        "The losses are in the wrong order: the first iteration comes first.",
        lambda losses: losses[::-1],
    ),
    longer_run(
        TRAINING, "last-update-missing", "The returned weights are those from before the last update.", -1, "W0", "W1"
    ),
    TRAINING.mistake(
        "sign",
        "The weights climb the loss: add η times the gradient, η being negative.",
        step=lambda W0, W1, x0, y, eta: both(W0, W1, x0, y, -eta),
    ),
    TRAINING.mistake("eta-fixed", ETA_FIXED, step=lambda W0, W1, x0, y, eta: both(W0, W1, x0, y, -0.2)),
    TRAINING.mistake(
        "updated-too-early/way-back",
        "W1 is updated before dL_dx2 is computed: take all gradients first, with the old weights, then update.",
        step=_new_W1_in_backward,
    ),
    TRAINING.mistake(
        "updated-too-early/W1",
        "The gradient of W0 is computed with the new W1: take all gradients first, then update.",
        step=_output_first,
    ),
    TRAINING.mistake(
        "updated-too-early/W0",
        "The gradient of W1 is computed with the new W0: take all gradients first, then update.",
        step=_input_first,
    ),
    TRAINING.mistake(
        "only-one-layer/W0",
        "Only W0 is updated; both layers learn.",
        step=lambda W0, W1, *rest: (both(W0, W1, *rest)[0], W1),
    ),
    TRAINING.mistake(
        "only-one-layer/W1",
        "Only W1 is updated; both layers learn.",
        step=lambda W0, W1, *rest: (W0, both(W0, W1, *rest)[1]),
    ),
    TRAINING.mistake("no-update", "The weights stay as they were.", step=lambda W0, W1, *rest: (W0, W1)),
    TRAINING.instead(
        "gradient-taken-once",
        "The gradient is computed once; take it anew in every iteration, with the new weights.",
        _always_the_first_gradient,
    ),
    longer_run(TRAINING, "off-by-one/more", "There is one iteration too many.", 1),
    longer_run(TRAINING, "off-by-one/fewer", "One iteration is missing.", -1),
)
