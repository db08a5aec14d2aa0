"""Known mistakes in `two_layer_net`: features, layers as pairs of functions, three layers, training.

Those of the network as a class are in `net.py`.
"""

import numpy as np

from autograder.mistakes import Stepwise, instead
from autograder.spec import Mistake

from ..iterations import longer_run, other_losses
from ..layers import relu, sigmoid

# -- before there is a network ------------------------------------------------------------------------

COLLAPSE_LINEAR = (
    instead(
        "wrong-order",
        "The input meets W1 first, so W1 stands next to it: W2 @ W1.",
        lambda W1, W2: W1 @ W2 if W1.shape == W2.shape else W2 @ W1,
        "W3",
    ),
    instead("transposed", "The result is transposed: it is W2 @ W1.", lambda W1, W2: (W2 @ W1).T, "W3"),
    instead("relu-kept", "There is no max here: it is left out.", lambda W1, W2: W2 @ np.maximum(0, W1), "W3"),
    instead("relu-kept/product", "There is no max here.", lambda W1, W2: np.maximum(0, W2 @ W1), "W3"),
    instead(
        "entrywise-product",
        "`*` multiplies entry by entry; the product of two matrices is `@`.",
        lambda W1, W2: W2 * W1 if W1.shape == W2.shape else W2 @ W1,
        "W3",
    ),
    instead("sign", "The sign is flipped.", lambda W1, W2: -(W2 @ W1), "W3"),
)


def angle(x, y):
    return np.arctan2(y, x)


def arctan(x, y):
    with np.errstate(divide="ignore"):
        return np.arctan(y / x)


def polar(X, r=np.hypot, theta=angle):
    """Radius and angle of each row (x, y) of X."""
    x, y = X.T
    return np.column_stack([r(x, y), theta(x, y)])


POLAR = Stepwise(polar, runs="polar_features")

POLAR_FEATURES = (
    POLAR.mistake("quadrant", "arctan(y/x) does not see which side of the origin it is; use np.arctan2.", theta=arctan),
    POLAR.mistake("arguments-swapped", "np.arctan2 takes y first.", theta=np.arctan2),
    POLAR.mistake(
        "degrees", "The angle is in degrees; it is asked for in radians.", theta=lambda *p: np.degrees(angle(*p))
    ),
    POLAR.mistake(
        "angle-range", "The angle runs from −π to π, not from 0 to 2π.", theta=lambda *p: angle(*p) % (2 * np.pi)
    ),
    POLAR.mistake("sign", "The sign of the angle is flipped.", theta=lambda *p: -angle(*p)),
    POLAR.mistake("root-missing", "This is r²: the square root is missing.", r=lambda x, y: x**2 + y**2),
    POLAR.mistake("manhattan", "This is |x| + |y|; r is √(x² + y²).", r=lambda x, y: abs(x) + abs(y)),
    POLAR.mistake("swapped", "r comes first, then θ.", r=angle, theta=np.hypot),
)

# -- layers as pairs --------------------------------------------------------------------------------


def pair(layer):
    """Return a layer's forward, whose cache is its inputs, and its backward by hand (a tuple for several inputs)."""

    def forward(*inputs):
        return layer.forward(*inputs), inputs

    return forward, _backward(layer, lambda right, args: {})


def mistaken_backward(layer):
    """Make the known mistakes in the gradient of `layer` in its backward function; the forward function is right."""

    def one(number, mistake):
        assert mistake.gives is not None
        code, message = (mistake.code, mistake.message) if mistake.code else (f"slope/{number}", mistake.message)
        runs = {f"{layer.name}_forward": pair(layer)[0], f"{layer.name}_backward": _backward(layer, mistake.gives)}
        return Mistake(code, message, runs=runs)

    return tuple(one(number, mistake) for number, mistake in enumerate(layer.mistakes))


def _backward(layer, gives):
    def backward(dout, cache):
        args = {**dict(zip(layer.parameters, cache, strict=True)), "dout": dout}
        right = layer.gradient(**args)
        changed = tuple({**right, **gives(right, args)}.values())
        return changed if len(changed) > 1 else changed[0]

    return backward


def _forwards(layer, code, message, formula):
    """Make a mistake in the forward function of a layer; its backward function is right."""

    def forward(*inputs):
        return formula(*inputs), inputs

    runs = {f"{layer.name}_forward": forward, f"{layer.name}_backward": pair(layer)[1]}
    return Mistake(f"forward/{code}", message, runs=runs)


FORWARDS = {
    "relu": [
        ("minimum", "This is min(0, x); it is max(0, x).", lambda x: np.minimum(0, x)),
        ("absolute", "This is |x|; where x is negative the output is 0.", np.abs),
        ("mask", "This is the mask; the output is x where it is positive.", lambda x: 1.0 * (x > 0)),
        ("leak", "This is the leaky ReLU.", lambda x: np.maximum(0.1 * x, x)),
        ("identity", "Where x is negative the output is 0.", lambda x: x),
    ],
    "leaky_relu": [
        ("leak/small", "The leak is 0.1 here, not 0.01.", lambda x: np.maximum(0.01 * x, x)),
        ("leak/missing", "Below zero the output is 0.1x, not 0.", lambda x: np.maximum(0, x)),
        ("minimum", "This is the smaller of 0.1x and x.", lambda x: np.minimum(0.1 * x, x)),
        ("constant", "The leak is 0.1x, not 0.1.", lambda x: np.maximum(0.1, x)),
        ("sign", "Below zero the output is 0.1x, which is negative.", lambda x: np.where(x > 0, x, -0.1 * x)),
    ],
    "elu": [
        ("one-missing", "Below zero the output is eˣ − 1.", lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)))),
        (
            "sign",
            "Below zero the output is eˣ − 1, not 1 − eˣ.",
            lambda x: np.where(x > 0, x, 1 - np.exp(np.minimum(x, 0))),
        ),
        ("alpha", "alpha is 1 here, not 0.1.", lambda x: np.where(x > 0, x, 0.1 * np.expm1(np.minimum(x, 0)))),
        ("relu", "This is the ReLU.", lambda x: np.maximum(0, x)),
        (
            "exponent-sign",
            "It is e to the x, not to the −x.",
            lambda x: np.where(x > 0, x, np.expm1(-np.minimum(x, 0))),
        ),
    ],
    "tanh": [
        ("sigmoid", "This is the sigmoid.", lambda x: sigmoid(x)),
        ("tan", "This is np.tan, of angles; use np.tanh.", np.tan),
        ("half", "This is tanh(x/2).", lambda x: np.tanh(x / 2)),
        ("sign", "The sign is flipped.", lambda x: -np.tanh(x)),
        ("twice", "The tanh is applied twice.", lambda x: np.tanh(np.tanh(x))),
    ],
    "sigmoid": [
        ("sign", "This is 1/(1 + eˣ): the minus in the exponent is missing.", lambda x: sigmoid(-x)),
        ("tanh", "This is tanh.", np.tanh),
        ("slope", "This is the slope; the output is σ itself.", lambda x: sigmoid(x) * sigmoid(-x)),
        ("twice", "The sigmoid is applied twice.", lambda x: sigmoid(sigmoid(x))),
        ("exponential", "This is e⁻ˣ; the output is 1/(1 + e⁻ˣ).", lambda x: np.exp(-x)),
    ],
    "maxout": [
        ("biases-missing", "The biases are missing.", lambda x, W1, b1, W2, b2: np.maximum(x @ W1, x @ W2)),
        ("minimum", "This is the smaller of the two.", lambda x, W1, b1, W2, b2: np.minimum(x @ W1 + b1, x @ W2 + b2)),
        ("sum", "The two are added; take the larger.", lambda x, W1, b1, W2, b2: x @ W1 + b1 + x @ W2 + b2),
        ("first-alone", "The second map does not come in.", lambda x, W1, b1, W2, b2: np.maximum(0, x @ W1 + b1)),
    ],
}


def mistaken_layer(layer):
    """Return all known mistakes in `layer`, forwards and backwards."""
    return (*(_forwards(layer, *mistake) for mistake in FORWARDS[layer.name]), *mistaken_backward(layer))


# -- three layers ---------------------------------------------------------------------------------------


THREE_LAYERS = Stepwise(
    {
        "p": lambda params: params,
        "first": lambda: sigmoid,
        "second": lambda first: first,
        "h1": lambda first, p, x: first(p["W1"] @ x + p["b1"]),
        "h2": lambda second, p, h1: second(p["W2"] @ h1 + p["b2"]),
        "out": lambda p, h2: (p["W3"] @ h2 + p["b3"]).item(),
    },
    "out",
)


def _without(*names):
    """Return the step that sets some parameters to zero."""
    return lambda params: {**params, **{name: np.zeros_like(params[name]) for name in names}}


THREE_LAYER_FORWARD = (
    THREE_LAYERS.mistake(
        "sigmoid-at-the-end", "The output has no activation.", out=lambda p, h2: sigmoid(p["W3"] @ h2 + p["b3"]).item()
    ),
    THREE_LAYERS.mistake("tanh-for-sigmoid", "The hidden units are sigmoids; this is tanh.", first=lambda: np.tanh),
    THREE_LAYERS.mistake("relu-for-sigmoid", "The hidden units are sigmoids; this is ReLU.", first=lambda: relu),
    THREE_LAYERS.mistake("sigmoid-missing", "The hidden layers have no activation.", first=lambda: lambda a: a),
    THREE_LAYERS.mistake(
        "sigmoid-missing/second", "The second hidden layer has no activation.", second=lambda: lambda a: a
    ),
    THREE_LAYERS.mistake("sigmoid-sign", "This is 1/(1 + eˣ).", first=lambda: lambda a: sigmoid(-a)),
    THREE_LAYERS.mistake("bias-missing/all", "The biases are missing.", p=_without("b1", "b2", "b3")),
    THREE_LAYERS.mistake("bias-missing/b1", "b1 is missing.", p=_without("b1")),
    THREE_LAYERS.mistake("bias-missing/b2", "b2 is missing.", p=_without("b2")),
    THREE_LAYERS.mistake("bias-missing/b3", "b3 is missing.", p=_without("b3")),
    THREE_LAYERS.mistake(
        "transposed",
        "W2 is transposed: row i holds the weights into unit i.",
        p=lambda params: {**params, "W2": params["W2"].T},
    ),
    THREE_LAYERS.mistake(
        "layer-skipped",
        "The output is made from the first hidden layer; the second one is left out.",
        out=lambda p, h1: (p["W3"] @ h1 + p["b3"]).item(),
    ),
)

# -- the lecture's training program ------------------------------------------------------------------


def train_sigmoid_net(
    x,
    y,
    w1,
    w2,
    lr,
    num_iters,
    *,
    value=lambda error: np.sum(error**2),
    error=lambda y_pred, y: 2.0 * (y_pred - y),
    through=lambda dh, h, a: dh * h * (1 - h),
    by_hidden=lambda dy, w2: dy @ w2.T,
    activate=sigmoid,
    rates=lambda lr: (lr, lr),
    early=False,
):
    """Gradient descent on Σ(σ(x w1) w2 − y)² by hand. Its keyword parameters are steps."""
    losses = []
    first, second = rates(lr)
    for _ in range(num_iters):
        a = x @ w1
        h = activate(a)
        losses.append(value(h @ w2 - y))
        dy = error(h @ w2, y)
        new = w2 - second * (h.T @ dy)
        dh = by_hidden(dy, new if early else w2)
        w1, w2 = w1 - first * (x.T @ through(dh, h, a)), new
    return w1, w2, np.array(losses)


TRAINING = Stepwise(train_sigmoid_net, "w1", "w2", "losses")

TRAIN_SIGMOID_NET = (
    TRAINING.mistake(
        "two-missing", "The 2 is missing: the derivative of a square is 2(ŷ − y).", error=lambda p, y: p - y
    ),
    TRAINING.mistake("sign", "The weights climb the loss: ŷ − y, not y − ŷ.", error=lambda p, y: 2 * (y - p)),
    TRAINING.mistake(
        "averaged/N",
        "The loss is the sum of all squares, not divided by N.",
        value=lambda e: np.sum(e**2) / len(e),
        error=lambda p, y: 2 * (p - y) / len(y),
    ),
    TRAINING.mistake(
        "averaged/all",
        "The loss is the sum of all squares, not their mean.",
        value=lambda e: np.mean(e**2),
        error=lambda p, y: 2 * (p - y) / y.size,
    ),
    TRAINING.mistake(
        "averaged/loss", "The loss is the sum of all squares, not their mean.", value=lambda e: np.mean(e**2)
    ),
    TRAINING.mistake(
        "half",
        "There is no ½ here: the loss is the sum of squares.",
        value=lambda e: np.sum(e**2) / 2,
        error=lambda p, y: p - y,
    ),
    TRAINING.mistake(
        "half/loss", "There is no ½ here: the loss is the sum of squares.", value=lambda e: np.sum(e**2) / 2
    ),
    TRAINING.mistake("square-missing", "The square is missing from the loss.", value=lambda e: np.sum(np.abs(e))),
    TRAINING.mistake("slope-missing", "The slope h(1 − h) of the sigmoid is missing.", through=lambda dh, h, a: dh),
    TRAINING.mistake(
        "slope/input", "σ′ = h(1 − h) is of the output h, not of x w1.", through=lambda dh, h, a: dh * a * (1 - a)
    ),
    TRAINING.mistake(
        "slope/twice",
        "σ is applied twice: h is σ(x w1) already, so the slope is h(1 − h).",
        through=lambda dh, h, a: dh * sigmoid(h) * (1 - sigmoid(h)),
    ),
    TRAINING.mistake("slope/half-way", "The factor 1 − h of the slope is missing.", through=lambda dh, h, a: dh * h),
    TRAINING.mistake(
        "slope/tanh",
        "1 − h² is the slope of tanh; of the sigmoid it is h(1 − h).",
        through=lambda dh, h, a: dh * (1 - h**2),
    ),
    TRAINING.mistake(
        "upstream-ignored",
        "What comes back to h does not come in: dh times h(1 − h).",
        through=lambda dh, h, a: h * (1 - h),
    ),
    TRAINING.mistake(
        "upstream-ones",
        "The gradient of the loss does not come in: dh is dŷ w2ᵀ.",
        by_hidden=lambda dy, w2: np.ones_like(dy) @ w2.T,
    ),
    TRAINING.mistake(
        "updated-too-early", "w2 is updated before dh is computed: take both gradients first.", early=True
    ),
    TRAINING.mistake("only-one-layer/w2", "w1 is not updated.", rates=lambda lr: (0.0, lr)),
    TRAINING.mistake("only-one-layer/w1", "w2 is not updated.", rates=lambda lr: (lr, 0.0)),
    TRAINING.mistake("no-update", "The weights come back as they were.", rates=lambda lr: (0.0, 0.0)),
    TRAINING.mistake("lr-ignored", "The learning rate does not come in.", rates=lambda lr: (1.0, 1.0)),
    TRAINING.mistake(
        "lr-fixed", "The learning rate is always 1e-4: use the one that is given.", rates=lambda lr: (1e-4, 1e-4)
    ),
    TRAINING.mistake(
        "tanh-for-sigmoid",
        "The hidden units are sigmoids; this is tanh.",
        activate=np.tanh,
        through=lambda dh, h, a: dh * (1 - h**2),
    ),
    TRAINING.mistake(
        "relu-for-sigmoid",
        "The hidden units are sigmoids; this is ReLU.",
        activate=lambda a: np.maximum(0, a),
        through=lambda dh, h, a: dh * (a > 0),
    ),
    TRAINING.mistake(
        "sigmoid-missing", "The sigmoid is missing: h = σ(x w1).", activate=lambda a: a, through=lambda dh, h, a: dh
    ),
    TRAINING.mistake(
        "sigmoid-sign", "This is 1/(1 + eˣ): the minus in the exponent is missing.", activate=lambda a: sigmoid(-a)
    ),
    other_losses(
        TRAINING,
        "losses-after",
        "Each loss is taken after the step; append the one from before it.",
        lambda losses: losses[1:],
        more=1,
    ),
    longer_run(TRAINING, "losses-with-the-last", "The loss after the last step is in the list too.", 1, "losses"),
    longer_run(TRAINING, "off-by-one/more", "There is one iteration too many.", 1),
    longer_run(TRAINING, "off-by-one/fewer", "There is one iteration too few.", -1),
    longer_run(TRAINING, "last-update-missing", "The weights are those from before the last step.", -1, "w1", "w2"),
)
